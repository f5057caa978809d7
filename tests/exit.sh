#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# exit.sh - ranks that end in every way, with all that they made still there: nothing crashes, hangs or is
# left behind. B is the build folder.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
program=$scratch/ipcshare-exit
failed=0

# wrong TEXT: go on with the next one
wrong()
{
	echo "$how: $*" >&2
	failed=$((failed + 1))
}

# The processes that run the program
left()
{
	find /proc/[0-9]*/exe -maxdepth 0 -lname "$program" 2>/dev/null | cut -d/ -f3
}

# end HOW STATUS WHAT: 0, "not" for a job that must fail, "any" where that is MPI's business
end()
{
	how=$1 before=$failed
	ls -A /dev/shm >"$scratch/before"
	status=0
	tests/support/mpirun.sh 3 "$program" "$how" >"$scratch/log" 2>&1 || status=$?
	# What MPI's launcher has ended may take a moment to go.
	tries=100
	while [ -n "$(left)" ] && [ $tries -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	[ -z "$(left)" ] || { wrong "processes are left: $(left)"; kill -KILL $(left); }
	ls -A /dev/shm | diff "$scratch/before" - >"$scratch/shm" ||
		wrong "left in /dev/shm (>): $(cat "$scratch/shm")"
	case $2-$status in
	0-0) ;;
	*-124 | *-137) wrong "the job hangs" ;;
	not-0) wrong "the job should fail" ;;
	not-* | any-*) ;;
	*) wrong "status $status" ;;
	esac
	! grep -q -i 'signal: \|sanitizer\|rank [0-9]*:' "$scratch/log" ||
		wrong "a rank crashed, or has seen what it should not"
	[ $failed = $before ] || cat "$scratch/log"
	echo "  $how: $3"
}

export TIME_LIMIT="${TIME_LIMIT:-60}" IPCSHARE_TIMEOUT=30
${MPICC:-mpicc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Iinclude ${SAN:+-fsanitize=$SAN} \
	-o "$program" tests/exit_program.c "$B/libipcshare-mpi.a" "$B/libipcshare.a" ${HWLOC_LIBS--lhwloc} -pthread
end after 0 "all is ended in order after MPI_Finalize()"
end leave 0 "exit() with all alive"
end abandon 0 "all is abandoned after MPI_Finalize()"
end atexit 0 "a handler of atexit() ends all in order"
end busy 0 "ipcshare_close() in such a handler is busy, and the process ends"
end thread 0 "exit() by another thread than the one that is in a barrier, which its peers notice"
end early any "exit() without MPI_Finalize()"
end abort not "MPI_Abort() on one rank ends those that are in a barrier"
[ $failed = 0 ]
