# SPDX-License-Identifier: BSD-3-Clause
# Sourced by tests that use the library as its users do: installed, found by pkg-config.
# Gives $scratch, which goes away at the end, and these functions.

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
export PKG_CONFIG_PATH

fail()
{
	echo "$0: $*" >&2
	exit 1
}

# in_scratch install|uninstall [VARIABLE=VALUE ...]; without what was on an outer make's command
# line, whose folders are not ours to write to.
in_scratch()
{
	MAKEFLAGS='' make --no-print-directory "$@" >"$scratch/log" 2>&1 ||
		{ cat "$scratch/log"; fail "make $1 failed"; }
}

# build OUT COMPILER SOURCE ...: with nothing but what pkg-config says of $package
package=ipcshare-mpi
build()
{
	out=$1
	shift
	"$@" ${SAN:+-fsanitize=$SAN} $(pkg-config --cflags --libs $package) -o "$out" ||
		fail "can't build with $(pkg-config --cflags --libs $package)"
}
