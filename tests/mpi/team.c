/* SPDX-License-Identifier: BSD-3-Clause */
#include "mpi/team.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

struct ipcshare_ctx *team_ctx;

static struct {
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
} left;

int team_rank(void)
{
	int rank;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	return rank;
}

int team_size(void)
{
	int size;

	MPI_Comm_size(MPI_COMM_WORLD, &size);
	return size;
}

int team_is_last(void)
{
	return team_rank() == team_size() - 1;
}

struct ipcshare_options team_options(void)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.device = team_rank();
	return options;
}

void team_open(void)
{
	struct ipcshare_options options = team_options();

	REQUIRE_OK(ipcshare_open(&options, &team_ctx));
}

void team_close(void)
{
	MPI_Barrier(MPI_COMM_WORLD);
	CHECK_STATUS(ipcshare_close(team_ctx), 0);
}

unsigned char team_byte(int rank, size_t i, size_t offset)
{
	return (unsigned char)(1 + (size_t)rank * 37 + i * 11 + offset * 7 + (offset >> 8));
}

void team_fill(void *buf, size_t n, size_t len, int rank, size_t first)
{
	unsigned char *bytes = malloc(n * len);

	REQUIRE(bytes, "no memory");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < len; k++)
			bytes[i * len + k] = team_byte(rank, first + i, k);
	CHECK_STATUS(ipcshare_copy(team_ctx, buf, bytes, n * len), 0);
	free(bytes);
}

int team_check(const void *buf, size_t len, int rank, size_t i)
{
	unsigned char *bytes = malloc(len);
	int ok = 1;

	REQUIRE(bytes, "no memory");
	ok = CHECK_STATUS(ipcshare_copy(team_ctx, bytes, buf, len), 0);
	for (size_t k = 0; k < len && ok; k++)
		ok = CHECK(bytes[k] == team_byte(rank, i, k),
			   "byte %zu of buffer %zu of rank %d is %d, expected %d", k, i, rank,
			   bytes[k], team_byte(rank, i, k));
	free(bytes);
	return ok;
}

void team_check_same(const char *what, int value)
{
	int least, most;

	MPI_Allreduce(&value, &least, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
	MPI_Allreduce(&value, &most, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	CHECK(least == most, "%s is %d on one rank and %d on another", what, least, most);
}

void team_leave(struct ipcshare_ctx *ctx, struct ipcshare_group *group, struct ipcshare_set *set)
{
	left.ctx = ctx;
	left.group = group;
	left.set = set;
}

/* The groups of ipcshare_mpi_*() and their context have ended with MPI. */
static int nothing_is_left(void)
{
	struct test_resources now;

	test_resources(&now);
	if (!now.memfd_maps)
		return 0;
	fprintf(stderr, "after MPI_Finalize: %d memfds are mapped\n", now.memfd_maps);
	return 1;
}

/* A group needs no MPI any more: what is left can still be used, and freed together. */
int team_after_mpi(void)
{
	struct ipcshare_group *group = NULL;
	struct ipcshare_set *set = NULL;
	int err;

	if (!left.ctx)
		return nothing_is_left();
	err = ipcshare_mpi_group_create(left.ctx, MPI_COMM_WORLD, &group);
	if (err != IPCSHARE_ERR_INVALID || group)
		goto wrong;
	err = ipcshare_share(left.group, NULL, 0, 0, &set);
	if (!err)
		err = ipcshare_set_free(set);
	if (!err)
		err = ipcshare_set_free(left.set);
	if (!err)
		err = ipcshare_group_free(left.group);
	if (!err)
		err = ipcshare_close(left.ctx);
	if (!err)
		return nothing_is_left();
wrong:
	fprintf(stderr, "after MPI_Finalize: saw %s: %s\n", ipcshare_status_name(err),
		ipcshare_explain());
	return 1;
}
