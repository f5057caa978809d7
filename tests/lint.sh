#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# lint.sh [FILE.c ...] - static checks (`make lint`): clang-tidy, cppcheck and clang-format over the library,
# or over these files of it. One line for each check; what is wrong goes before it. Status 1 if any fails.
set -u

for tool in clang-tidy cppcheck clang-format; do
	command -v $tool >/dev/null || { echo "no $tool here: '.ci/deps lint' installs it" >&2; exit 1; }
done
[ $# != 0 ] || set -- src/*/*.c src/*/*/*.c mpi/*.c
flags="-std=c11 -D_GNU_SOURCE -Iinclude -Isrc
	$(${MPICC:-mpicc} --showme:compile 2>/dev/null || ${MPICC:-mpicc} -compile-info |
		tr ' ' '\n' | grep '^-I')"
bad=0

# check NAME REMEDY COMMAND ...
check()
{
	name=$1 remedy=$2
	shift 2
	if "$@"; then
		echo "  ok      $name"
	else
		echo "  FAILED  $name: $remedy"
		bad=1
	fi
}

# One file at a time: with several, version 14 takes each va_list of the later ones for uninitialized.
# What it counts on standard error tells nothing, unless it failed.
tidy()
{
	printf '%s\n' "$@" | flags=$flags xargs -P "$(nproc)" -n 1 sh -c '
		said=$(clang-tidy --quiet "$1" -- $flags 2>&1) || { echo "$said"; exit 1; }' sh
}

# It reads all at once, to see also what two files say differently; its own folder makes it quick again.
cpp()
{
	mkdir -p "$B/cppcheck"
	cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --cppcheck-build-dir="$B/cppcheck" \
		-D_GNU_SOURCE -Iinclude -Isrc "$@"
}

# What it checks here is all C: headers too.
format()
{
	clang-format --dry-run --Werror $(find src include mpi -name '*.[ch]') 2>&1 |
		sed -n 's/^\([^:]*\):.*/    \1/p' | sort | uniq -c | sort -rn >"$B/format.txt"
	head -n 20 "$B/format.txt"
	[ ! -s "$B/format.txt" ]
}

check clang-tidy "mend it, or assert what it can't see; at last NOLINT(check) with the reason" tidy "$@"
check cppcheck "mend it, or // cppcheck-suppress id with the reason" cpp "$@"
check clang-format "make format" format
exit $bad
