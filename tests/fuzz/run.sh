#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh FOLDER SECONDS TARGET ... - let libFuzzer make up inputs for each of the targets in FOLDER, two at
# a time, beginning with those of corpus/TARGET; what finds new ways is added there, made small (`make fuzz`)
# Status 1 if one died: its input is in FOLDER/TARGET.found, and belongs into the corpus once it is mended.
set -u

folder=$1 seconds=$2
shift 2
corpus=$(dirname "$0")/corpus
# An export names what the program mapped, and memory there is less of.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:quarantine_size_mb=16}

fuzz()
{
	all=$folder/$1.all found=$folder/$1.found log=$folder/$1.log
	mkdir -p "$all" "$found" "$corpus/$1"
	"$folder/$1" -max_total_time="$seconds" -max_len=420 -timeout=60 -report_slow_units=60 -rss_limit_mb=2048 \
		-artifact_prefix="$found/" -print_final_stats=1 "$all" "$corpus/$1" >"$log" 2>&1
	# What reaches a line that no other does; how often is not of interest, or there would be hundreds.
	"$folder/$1" -merge=1 -use_counters=0 "$corpus/$1" "$all" >"$log.merge" 2>&1
}

# The number behind WORDS in the log of TARGET, the last time they are there.
number()
{
	sed -n "s/.*$2 *\([0-9][0-9]*\).*/\1/p" "$folder/$1.log" | tail -n 1
}

for target; do
	rm -rf "$folder/$target.found"
	fuzz "$target" &
	running=$((${running:-0} + 1))
	[ $((running % 2)) != 0 ] || wait
done
wait

failed=0
printf '%-12s %12s %10s %8s %8s %8s\n' target executions exec/s edges corpus crashes
for target; do
	crashes=$(ls "$folder/$target.found" | wc -l)
	printf '%-12s %12s %10s %8s %8s %8s\n' "$target" "$(number "$target" number_of_executed_units:)" \
		"$(number "$target" average_exec_per_sec:)" "$(number "$target" cov:)" \
		"$(ls "$corpus/$target" | wc -l)" "$crashes"
	[ "$crashes" = 0 ] || failed=1
done
exit $failed
