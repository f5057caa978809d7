#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# page.sh DIR - one page of HTML with what is in DIR: the targets, the plots, the tables
set -eu

dir=$1

escape()
{
	sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' "$@"
}

# plot NAME TEXT - inside the page, so that it is all in one file; the PNG is beside it
plot()
{
	[ -f "$dir/$1.svg" ] || return 0
	echo "<figure><img alt=\"$1\" src=\"data:image/svg+xml;base64,$(base64 <"$dir/$1.svg" | tr -d '\n')\">"
	echo "<figcaption>$2 <a href=\"$1.png\">PNG</a></figcaption></figure>"
}

cat <<'H'
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>libipcshare: the bench</title>
<style>
body { font: 16px/1.5 sans-serif; color: #24292f; max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse } td, th { text-align: left; padding: .2em 1em .2em 0; vertical-align: top }
tr { border-bottom: 1px solid #eaeef2 } td:nth-child(n+2) { white-space: nowrap }
small { white-space: normal; color: #57606a } .met td:last-child { color: #1a7f37 }
.missed td:last-child { color: #bc4c00 } .missed td:nth-child(5) { white-space: normal }
figure { margin: 1em 0 } img { max-width: 100%; height: auto } pre { font-size: 12px; overflow: auto }
</style>
<h1>libipcshare: the bench</h1>
H
echo "<p>$(escape "$dir/machine.txt"). Grey is what the library is compared with, in the same run."
echo "<h2>Targets</h2><table><tr><th>what<th>target<th>here<th>+-<th>"
bench/targets.sh --html "$dir" || :
echo "</table>"
echo "<p>MPI is as mpirun sets it: with more ranks than slots its waiting ranks yield their cores. Spinning MPI"
echo "is told of a slot for each rank, though there are fewer cores, and its ranks wait without yielding."
echo "<h2>Plots</h2>"
plot small "Time of the slowest of 4 ranks for a buffer, both axes logarithmic."
plot small-shuffled "The same, in an order in which no two neighbours follow each other."
plot small-ascend "What the number of calls would mean if each took what is assumed. No NPU was measured."
plot pull-random "Every byte is new and is verified. 1 x is the loop of memcpy() over raw pointers."
plot pull "The same, one owner's pieces after the other's, in their order."
plot lookup "Random addresses, and the same 1024 over and over."
plot arena "1 x is malloc() and free() of the same, in the same threads."
for ranks in 2 4; do
	plot coll-$ranks "Some collectives until the last rank is done, both axes logarithmic."
	plot coll-$ranks-rate "Every byte is new. What memcpy() by all ranks moves is of what another rank has just written, or of their own."
done
echo "<h2>Tables</h2>"
for text in "$dir"/*.txt; do
	[ "${text##*/}" != machine.txt ] || continue
	name=${text##*/}
	echo "<details><summary>${name%.txt}</summary><pre>$(escape "$text")</pre></details>"
done
echo "</html>"
