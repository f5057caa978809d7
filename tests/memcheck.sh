#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# memcheck.sh [TEST ...] - unit tests under valgrind's memcheck (`make memcheck`): what is read before it is
# written, or behind its end, and what is lost, in the children too. All suites, JOBS (2) at a time, or these
# tests. B is the build folder.
set -eu

# What can't pass in valgrind 3.19, as run-unit names it, whole suites with a dot at the end; and why.
left_out()
{
	grep -v '#' <<-'end'
		# No pidfd_open(): nobody's end is noticed, and nobody known in another pid namespace.
		ascend_life.a_rank_in_its_own_pid_namespace
		broker_limits.an_owner_without_descriptors
		features.a_system_call_that_is_refused
		features.without_a_descriptor_left
		group_death.
		harden.
		identity.a_process_is_watched
		identity.whoever_has_its_pid_now
		info.it_shows_every_feature
		# Its own system calls and memory are under the filters and limits of the process too.
		handle.a_live_handle_is_found_without
		invalidate.where_nothing_is_known
		lacks.
		limits.limits_of_the_process
		maps.it_is_found_without
		resolve.what_is_mapped_resolves_without
		# Its mappings and its memory count as the process's.
		broker_hostile.
		context.two_hundred_contexts
		cycles.
		share_cost.a_thousand_shares
		share_cost.a_hundred_allocations
		# Its mmap() gives EINVAL, not ENOMEM, for sizes that can't be, and other addresses.
		arena.many_large_ones
		arena.more_than_the_largest_slab
		memfd.memory_that_is_not_there
		memory.impossible_sizes
		# /proc/self/exe is valgrind's own there, if it is started.
		intruder.a_program_that_a_listed_process
		# What only a thread's stack led to is lost in a child that is forked meanwhile; and it takes minutes.
		mix.
	end
}

# What it has found: not the five lines for each system call that it does not know, nor where a process was
# ended by a signal and what it held then, which a test may want.
findings()
{
	awk '/^--[0-9]+-- WARNING: unhandled amd64-linux syscall: [0-9]+$/ { next }
		/^--[0-9]+-- (You may be able to write your own handler\.|Read the file README_MISSING_.*)$/ { next }
		/^--[0-9]+-- (Nevertheless we consider this a bug\.  Please report|it at http:.*bug_reports.html\.)$/ { next }
		/^==[0-9]+== Process terminating with default action of signal/ { ended[$1] = 1 }
		NF > 1 && !ended[$1] { print; found = 1 }
		END { exit !found }' "$1"
}

command -v valgrind >/dev/null || {
	echo "no valgrind here: '.ci/deps lint' installs it" >&2
	exit 1
}
if [ $# = 0 ]; then
	"$B/run-unit" --list | sed 's/\..*/./' | uniq | grep -vxF "$(left_out)" |
		xargs -I {} -P "${JOBS:-2}" "$0" {} $(left_out | sed 's/^/-/')
	exit
fi

mkdir -p "$B/memcheck"
log=$B/memcheck/$1
export TEST_PATIENCE="${TEST_PATIENCE:-10}" TEST_CASES="${TEST_CASES:-100}" TEST_MAPS_SLACK=1000
unset TEST_EMU
status=0
timeout --foreground --verbose --kill-after=10 "${TIME_LIMIT:-300}" \
	valgrind -q --log-file="$log.valgrind" --fair-sched=yes --suppressions=tests/support/memcheck.supp --error-exitcode=86 --exit-on-first-error=no \
	--leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	"$B/run-unit" "$@" >"$log.log" 2>&1 || status=$?
# Also those in a child that was killed, which has no exit code.
if findings "$log.valgrind" >>"$log.log" || [ $status != 0 ]; then
	cat "$log.log"
	echo "memcheck: $1 failed, exit code $status; all that valgrind said: $log.valgrind"
	exit 1
fi
awk -v suite="$1" '$1 == "tests" { print "memcheck: " suite " " $4 " passed" }' "$log.log"
