/* SPDX-License-Identifier: BSD-3-Clause */
/* Who this process is: its bare pid, as the outermost pid namespace sees it, and its start. */
#ifndef EMU_IDENTITY_H
#define EMU_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "join.h"

/* This process's pid as other processes of the job see it. */
struct emu_view {
	int32_t pid;		/* 0: nobody outside has been met */
	bool outermost;		/* seen from the initial namespace: nothing is better */
};

void emu_view_add(struct emu_view *v, int conn, const struct emu_welcome *w);
bool emu_identity_initial(void);	/* this process is in the initial pid namespace */

int32_t emu_identity_pid(const struct emu_view *seen);	/* as far out as can be seen */

/* @pid, or where another process of the job has it, a number above all pids; table lock held. */
int32_t emu_identity_unique(int32_t pid);
uint64_t emu_identity_start(void);	/* boottime ns, rounded down to a tick */

#endif
