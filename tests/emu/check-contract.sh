#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-contract.sh LIBRARY ... - holds CONTRACT.md against the emulator: each function that the code
# blocks of 1.1 to 1.6 and 1.9 declare is exported by every LIBRARY, and each row of the tables of
# 2.3 to 2.8 is named by a test, as "row 2.3: len < 65" in a comment.
set -u
cd "$(dirname "$0")" || exit 1
bad=0

# The contract's lines with their section in front: "1.1 text".
sections()
{
	awk '/^##+ / { section = $2 } { print section, $0 }' CONTRACT.md
}

calls=$(sections | awk '$2 ~ /^```/ { code = $2 == "```c" } code && $1 ~ /^1\.[1-69]$/' |
	grep -o '\<acl[A-Za-z0-9]*(' | tr -d '(' | sort -u)
for library in "$@"; do
	exported=$(nm -D --defined-only "$library" | awk '{ print $3 }')
	for call in $calls; do
		echo "$exported" | grep -qx "$call" ||
			{ echo "$library does not export $call"; bad=1; }
	done
done

named=$(sed 's/^[ \t]*\*//' tests/test_*.c | tr -s ' \t\n' '   ')
rows=$(sections | sed -n 's/^\(2\.[3-8]\) | \([^|]*[^| ]\) *|.*/row \1: \2/p' |
	sed '/: Condition$/d; /: Event$/d; s/\*\*//g')
count=$(echo "$rows" | wc -l)
while read -r row; do
	case $named in
	*"$row */"*) ;;
	*) echo "no test names $row"; bad=1 ;;
	esac
done <<ROWS
$rows
ROWS

echo "contract: $(echo "$calls" | wc -l) functions exported, $count rows named by tests"
# An empty list would hold against anything.
[ "$(echo "$calls" | wc -l)" -gt 100 ] && [ "$count" -gt 30 ] && [ $bad = 0 ]
