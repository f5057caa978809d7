#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# aarch64.sh [TEST ...] - build for AArch64 with a cross-compiler, and run the unit tests under qemu-user
# (`make test-aarch64`). What qemu-user can't do is left out, by name. It orders memory as the machine
# under it does, so a barrier that is missing does not show here.
set -eu

cc=aarch64-linux-gnu-gcc
build=build/$cc
cunit=$PWD/build/cunit-arm64/usr

for needed in "$cc" qemu-aarch64 "$cunit/lib/aarch64-linux-gnu/libcunit.a"; do
	[ -f "$needed" ] || command -v "$needed" >/dev/null || {
		echo "skipped: aarch64: there is no $needed here; make test-aarch64 gets it"
		exit 0
	}
done

# Tests, or the beginnings of their names, and why they are left out; seen with qemu 7.2.
left_out()
{
	wipe="qemu takes MADV_WIPEONFORK for a hint, so a child does not see that it is one"
	thread="qemu ends a child that makes a thread, if its parent had made one"
	stat="qemu makes up /proc/self/stat, and with it when the process started"
	emu="the emulator of the runtime is built for this machine only"
	advice="qemu takes this advice to madvise() for a hint"
	grows="qemu's own memory counts, and grows"
	program="qemu starts no other program of AArch64"
	cat <<-EOF
		arena.a_forked: $wipe
		arena.a_smaller_slab: $thread
		arena.holes_do: $thread
		arena.many_are_all_or_none: $thread
		arena.without_memory: $thread
		arena_share.so_are_slabs: $emu
		ascend: $emu
		blocks.every_page: $advice
		broker.one_process_is_listed: $stat
		context.a_fork: $wipe
		context.abandon_in_a_fork: $wipe
		context.two_hundred_contexts: $grows
		cycles.contexts_come: $grows
		cycles.groups_come: $grows
		doctor.: $program
		features.a_system_call: qemu has no seccomp()
		group.ranks_may_be_known: $stat
		handle.a_child_does_not_wait: $wipe
		handle.a_forked_child: $wipe
		handle.a_grandchild: $wipe
		handle.each_in_a_child: $wipe
		harden.: qemu has no ptrace()
		identity.a_caller_that_has_ended: $stat
		identity.a_caller_with_a_recycled_pid: $stat
		info.: $program
		info_topo.: $program
		intruder.a_program: $program
		invalidate.bad_contexts: $wipe
		invalidate.it_agrees: it takes minutes
		lacks.: qemu has no seccomp()
		maps.bad_arguments: $wipe
		memfd.no_address_space: qemu does not limit the address space
		memfd.protected_memory: $advice
		memory.no_address: $thread
		memory.no_descriptor: $thread
		memory.registered_memory: $thread
		mix.a_child_may: $wipe
		mix.children: $wipe
		mix.neither: $wipe
		onesided.a_fork: $thread
		plan.plans_are_abandoned: $wipe
		rdma.bad_arguments_and: $wipe
		rdma_keys.keys_hold: $wipe
		share_access.an_open_share: $thread
	EOF
}

MAKEFLAGS='' make --no-print-directory CC="$cc" MPICC=mpicc SAN= HWLOC=0 CPPFLAGS="-I$cunit/include" \
	LDFLAGS="-L$cunit/lib/aarch64-linux-gnu" "$build/libipcshare.a" "$build/run-unit"
[ $# != 0 ] || left_out | sed 's/^/skipped: /'
unset TEST_EMU
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
export TEST_PATIENCE="${TEST_PATIENCE:-5}" TEST_CASES="${TEST_CASES:-500}"
exec qemu-aarch64 "$build/run-unit" "$@" $(left_out | sed 's/^\([^:]*\):.*/-\1/')
