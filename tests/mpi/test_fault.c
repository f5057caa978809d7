/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's own calls fail in the last rank, each at each of its uses. */
#include <ipcshare_coll.h>
#include <stdlib.h>

#include "mpi/fault.h"
#include "mpi/team.h"
#include "support/test.h"

#define DEADLINE_MS 1000u
#define EXCHANGES 5 /* before a group has its board: after the last one nobody can take a verdict back */
#define MOST_TESTS 3 /* uses of MPI_Test(), which is called until it is over */

/* ---- A group of a communicator ---- */

/*
 * Where MPI fails one rank, that rank names the call; the others hear of it, or only see that it does
 * not come.
 */
static void check_error(enum fault_call call, int use, int failed, int err)
{
	CHECK(err == IPCSHARE_ERR_BOOTSTRAP || (!failed && err == IPCSHARE_ERR_TIMEOUT),
	      "%s, use %d: %s", fault_name(call), use, ipcshare_explain());
	if (failed)
		CHECK_HAS(ipcshare_last_error()->text, call == FAULT_MPI_Test ? "MPI_I" : fault_name(call));
}

/* Some ranks have a group and this one is among them: its last exchange failed elsewhere, and says so. */
static void check_left_alone(struct ipcshare_group *group, int last)
{
	CHECK(last, "not the last exchange");
	CHECK_FAILS(ipcshare_barrier(group), IPCSHARE_ERR_BOOTSTRAP);
	CHECK_INT(ipcshare_last_error()->rank, team_size() - 1);
}

/* 0: there is no such use. */
static int create_with(struct ipcshare_ctx *ctx, enum fault_call call, int use)
{
	int victim = team_rank() == team_size() - 1, failed, any, bad, err;
	struct ipcshare_group *group = NULL;
	MPI_Comm comm; /* no more collective calls on it after a failure */

	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	PMPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
	if (victim)
		fault_arm(call, use);
	err = ipcshare_mpi_group_create(ctx, comm, &group);
	failed = victim ? fault_disarm() : 0;
	MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	CHECK(any || !err, "%s, use %d: nothing failed: %s", fault_name(call), use, ipcshare_explain());
	bad = err != 0;
	MPI_Allreduce(MPI_IN_PLACE, &bad, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	if (err)
		check_error(call, use, failed, err);
	else if (bad)
		check_left_alone(group, call == FAULT_MPI_Iallgather && use == EXCHANGES);
	if (!err)
		CHECK_STATUS(ipcshare_group_free(group), 0);
	if (!bad)
		MPI_Comm_free(&comm);
	return any;
}

static void a_failure_of_mpi_is_named_and_leaves_nobody_waiting(void)
{
	struct ipcshare_options options = team_options();
	struct ipcshare_group *group = NULL;
	struct ipcshare_ctx *ctx = NULL;
	int uses = 0;

	options.timeout_ms = DEADLINE_MS;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	for (int call = 0; call <= FAULT_MPI_Group_translate_ranks; call++)
		for (int use = 1; call != FAULT_MPI_Test || use <= MOST_TESTS; use++) {
			test_goes_on();
			if (!create_with(ctx, call, use))
				break;
			uses++;
		}
	CHECK(uses >= 10, "MPI's calls have failed %d times", uses);
	REQUIRE_OK(ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &group));
	CHECK_STATUS(ipcshare_group_free(group), 0);
	MPI_Barrier(MPI_COMM_WORLD);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

/* ---- A collective that packs ---- */

static int gather_pairs(MPI_Comm comm, MPI_Datatype type, int *all)
{
	int mine[3] = { team_rank(), -1, -team_rank() };

	return ipcshare_mpi_allgather(mine, 1, type, all, 1, type, comm);
}

/* To pack is a rank's own matter, but what it sends all need: an error on all. To unpack is not. */
static void packs_with(MPI_Comm comm, MPI_Datatype type, enum fault_call call)
{
	int victim = team_rank() == team_size() - 1, *all = calloc(3 * (size_t)team_size(), sizeof(int));
	int err, failed = 0;

	if (victim)
		fault_arm(call, 1);
	err = gather_pairs(comm, type, all);
	if (victim)
		failed = fault_disarm();
	CHECK_INT(failed, victim);
	CHECK((err != 0) == (victim || call == FAULT_MPI_Pack), "%s: %d", fault_name(call), err);
	CHECK_INT(gather_pairs(comm, type, all), MPI_SUCCESS);
	for (int r = 0; r < team_size(); r++)
		CHECK(all[3 * r] == r && all[3 * r + 2] == -r, "%d and %d of rank %d", all[3 * r],
		      all[3 * r + 2], r);
	free(all);
}

static void what_mpi_cannot_pack_is_an_error_and_passes(void)
{
	MPI_Datatype gaps, type;
	MPI_Comm comm;

	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	PMPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
	MPI_Type_vector(2, 1, 2, MPI_INT, &gaps);
	MPI_Type_create_resized(gaps, 0, 3 * sizeof(int), &type);
	MPI_Type_commit(&type);
	packs_with(comm, type, FAULT_MPI_Pack);
	packs_with(comm, type, FAULT_MPI_Unpack);
	MPI_Type_free(&type);
	MPI_Type_free(&gaps);
	MPI_Comm_free(&comm);
}

TEST_SUITE(fault, NULL, NULL,
	TEST(a_failure_of_mpi_is_named_and_leaves_nobody_waiting),
	TEST(what_mpi_cannot_pack_is_an_error_and_passes));
