#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# memcheck.sh [TEST ...] - unit tests under valgrind's memcheck (`make memcheck`): what is read before it is
# written, or behind its end, and what is lost, in the children too. B is the build folder.
set -eu

# Suites without child processes and contexts: valgrind 3.19 has no pidfd_open(), so in it no process can be
# told from another.
suites='blob. config. directory. fill. fold. index. slab.'

command -v valgrind >/dev/null || {
	echo "no valgrind here: '.ci/deps lint' installs it" >&2
	exit 1
}
[ $# != 0 ] || set -- $suites
export TEST_PATIENCE="${TEST_PATIENCE:-10}" TEST_CASES="${TEST_CASES:-100}"
unset TEST_EMU
exec timeout --foreground --verbose --kill-after=10 "${TIME_LIMIT:-300}" \
	valgrind -q --fair-sched=yes --error-exitcode=86 --exit-on-first-error=no --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite "$B/run-unit" "$@"
