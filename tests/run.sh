#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh BUILD - every test, one after the other, whatever the earlier ones gave (`make test`)
# BUILD is the command that builds them. B is the build folder.
set -u

. tests/support/steps.sh

step "build: archives, programs and tests" $1
step "layers: the check finds what is planted" tests/check-layers.sh --self-test
step "layers: one-way dependencies, exported names, headers" tests/check-layers.sh
step "unit: parts on their own, no MPI" $limit "$B/run-unit"
step "unit: shares of hardened processes, not as root" $limit tests/harden.sh
step "fuzz: inputs that were found and kept, once through each parser" sh -c \
	'for target in tests/fuzz/corpus/*; do "$0/fuzz/${target##*/}" "$target" 2>"$0/fuzz/log" || {
		tail -n 30 "$0/fuzz/log"; exit 1; }; done' "$B"
step "instructions: the hot paths take no more of them than they did" tests/instructions.sh
step "aarch64: parts on their own, under qemu-user" \
	tests/aarch64.sh fold. coll. coll_check. index. directory. blob. blocks. slab. mix.so_do
step "fault: delays at every point of the protocols" $limit "$B/run-fault" delays
step "fault: each system call and allocation of the library fails" $limit "$B/run-fault" inject
step "statuses: each one is provoked by a test" tests/status.sh
step "contract: what every backend promises" $limit "$B/run-contract"
step "fault: a rank is killed, or stopped, at every point of the protocols" $limit "$B/run-fault" kill
for ranks in 1 2 4 8; do
	step "mpi: $ranks ranks" tests/support/mpirun.sh $ranks "$B/run-mpi"
done
for nodes in 2x2 4x1 3+1; do
	step "mpi: 4 ranks on nodes of $nodes" env IPCSHARE_ACROSS=0 IPCSHARE_FAKE_NODES=$nodes \
		tests/support/mpirun.sh 4 "$B/run-mpi" coll_random span nodes
done
step "mpi: 8 ranks on nodes of 3+5, whose lengths are checked" env IPCSHARE_CHECK=1 IPCSHARE_ACROSS=0 IPCSHARE_FAKE_NODES=3+5 \
	tests/support/mpirun.sh 8 "$B/run-mpi" coll_random span nodes
step "namespaces: two nodes with a network between them, if root" tests/namespaces.sh
step "crossings: between nodes go fewer bytes than by MPI alone, as Open MPI counts them" tests/crossings.sh
step "mpi: IPCSHARE_MPI=0 on one rank leaves the collectives to MPI on all" tests/support/mpirun.sh 3 \
	sh -c '[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-}}" != 1 ] || export IPCSHARE_MPI=0
		exec "$0" coll_random.the_world' "$B/run-mpi"
step "rdma: a peer's buffers over a soft-RoCE device, in a small virtual machine" \
	tests/vm.sh --cached "$B/run-rdma"
step "numa: memory on its owner's node, in the same machine, which has two" make --no-print-directory run-numa CACHED=--cached
# TEST_EMU names the emulator, where it can run.
if [ -n "${TEST_EMU:-}" ]; then
	step "emulator: the runtime's ABI, row by row of its contract" \
		make -C tests/emu "B=${TEST_EMU%/*}" "SAN=$SAN" check
	step "mpi on ascend: 4 ranks, 8 emulated devices" env IPCSHARE_BACKEND=ascend \
		IPCSHARE_ACL_LIB="$TEST_EMU" ASCENDCL_EMU_JOB="test-$$" tests/support/mpirun.sh 4 "$B/run-mpi"
fi
step "bench: jobs verify, also on emulated devices, and notice a wrong byte" tests/bench.sh
step "npu: test-npu says where there is none, and counts what it skips" tests/npu_found.sh
step "topo: ranks of Open MPI and of MPICH find each other, and ipcshare-info shows them" tests/topo.sh
step "install: a program built from the installed files, and uninstall" tests/install.sh
step "readme: its program builds, runs and prints what it says" tests/readme.sh
step "exit: whichever way a rank ends, nothing crashes, hangs or is left" tests/exit.sh
step "ring: the example is right on emulated devices, and wrong without its order" tests/ring.sh

summary
