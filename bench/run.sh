#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh full|quick|check - run all benches of the hot path into $B/bench: figures, plots, a page, and
# the table of targets, which check fails by
# TEST_EMU names the emulator of the Ascend runtime, if it can run.
set -eu

B=${B:-build} what=${1:?full, quick or check} emu=${TEST_EMU:-}
out=$B/bench
bench=$B/ipcshare-bench
mkdir -p "$out"
rm -f "$out"/*.json "$out"/*.txt

# run NAME RANKS ARG ...: its table on the terminal and in NAME.txt, its figures in NAME.json
run()
{
	name=$1 ranks=$2
	shift 2
	echo "== $*${IPCSHARE_BACKEND:+ ($IPCSHARE_BACKEND)}"
	{ tests/support/mpirun.sh "$ranks" "$bench" "$@" --json "$out/$name.json" 2>&1 &&
		: >"$out/ok"; } | tee "$out/$name.txt"
	echo
	rm "$out/ok" 2>/dev/null || { echo "run.sh: $name failed" >&2; exit 1; }
}

on_ascend()
{
	[ -n "$emu" ] || return 0
	export IPCSHARE_BACKEND=ascend IPCSHARE_ACL_LIB="$emu" ASCENDCL_EMU_JOB="bench-$$"
	run "$@"
	unset IPCSHARE_BACKEND IPCSHARE_ACL_LIB ASCENDCL_EMU_JOB
}

# MPI as users have it: bound ranks keep their cores, and read each other's memory if they may.
against_mpi()
{
	export BIND=1 OMPI_MCA_btl_vader_single_copy_mechanism=cma
	run "$@"
	unset BIND OMPI_MCA_btl_vader_single_copy_mechanism
}

# MPI that believes to have a core for each rank, as where a host file or a batch system says so.
against_spinning_mpi()
{
	export OMPI_MCA_mpi_yield_when_idle=0
	against_mpi "$@"
	unset OMPI_MCA_mpi_yield_when_idle
}

machine()
{
	echo "$(uname -sr), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1))," \
		"load $1 at the start, $(cut -d' ' -f1 /proc/loadavg) at the end"
}

load=$(cut -d' ' -f1 /proc/loadavg)
if [ "$what" = quick ]; then
	run small-64 4 small --rounds 2 --raw 100 \
		--buffers 1000 --buffers 10000 --buffers 100000 --buffers 1000000
	run small-4096 4 small --rounds 3 --raw 200 --buffers 10000 --size 4096
	on_ascend small-ascend 4 small --rounds 1 --raw 100 --buffers 100 --buffers 1000 --buffers 10000
	run resolve 4 resolve --rounds 5
	run lookup 1 lookup --rounds 7
	on_ascend lookup-ascend 1 lookup --rounds 7
	run pull 4 pull --rounds 3
	on_ascend pull-ascend 4 pull --size 256 --pieces 10000 --rounds 2
	run arena 1 arena --rounds 3
	for ranks in 2 4; do
		against_mpi coll-$ranks $ranks coll --rounds 9 --size 8 --size 1K --size 64K --size 1M
	done
	against_mpi views-2 2 coll --views --rounds 9
else
	run small-64 4 small
	run small-4096 4 small --buffers 10000 --size 4096
	on_ascend small-ascend 4 small
	run resolve 4 resolve
	run lookup 1 lookup
	on_ascend lookup-ascend 1 lookup
	run pull 4 pull --rounds 41
	on_ascend pull-ascend 4 pull --size 256 --pieces 10000
	run arena 1 arena
	against_mpi coll-2 2 coll
	against_mpi coll-4 4 coll
	against_mpi views-2 2 coll --views
	against_mpi coll-64 64 coll --collective allreduce --size 8 --rounds 9 --calls 20
	# Each call of it waits for the scheduler to take cores away: few are enough to see that.
	against_spinning_mpi coll-4-spinning 4 coll --size 8 --size 4K --rounds 3 --calls 5
fi
machine "$load" >"$out/machine.txt"

bench/plot.sh "$out"
bench/page.sh "$out" >"$out/index.html"
cat "$out/machine.txt"
missed=0
bench/targets.sh "$out" || missed=$?
echo "$out/index.html has all of it"
[ "$what" != check ] || exit $missed
