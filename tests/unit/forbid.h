/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel that lacks a system call, for tests: the same to us as an old one, or a container's. */
#ifndef TEST_FORBID_H
#define TEST_FORBID_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/*
 * From now on system call @nr, if the lower half of its argument @arg has @value in the bits of @mask,
 * ends in @action, for this process and its children. 0, or -1.
 */
static inline int test_forbid_if(unsigned nr, unsigned arg, unsigned mask, unsigned value,
				 unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (unsigned)(offsetof(struct seccomp_data, args) + 8 * arg)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The same whatever its arguments are; it gets @err. */
static inline int test_forbid(unsigned nr, unsigned err)
{
	return test_forbid_if(nr, 0, 0, 0, SECCOMP_RET_ERRNO | err);
}

/* Who makes the call dies by SIGSYS. */
static inline int test_forbid_deadly(unsigned nr)
{
	return test_forbid_if(nr, 0, 0, 0, SECCOMP_RET_KILL_PROCESS);
}

#endif
