#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# instructions.sh - do the hot paths take no more instructions than they did?
# Callgrind counts them, so it is no matter how busy the machine is. B is the build folder.
set -eu

# Functions of instructions.c, each with its bound: instructions a time on x86-64, the most that gcc 12 and
# clang 14 made of it, and a few more.
bounds='
arena_at_once     120  a buffer of an arena: allocated, and freed at once
arena_in_batches  225  the same in batches of 1000, with what goes to the depot and back
ptr_of_a_set       15  ipcshare_ptr()
find_again        200  ipcshare_find() in the allocation that was found last
find_in_turns     395  ipcshare_find() in 64 allocations in turns
share_again        13  a buffer of a list in order that is shared again, and the end of the set
'
times=10000

skip()
{
	echo "skipped: instructions: $*"
	exit 0
}

[ -z "${SAN:-}" ] || skip "a sanitizer's would be counted too"
[ "$(uname -m)" = x86_64 ] || skip "the bounds are those of x86-64"
command -v valgrind >/dev/null || skip "there is no valgrind"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Without what debuggers read: valgrind does not know all that compilers write there.
${CC:-cc} -std=c11 -O2 -Wall -Wextra -Iinclude -Wl,-S -o "$scratch/program" tests/instructions.c \
	"$B/libipcshare.a" ${HWLOC_LIBS--lhwloc} -pthread
valgrind --tool=callgrind --callgrind-out-file="$scratch/out" "$scratch/program" >"$scratch/log" 2>&1 || {
	cat "$scratch/log"
	exit 1
}
callgrind_annotate --inclusive=yes --threshold=100 "$scratch/out" >"$scratch/counts" 2>/dev/null

# check BOUNDS - a line for each; status 1 if one takes more, or was not counted
check()
{
	echo "$1" | awk -v times=$times '
	# "1,120,013 (10.26%)  ???:arena_at_once [program]"
	FILENAME != "-" {
		if (match($0, /:[a-z_]+ \[/)) {
			name = substr($0, RSTART + 1, RLENGTH - 3)
			gsub(/,/, "", $1)
			count[name] = $1 / times
		}
		next
	}
	NF {
		text = $0
		sub(/^[^ ]+ +[^ ]+ +/, "", text)
		over = !($1 in count) || count[$1] > $2
		bad += over
		printf "  %6.1f  at most %-5d %s%s\n", count[$1], $2, text, over ? "  TOO MANY" : ""
	}
	END { exit bad > 0 }' "$scratch/counts" -
}

check "$bounds"
# Can it fail?
! check 'arena_at_once  20  with a bound that is too low' >/dev/null || exit 1
! check 'no_such_function  20  that is not there' >/dev/null || exit 1
