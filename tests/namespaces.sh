#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# namespaces.sh - two nodes in earnest, as far as MPI can see: two network namespaces with names and addresses of
# their own, joined by a cable, each with a daemon of Open MPI's and two ranks; between them is nothing but TCP. As root.
# B is the build folder. namespaces.sh [RANKS PROGRAM ARG ...] runs another program there, with so many ranks on each.
set -eu

skip()
{
	echo "skipped: $*" >&2
	exit 0
}

case $("$(echo "${MPICC:-mpicc}" | sed 's/mpicc\([^/]*\)$/mpiexec\1/')" --version 2>&1) in
*"Open MPI"* | *OpenRTE*) ;;
*) skip "only Open MPI's daemons are started in namespaces" ;;
esac
[ "$(id -u)" = 0 ] || skip "only root makes network namespaces with a cable between them"
PATH=$PATH:/usr/sbin:/sbin
command -v ip >/dev/null || skip "there is no ip, which makes network namespaces"

name=ipcshare-$$
scratch=$(mktemp -d)
end()
{
	for i in 1 2; do ip netns del $name-$i 2>/dev/null || :; done
	rm -rf "$scratch"
}
trap end EXIT

cable()
{
	ip netns add $name-1 && ip netns add $name-2 &&
		ip link add cable1 netns $name-1 type veth peer name cable2 netns $name-2 || return
	for i in 1 2; do
		ip -n $name-$i link set lo up && ip -n $name-$i addr add 10.77.0.$i/24 dev cable$i &&
			ip -n $name-$i link set cable$i up || return
	done
	ip netns exec $name-1 unshare --uts true
}
cable 2>"$scratch/log" || skip "network namespaces can't be made here: $(tail -n 1 "$scratch/log")"

# Each node has half of the cores, where they are there for us: else ranks of one node crowd those of the other unseen.
cores=$(nproc)
bound() # NODE
{
	bind="taskset -c $((($1 - 1) * (cores / 2)))-$(($1 * (cores / 2) - 1))"
	[ "$cores" -lt 2 ] || ! $bind true 2>/dev/null || echo "$bind"
}

# Open MPI starts its daemon on the other node as if by rsh: agent HOST COMMAND ...
cat >"$scratch/agent" <<END
#!/bin/sh
node=\${1##*.}
shift
[ \$node = 1 ] && bound="$(bound 1)" || bound="$(bound 2)"
exec \$bound ip netns exec $name-\$node unshare --uts sh -c "hostname node\$node; \$*"
END
chmod +x "$scratch/agent"

sent()
{
	ip netns exec $name-1 cat /sys/class/net/cable1/statistics/tx_bytes
}

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp OMPI_MCA_osc=^ucx PMIX_MCA_gds=hash
export OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_oob_tcp_if_include=10.77.0.0/24 OMPI_MCA_btl_tcp_if_include=10.77.0.0/24
before=$(sent)
# What tests that IPCSHARE_FAKE_NODES is obeyed is about one node.
[ $# -gt 0 ] || set -- 2 "$(realpath "$B")/run-mpi" coll_random span nodes -nodes.a_group_has -nodes.one_rank_with
ranks=$1
shift
$(bound 1) ip netns exec $name-1 unshare --uts sh -c 'hostname node1
	exec timeout --verbose --kill-after=10 "${TIME_LIMIT:-300}" "$@"' sh \
	"$(echo "${MPICC:-mpicc}" | sed 's/mpicc\([^/]*\)$/mpiexec\1/')" \
	--mca plm rsh --mca plm_rsh_agent "$scratch/agent" --host "10.77.0.1:$ranks,10.77.0.2:$ranks" \
	--oversubscribe --bind-to none -x IPCSHARE_ACROSS=0 -n $((2 * ranks)) "$@"
echo "  $((($(sent) - before) / 1024)) KiB have gone through the cable one way"
[ $(($(sent) - before)) -gt 1000000 ]
