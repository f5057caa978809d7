#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-layers.sh [--self-test] - does the tree keep its own rules? One line for each breach.
# 1. Includes go one way, and each outside library is known to one folder.
# 2. The archives define ipcshare_* only, do nothing before or after main(), never print or exit.
# 3. Each public header compiles alone, as C and as C++.
# Works on the tree it is run in and on the build in $B (build). --self-test plants every breach in
# a copy and wants it found.
set -u

B=${B:-build} CC=${CC:-cc} CXX=${CXX:-g++} MPICC=${MPICC:-mpicc} SAN=${SAN:-}
# The sanitizers put names of their own (and constructors) into every object.
noise='^$'
[ -z "$SAN" ] || noise='^_*(odr_)?(asan|tsan|ubsan|lsan|sanitizer)'

# ---- 1. What the sources say ------------------------------------------------------------------

# For awk: a file may use its own folder and folders of a lower rank.
layers='
	BEGIN {
		rank["base"] = 0; rank["backend"] = 1; rank["memory"] = 2
		rank["topo"] = 2.5 # the hello of a group carries places
		rank["group"] = 3
		rank["coll"] = rank["rdma"] = 4; rank["mpi"] = 5; rank["tools"] = 6
	}
	# "src/base/log.h" -> "base", "mpi/x.c" -> "mpi"
	function folder(path) { sub(/^src\//, "", path); sub(/\/.*/, "", path); return path }
	function above(user, used) { return user == used || rank[user] > rank[used] }
'

check_sources()
{
	find src mpi bench include tests -name '*.[ch]' | sort | xargs awk "$layers"'
	function breach(what, why) { print FILENAME ":" FNR ": " what ": " why }
	function only(pattern, why) { if (FILENAME !~ pattern) breach("includes " name, why) }
	function known(path) { return (getline unused < path) >= 0 && !close(path) }
	function resolve(from, name) {
		sub(/[^\/]*$/, "", from)
		name = name ~ /^\./ || known(from name) ? from name : "src/" name
		while (sub(/[^\/.]+\/\.\.\//, "", name) || sub(/\/\.\//, "/", name))
			;
		return name
	}
	# The line without comments and, as they are not code, strings.
	function code(line,   out, at) {
		while (line != "") {
			if (in_comment) {
				if (!(at = index(line, "*/")))
					break
				line = substr(line, at + 2)
				in_comment = 0
			} else if (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047/)) {
				out = out substr(line, 1, RSTART - 1) " "
				at = substr(line, RSTART, 2)
				line = substr(line, RSTART + RLENGTH)
				if (at == "//")
					break
				in_comment = at == "/*"
			} else {
				out = out line
				break
			}
		}
		return out
	}
	FNR == 1 { in_comment = 0 }
	{ text = code($0) }

	text ~ /^[ \t]*#[ \t]*include/ {
		name = $0
		gsub(/^[^<"]*[<"]|[>"].*/, "", name)
		if (name == "mpi.h" || name == "ipcshare_mpi.h")
			only("^(mpi|bench|tests)/|^include/ipcshare_mpi.h$", \
			     "only mpi/, bench/ and tests/ know MPI")
		if (name ~ /^(infiniband|rdma)\//)
			only("^(src/rdma|tests)/", "only src/rdma and tests know verbs")
		if (name ~ /^hwloc/)
			only("^src/topo/machine_hwloc.c$|^tests/unit/test_hwloc.c$", \
			     "only src/topo/machine_hwloc.c knows hwloc")
		if (name ~ /^acl\//)
			only("^src/backend/ascend/", "only src/backend/ascend knows ACL")
		if ($0 !~ /"/ || name ~ /^ipcshare[a-z_]*\.h$/)
			next
		to = resolve(FILENAME, name)
		if (FILENAME ~ /^bench\// && to !~ /^bench\//) {
			breach("includes " name, "bench/ sees public headers only")
		} else if (FILENAME ~ /^include\//) {
			breach("includes " name, "public headers need nothing but each other")
		} else if (FILENAME !~ /^(tests|bench)\//) {
			a = folder(FILENAME); b = folder(to)
			if (!(b in rank) || !(a in rank))
				breach("includes " name, a " or " b " is no folder known to this check")
			else if (!above(a, b))
				breach("includes " name, a " does not stand above " b)
			else if (a == "backend" && FILENAME ~ /\/.*\/.*\// && to ~ /\/.*\/.*\// && \
				 folder(substr(FILENAME, 13)) != folder(substr(to, 13)))
				breach("includes " name, "backends do not know each other")
		}
	}
	text ~ /(^|[^A-Za-z0-9_])(secure_)?getenv([^A-Za-z0-9_]|$)/ && \
	FILENAME ~ /^(src|mpi)\// && FILENAME != "src/base/config.c" {
		breach("calls getenv", "only src/base/config.c reads the environment")
	}
	text ~ /(^|[^A-Za-z0-9_])acl(rt)?[A-Z]/ && FILENAME !~ /^(tests|src\/backend\/ascend)\// {
		breach("has an ACL name", "only src/backend/ascend knows ACL")
	}'
}

# ---- 2. What the archives hold ------------------------------------------------------------------

# What the public headers declare: "name file:line".
declared()
{
	awk '/^IPCSHARE_API/ { at = FILENAME ":" FNR; decl = "" }
	at { decl = decl " " $0 }
	at && /[(;]/ { sub(/\(.*/, "", decl); sub(/.*[ *]/, "", decl); print decl, at; at = "" }' \
		include/*.h
}

check_archives()
{
	declared >"$tmp/declared"
	nm -A -g --defined-only "$B"/*.a 2>&1 | awk -v noise="$noise" '
	FNR == NR { api[$1] = $2; next }
	{ at = $1; sub(/:[0-9a-f]*$/, "", at); name = $NF }
	NF < 3 || name ~ noise { next }
	name !~ /^ipcshare_/ {
		print at ": defines " name ": programs own every name but ipcshare_*"; next }
	name ~ /^ipcshare__/ { next }
	!(name in api) { print at ": defines " name ": public, but no header declares it" }
	seen[name]++ { print at ": defines " name ": another object does too" }
	END { for (name in api) if (!seen[name])
		print api[name] ": declares " name ": no archive defines it" }' "$tmp/declared" -

	objects= left_out=src/topo/machine_none.c # of two files, as there is hwloc or not
	[ -f "$B/src/topo/machine_hwloc.o" ] || left_out=src/topo/machine_hwloc.c
	for c in $(find src mpi -name '*.c' ! -path 'src/tools/*' | sort); do
		o=$B/${c%.c}.o
		case $c in "$left_out") continue ;; esac
		[ -f "$o" ] && objects="$objects $o" || echo "$c:1: not built: has no object in $B"
	done
	[ -n "$SAN" ] || readelf -SW $objects | awk '
	/^File: / { file = $2 }
	match($0, /\.(preinit|init|fini)_array|\.[cd]tors/) {
		print file ": has " substr($0, RSTART, RLENGTH) \
		      ": the library does nothing before or after main()" }'
	# Who uses what; the line of the source is looked up for breaches only.
	nm -A -g $objects | awk -v b="$B/" "$layers"'
	function refuse(reason, names,   i, word) {
		for (i = split(names, word); i; i--)
			why[word[i]] = reason
	}
	BEGIN {
		refuse("the library never ends the program",
		       "exit _exit _Exit quick_exit abort MPI_Abort")
		refuse("the library does nothing after main()", "atexit at_quick_exit on_exit")
		refuse("the library does not print", "printf vprintf puts putchar perror psignal " \
		       "__printf_chk __vprintf_chk stdout")
		refuse("only src/base/log.c prints", "fprintf vfprintf fputs fputc fwrite dprintf " \
		       "vdprintf stderr __fprintf_chk __vfprintf_chk __dprintf_chk __vdprintf_chk")
	}
	{
		file = $1; name = $NF
		sub(/\.o:.*/, ".c", file)
		file = substr(file, length(b) + 1)
		if ($(NF - 1) != "U") {
			home[name] = folder(file)
		} else {
			user[++n] = file
			used[n] = name
		}
	}
	END {
		for (i = 1; i <= n; i++) {
			name = used[i]
			if ((name in why) && !(user[i] == "src/base/log.c" && why[name] ~ /log.c/))
				print user[i], name, why[name]
			else if ((name in home) && !above(folder(user[i]), home[name]))
				print user[i], name, folder(user[i]) " does not stand above " home[name]
		}
	}' | while read -r file name why; do
		line=$(grep -nw "$name" "$file" | head -n 1 | cut -d: -f1)
		echo "$file:${line:-1}: uses $name: $why"
	done
}

# ---- 3. Headers --------------------------------------------------------------------------------

check_headers()
{
	for h in include/*.h; do
		cc=$CC cxx=$CXX
		if [ "$h" = include/ipcshare_mpi.h ]; then
			cc=$MPICC cxx=$(echo "$MPICC" | sed 's/mpicc\([^/]*\)$/mpicxx\1/')
		fi
		# mpi.h may bring the C++ bindings of old, which are not clean and not ours.
		for compile in "$cc -x c -std=c11" \
			"$cxx -x c++ -std=c++11 -DOMPI_SKIP_MPICXX -DMPICH_SKIP_MPICXX"; do
			OMPI_CXX=$CXX MPICH_CXX=$CXX $compile -Wall -Wextra -Werror -pedantic \
				-Wno-unused-command-line-argument -Iinclude -fsyntax-only \
				-include "$h" /dev/null >"$tmp/log" 2>&1 ||
				echo "$h:1: does not compile alone with '$compile': $(grep -m 1 error "$tmp/log")"
		done
	done
}

# ---- Can the checks fail? ----------------------------------------------------------------------

# plant CHECK FILE CODE WORDS - CODE in FILE must make CHECK say WORDS; no WORDS: say nothing
plant()
{
	planted=$((planted + 1))
	mkdir -p "$(dirname "$2")" "$B/$(dirname "$2")"
	printf '%s\n' "$3" >"$2"
	if [ "$1 ${2##*.}" = "check_archives c" ]; then
		$CC -w -Iinclude -c -o "$B/${2%.c}.o" "$2" && ar qc "$B/planted.a" "$B/${2%.c}.o"
	fi
	$1 | grep planted >"$tmp/found"
	if [ -n "$4" ]; then grep -q "$4" "$tmp/found"; else [ ! -s "$tmp/found" ]; fi || {
		missed=$((missed + 1))
		echo "$2: '$3': wanted '${4:-nothing}' but the check said: $(cat "$tmp/found")"
	}
	[ -n "${keep:-}" ] || rm -f "$2" "$B/planted.a" "$B/${2%.c}.o"
}

self_test()
{
	planted=0 missed=0
	cp -R include src mpi bench tests "$tmp"
	mkdir "$tmp/build"
	cp -R "$B"/*.a "$B/src" "$B/mpi" "$tmp/build" 2>/dev/null
	cd "$tmp" || exit 1
	B=build
	below='does not stand above'

	s=check_sources
	plant $s src/base/planted.c '#include "group/planted.h"' "planted.c:1: .*base $below group"
	plant $s src/memory/planted.h ' # include "../group/x.h" /* why */' "memory $below group"
	plant $s src/backend/planted.h '#include "memory/x.h"' "backend $below memory"
	plant $s src/group/planted.c '#include "coll/x.h"' "group $below coll"
	plant $s src/topo/planted.c '#include "group/x.h"' "topo $below group"
	plant $s src/topo/planted.c '#include "rdma/x.h"' "topo $below rdma"
	plant $s src/coll/planted.c '#include "../../mpi/x.h"' "coll $below mpi"
	plant $s src/newcomer/planted.c '#include "base/log.h"' 'no folder known'
	plant $s src/backend/host/planted.c '#include "backend/ascend/x.h"' 'do not know each other'
	plant $s src/backend/host/planted.c '#include "backend/backend.h"' ''
	plant $s src/memory/planted.c '#include "backend/host/x.h"' ''
	plant $s src/tools/planted.c '#include "group/x.h"' ''
	plant $s mpi/planted.c '#include "group/x.h"' ''
	plant $s bench/planted.c '#include "base/log.h"' 'public headers only'
	plant $s bench/planted.c '#include "../src/base/log.h"' 'public headers only'
	plant $s bench/planted.c '#include "ipcshare.h"' ''
	plant $s include/planted.h '#include "base/log.h"' 'need nothing but each other'
	plant $s src/group/planted.c '#include <mpi.h>' 'know MPI'
	plant $s src/group/planted.c '#include <ipcshare_mpi.h>' 'know MPI'
	plant $s src/tools/planted.c '#include "ipcshare_mpi.h"' 'know MPI'
	plant $s mpi/planted.c '#include <infiniband/verbs.h>' 'know verbs'
	plant $s include/planted.h '#include <infiniband/verbs.h>' 'know verbs'
	plant $s src/group/planted.c '#include "rdma/x.h"' "group $below rdma"
	plant $s src/coll/planted.c '#include "rdma/x.h"' "coll $below rdma"
	plant $s src/rdma/planted.c '#include "group/x.h"' ''
	plant $s src/rdma/planted.c '#include <infiniband/verbs.h>' ''
	plant $s src/tools/planted.c '#include <hwloc.h>' 'knows hwloc'
	plant $s src/topo/planted.c '#include <hwloc.h>' 'knows hwloc'
	plant $s src/memory/planted.c '#include "topo/place.h"' "memory $below topo"
	plant $s src/group/planted.c '#include "topo/place.h"' ''
	plant $s src/memory/planted.c 'int f(void) { return getenv("A") != 0; }' 'environment'
	plant $s mpi/planted.c 'int f(void) { return secure_getenv("A") != 0; }' 'environment'
	plant $s src/group/planted.c 'int f(void) { return /* x */ aclrtFree(0); }' 'knows ACL'
	plant $s src/base/planted.c 'enum { aclFormat = 1 };' 'knows ACL'
	plant $s src/backend/ascend/planted.c 'int aclrtFree(void);' ''
	plant $s src/base/planted.c '/* getenv(
	aclrtFree */ char a[] = "aclrtFree getenv(\"", b = 1; // aclInit' ''

	s=check_archives
	plant $s src/base/planted.c 'int planted;' 'programs own every name'
	plant $s src/base/planted.c 'int ipcshare_planted;' 'no header declares it'
	plant $s src/base/planted.c 'int ipcshare__planted;' ''
	plant $s src/base/planted.c 'int ipcshare_version;' 'another object does too'
	[ -n "$SAN" ] ||
		plant $s src/base/planted.c '__attribute__((constructor)) static void f(void) {}' 'main()'
	for call in 'exit(1)' 'abort()' '_exit(1)'; do
		plant $s src/group/planted.c "#include <stdlib.h>
		#include <unistd.h>
		void ipcshare__planted(void) { $call; }" 'planted.c:3: .*never ends the program'
	done
	plant $s mpi/planted.c 'int MPI_Abort(int, int); int ipcshare__planted(void) {
		return MPI_Abort(0, 1); }' 'never ends the program'
	for call in 'printf("%d", 1)' 'puts("a")' 'perror("a")' 'fputs("a", stdout)'; do
		plant $s src/group/planted.c "#include <stdio.h>
		void ipcshare__planted(void) { $call; }" 'does not print'
	done
	plant $s src/group/planted.c '#include <stdio.h>
	void ipcshare__planted(void) { fprintf(stderr, "%d", 1); }' 'only src/base/log.c prints'
	plant $s src/base/planted.c '#include <stdlib.h>
	int ipcshare__planted(void) { return atexit(0); }' 'after main()'
	keep=1 plant $s src/group/planted2.c 'int ipcshare__planted2(void) { return 0; }' ''
	plant $s src/base/planted.c 'int ipcshare__planted2(void);
	int ipcshare__planted(void) { return ipcshare__planted2(); }' "planted.c:1: .*$below group"
	plant $s include/planted.h 'IPCSHARE_API int
	ipcshare_planted(void);' 'no archive defines it'

	s=check_headers
	plant $s include/planted.h 'size_t planted;' 'alone.* -x c '
	plant $s include/planted.h 'extern int class;' 'alone.* -x c++ '
	plant $s include/planted.h 'extern int planted;' ''

	echo "$planted planted, $missed missed"
	[ $missed = 0 ]
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
case ${1:-} in
--self-test)
	self_test
	;;
*)
	{ check_sources; check_archives; check_headers; } >"$tmp/all"
	cat "$tmp/all"
	echo "$(wc -l <"$tmp/all") breaches"
	[ ! -s "$tmp/all" ]
	;;
esac
