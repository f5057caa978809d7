#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# npu_found.sh - does npu.sh say plainly where there is no NPU, and skip by name what only the emulator
# can provoke? The emulator stands for the CANN that is found.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
emu=${TEST_EMU:-}

fail()
{
	cat "$scratch/out"
	echo "npu_found.sh: $*" >&2
	exit 1
}

# run STATUS VARIABLE=VALUE ...: npu.sh, small, in a build folder of its own
run()
{
	wanted=$1 status=0
	shift
	env -u ASCENDCL_EMU_HOST_ACCESS B="$scratch/build" "$@" \
		tests/npu.sh --size 4K --size 2M --repeat 3 >"$scratch/out" 2>&1 || status=$?
	[ $status = "$wanted" ] || fail "$* gave $status instead of $wanted"
}

wants()
{
	grep -aq -e "$1" "$scratch/out" || fail "no line matches: $1"
}

mkdir "$scratch/build"
for program in ipcshare-info ipcshare-bench run-contract run-mpi; do
	ln -s "$(realpath "$B/$program")" "$scratch/build/$program"
done

run 77 IPCSHARE_ACL_LIB=/nonexistent
wants '^No NPU was found, so nothing was tested'
wants '^  runtime library  *failed  *no Ascend runtime'
wants '^ *-> install CANN'
! grep -q '^====' "$scratch/out" || fail "a test ran without an NPU"
if [ -z "$emu" ]; then	# it can't run in this flavour
	echo "no runtime: said"
	exit 0
fi

run 77 IPCSHARE_ACL_LIB="$emu" ASCENDCL_EMU_DEVICES=0
wants '^No NPU was found'
wants '^  devices  *failed'

run 0 IPCSHARE_ACL_LIB="$emu"
wants '^THE RUNTIME IS AN EMULATOR'
wants '^  SoC  *ok  *Ascend910B3'
wants '^skipped: device.devices_without_a_link_are_unreachable: .*only the emulator can provoke this$'
wants '^skipped: copies.a_plan_goes_on_if_replay_fails: .*only the emulator can provoke this$'
wants '^  whitelist .* [mun]*s '
wants '^verified: 8 imports'
wants ' passed, 0 failed, [1-9][0-9]* skipped$'
diff "$scratch/build/npu-report.txt" "$scratch/out" >"$scratch/diff" || :
[ "$(grep -c '^[<>]' "$scratch/diff")" = 1 ] || fail "the report is not what was printed"
echo "no runtime, no device: said; a runtime: tested, $(tail -n 2 "$scratch/out" | head -n 1)"
