#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# topo.sh - do the ranks of each launcher find each other, and does ipcshare-info --topo show them, once?
# On the emulator, too, where TEST_EMU names it. B is the build folder.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
recorded=$PWD/tests/topo/2-packages-8-npus.xml

fail()
{
	echo "topo.sh: $launcher: $*" >&2
	cat "$scratch/out" >&2
	exit 1
}

# run RANKS ARG ...: its output in $scratch/out, its exit status in $status
run()
{
	ranks=$1
	shift
	status=0
	start "$ranks" $wrapper "$B/ipcshare-info" --topo "$@" >"$scratch/out" 2>&1 || status=$?
}
wrapper=

# start RANKS PROGRAM ARG ...
start()
{
	if [ $launcher = slurm ]; then
		ranks=$1
		shift
		timeout 120 srun --quiet --overcommit --nodes 1 --ntasks "$ranks" "$@"
	else
		MPICC=mpicc.$launcher tests/support/mpirun.sh "$@"
	fi
}

is_here()
{
	case $launcher in
	slurm) command -v srun >/dev/null && start 4 true >"$scratch/out" 2>&1 ;;
	*) command -v "mpiexec.$launcher" >/dev/null ;;
	esac
}

# on_npus RANKS LINKS ARG ...: the same with an emulated 910C each, on a machine that hwloc has recorded
on_npus()
{
	job=$((job + 1)) ranks=$1
	export HWLOC_XMLFILE="$recorded" IPCSHARE_BACKEND=ascend IPCSHARE_ACL_LIB="$TEST_EMU"
	export ASCENDCL_EMU_SOC=Ascend910_9391 ASCENDCL_EMU_JOB="topo-$$-$job" ASCENDCL_EMU_LINKS="$2"
	shift 2
	run "$ranks" "$@"
	unset HWLOC_XMLFILE IPCSHARE_BACKEND IPCSHARE_ACL_LIB
	unset ASCENDCL_EMU_SOC ASCENDCL_EMU_JOB ASCENDCL_EMU_LINKS
}
job=0

cat >"$scratch/script" <<'SCRIPT'
#!/bin/sh
"$@"
exit $?
SCRIPT
chmod +x "$scratch/script"

exits()
{
	[ "$status" = "$1" ] || fail "exit status $status, expected $1"
}

# wants TIMES REGEX
wants()
{
	n=$(grep -c -e "$2" "$scratch/out") || :
	[ "$n" = "$1" ] || fail "$n lines match '$2', expected $1"
}

# The picture has so many fields with a rate.
fields()
{
	n=$(grep -c "<text .*>[0-9]*\.[0-9]</text>" "$scratch/node.svg") || :
	[ "$n $(tail -n 1 "$scratch/node.svg")" = "$1 </svg>" ] ||
		fail "the picture has $n fields with a rate, expected $1"
}

ranks_are_shown_once()
{
	run 4
	exits 0
	wants 1 '^libipcshare '
	wants 1 '^Ranks$'
	wants 4 '^  *[0-3]  [0-9]'
	wants 1 '^  these 4 ranks can make a group$'
	# From scripts that are a process of their own, too.
	wrapper="$scratch/script $scratch/script"
	run 2
	wrapper=
	exits 0
	wants 1 '^  these 2 ranks can make a group$'
	run 1
	exits 0
	wants 1 '^This process$'
	run 1 --matrix
	exits 2
	wants 1 'takes two ranks or more'
}

pairs_are_measured()
{
	run 4 --matrix --svg "$scratch/node.svg"
	exits 0
	wants 1 '^  works between all pairs; every byte that was read is right$'
	wants 4 '^ *[0-3]\( *[0-9]*\.[0-9][0-9]\)\{4\}$'
	fields 16
	run 2 --matrix --svg /no/such/folder/node.svg
	[ "$status" != 0 ] || fail "a picture that can't be written is no error"
	wants 1 'writing /no/such/folder/node.svg: No such file'
}

npus_are_shown()
{
	on_npus 4 '' --matrix --svg "$scratch/node.svg"
	exits 0
	wants 1 '^     2  .*  2 0000:21:00.0   mlx5_0$'
	wants 1 '^     0     -   SIO  HCCS  HCCS$'
	wants 1 '^  works between all pairs'
	wants 1 "these speeds are no NPU's"
	fields 16
	on_npus 4 0-3=none --matrix --svg "$scratch/node.svg"
	exits 0
	wants 1 '^     0     -   SIO  HCCS  none$'
	wants 1 '^  2 of 16 ordered pairs fail$'
	wants 2 UNREACHABLE
	wants 1 "^  rank 0 with rank 3: .*device 0 can't reach device 3"
	fields 14
}

# Nine ranks, eight NPUs.
what_a_rank_lacks_is_said()
{
	on_npus 9 '' --matrix
	[ "$status" != 0 ] || fail "there are eight NPUs for nine ranks"
	wants 1 'ipcshare-info: rank 8: .*device 8 is asked for, there are 8'
	wants 0 '^Ranks$'
}

for launcher in openmpi mpich slurm; do
	if ! is_here; then
		echo "skipped: ranks of $launcher: it starts none here"
		continue
	fi
	ranks_are_shown_once
	pairs_are_measured
	[ -z "${TEST_EMU:-}" ] || { npus_are_shown; what_a_rank_lacks_is_said; }
	echo "$launcher: ranks found, shown, measured"
done
