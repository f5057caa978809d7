# SPDX-License-Identifier: BSD-3-Clause
# steps.sh - for scripts that run programs one after the other, whatever the earlier ones gave, and
# count. B is the build folder.

log=$B/test.log
limit="timeout --foreground --verbose --kill-after=10 ${TIME_LIMIT:-300}"
passed=0 failed=0 skipped=0 trouble=
mkdir -p "$B"

# What failed in the log: CUnit's tests with what they say, or the last lines.
what_failed()
{
	awk '/^Suite: / { suite = $2 }
		/^  Test: / { test = $2 }
		/^    *[0-9]+\. / && said && said < 8 { print "    " $0; said++; next }
		/FAILED$/ { print "    " suite "." test; said = 1; found = 1; next }
		/[^ ]/ { said = 0; last[++n % 12] = $0 }
		END { if (!found) for (i = n - 11; i < n; i++) if (i > 0) print "    " last[i % 12] }' "$log"
}

# step WHAT COMMAND ...: CUnit programs count by test, other steps as one.
step()
{
	printf '\n==== %s\n' "$1"
	what=$1
	shift
	{ "$@" 2>&1; printf '\nexit %d\n' $?; } | tee "$log" | sed -u '$d'
	# Each process of a test may say what it skips.
	skipped=$((skipped + $(grep -a '^skipped: ' "$log" | sort -u | wc -l)))
	# CUnit says "tests  total  ran  passed  failed  inactive"; a step may run several programs.
	set -- $(awk '$1 == "tests" { p += $4; f += $5 } END { print p + 0, f + 0 }' "$log")
	if [ "$(tail -n 1 "$log")" = "exit 0" ]; then
		[ "$1" != 0 ] || set -- 1 "$2"
	else	# also a program that died after its tests
		[ "$2" != 0 ] || set -- "$1" 1
		trouble="$trouble
  failed: $what
$(what_failed)"
	fi
	passed=$((passed + $1)) failed=$((failed + $2))
}

# The last line counts; the status is that of all steps.
summary()
{
	printf '%s\n\n%d passed, %d failed' "$trouble" $passed $failed
	[ $skipped = 0 ] || printf ', %d skipped' $skipped
	printf '\n'
	[ $failed = 0 ]
}
