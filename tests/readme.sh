#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# readme.sh - is the README's program true? Its first ```c block is built as a user would and run
# with 4 ranks; it must print the lines of the ```text block that follows, in any order.
set -eu
. tests/support/installed.sh

# block KIND N - the first block of that kind after line N
block()
{
	awk -v start="\`\`\`$1" -v from="$2" '
	on && /^```/ { exit }
	on
	NR > from && $0 == start { on = 1 }' README.md
}

at=$(grep -n -m 1 '^```c$' README.md | cut -d: -f1)
[ -n "$at" ] || fail 'README.md has no ```c block'
block c 0 >"$scratch/program.c"
block text "$at" | sort >"$scratch/wanted"
[ -s "$scratch/wanted" ] || fail 'README.md has no ```text block after its program'

in_scratch install PREFIX="$scratch/prefix"
build "$scratch/program" "${CC:-cc}" -Wall -Wextra -Werror "$scratch/program.c"
tests/support/mpirun.sh 4 "$scratch/program" >"$scratch/printed" || {
	cat "$scratch/printed"
	fail "the README's program failed"
}
sort "$scratch/printed" | diff "$scratch/wanted" - ||
	fail "the README's program does not print what the README shows (<)"
echo "$(wc -l <"$scratch/program.c") lines built," \
	"$(wc -l <"$scratch/wanted") lines printed as shown"
