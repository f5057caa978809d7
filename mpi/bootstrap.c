/* SPDX-License-Identifier: BSD-3-Clause */
#include "bootstrap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/wire.h"

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
 * A collective can't be cancelled. If we stop waiting for one, MPI may still write into its buffers
 * at any later time, so they are ours, and are never freed then.
 */
struct bounce {
	void *mine;
	void *all;
};

static int bounce_alloc(struct bounce *b, const void *mine, size_t len, size_t total)
{
	b->mine = malloc(len + 1);
	b->all = malloc(total + 1);
	if (!b->mine || !b->all) {
		free(b->mine);
		free(b->all);
		return ipcshare__fail_errno(ENOMEM, "exchange", "%zu bytes to exchange", total);
	}
	memcpy(b->mine, mine, len);
	return 0;
}

static int bounce_complete(struct bounce *b, int result, MPI_Request *request,
			   struct ipcshare_wait *wait, const char *call, void *all, size_t total)
{
	int err = ipcshare__mpi_result(result, call);

	if (!err)
		err = complete(request, wait, call);
	if (err)
		return err;
	memcpy(all, b->all, total);
	free(b->mine);
	free(b->all);
	return 0;
}

static int mpi_allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all)
{
	struct ipcshare__mpi_bootstrap *b = arg;
	size_t total = len * (size_t)b->nranks;
	struct bounce bounce;
	MPI_Request request;
	int err = check_up();

	if (!err)
		err = bounce_alloc(&bounce, mine, len, total);
	if (err)
		return err;
	err = MPI_Iallgather(bounce.mine, (int)len, MPI_BYTE, bounce.all, (int)len, MPI_BYTE,
			     b->comm, &request);
	return bounce_complete(&bounce, err, &request, wait, "MPI_Iallgather", all, total);
}

static int mpi_allgatherv(void *arg, struct ipcshare_wait *wait, const void *mine, void *all,
			  const size_t *lens)
{
	struct ipcshare__mpi_bootstrap *b = arg;
	int *counts = calloc(2 * (size_t)b->nranks, sizeof(int)), *displs = counts + b->nranks;
	struct bounce bounce;
	MPI_Request request;
	size_t total = 0;
	int err, rank;

	if (!counts)
		return ipcshare__fail_errno(ENOMEM, "exchange", "counts");
	for (int r = 0; r < b->nranks; r++) {
		counts[r] = (int)(lens[r] / IPCSHARE__BLOB_ALIGN);
		displs[r] = (int)(total / IPCSHARE__BLOB_ALIGN);
		total += lens[r];
	}
	err = check_up();
	if (!err)
		err = ipcshare__mpi_result(MPI_Comm_rank(b->comm, &rank), "MPI_Comm_rank");
	if (!err)
		err = bounce_alloc(&bounce, mine, lens[rank], total);
	if (err) {
		free(counts);
		return err;
	}
	err = MPI_Iallgatherv(bounce.mine, counts[rank], b->block, bounce.all, counts, displs,
			      b->block, b->comm, &request);
	err = bounce_complete(&bounce, err, &request, wait, "MPI_Iallgatherv", all, total);
	if (!err) /* else MPI may still read them */
		free(counts);
	return err;
}

static int mpi_barrier(void *arg, struct ipcshare_wait *wait)
{
	struct ipcshare__mpi_bootstrap *b = arg;
	MPI_Request request;
	int err = check_up();

	if (!err)
		err = ipcshare__mpi_result(MPI_Ibarrier(b->comm, &request), "MPI_Ibarrier");
	return err ? err : complete(&request, wait, "MPI_Ibarrier");
}

void ipcshare__mpi_bootstrap_free(struct ipcshare__mpi_bootstrap *b)
{
	if (b->block != MPI_DATATYPE_NULL)
		MPI_Type_free(&b->block);
	if (b->comm != MPI_COMM_NULL)
		MPI_Comm_free(&b->comm);
	free(b->comm_rank);
	free(b);
}

/* Freeing a communicator is collective: after a failure it could wait for the dead. */
static void mpi_release(void *arg, int broken)
{
	struct ipcshare__mpi_bootstrap *b = arg;

	if (broken || !ipcshare__mpi_is_up()) {
		b->block = MPI_DATATYPE_NULL;
		b->comm = MPI_COMM_NULL;
	}
	ipcshare__mpi_bootstrap_free(b);
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
		.allgatherv = mpi_allgatherv,
		.barrier = mpi_barrier,
		.release = mpi_release,
	};
}

const struct ipcshare__mpi_bootstrap *
ipcshare__mpi_bootstrap_of(const struct ipcshare_bootstrap *bootstrap)
{
	return bootstrap->release == mpi_release ? bootstrap->arg : NULL;
}
