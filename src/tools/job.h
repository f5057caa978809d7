/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job: the processes that one launcher has started on this node. Each knows its number by variables of
 * the launcher; they meet at a socket that is named after it, and exchange bytes through rank 0. So a program finds its fellows under any mpirun without being linked with its MPI.
 */
#ifndef IPCSHARE_TOOLS_JOB_H
#define IPCSHARE_TOOLS_JOB_H

#include <ipcshare.h>

#define JOB_PATIENCE_MS 10000
#define JOB_RANKS 1024 /* of a node */

struct job {
	int launcher; /* its process id */
	const char *size_variable; /* that says how many they are; NULL: there is no launcher */
	int rank, size; /* 0 and 1 without one */
	int patience_ms; /* of every wait */
	int *sockets; /* rank 0: to each rank; the others: one to rank 0 */
};

/* Who we are (launcher.c); talks to nobody. IPCSHARE_ERR_BOOTSTRAP a variable has a value that makes no sense. */
int job_find(struct job *out);

/*
 * Meet all others of the job, of this user. IPCSHARE_ERR_TIMEOUT names who did not come;
 * IPCSHARE_ERR_NOT_ALLOWED the socket is another user's. job_leave() after success only.
 */
int job_meet(struct job *job);
void job_leave(struct job *job);

/*
 * @len bytes of every rank, in rank order, into @all. @job is a struct job, and @wait may be NULL: it is
 * the callback of a bootstrap, too. IPCSHARE_ERR_PEER_DEAD, IPCSHARE_ERR_TIMEOUT: use it no more.
 */
int job_allgather(void *job, struct ipcshare_wait *wait, const void *mine, size_t len, void *all);
int job_barrier(struct job *job);

#endif
