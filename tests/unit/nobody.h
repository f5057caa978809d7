/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of what root may do anyway give it up first. */
#ifndef TEST_NOBODY_H
#define TEST_NOBODY_H

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TEST_NOBODY 65534

/* Another user for good, if this is root; as attachable as a program that was started by that user. */
static inline int test_become_nobody(void)
{
	if (!geteuid() && (setgroups(0, NULL) || setresgid(TEST_NOBODY, TEST_NOBODY, TEST_NOBODY) ||
			   setresuid(TEST_NOBODY, TEST_NOBODY, TEST_NOBODY)))
		return -1;
	/* Both went with the old user. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

#endif
