#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# soak.sh - long runs, and random tests from one seed after the other (`make soak`). They take about
# SOAK_SECONDS (600), longer on a busy machine; a line of a table says for each what came of it. SEED
# repeats a run: random tests begin with it. With CASES each random test runs once, those of collectives
# with so many. B is the build folder.
set -u

seconds=${SOAK_SECONDS:-600}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
log=$B/soak.log
table='' failed=0 begun=$(date +%s)
export TIME_LIMIT=${TIME_LIMIT:-7200}
limit="timeout --foreground --verbose --kill-after=10 $TIME_LIMIT"
mkdir -p "$B"

# 100,000 cycles and 10,000,000 small collectives in ten minutes, else in proportion.
cycles=$((seconds * 100000 / 600))
[ "$cycles" -ge 100 ] || cycles=100

# line WHAT HOW-OFTEN SECONDS: of the table; $failed_with says which seed failed
line()
{
	[ -z "$failed_with" ] && verdict=passed || { verdict=FAILED failed=$((failed + 1)); }
	table="$table
$(printf '%-46s %14s %6d s  %s%s' "$1" "$2" "$3" "$verdict" "${failed_with:+ with SEED=$failed_with}")"
}

# Show what a command prints only if it fails.
quietly()
{
	"$@" >"$log" 2>&1 && return
	cat "$log"
	return 1
}

# long WHAT HOW-OFTEN COMMAND ...: once, whose figures are lines of their own
long()
{
	what=$1 often=$2 start=$(date +%s) failed_with=
	shift 2
	echo "==== $what, $often"
	quietly env TEST_PATIENCE="${TEST_PATIENCE:-100}" "$@" || failed_with=any
	line "$what" "$often" $(($(date +%s) - start))
	figures=$(sed -n 's/^figure: [a-z_]*\.\([a-z_]*\): /    \1: /p' "$log")
	table="$table${figures:+
$figures}"
}

# again WHAT COMMAND ...: with one seed after the other, until its time is over
again()
{
	what=$1 start=$(date +%s) failed_with='' runs=0
	shift
	until=$((start + (begun + seconds - start) / left))
	left=$((left - 1))
	echo "==== $what"
	while [ -z "$failed_with" ]; do
		quietly env TEST_SEED=$((seed + runs)) TEST_PATIENCE="${TEST_PATIENCE:-5}" \
			${CASES:+TEST_CASES="$CASES"} "$@" || failed_with=$((seed + runs))
		runs=$((runs + 1))
		[ -z "${CASES:-}" ] && [ "$(date +%s)" -lt $until ] || break
	done
	line "$what" "$runs seeds" $(($(date +%s) - start))
}

echo "seed $seed: SEED=$seed makes the same cases again"
long "cycles of all that comes and goes" "$cycles cycles" \
	env TEST_CYCLES=$cycles $limit "$B/run-unit" cycles
[ "$seconds" -lt 300 ] ||
	long "collectives of more than 2 GiB" "3 calls" env TEST_CASES=100000 $limit "$B/run-unit" coll_sizes.more
[ "$seconds" -lt 300 ] || [ -z "${TEST_EMU:-}" ] ||
	long "a sum of more than 4 GiB on ascend" "2 calls" env TEST_LONG=1 $limit "$B/run-contract" reduce.a_sum
# Some minutes, however long the rest takes.
[ "$seconds" -lt 600 ] ||
	long "each use of each call fails" "4 ranks" env TEST_STRIDE=1 TEST_RANKS=4 $limit "$B/run-fault" inject
left=9
again "all features at once, signals and forks" $limit "$B/run-unit" mix
again "delays at every point of the protocols" $limit "$B/run-fault" delays
again "shares and updates against a model" $limit "$B/run-unit" set_model
again "collectives against a plain reference" env TEST_CASES="${CASES:-1000}" $limit "$B/run-unit" coll_random
for ranks in 2 3 4 5 8; do
	again "collectives against MPI itself, $ranks ranks" \
		env TEST_CASES="${CASES:-1000}" tests/support/mpirun.sh $ranks "$B/run-mpi" coll_random
done
printf '\n==== seed %s, %d s%s\n\n%d failed\n' "$seed" $(($(date +%s) - begun)) "$table" $failed
[ $failed = 0 ]
