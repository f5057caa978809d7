#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# install.sh - does what `make install` installs serve a user, and does uninstall remove all of it?
set -eu
. tests/support/installed.sh

in_scratch install PREFIX="$scratch/prefix"
build "$scratch/program" "${CC:-cc}" tests/install_program.c
tests/support/mpirun.sh 2 "$scratch/program"

# The headers are C++ too; linking proves that their names are not mangled.
cat >"$scratch/program.cc" <<'EOF'
#include <ipcshare.h>
#include <ipcshare_mpi.h>

int main()
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.size = 0;
	return ipcshare_open(&options, nullptr) != IPCSHARE_ERR_INVALID ||
	       ipcshare_mpi_comm_rank(nullptr, 0) != IPCSHARE_ERR_INVALID;
}
EOF
# mpi.h may bring C++ bindings of old that want another library.
build "$scratch/program++" "${CXX:-g++}" -DOMPI_SKIP_MPICXX -DMPICH_SKIP_MPICXX \
	"$scratch/program.cc"
"$scratch/program++" || fail "the C++ program gave $?"

package=ipcshare-rdma
cat >"$scratch/rdma.cc" <<'EOF'
#include <ipcshare_rdma.h>

int main()
{
	return ipcshare_rdma_unpack(nullptr, nullptr) != IPCSHARE_ERR_INVALID ||
	       ipcshare_rdma_open_device("none", nullptr) != IPCSHARE_ERR_INVALID;
}
EOF
build "$scratch/rdma" "${CXX:-g++}" "$scratch/rdma.cc"
"$scratch/rdma" || fail "the program with RDMA gave $?"

"$scratch/prefix/bin/ipcshare-info" >/dev/null || fail "the installed ipcshare-info gave $?"

# A package is made with DESTDIR: the same files, which name their last place only.
in_scratch install PREFIX=/opt/ipcshare DESTDIR="$scratch/dest"
(cd "$scratch/prefix" && find . -type f | sort) >"$scratch/files"
(cd "$scratch/dest/opt/ipcshare" && find . -type f | sort) | diff "$scratch/files" - ||
	fail "DESTDIR installs other files than PREFIX"
! grep -rlI "$scratch" "$scratch/dest" || fail "these files name DESTDIR"

in_scratch uninstall PREFIX="$scratch/prefix"
in_scratch uninstall PREFIX=/opt/ipcshare DESTDIR="$scratch/dest"
left=$(find "$scratch/prefix" "$scratch/dest" ! -type d)
[ -z "$left" ] || fail "uninstall leaves $left"
echo "$(wc -l <"$scratch/files") files installed, used and removed"
