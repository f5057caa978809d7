/* SPDX-License-Identifier: BSD-3-Clause */
/* exit_program.c HOW - a rank that ends as exit.sh wants it, with all that it made still there */
#include <ipcshare_coll.h>
#include <ipcshare_mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ABORTS 1 /* the rank that ends the others */

static struct ipcshare_ctx *ctx;
static struct ipcshare_group *group;
static struct ipcshare_set *set;
static struct ipcshare_arena *arena;
static void *memory;
static int rank, size;

/* What fails is said, and the process ends with 1 at once. */
#define MUST(call, status) must((call), (status), #call)
static void must(int got, int status, const char *call)
{
	if (got == status)
		return;
	fprintf(stderr, "rank %d: %s gave %s: %s\n", rank, call, ipcshare_status_name(got),
		ipcshare_explain());
	_exit(1);
}

static void make_all(void)
{
	struct ipcshare_buf buf = { NULL, 5000 };
	int sum = 1;
	void *cell;

	MUST(ipcshare_open(NULL, &ctx), 0);
	MUST(ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &group), 0);
	MUST(ipcshare_alloc(ctx, buf.len, &memory), 0);
	buf.ptr = memory;
	MUST(ipcshare_share(group, &buf, 1, 0, &set), 0);
	MUST(ipcshare_arena_create(ctx, NULL, &arena), 0);
	MUST(ipcshare_arena_alloc(arena, 100, &cell), 0);
	memset(ipcshare_ptr(set, (rank + 1) % size, 0), 1, buf.len);
	MUST(ipcshare_mpi_allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD), 0);
	MUST(sum, size);
}

static void end_all(void)
{
	MUST(ipcshare_arena_destroy(arena), 0);
	MUST(ipcshare_set_free(set), 0);
	MUST(ipcshare_free(ctx, memory), 0);
	MUST(ipcshare_group_free(group), 0);
	MUST(ipcshare_close(ctx), 0);
}

static void end_all_at_exit(void)
{
	end_all();
}

static void close_at_exit(void)
{
	MUST(ipcshare_close(ctx), IPCSHARE_ERR_BUSY); /* a group is alive, and so on */
}

static void *exits(void *arg)
{
	while (!atomic_load((atomic_int *)arg))
		usleep(100);
	exit(0);
}

/*
 * Rank 0 comes when the others, which are in a call of its group, have ended: that one they may have made
 * complete before.
 */
static void exit_beside_a_call(void)
{
	pthread_t thread;
	atomic_int called = 0;

	if (rank == 0) {
		struct ipcshare_peer peer = { .size = sizeof(peer), .alive = 1 };

		for (int r = 1; r < size; r++)
			for (peer.alive = 1; peer.alive; usleep(100))
				MUST(ipcshare_group_peer(group, r, &peer), 0);
		if (!ipcshare_barrier(group))
			MUST(ipcshare_barrier(group), IPCSHARE_ERR_PEER_DEAD);
		exit(0);
	}
	MUST(pthread_create(&thread, NULL, exits, &called), 0);
	atomic_store(&called, 1);
	ipcshare_barrier(group); /* or a peer has ended before it came here */
	pause();
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	make_all();
	if (!strcmp(how, "early"))
		exit(0); /* with MPI as it is */
	if (!strcmp(how, "abort")) {
		if (rank == ABORTS)
			MPI_Abort(MPI_COMM_WORLD, 42);
		ipcshare_barrier(group); /* for as long as it takes */
		ipcshare_barrier(group);
		pause();
	}
	MPI_Finalize();
	if (!strcmp(how, "after"))
		end_all();
	else if (!strcmp(how, "atexit"))
		atexit(end_all_at_exit);
	else if (!strcmp(how, "busy"))
		atexit(close_at_exit);
	else if (!strcmp(how, "thread"))
		exit_beside_a_call();
	else if (!strcmp(how, "abandon"))
		MUST(ipcshare_abandon(ctx), 0);
	else if (strcmp(how, "leave"))
		return 2;
	exit(0);
}
