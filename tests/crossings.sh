#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# crossings.sh - what do collectives send from node to node? Two nodes of four ranks, as IPCSHARE_FAKE_NODES has
# them: bytes and messages between them as Open MPI's own monitoring counts them, of the library's calls, and of MPI's
# for comparison, whose ranks know nothing of nodes. B is the build folder.
set -eu

times=10 len=8000 ranks=8
word=256 # two words of two leaders cross in each call, 128 bytes each
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

case $("$(echo "${MPICC:-mpicc}" | sed 's/mpicc\([^/]*\)$/mpiexec\1/')" --version 2>&1) in
*"Open MPI"* | *OpenRTE*) ;;
*)
	echo "skipped: only Open MPI counts what it sends" >&2
	exit 0
	;;
esac
${MPICC:-mpicc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Iinclude ${SAN:+-fsanitize=$SAN} \
	-o "$scratch/program" tests/crossings_program.c "$B/libipcshare-mpi.a" "$B/libipcshare.a" ${HWLOC_LIBS--lhwloc} -pthread

# run WAY PLACES CALL TIMES: bytes and messages between ranks 0..3 and 4..7
run()
{
	rm -f "$scratch"/sent.*
	# Monitoring is no transport of its own, but has to be found among them.
	IPCSHARE_ACROSS=0 IPCSHARE_FAKE_NODES=2x4 tests/support/mpirun.sh $ranks env -u OMPI_MCA_pml \
		OMPI_MCA_pml_monitoring_enable=2 OMPI_MCA_pml_monitoring_enable_output=3 \
		OMPI_MCA_pml_monitoring_filename="$scratch/sent" "$scratch/program" "$@" >"$scratch/log" 2>&1 || {
		cat "$scratch/log" >&2
		exit 1
	}
	cat "$scratch"/sent.*.prof 2>/dev/null | awk -v half=$((ranks / 2)) '
		$1 ~ /^[EI]$/ && ($2 < half) != ($3 < half) { bytes += $4; messages += $6 }
		END { print bytes + 0, messages + 0 }'
}

# cross WAY PLACES CALL: of one call; those that begin and end the job are taken off
cross()
{
	eval "set -- \$begin_$1_$2 $(run "$1" "$2" "$3" $times)"
	bytes=$((($3 - $1) / times)) messages=$((($4 - $2) / times))
}

# check CALL MOST: bytes, however the ranks are placed; and fewer than MPI's, which depend on that
check()
{
	sum=0 flat=0
	for places in order turns; do
		cross mpi $places "$1"
		line="by MPI alone $bytes in $messages" flat=$((flat + bytes))
		cross ours $places "$1"
		echo "  $1, ranks in $places: $bytes bytes in $messages messages, $line"
		sum=$((sum + bytes))
		[ $bytes -gt 0 ] && [ $bytes -le "$2" ] || wrong "$1: $bytes bytes cross instead of at most $2"
	done
	[ $sum -lt $flat ] || wrong "$1: as many bytes cross as by MPI alone"
}

wrong()
{
	echo "$*" >&2
	failed=1
}

for places in order turns; do
	begin=$(run mpi $places barrier 0) # of nothing but what begins and ends it
	eval "begin_mpi_$places=\$begin"
	if ! ls "$scratch"/sent.*.prof >/dev/null 2>&1; then
		echo "skipped: this Open MPI has no monitoring, which counts what it sends" >&2
		exit 0
	fi
	begin=$(run ours $places barrier 0)
	eval "begin_ours_$places=\$begin"
done
check allreduce $((2 * len + word))
check allgather $((ranks * len + word))
check bcast $((len + word))
check reduce_scatter $((len + word))
exit $failed
