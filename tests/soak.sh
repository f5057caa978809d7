#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# soak.sh - random collectives, many more than in a test, from another seed each time (`make soak`)
# SEED repeats a run, CASES says how many of each program. B is the build folder.
set -u

. tests/support/steps.sh

seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
cases=${CASES:-30000}
table=

# soak WHAT COMMAND ...: a line of the table
soak()
{
	line=$1 failed_before=$failed start=$(date +%s)
	shift
	step "$line, TEST_SEED=$seed" env TEST_SEED="$seed" TEST_CASES="$cases" \
		TEST_PATIENCE="${TEST_PATIENCE:-5}" "$@"
	[ $failed = $failed_before ] && verdict=passed || verdict=FAILED
	table="$table
$(printf '%-40s %10d cases %6d s  %s' "$line" "$cases" $(($(date +%s) - start)) $verdict)"
}

export TIME_LIMIT=${TIME_LIMIT:-7200}
limit="timeout --foreground --verbose --kill-after=10 $TIME_LIMIT"
echo "seed $seed: SEED=$seed makes the same cases again"
soak "a plain reference, groups of 1 to 64" $limit "$B/run-unit" coll_random
for ranks in 2 3 4 5 8; do
	soak "MPI itself, $ranks ranks" tests/support/mpirun.sh $ranks "$B/run-mpi" coll_random
done
soak "each use of each call fails, 4 ranks" env TEST_STRIDE=1 TEST_RANKS=4 $limit "$B/run-fault" inject
printf '\n==== seed %s%s\n' "$seed" "$table"
summary
