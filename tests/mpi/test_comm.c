/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups from communicators of every shape. */
#include <stdlib.h>

#include "mpi/team.h"
#include "support/test.h"

/* Share one buffer in @group; every rank finds every other's, in the order of @comm. */
static void check_group(struct ipcshare_group *group, MPI_Comm comm)
{
	int size = ipcshare_group_size(group), rank = ipcshare_group_rank(group);
	int *world = calloc((size_t)size, sizeof(*world)), me = team_rank();
	struct ipcshare_set *set;
	void *mine;

	REQUIRE_OK(ipcshare_alloc(team_ctx, 1000, &mine));
	team_fill(mine, 1, 1000, me, (size_t)rank);
	MPI_Allgather(&me, 1, MPI_INT, world, 1, MPI_INT, comm);
	REQUIRE_OK(ipcshare_share(group, &(struct ipcshare_buf){ mine, 1000 }, 1, 0, &set));
	for (int r = 0; r < size; r++)
		team_check(ipcshare_ptr(set, r, 0), 1000, world[r], (size_t)r);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, mine), 0);
	free(world);
}

static void group_of(MPI_Comm comm)
{
	struct ipcshare_group *group;
	int size, rank;

	MPI_Comm_size(comm, &size);
	MPI_Comm_rank(comm, &rank);
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, comm, &group));
	CHECK_INT(ipcshare_group_size(group), size);
	CHECK_INT(ipcshare_group_rank(group), rank);
	for (int r = 0; r < size; r++) {
		CHECK_INT(ipcshare_mpi_comm_rank(group, r), r);
		CHECK_INT(ipcshare_mpi_group_rank(group, r), r);
	}
	check_group(group, comm);
	CHECK_STATUS(ipcshare_group_free(group), 0);
}

static void the_world_makes_a_group(void)
{
	group_of(MPI_COMM_WORLD);
}

static void a_rank_alone_makes_a_group(void)
{
	group_of(MPI_COMM_SELF);
}

static void ranks_in_reverse_order_keep_it(void)
{
	MPI_Comm reversed;

	MPI_Comm_split(MPI_COMM_WORLD, 0, team_size() - team_rank(), &reversed);
	group_of(reversed);
	MPI_Comm_free(&reversed);
}

static void every_other_rank_makes_a_group(void)
{
	MPI_Comm half;

	MPI_Comm_split(MPI_COMM_WORLD, team_rank() % 2, team_rank(), &half);
	group_of(half);
	MPI_Comm_free(&half);
}

static void a_ring_makes_a_group(void)
{
	MPI_Comm ring;

	MPI_Cart_create(MPI_COMM_WORLD, 1, (int[]){ team_size() }, (int[]){ 1 }, 1, &ring);
	group_of(ring);
	MPI_Comm_free(&ring);
}

static void many_groups_are_alive_at_once(void)
{
	struct ipcshare_counters before = { .size = sizeof(before) }, after = before;
	struct ipcshare_group *groups[8];

	for (int i = 0; i < 8; i++)
		REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, MPI_COMM_WORLD, &groups[i]));
	REQUIRE_OK(ipcshare_counters(team_ctx, &before));
	CHECK_INT(before.groups, 8);
	for (int i = 7; i >= 0; i--)
		check_group(groups[i], MPI_COMM_WORLD);
	for (int i = 0; i < 8; i++)
		CHECK_STATUS(ipcshare_group_free(groups[i]), 0);
	REQUIRE_OK(ipcshare_counters(team_ctx, &after));
	CHECK_INT(after.groups, 0);
	CHECK_INT(after.bytes_mapped, 0);
}

static void an_intercommunicator_is_refused(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;
	MPI_Comm half, inter;

	if (team_size() < 2) /* it has two sides */
		return;
	MPI_Comm_split(MPI_COMM_WORLD, team_rank() % 2, team_rank(), &half);
	MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - team_rank() % 2, 1, &inter);
	CHECK_FAILS(ipcshare_mpi_group_create(team_ctx, inter, &group), IPCSHARE_ERR_INVALID);
	CHECK_PTR(group, before);
	MPI_Comm_free(&inter);
	MPI_Comm_free(&half);
}

static void no_communicator_is_refused(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;

	CHECK_FAILS(ipcshare_mpi_group_create(team_ctx, MPI_COMM_NULL, &group),
		    IPCSHARE_ERR_INVALID);
	CHECK_PTR(group, before);
}

static void one_rank_without_a_context_fails_all(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;
	int last = team_rank() == team_size() - 1;

	CHECK_FAILS(ipcshare_mpi_group_create(last ? NULL : team_ctx, MPI_COMM_WORLD, &group),
		    IPCSHARE_ERR_INVALID);
	CHECK_PTR(group, before);
	the_world_makes_a_group();
}

static void one_rank_without_an_output_fails_all(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;

	CHECK_FAILS(ipcshare_mpi_group_create(team_ctx, MPI_COMM_WORLD,
					      team_rank() ? &group : NULL),
		    IPCSHARE_ERR_INVALID);
	CHECK_PTR(group, before);
	the_world_makes_a_group();
}

/* Each in its own way: there is one verdict all the same. */
static void two_ranks_that_fail_differently_fail_all_alike(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;
	struct ipcshare_options options = team_options();
	struct ipcshare_ctx *closed, *ctx = team_ctx;
	int err;

	REQUIRE_OK(ipcshare_open(&options, &closed));
	REQUIRE_OK(ipcshare_close(closed));
	if (team_rank() == 0)
		ctx = NULL;
	if (team_rank() == team_size() - 1)
		ctx = closed;
	err = ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &group);
	CHECK_FAILS(err, IPCSHARE_ERR_CLOSED);
	team_check_same("the verdict", err);
	CHECK_PTR(group, before);
	the_world_makes_a_group();
}

static int handler_calls;

static void count_call(MPI_Comm *comm, int *error, ...)
{
	(void)comm;
	(void)error;
	handler_calls++;
}

static void the_users_error_handler_is_left_alone(void)
{
	MPI_Errhandler handler, now;
	struct ipcshare_group *group;
	MPI_Comm comm;

	MPI_Comm_create_errhandler(count_call, &handler);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Comm_set_errhandler(comm, handler);
	group_of(comm);
	CHECK_FAILS(ipcshare_mpi_group_create(NULL, comm, &group), IPCSHARE_ERR_INVALID);
	CHECK_INT(handler_calls, 0);
	MPI_Comm_get_errhandler(comm, &now);
	CHECK(now == handler, "the communicator has another error handler");
	MPI_Errhandler_free(&now);
	MPI_Errhandler_free(&handler);
	MPI_Comm_free(&comm);
}

static void a_group_outlives_its_communicator_and_mpi_the_group(void)
{
	struct ipcshare_group *group;
	int one = 1, sum = 0;
	MPI_Comm comm, same;

	MPI_Comm_split(MPI_COMM_WORLD, 0, -team_rank(), &comm);
	MPI_Comm_dup(comm, &same);
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, comm, &group));
	MPI_Comm_free(&comm);
	check_group(group, same);
	CHECK_INT(ipcshare_mpi_comm_rank(group, 0), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, same);
	CHECK_INT(sum, team_size());
	MPI_Comm_free(&same);
}

static void ranks_that_are_none_are_refused(void)
{
	struct ipcshare_group *group;

	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, MPI_COMM_WORLD, &group));
	CHECK_FAILS(ipcshare_mpi_comm_rank(group, -1), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_mpi_comm_rank(group, team_size()), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_mpi_group_rank(group, -1), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_mpi_group_rank(group, team_size()), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_FAILS(ipcshare_mpi_comm_rank(group, 0), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_mpi_group_rank(group, 0), IPCSHARE_ERR_CLOSED);
}

static void groups_come_and_go_without_a_trace(void)
{
	struct test_resources before;

	group_of(MPI_COMM_WORLD);
	MPI_Barrier(MPI_COMM_WORLD);
	test_resources(&before);
	for (int i = 0; i < 30; i++)
		group_of(MPI_COMM_WORLD);
	MPI_Barrier(MPI_COMM_WORLD);
	CHECK_NOTHING_LEAKED(&before);
}

TEST_SUITE(comm, team_open, team_close,
	TEST(the_world_makes_a_group),
	TEST(a_rank_alone_makes_a_group),
	TEST(ranks_in_reverse_order_keep_it),
	TEST(every_other_rank_makes_a_group),
	TEST(a_ring_makes_a_group),
	TEST(many_groups_are_alive_at_once),
	TEST(an_intercommunicator_is_refused),
	TEST(no_communicator_is_refused),
	TEST(one_rank_without_a_context_fails_all),
	TEST(one_rank_without_an_output_fails_all),
	TEST(two_ranks_that_fail_differently_fail_all_alike),
	TEST(the_users_error_handler_is_left_alone),
	TEST(a_group_outlives_its_communicator_and_mpi_the_group),
	TEST(ranks_that_are_none_are_refused),
	TEST(groups_come_and_go_without_a_trace));
