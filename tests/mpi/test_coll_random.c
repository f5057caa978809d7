/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random collectives on communicators of many shapes: the library's result is MPI's. TEST_CASES of the
 * environment says another number, TEST_SEED other cases.
 */
#include <ipcshare_mpi.h>

#include "mpi/coll_case.h"
#include "mpi/team.h"
#include "support/test.h"

#define CASES 300
#define SEED 20240229
#define SHAPES 6 /* of communicators */

static int cases(void) /* of each */
{
	return (int)(test_setting("TEST_CASES", CASES) / SHAPES);
}

/* @which: a number that the ranks of @comm have in common. */
static void makes_many_calls(MPI_Comm comm, int which)
{
	uint64_t base = test_setting("TEST_SEED", SEED), seed = base * 64 + (uint64_t)which;
	int wrong = 0;

	for (int i = 0; i < cases() && wrong < 3; i++) {
		struct coll_case c = coll_case_draw(comm, &seed);
		int failed = !coll_case_run(&c), any;

		MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, comm);
		wrong += any;
		test_goes_on();
	}
	CHECK(!wrong, "TEST_SEED=%ju has cases that fail", (uintmax_t)base);
}

static void ranks_split_by(int color, int key)
{
	MPI_Comm comm;

	MPI_Comm_split(MPI_COMM_WORLD, color, key, &comm);
	makes_many_calls(comm, color * 16 + 1);
	MPI_Comm_free(&comm);
}

/* Does a rank have IPCSHARE_MPI=0? */
static int is_off(void)
{
	int mine = test_setting("IPCSHARE_MPI", 1) == 0, any;

	MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	return any;
}

/* On several nodes some calls are; and what is not, goes between the nodes. */
static void left_to_mpi(struct ipcshare_mpi_counters *before, const struct ipcshare_mpi_counters *after)
{
	static const enum ipcshare_mpi_reason reasons[] = { IPCSHARE_MPI_NODES, IPCSHARE_MPI_SHORT };

	CHECK_INT(after->across - before->across, after->calls - (before->calls - (uint64_t)cases()));
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint64_t left = after->fallbacks[reasons[i]] - before->fallbacks[reasons[i]];

		before->fallbacks[reasons[i]] += left;
		before->calls -= left;
	}
}

static void the_world_gets_what_mpi_gives(void)
{
	struct ipcshare_mpi_counters before = { .size = sizeof(before) }, after = before;
	int several; /* nodes */

	REQUIRE_OK(ipcshare_mpi_counters(&before));
	makes_many_calls(MPI_COMM_WORLD, 0);
	REQUIRE_OK(ipcshare_mpi_counters(&after));
	several = after.fallbacks[IPCSHARE_MPI_NODES] > before.fallbacks[IPCSHARE_MPI_NODES];
	if (is_off()) {
		before.fallbacks[IPCSHARE_MPI_OFF] += (uint64_t)cases();
	} else {
		CHECK(after.packed > before.packed || several, "nothing was packed");
		before.calls += (uint64_t)cases();
	}
	if (several)
		left_to_mpi(&before, &after);
	CHECK_INT(after.calls, before.calls);
	CHECK_MEM(after.fallbacks, before.fallbacks, sizeof(after.fallbacks));
}

static void a_copy_of_the_world_gets_it(void)
{
	MPI_Comm copy;

	MPI_Comm_dup(MPI_COMM_WORLD, &copy);
	makes_many_calls(copy, 1);
	MPI_Comm_free(&copy);
}

static void ranks_in_reverse_order_get_it(void)
{
	ranks_split_by(0, -team_rank());
}

static void every_other_rank_gets_it(void)
{
	ranks_split_by(team_rank() % 2, team_rank());
}

static void parts_of_three_ranks_get_it(void)
{
	ranks_split_by(team_rank() / 3, team_rank());
}

static void a_rank_alone_gets_it(void)
{
	makes_many_calls(MPI_COMM_SELF, 2);
}

TEST_SUITE(coll_random, NULL, NULL,
	TEST(the_world_gets_what_mpi_gives),
	TEST(a_copy_of_the_world_gets_it),
	TEST(ranks_in_reverse_order_get_it),
	TEST(every_other_rank_gets_it),
	TEST(parts_of_three_ranks_get_it),
	TEST(a_rank_alone_gets_it));
