/* SPDX-License-Identifier: BSD-3-Clause */
#include "bootstrap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int ipcshare__mpi_is_up(void)
{
	int begun = 0, ended = 0;

	MPI_Initialized(&begun);
	MPI_Finalized(&ended);
	return begun && !ended;
}

int ipcshare__mpi_result(int result, const char *call)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int len;

	if (result == MPI_SUCCESS)
		return 0;
	MPI_Error_string(result, text, &len);
	return ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "exchange", "see MPI's own messages",
			      "%s: %.180s", call, text);
}

static int check_up(void)
{
	if (ipcshare__mpi_is_up())
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "exchange",
			      "free sets and groups before MPI_Finalize",
			      "MPI is not initialised, or finalized already");
}

/* Nonblocking collectives, so that a dead peer or the deadline ends the wait. */
static int complete(MPI_Request *request, struct ipcshare_wait *wait, const char *call)
{
	int done = 0, err;

	for (;;) {
		err = ipcshare__mpi_result(MPI_Test(request, &done, MPI_STATUS_IGNORE), call);
		if (err || done)
			return err;
		err = ipcshare_wait_tick(wait);
		if (err)
			return err;
	}
}

/*
 * A collective can't be cancelled. If we stop waiting for one, MPI may still use its memory at any
 * later time. So what MPI reads and writes is ours. It is given back when the collective completes after all, at a later exchange of any group, or never.
 */
struct pending {
	struct pending *next;
	MPI_Request request;
	void *mine;
	void *all;
};

static pthread_mutex_t abandoned_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pending *abandoned;

static void pending_free(struct pending *p)
{
	free(p->mine);
	free(p->all);
	free(p);
}

static struct pending *pending_new(const void *mine, size_t len, size_t total)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->mine = malloc(len + 1);
	p->all = malloc(total + 1);
	if (!p->mine || !p->all) {
		pending_free(p);
		return NULL;
	}
	memcpy(p->mine, mine, len);
	return p;
}

static void pending_abandon(struct pending *p)
{
	pthread_mutex_lock(&abandoned_lock);
	p->next = abandoned;
	abandoned = p;
	pthread_mutex_unlock(&abandoned_lock);
}

/* Give back what MPI is done with. */
static void abandoned_sweep(void)
{
	pthread_mutex_lock(&abandoned_lock);
	for (struct pending **at = &abandoned, *p; (p = *at);) {
		int done = 0;

		if (MPI_Test(&p->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done) {
			*at = p->next;
			pending_free(p);
		} else {
			at = &p->next;
		}
	}
	pthread_mutex_unlock(&abandoned_lock);
}

/* The collective was begun with @result: wait for it, and hand out what came. */
static int pending_complete(struct pending *p, int result, struct ipcshare_wait *wait,
			    const char *call, void *all, size_t total)
{
	int err = ipcshare__mpi_result(result, call);

	if (err) {
		pending_free(p); /* it never began */
		return err;
	}
	err = complete(&p->request, wait, call);
	if (err) {
		pending_abandon(p);
		return err;
	}
	memcpy(all, p->all, total);
	pending_free(p);
	return 0;
}

static int no_room(size_t total)
{
	return ipcshare__fail_errno(ENOMEM, "exchange", "%zu bytes to exchange", total);
}

int ipcshare__mpi_allgather(MPI_Comm comm, struct ipcshare_wait *wait, const void *mine, size_t len,
			    void *all)
{
	struct pending *p;
	size_t total;
	int err, nranks;

	err = ipcshare__mpi_result(MPI_Comm_size(comm, &nranks), "MPI_Comm_size");
	if (err)
		return err;
	total = len * (size_t)nranks;
	abandoned_sweep();
	p = pending_new(mine, len, total);
	if (!p)
		return no_room(total);
	err = MPI_Iallgather(p->mine, (int)len, MPI_BYTE, p->all, (int)len, MPI_BYTE, comm,
			     &p->request);
	/* NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): it is waited for in there, or kept */
	return pending_complete(p, err, wait, "MPI_Iallgather", all, total);
}

int ipcshare__mpi_barrier(MPI_Comm comm, struct ipcshare_wait *wait)
{
	MPI_Request request;
	int err = ipcshare__mpi_result(MPI_Ibarrier(comm, &request), "MPI_Ibarrier");

	return err ? err : complete(&request, wait, "MPI_Ibarrier");
}

static int mpi_allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all)
{
	struct ipcshare__mpi_bootstrap *b = arg;
	int err = check_up();

	return err ? err : ipcshare__mpi_allgather(b->comm, wait, mine, len, all);
}

/* Freeing a communicator is collective: after a failure it could wait for the dead. */
void ipcshare__mpi_bootstrap_end(struct ipcshare__mpi_bootstrap *b, int broken)
{
	if (!broken && ipcshare__mpi_is_up() && b->comm != MPI_COMM_NULL)
		MPI_Comm_free(&b->comm);
	free(b->comm_rank);
	free(b);
}

static void mpi_release(void *arg, int broken)
{
	ipcshare__mpi_bootstrap_end(arg, broken);
}

void ipcshare__mpi_bootstrap_fill(struct ipcshare__mpi_bootstrap *b, int rank,
				  struct ipcshare_bootstrap *out)
{
	*out = (struct ipcshare_bootstrap){
		.size = sizeof(*out),
		.arg = b,
		.rank = rank,
		.nranks = b->nranks,
		.allgather = mpi_allgather,
		.release = mpi_release,
	};
}

const struct ipcshare__mpi_bootstrap *
ipcshare__mpi_bootstrap_of(const struct ipcshare_bootstrap *bootstrap)
{
	return bootstrap->release == mpi_release ? bootstrap->arg : NULL;
}
