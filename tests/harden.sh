#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# harden.sh - sharing with IPCSHARE_HARDEN=1, as a user who is not root: the library must need nothing of
# its own or its peers' processes that the kernel then keeps back. B is the build folder.
set -eu

export IPCSHARE_HARDEN=1 TEST_EMU= # it is for backend host alone
suites="broker. context. free. group. group_death. identity. lazy. maps. onesided. share. share_access."

[ "$(id -u)" = 0 ] || exec "$B/run-unit" $suites
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
if ! $nobody test -x "$B/run-unit"; then
	echo "skipped: harden: root's folder is closed to other users, and root may look into every process"
	exit 0
fi
exec $nobody "$B/run-unit" $suites
