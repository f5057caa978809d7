#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun.sh RANKS PROGRAM [ARG ...] - start ranks on this machine, as any user, with any number of
# cores, with or without a network, and not for longer than TIME_LIMIT seconds (300).
# MPICC names the MPI, as for make: with mpicc.mpich the ranks are started by mpiexec.mpich.
# BIND=1 gives each rank a core that no other one has, if there are enough of them.
set -eu

ranks=$1
shift
[ "$ranks" -le "$(nproc)" ] && bind=${BIND:-} || bind=
launcher=$(echo "${MPICC:-mpicc}" | sed 's/mpicc\([^/]*\)$/mpiexec\1/')

# Open MPI's launcher calls itself "Open MPI" or "OpenRTE", MPICH's "HYDRA".
case $($launcher --version 2>&1) in
*"Open MPI"* | *OpenRTE*)
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	# Shared memory only: all ranks are here, and other transports warn if their devices miss.
	export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_osc=^ucx
	# Containers often forbid process_vm_readv(), and then vader warns from every rank.
	: "${OMPI_MCA_btl_vader_single_copy_mechanism:=none}"
	export OMPI_MCA_btl_vader_single_copy_mechanism
	# PMIx's own shared memory wants one address in every process, where a sanitizer may be.
	export PMIX_MCA_gds=hash
	if [ -n "$bind" ]; then
		set -- --bind-to core "$@"
	else
		# More ranks than cores: allowed, not bound, and a waiting rank gives its core away, as
		# Open MPI does by itself if it knows of fewer slots than ranks.
		export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
		set -- --oversubscribe --bind-to none "$@"
	fi
	;;
*)
	[ -z "$bind" ] || set -- -bind-to core "$@"
	;;
esac
set -- timeout --foreground --verbose --kill-after=10 "${TIME_LIMIT:-300}" \
	"$launcher" -n "$ranks" "$@"

# The launcher talks to its ranks over TCP. Where not even loopback is up, a network namespace of
# our own has one; users other than root need a user namespace around it.
if ! grep -q 127.0.0.1 /proc/net/fib_trie 2>/dev/null; then
	[ "$(id -u)" = 0 ] && as= || as=--map-root-user
	set -- unshare --net $as sh -c 'PATH=$PATH:/usr/sbin:/sbin
		ip link set lo up 2>/dev/null ||
			perl -e "socket(S, 2, 2, 0); \$up = pack(q(a16 s x14), q(lo), 1);
				ioctl(S, 0x8914, \$up) or die qq(no loopback: \$!\n)"
		exec "$@"' sh "$@"
fi
exec "$@"
