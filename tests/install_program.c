/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user writes first: each rank shares a number and reads its neighbour's. */
#include <ipcshare_mpi.h>
#include <stdio.h>

static int check(int status, const char *what)
{
	if (status)
		fprintf(stderr, "%s: %s\n", what, ipcshare_explain());
	return status;
}

static int share_number(struct ipcshare_ctx *ctx, struct ipcshare_group *group)
{
	int rank = ipcshare_group_rank(group), size = ipcshare_group_size(group);
	int peer = (rank + 1) % size, *mine, *theirs, wrong;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	void *memory;

	if (check(ipcshare_alloc(ctx, sizeof(*mine), &memory), "alloc"))
		return 1;
	mine = memory;
	*mine = 100 + rank;
	buf = (struct ipcshare_buf){ mine, sizeof(*mine) };
	if (check(ipcshare_share(group, &buf, 1, 0, &set), "share"))
		return 1;
	theirs = ipcshare_ptr(set, peer, 0);
	wrong = !theirs || *theirs != 100 + peer;
	if (wrong)
		fprintf(stderr, "rank %d: rank %d shows %d, not %d\n", rank, peer,
			theirs ? *theirs : -1, 100 + peer);
	return check(ipcshare_set_free(set), "set_free") ||
	       check(ipcshare_free(ctx, memory), "free") || wrong;
}

int main(int argc, char **argv)
{
	struct ipcshare_group *group;
	struct ipcshare_ctx *ctx;
	int failed;

	MPI_Init(&argc, &argv);
	failed = check(ipcshare_open(NULL, &ctx), "open") ||
		 check(ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &group), "group_create") ||
		 share_number(ctx, group) || check(ipcshare_group_free(group), "group_free") ||
		 check(ipcshare_close(ctx), "close");
	if (failed)
		MPI_Abort(MPI_COMM_WORLD, 1);
	MPI_Finalize();
	return 0;
}
