#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# plot.sh DIR - draw what the JSON lines in DIR say, as SVG and PNG; baselines are grey
# Without gnuplot it says so, and that is all.
set -eu

dir=$1
command -v gnuplot >/dev/null || {
	echo "no gnuplot here, so no plots: '.ci/deps bench' installs it" >&2
	rm -f "$dir"/*.svg "$dir"/*.png
	exit 0
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

blue=#1f6feb green=#1a7f37 orange=#bc4c00 grey=#8c959f pale=#c4ccd4 black=#24292f

# pick WHERE X Y - points of the lines that fit, in order of X: see json.awk
pick()
{
	cat "$dir"/*.json | awk -v where="$1" -v x="$2" -v y="$3" "$(cat bench/json.awk)"'
	is_one($0, where) && value_of($0, x) != "" && value_of($0, y) != "" {
		print value_of($0, x), value_of($0, y)
	}' | sort -n -u -k1,1
}

# start NAME TITLE XLABEL YLABEL XRANGE YRANGE linear|log - a plot; then come its lines, then draw
start()
{
	name=$1 range=$6 scale=$7 series='' n=0
	: >"$tmp/ends"
	cat >"$tmp/head" <<G
set label "$2" at graph 0, graph 1.08 left font ",16" noenhanced
set xlabel "$3" noenhanced
set ylabel "$4" noenhanced
set xrange [$5]
set yrange [$6]
set border 3 lc rgb "#57606a"
set tics nomirror textcolor rgb "#24292f"
set grid ytics lc rgb "#eaeef2" lt 1
set tmargin 4
set rmargin 25
unset key
G
}

# line COLOUR WIDTH DASH LABEL WHERE X Y - a series, if there is one; its name comes at its right end
line()
{
	n=$((n + 1))
	pick "$5" "$6" "$7" >"$tmp/$n"
	[ -s "$tmp/$n" ] || return 0
	series="$series${series:+, }'$tmp/$n' using 1:2 with linespoints lc rgb '$1' lw $2 dt $3 pt 7 ps 0.5"
	end "$1" "$4" $(tail -n 1 "$tmp/$n")
}

# end COLOUR LABEL X Y - a name at this place
end()
{
	echo "$4|$3|$1|$2" >>"$tmp/ends"
}

# The names, moved apart so that none lies on another: there is room for 23 above each other.
labels()
{
	sort -g "$tmp/ends" | awk -F '|' -v range="$range" -v scale="$scale" '
	function place(y) { return scale == "log" ? log(y / low) / log(high / low) : (y - low) / (high - low) }
	BEGIN { split(range, end, ":"); low = end[1] + 0; high = end[2] + 0 }
	{
		at = place($1) < 0 ? 0 : place($1) > 1 ? 1 : place($1)
		if (NR > 1 && at < last + 1 / 23)
			at = last + 1 / 23
		last = at
		printf "set label \"%s\" at first %s, graph %.3f left offset char 1, 0 tc rgb \"%s\" noenhanced\n",
			$4, $2, at, $3
	}'
}

# draw - with more settings on standard input
draw()
{
	cat >"$tmp/more"
	[ -n "$series" ] || { rm -f "$dir/$name.svg" "$dir/$name.png"; return 0; }
	labels >>"$tmp/more"
	for terminal in svg pngcairo; do
		{
			echo "set terminal $terminal size 900,520 background rgb 'white' font 'Helvetica,13'"
			echo "set output '$dir/$name.${terminal%cairo}'"
			cat "$tmp/head" "$tmp/more"
			echo "plot $series"
		} | gnuplot
	done
	sed -i "s|<title>'[^<]*</title>||" "$dir/$name.svg" # the names of our temporary files
}

# A level line that all else is compared with, at 1, across a plot whose x ends at $1; and ratios as ticks
set_level()
{
	end $grey "$2" "$1" 1
	echo "set arrow from graph 0, first 1 to first $1, first 1 nohead lc rgb '$grey' lw 2"
	echo 'set logscale y 2'
	echo 'set ytics ("1/8 x" 0.125, "1/4 x" 0.25, "1/2 x" 0.5, "1 x" 1, "2 x" 2, "4 x" 4, "8 x" 8)'
}

times='set ytics ("0.1 ns" 1e-10, "1 ns" 1e-9, "10 ns" 1e-8, "100 ns" 1e-7, "1 µs" 1e-6, "10 µs" 1e-5,
	"100 µs" 1e-4, "1 ms" 1e-3, "10 ms" 1e-2, "100 ms" 1e-1, "1 s" 1)'
times=$(echo "$times" | tr '\n\t' '  ')
counts='set xtics ("10" 10, "100" 100, "1,000" 1e3, "10,000" 1e4, "100,000" 1e5, "1,000,000" 1e6)'
sizes='set xtics ("8 B" 8, "32" 32, "64" 64, "256" 256, "1 KiB" 1024, "4 KiB" 4096, "16 KiB" 16384, "64 KiB" 65536)'

blocks='set xtics ("8 B" 8, "64" 64, "1 KiB" 1024, "16 KiB" 16384, "256 KiB" 262144, "4 MiB" 4194304)'

share()
{
	all="bench=small;backend=host;bytes=64;metric=time_per_buffer"
	where="$all;order=$2"
	start "$1" "Sharing many small buffers, $2: what one of them costs" \
		"buffers of each of 4 ranks, 64 bytes each" "time for a buffer" 90:1.1e6 1e-10:1e-2 log
	line $grey 2 1 "raw: one by one" "$all;stage=raw" buffers value
	line $grey 2 4 "an MPI window each" "$all;stage=a window each" buffers value
	line $pale 2 4 "one MPI window for all" "$all;stage=one window" buffers value
	line $grey 2 3 "bare MPI_Allgatherv" "$where;stage=MPI_Allgatherv" buffers value
	line $blue 3 1 "first share" "$where;stage=first share" buffers value
	line $green 3 1 "shared again" "$where;stage=re-share" buffers value
	draw <<G
set logscale xy
$counts
$times
G
}
share small "in order"
share small-shuffled "shuffled"

model="bench=small;backend=ascend;order=in order;metric=model_per_buffer"
start small-ascend "MODEL, not measured: calls on Ascend x an assumed cost of each" \
	"buffers of each of 4 ranks (the emulator of the runtime counts the calls)" \
	"calls for a buffer x assumed cost" 90:1.1e5 1e-9:1e-2 log
line $grey 2 1 "raw: one by one" "$model;stage=raw" buffers value
line $blue 3 1 "arena and first share" "$model;stage=first share" buffers value
draw <<G
set logscale xy
$counts
$times
G

pull()
{
	where="bench=pull;backend=host;workload=new;metric=time_per_piece;order=$2;baseline=loop"
	start "$1" "Pulling 10,000 pieces, $3, against memcpy() in a loop" "bytes of a piece" \
		"x the time of the loop; less is better" 7:70000 0.125:8 log
	line $pale 2 4 "MPI_Get" "$where;stage=MPI_Get" bytes ratio
	line $blue 3 1 "ipcshare_pull()" "$where;stage=pull" bytes ratio
	line $green 3 1 "a plan" "$where;stage=plan" bytes ratio
	set_level 65536 "memcpy() loop" >"$tmp/level"
	draw <<G
set logscale x 2
$sizes
$(cat "$tmp/level")
G
}
pull pull "in order" "in order"
pull pull-random "random" "in random order"

find="bench=lookup;metric=time_per_lookup"
most=$(pick "$find;stage=find" regions value | awk '$2 > most { most = $2 } END { print most ? 1.1 * most : 1 }')
start lookup "From an address to its allocation" "allocations" "time for a look-up" \
	9:1.1e5 "0:$most" linear
line $grey 2 1 "binary search, sorted array" "$find;stage=sorted array" regions value
line $blue 3 1 "ipcshare_find()" "$find;stage=find" regions value
line $green 3 1 "the same 1024 again" "$find;stage=find again" regions value
draw <<G
set logscale x
$counts
set ytics ("0" 0, "50 ns" 50e-9, "100 ns" 100e-9, "150 ns" 150e-9, "200 ns" 200e-9, "300 ns" 300e-9)
G

arena="bench=arena;backend=host;baseline=malloc"
start arena "Arena: allocate and free, against malloc() and free()" "bytes of a buffer" \
	"x the time of malloc; less is better" 56:4700 0.125:8 log
line $blue 3 1 "1 thread, freed at once" "$arena;threads=1;order=at once" bytes ratio
line $orange 3 1 "4 threads, freed at once" "$arena;threads=4;order=at once" bytes ratio
line $blue 2 2 "1 thread, 1000 at a time" "$arena;threads=1;order=1000, random" bytes ratio
line $orange 2 2 "4 threads, 1000 at a time" "$arena;threads=4;order=1000, random" bytes ratio
set_level 4096 "malloc()" >"$tmp/level"
draw <<G
set logscale x 2
$sizes
$(cat "$tmp/level")
G

# coll RANKS TEXT - some collectives, of the library and of MPI: how long they take, and how much they move
coll()
{
	coll="bench=coll;memory=shared;ranks=$1"
	start coll-$1 "Collectives of $2, until all are done" "bytes of a block" "time of a call" \
		7:1.8e7 1e-7:1e0 log
	line $grey 2 1 "MPI allreduce" "$coll;workload=allreduce;stage=MPI;metric=time" bytes value
	line $grey 2 4 "MPI allgather" "$coll;workload=allgather;stage=MPI;metric=time" bytes value
	line $grey 2 3 "MPI bcast" "$coll;workload=bcast;stage=MPI;metric=time" bytes value
	line $blue 3 1 "allreduce" "$coll;workload=allreduce;baseline=MPI;metric=time" bytes value
	line $green 3 1 "allgather" "$coll;workload=allgather;baseline=MPI;metric=time" bytes value
	line $orange 3 1 "bcast" "$coll;workload=bcast;baseline=MPI;metric=time" bytes value
	draw <<G
set logscale x 2
set logscale y
$blocks
$times
G
	rate="$coll;metric=rate;workload"
	start coll-$1-rate "Bytes that must move, by $2" "bytes of a block" "GB/s of all ranks together" \
		14000:1.8e7 0.2:200 log
	line $grey 2 1 "MPI allreduce" "$rate=allreduce;stage=MPI" bytes value
	line $grey 2 4 "MPI allgather" "$rate=allgather;stage=MPI" bytes value
	line $grey 2 3 "MPI bcast" "$rate=bcast;stage=MPI" bytes value
	line $pale 2 1 "memcpy, own memory" "$rate=allreduce;stage=memcpy" bytes value
	line $black 2 1 "memcpy, a peer's" "$rate=allreduce;stage=peer memcpy" bytes value
	line $blue 3 1 "allreduce" "$rate=allreduce;stage=ipcshare" bytes value
	line $green 3 1 "allgather" "$rate=allgather;stage=ipcshare" bytes value
	line $orange 3 1 "bcast" "$rate=bcast;stage=ipcshare" bytes value
	draw <<G
set logscale x 2
set logscale y
set ytics (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
$blocks
G
}
coll 2 "2 ranks, each bound to a core"
coll 4 "4 ranks on $(nproc) cores"
