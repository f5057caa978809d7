#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# targets.sh [--html] DIR - what a run of the benches has reached, from the JSON lines in DIR
# Exits with 1 if a target is missed by more than the spread of the run, or was not measured.
set -eu

html=0
[ "$1" != --html ] || { html=1; shift; }
dir=$1

# name | where the figure stands | which figure | at most or at least | limit | to be seen beside it
# Where several lines fit, the worst one counts. The spread is that of the middle half of the rounds.
targets()
{
	small='bench=small;backend=host;workload=cells'
	cells='bench=small;backend=host;bytes=64'
	ptr='bench=resolve;backend=host;stage=ipcshare_ptr'
	pull='bench=pull;backend=host;workload=new;bytes=256;pieces=10000'
	coll='bench=coll;memory=shared'
	bound="$coll;ranks=2;place=bound"
	npu='bench=pull;backend=ascend;order=in order;bytes=256;pieces=10000'
	cat <<T
first share, 10,000 x 4 KiB in order, faster than raw|$small;bytes=4096;buffers=10000;order=in order;stage=first share;baseline=raw|speedup|>=|500|arena,cold share
first share, 10,000 x 4 KiB shuffled, faster than raw|$small;bytes=4096;buffers=10000;order=shuffled;stage=first share;baseline=raw|speedup|>=|500|arena,cold share
re-share of 10,000, shuffled, to MPI_Allgatherv|$cells;buffers=10000;order=shuffled;stage=re-share;baseline=MPI_Allgatherv|ratio|<=|2|rows
re-share of 10,000, in order, to MPI_Allgatherv|$cells;buffers=10000;order=in order;stage=re-share;baseline=MPI_Allgatherv|ratio|<=|2|rows
re-share, backend calls|bench=small;stage=re-share;metric=calls|value|<=|0|
first share, a buffer of 1,000,000 to one of 1,000|$cells;buffers=1000000;stage=first share;metric=growth|ratio|<=|1.5|rows
re-share, a buffer of 1,000,000 to one of 1,000|$cells;buffers=1000000;stage=re-share;metric=growth|ratio|<=|1.5|rows
ipcshare_ptr one by one, to a pointer array|$ptr;workload=one by one|ratio|<=|1.1|checked array
ipcshare_ptr many at once, to a pointer array|$ptr;workload=many at once|ratio|<=|1.1|checked array,ipcshare_table
look-up among 100,000, to one among 10|bench=lookup;regions=100000;stage=find|ratio|<=|5|sorted array
look-up among 100,000, warm cache|bench=lookup;regions=100000;stage=find again|time|<=|100e-9|
arena alloc+free, 64 B to 4 KiB, 1 thread, to malloc|bench=arena;backend=host;threads=1;bytes=64..4096;baseline=malloc|ratio|<=|1.5|
arena alloc+free, 64 B to 4 KiB, 4 threads, to malloc|bench=arena;backend=host;threads=4;bytes=64..4096;baseline=malloc|ratio|<=|1.5|
pull of 10,000 x 256 B, random order, to memcpy loop|$pull;order=random;stage=pull;baseline=loop|ratio|<=|1|
pull of 10,000 x 256 B, in order, to memcpy loop|$pull;order=in order;stage=pull;baseline=loop|ratio|<=|1|
plan for the same, random order, to the pull|$pull;order=random;stage=plan;baseline=pull|ratio|<=|1|
plan for the same, in order, to the pull|$pull;order=in order;stage=plan;baseline=pull|ratio|<=|1|
driver calls, pull of 10,000 cells on ascend, all|$npu;stage=pull;metric=driver_calls|value|<=|10|
driver calls, a plan's second run on ascend, copies|$npu;stage=plan;metric=driver_copies|value|<=|1|
$(for fast in allreduce:2.4 reduce_scatter:2 allgather:2 alltoall:2 bcast:1.5 reduce:1.5 gather:1.5 scatter:1.5; do
	echo "${fast%:*}, 2 ranks bound, mean, faster than MPI|$bound;workload=${fast%:*};metric=mean|speedup|>=|${fast#*:}|"
done)
$(for each in allreduce reduce_scatter allgather alltoall bcast reduce gather scatter scan exscan; do
	echo "$each, 4 ranks, mean, faster than MPI|$coll;ranks=4;workload=$each;metric=mean;baseline=MPI|speedup|>=|4|"
done)
each collective, 4 ranks, mean, to spinning MPI|$coll;ranks=4;metric=mean;baseline=spinning MPI|speedup|>=|4|
allreduce of 8 B, 64 ranks, to MPI|$coll;ranks=64;workload=allreduce;bytes=8;metric=time;baseline=MPI|ratio|<=|2|
$(for view in bcast_view allgather_view alltoall_view; do for part in 'view' 'look and end'; do
	echo "$view of 16 MiB to one of 64 B, $part|$bound;workload=$view;stage=$part;metric=growth|ratio|<=|1.5|"
done; done)
any collective and size, 2 ranks bound, to MPI|$bound;metric=time;baseline=MPI|speedup|>=|0.9|flag exchange
any collective and size, 4 ranks, to MPI|$coll;ranks=4;metric=time;baseline=MPI|speedup|>=|0.9|flag exchange
barrier, 2 ranks bound, to an exchange of flags|$bound;workload=barrier;baseline=flag exchange|ratio|<=|1.3|
allreduce of 8 B, 2 ranks bound, to the same|$bound;workload=allreduce;bytes=8;baseline=flag exchange|ratio|<=|1.3|
bytes moved, 1 MiB and more, 2 ranks bound, to memcpy|$bound;bytes=1048576..16777216;baseline=peer memcpy|speedup|>=|0.8|flag exchange
bytes moved, 1 MiB and more, 4 ranks, to memcpy|$coll;ranks=4;bytes=1048576..16777216;baseline=peer memcpy|speedup|>=|0.8|flag exchange
bytes held per buffer and rank, 100,000 buffers|$cells;buffers=100000;metric=memory_per_buffer|value|<=|24*ranks+64|
T
}

targets | awk -F '|' -v html=$html "$(cat bench/json.awk)"'
function limit_of(text, line)
{
	if (text ~ /\*ranks\+/)	# 24*ranks+64
		return text * value_of(line, "ranks") + substr(text, index(text, "+") + 1)
	return text + 0
}

function show(kind, x)
{
	return kind == "time" ? time_text(x) : kind == "value" ? sprintf("%.0f", x) : three(x) " x"
}

# Of the lines that fit, the one that is farthest from the target; "" if none does.
function worst(where, kind, op,   i, x, line)
{
	for (i = 1; i <= nlines; i++) {
		if (!is_one(lines[i], where))
			continue
		x = figure(lines[i], kind)
		if (line == "" || (op == "<=" ? x > found : x < found)) {
			found = x
			line = lines[i]
		}
	}
	return line
}

function figure(line, kind)
{
	return kind == "ratio" ? value_of(line, "ratio") + 0 : \
	       kind == "speedup" ? 1 / value_of(line, "ratio") : value_of(line, "value") + 0
}

# How many times as fast as MPI a call would be that does no more than it must.
function floor_of(line,   i, where)
{
	where = "bench=coll;metric=floor;workload=" value_of(line, "workload") ";ranks=" value_of(line, "ranks") \
		";place=" value_of(line, "place") ";baseline=" value_of(line, "baseline")
	for (i = 1; i <= nlines; i++)
		if (is_one(lines[i], where))
			return "a flag exchange and the memcpy: " three(figure(lines[i], "speedup")) " x"
	return ""
}

# Other stages of the same buffers, for who wants to know where the time goes.
function beside(stages, line,   n, i, k, stage, where, out)
{
	where = "bench=" value_of(line, "bench") ";workload=" value_of(line, "workload") \
		";order=" value_of(line, "order") ";backend=" value_of(line, "backend") \
		";ranks=" value_of(line, "ranks") ";place=" value_of(line, "place") \
		";bytes=" value_of(line, "bytes") ";buffers=" value_of(line, "buffers") \
		";regions=" value_of(line, "regions") ";stage="
	out = value_of(line, "bench") != "coll" ? "" : value_of(line, "workload") \
		(value_of(line, "bytes") == "" ? "" : " of " value_of(line, "bytes") " bytes") ": "
	out = out value_of(line, "stage") " " time_text(value_of(line, "value"))
	if (value_of(line, "baseline") != "")
		out = out ", " value_of(line, "baseline") " " time_text(value_of(line, "baseline_value"))
	n = split(stages, stage, ",")
	for (i = 1; i <= n; i++)
		for (k = 1; k <= nlines; k++)
			if (is_one(lines[k], where stage[i]) && value_of(lines[k], "unit") == "s") {
				out = out ", " stage[i] " " time_text(value_of(lines[k], "value"))
				break
			}
	return out
}

function row(name, want, is, spread, verdict, note)
{
	if (html) {
		sub(/</, "\\&lt;", want)
		sub(/>/, "\\&gt;", want)
		printf "<tr class=\"%s\"><td>%s<td>%s<td>%s<td>%s<td>%s%s\n", \
			verdict == "met" ? "met" : "missed", name, want, is, spread, verdict, \
			note == "" ? "" : "<br><small>" note "</small>"
	} else {
		printf "  %-54s %9s %9s %8s  %s\n%s", name, want, is, spread, verdict, \
			note == "" ? "" : "      " note "\n"
	}
}

/^{/ { lines[++nlines] = $0; next }
!heading++ && !html { printf "  %-54s %9s %9s %8s\n", "", "target", "here", "+-" }
{
	line = worst($2, $3, $4)
	want = $4 " " ($5 ~ /ranks/ && line != "" ? limit_of($5, line) : $3 == "value" ? $5 : show($3, $5 + 0))
	if (line == "") {
		row($1, want, "", "", "NOT MEASURED", "")
		unmeasured++
		next
	}
	limit = limit_of($5, line)
	spread = found * value_of(line, $3 == "ratio" || $3 == "speedup" ? "ratio_spread" : "spread")
	off = $4 == "<=" ? found - limit : limit - found
	verdict = off <= 0 ? "met" : off <= spread ? "within spread" : "MISSED"
	row($1, want, show($3, found), spread ? show($3, spread) : "", verdict, \
	    off <= 0 ? "" : value_of(line, "metric") == "mean" ? floor_of(line) : \
	    value_of(line, "unit") == "s" ? beside($6, line) : "")
	off <= 0 ? met++ : verdict == "MISSED" ? missed++ : near++
}
END {
	if (!html)
		printf "\n%d met, %d missed within the spread of the run, %d missed, %d not measured\n", \
			met, near, missed, unmeasured
	exit missed + unmeasured > 0
}' "$dir"/*.json -
