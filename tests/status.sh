#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# status.sh - each status of ipcshare.h is provoked by a test: a public call is checked to fail with it
# Prints how many checks each has; fails if one has none.
set -u

failed=0
for status in $(sed -n 's/^\tX(\(ERR_[A-Z_]*\), -[0-9]*,.*/\1/p' include/ipcshare.h); do
	# CHECK_FAILS(ipcshare_...(...), IPCSHARE_ERR_...), on any number of lines; a check_...() of the
	# file's own; or a row of a table of failures. The backend's tests, below the public calls, don't count.
	n=$(awk -v RS=';' -v status="IPCSHARE_$status" '
		$0 !~ status "[^A-Z_]" { next }
		/CHECK_FAILS\(ipcshare_[a-z]/ || /check_[a-z_]+\(/ || /{ "[^"]*", [a-z_]+, IPCSHARE_ERR/ { n++ }
		END { print n + 0 }' tests/unit/test_*.c tests/mpi/test_*.c tests/fault/test_*.c)
	printf '%-22s %4d\n' "$status" "$n"
	[ "$n" != 0 ] || { echo "no test provokes IPCSHARE_$status: CHECK_FAILS(call, IPCSHARE_$status)"; failed=1; }
done
[ "${n:-}" ] || { echo "no status found in include/ipcshare.h"; failed=1; }
exit $failed
