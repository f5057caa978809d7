#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bench.sh - does the main job verify, say so, and notice a wrong byte? On a small workload.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bench=$B/ipcshare-bench

fail()
{
	echo "bench.sh: $*" >&2
	exit 1
}

# run RANKS ARG ...: its output in $scratch/out, its exit status in $status
run()
{
	ranks=$1
	shift
	status=0
	tests/support/mpirun.sh "$ranks" "$bench" share "$@" >"$scratch/out" 2>&1 || status=$?
}

wants()
{
	grep -q -e "$1" "$scratch/out" || {
		cat "$scratch/out"
		fail "no line matches: $1"
	}
}

cat >"$scratch/small.txt" <<'W'
# every shape once: shorter than a mark, a word, whole pages, a tail
3 1 byte
40 8 word
2 65536 pages
1 100003 tail
W
run 3 --workload "$scratch/small.txt" --layout each --json "$scratch/json"
[ "$status" = 0 ] || { cat "$scratch/out"; fail "exit status $status"; }
wants '^verified: 138 buffers, 694194 bytes, 3 ranks$'
wants 'calls per rank: 46 exports, 46 whitelist, 92 imports for 46 allocations'

# One object a line, each with the keys that every line has.
awk '!/^\{.*\}$/ { print "not an object: " $0; bad = 1 }
{ for (k in keys) if (index($0, "\"" k "\":") == 0) { print "no " k ": " $0; bad = 1 } }
BEGIN { split("bench backend ranks workload stage metric value unit", names)
	for (i in names) keys[names[i]] }
END { exit bad || NR == 0 }' "$scratch/json" || fail "the JSON is not what it should be"
grep -q '"baseline":.*"baseline_value":.*"ratio":' "$scratch/json" || fail "no line has a baseline"

run 2 --workload "$scratch/small.txt" --spoil 44
[ "$status" != 0 ] || fail "a spoilt byte went unnoticed"
wants 'buffer 44 (.*) of rank 1 is wrong at offset'

echo "12 twelve name" >"$scratch/bad.txt"
run 1 --workload "$scratch/bad.txt"
[ "$status" != 0 ] || fail "a malformed workload was taken"
wants 'bad.txt:1: '

echo "verified, a spoilt byte found, a malformed line named"
