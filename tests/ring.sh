#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# ring.sh - does docs/examples/ring.c verify on emulated devices, and is its order needed? It is built as
# a user with CANN would; the emulator's header and library stand for <acl/acl.h> and libascendcl.
set -eu
. tests/support/installed.sh

if [ -z "${TEST_EMU:-}" ]; then
	echo "no emulator in this flavour: nothing is run"
	exit 0
fi
in_scratch install PREFIX="$scratch/prefix"
mkdir "$scratch/acl"
echo "#include \"$PWD/tests/emu/acl_abi.h\"" >"$scratch/acl/acl.h"

# ring PROGRAM SOURCE
ring()
{
	build "$scratch/$1" "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -I"$scratch" "$2" \
		-L"${TEST_EMU%/*}" -lascendcl -Wl,-rpath,"${TEST_EMU%/*}"
}

# run RANKS DEVICES PROGRAM: its output in $scratch/out
run()
{
	job=$((job + 1))
	IPCSHARE_ACL_LIB="$TEST_EMU" ASCENDCL_EMU_DEVICES="$2" ASCENDCL_EMU_JOB="ring-$$-$job" \
		tests/support/mpirun.sh "$1" "$scratch/$3" >"$scratch/out" 2>&1
}
job=0

ring ring docs/examples/ring.c
for ranks in 1 2 4; do
	run $ranks $ranks ring && grep "^verified: .* $ranks ranks$" "$scratch/out" ||
		{ cat "$scratch/out"; fail "$ranks ranks do not verify"; }
done
run 4 2 ring || { cat "$scratch/out"; fail "two ranks on each device do not verify"; }

# Where nobody waits and rank 0 lags behind, the others read what is not there yet.
sed '/aclrtWaitAndResetNotify(/d' docs/examples/ring.c >"$scratch/hasty.c"
ring late "$scratch/hasty.c"
cat >"$scratch/hasty" <<'LAG'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" != 0 ] || export ASCENDCL_EMU_TASK_DELAY_US=10000
exec "${0%hasty}late"
LAG
chmod +x "$scratch/hasty"
! run 2 2 hasty || fail "without a wait it verifies all the same"
grep '^WRONG' "$scratch/out" || { cat "$scratch/out"; fail "without a wait it fails otherwise"; }
