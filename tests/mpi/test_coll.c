/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives with MPI's signatures: what is left to MPI, errors, and the life of groups. */
#include <stdlib.h>
#include <sys/resource.h>

#include "mpi/team.h"
#include "support/test.h"

static MPI_Comm comm; /* a copy of the world that returns its errors */
static struct ipcshare_mpi_counters before;

static void comm_begin(void)
{
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
	ipcshare_mpi_barrier(comm); /* makes the group */
	before.size = sizeof(before);
	ipcshare_mpi_counters(&before);
}

static void comm_end(void)
{
	MPI_Comm_free(&comm);
}

static uint64_t fallbacks(enum ipcshare_mpi_reason why)
{
	struct ipcshare_mpi_counters now = { .size = sizeof(now) };

	ipcshare_mpi_counters(&now);
	return now.fallbacks[why] - before.fallbacks[why];
}

static uint64_t calls(void)
{
	struct ipcshare_mpi_counters now = { .size = sizeof(now) };

	ipcshare_mpi_counters(&now);
	return now.calls - before.calls;
}

/* Does the library do its work on @on? */
static void works(MPI_Comm on)
{
	uint64_t done = calls();
	int one = 1, sum = 0, size;

	MPI_Comm_size(on, &size);
	CHECK_INT(ipcshare_mpi_allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, on), MPI_SUCCESS);
	CHECK_INT(sum, size);
	CHECK_INT(calls() - done, 1);
}

/* ---- Data ---- */

static void what_one_gives_as_a_column_others_take_as_a_row(void)
{
	int matrix[4][4], row[4] = { 0 };
	MPI_Datatype column;

	for (int i = 0; i < 16; i++)
		matrix[i / 4][i % 4] = i;
	MPI_Type_vector(4, 1, 4, MPI_INT, &column);
	MPI_Type_commit(&column);
	if (team_rank() == 0) {
		CHECK_INT(ipcshare_mpi_bcast(&matrix[0][1], 1, column, 0, comm), MPI_SUCCESS);
		for (int i = 0; i < 4; i++)
			row[i] = matrix[i][1];
	} else {
		CHECK_INT(ipcshare_mpi_bcast(row, 4, MPI_INT, 0, comm), MPI_SUCCESS);
	}
	for (int i = 0; i < 4; i++)
		CHECK_INT(row[i], 4 * i + 1);
	CHECK_INT(calls(), 1);
	MPI_Type_free(&column);
}

static void unsigned_numbers_are_no_negative_ones(void)
{
	unsigned mine = team_is_last() ? 0x80000001u : 5, most = 0, least = 0;
	unsigned char small = team_is_last() ? 200 : 5, large = 0;

	ipcshare_mpi_allreduce(&mine, &most, 1, MPI_UNSIGNED, MPI_MAX, comm);
	ipcshare_mpi_allreduce(&mine, &least, 1, MPI_UNSIGNED, MPI_MIN, comm);
	ipcshare_mpi_allreduce(&small, &large, 1, MPI_UNSIGNED_CHAR, MPI_MAX, comm);
	CHECK_INT(most, 0x80000001u);
	CHECK_INT(least, team_size() == 1 ? 0x80000001u : 5);
	CHECK_INT(large, 200);
	CHECK_INT(calls(), 3);
}

static void arguments_that_only_the_root_needs_may_be_anything_elsewhere(void)
{
	int mine = team_rank(), all[64], got = -1, *none = (int *)16;

	if (team_rank() == 0) {
		ipcshare_mpi_gather(&mine, 1, MPI_INT, all, 1, MPI_INT, 0, comm);
		ipcshare_mpi_scatter(all, 1, MPI_INT, &got, 1, MPI_INT, 0, comm);
	} else {
		ipcshare_mpi_gather(&mine, 1, MPI_INT, none, -1, MPI_DATATYPE_NULL, 0, comm);
		ipcshare_mpi_scatter(none, -1, MPI_DATATYPE_NULL, &got, 1, MPI_INT, 0, comm);
	}
	CHECK_INT(got, team_rank());
	if (team_rank() == 0) {
		ipcshare_mpi_gather(MPI_IN_PLACE, -1, MPI_DATATYPE_NULL, all, 1, MPI_INT, 0, comm);
		ipcshare_mpi_scatter(all, 1, MPI_INT, MPI_IN_PLACE, -1, MPI_DATATYPE_NULL, 0, comm);
	} else {
		ipcshare_mpi_gather(&mine, 1, MPI_INT, none, -1, MPI_DATATYPE_NULL, 0, comm);
		ipcshare_mpi_scatter(none, -1, MPI_DATATYPE_NULL, &got, 1, MPI_INT, 0, comm);
	}
	CHECK_INT(got, team_rank());
	CHECK_INT(calls(), 4);
}

static void displacements_may_be_negative(void)
{
	int size = team_size(), mine = team_rank() + 100, all[64] = { 0 }, counts[64], displs[64];

	for (int r = 0; r < size; r++) {
		counts[r] = 1;
		displs[r] = -r;
	}
	CHECK_INT(ipcshare_mpi_allgatherv(&mine, 1, MPI_INT, all + size - 1, counts, displs, MPI_INT, comm),
		  MPI_SUCCESS);
	for (int r = 0; r < size; r++)
		CHECK_INT(all[size - 1 - r], 100 + r);
}

/* ---- Left to MPI ---- */

static void keep_first(void *in, void *acc, int *n, MPI_Datatype *type)
{
	(void)type;
	memcpy(acc, in, (size_t)*n * sizeof(int));
}

static void an_op_of_the_programs_own_is_left_to_mpi(void)
{
	int mine = team_rank() + 7, first = 0;
	MPI_Op op;

	MPI_Op_create(keep_first, 0, &op);
	CHECK_INT(ipcshare_mpi_allreduce(&mine, &first, 1, MPI_INT, op, comm), MPI_SUCCESS);
	CHECK_INT(first, 7);
	CHECK_INT(fallbacks(IPCSHARE_MPI_OP), 1);
	CHECK_INT(calls(), 0);
	MPI_Op_free(&op);
}

static void a_type_that_the_library_does_not_reduce_is_left_to_mpi(void)
{
	long double one = 1, sum = 0;

	CHECK_INT(ipcshare_mpi_reduce(&one, &sum, 1, MPI_LONG_DOUBLE, MPI_SUM, 0, comm), MPI_SUCCESS);
	CHECK(team_rank() || sum == team_size(), "the sum is %Lf", sum);
	CHECK_INT(fallbacks(IPCSHARE_MPI_TYPE), 1);
	CHECK_INT(ipcshare_mpi_bcast(&sum, 1, MPI_LONG_DOUBLE, 0, comm), MPI_SUCCESS);
	CHECK(sum == team_size(), "the sum is %Lf", sum);
	CHECK_INT(calls(), 1);
}

static void a_type_that_mpi_does_not_reduce_is_an_error_of_mpis(void)
{
	int mine = 1, sum = 0;
	MPI_Datatype copy;

	MPI_Type_dup(MPI_INT, &copy);
	CHECK(ipcshare_mpi_allreduce(&mine, &sum, 1, copy, MPI_SUM, comm) != MPI_SUCCESS, "it was reduced");
	CHECK_INT(fallbacks(IPCSHARE_MPI_TYPE), 1);
	MPI_Type_free(&copy);
	works(comm);
}

static void an_intercommunicator_is_left_to_mpi(void)
{
	int one = 1, sum = 0, others;
	MPI_Comm half, inter;

	if (team_size() < 2)
		return;
	MPI_Comm_split(MPI_COMM_WORLD, team_rank() % 2, team_rank(), &half);
	MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - team_rank() % 2, 1, &inter);
	MPI_Comm_remote_size(inter, &others);
	for (int i = 0; i < 2; i++)
		CHECK_INT(ipcshare_mpi_allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, inter), MPI_SUCCESS);
	CHECK_INT(sum, others);
	CHECK_INT(fallbacks(IPCSHARE_MPI_INTER), 2);
	CHECK_INT(calls(), 0);
	MPI_Comm_free(&inter);
	MPI_Comm_free(&half);
}

static void a_rank_that_can_have_no_group_leaves_its_communicator_to_mpi_on_all(void)
{
	struct rlimit limit, none;
	int one = 1, sum = 0;
	MPI_Comm poor;

	MPI_Comm_dup(comm, &poor);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	if (team_is_last())
		setrlimit(RLIMIT_NOFILE, &none);
	CHECK_INT(ipcshare_mpi_allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, poor), MPI_SUCCESS);
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK_INT(sum, team_size());
	CHECK_INT(fallbacks(IPCSHARE_MPI_NO_GROUP), 1);
	ipcshare_mpi_barrier(poor); /* for ever */
	CHECK_INT(fallbacks(IPCSHARE_MPI_NO_GROUP), 2);
	works(comm);
	MPI_Comm_free(&poor);
}

static void counters_want_their_size_and_reasons_have_texts(void)
{
	struct ipcshare_mpi_counters out = { 0 };

	CHECK_FAILS(ipcshare_mpi_counters(NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_mpi_counters(&out), IPCSHARE_ERR_INVALID);
	CHECK_STR(ipcshare_mpi_reason_text(IPCSHARE_MPI_OP), "the op is the program's own");
	CHECK_STR(ipcshare_mpi_reason_text(IPCSHARE_MPI_NOTHING), "unknown reason");
	CHECK_STR(ipcshare_mpi_reason_text(IPCSHARE_MPI_REASONS), "unknown reason");
	CHECK_STR(ipcshare_mpi_reason_text(-1), "unknown reason");
}

/* ---- Errors ---- */

/* With its text and status; and the communicator still works. */
static void failed(int code, int status)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int class = MPI_SUCCESS, len;

	if (CHECK(code != MPI_SUCCESS, "it gave MPI_SUCCESS")) {
		MPI_Error_class(code, &class);
		MPI_Error_string(code, text, &len);
		CHECK(class > MPI_ERR_LASTCODE, "the class %d is MPI's", class);
		CHECK_HAS(text, "libipcshare: collective: ");
		CHECK_INT(ipcshare_last_error()->status, status);
	}
	works(comm);
}

static void a_wrong_argument_on_one_rank_is_an_error_on_all(void)
{
	int n = team_is_last() ? -1 : 1, one[64] = { 1 }, all[64], counts[64], displs[64] = { 0 };
	MPI_Datatype type = team_is_last() ? MPI_DATATYPE_NULL : MPI_INT;
	MPI_Op op = team_is_last() ? MPI_OP_NULL : MPI_SUM;
	void *in_place = team_is_last() ? MPI_IN_PLACE : all;
	int size = team_size();

	for (int r = 0; r < size; r++)
		counts[r] = n;
	failed(ipcshare_mpi_bcast(one, n, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_bcast(one, 1, type, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_bcast(in_place, 1, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_bcast(one, 1, MPI_INT, size, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allgather(one, 1, MPI_INT, all, n, MPI_INT, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allgather(one, 1, type, all, 1, MPI_INT, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allgather(one, 1, MPI_INT, in_place, 1, MPI_INT, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allgatherv(one, 1, MPI_INT, all, counts, displs, MPI_INT, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_gather(one, n, MPI_INT, all, 1, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_gatherv(one, n, MPI_INT, all, counts, displs, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_scatter(one, 1, MPI_INT, all, n, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_scatterv(one, counts, displs, MPI_INT, all, n, MPI_INT, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_alltoall(one, 1, MPI_INT, all, 1, type, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_alltoallv(one, counts, displs, MPI_INT, all, counts, displs, MPI_INT, comm),
	       IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_reduce(one, all, n, MPI_INT, MPI_SUM, 0, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allreduce(one, all, n, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allreduce(one, all, 1, type, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allreduce(one, all, 1, MPI_INT, op, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_allreduce(one, in_place, 1, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_reduce_scatter(one, all, counts, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_reduce_scatter_block(one, all, n, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_scan(one, all, n, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
	failed(ipcshare_mpi_exscan(one, all, n, MPI_INT, MPI_SUM, comm), IPCSHARE_ERR_INVALID);
}

/* Else the rank's own part would be written past the end of what it wants. */
static void a_rank_that_gives_itself_more_than_it_wants_fails_all(void)
{
	int mine[2] = { 1, 2 }, all[64], n = team_is_last() ? 2 : 1;

	failed(ipcshare_mpi_allgather(mine, n, MPI_INT, all, 1, MPI_INT, comm),
	       team_is_last() ? IPCSHARE_ERR_MISMATCH : IPCSHARE_ERR_INVALID);
}

static void memory_that_lacks_for_packing_on_one_rank_fails_all(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	test_skip("sanitizers end the program when there is no memory");
#else
	struct rlimit limit, little;
	MPI_Datatype gaps;
	size_t n = 8 << 20;
	double *mine = calloc(2 * n, sizeof(*mine));

	REQUIRE(mine, "no memory");
	MPI_Type_create_resized(MPI_DOUBLE, 0, 16, &gaps);
	MPI_Type_commit(&gaps);
	getrlimit(RLIMIT_AS, &limit);
	little = limit;
	little.rlim_cur = 1 << 20;
	if (team_is_last())
		setrlimit(RLIMIT_AS, &little);
	int code = ipcshare_mpi_bcast(mine, (int)n, gaps, 0, comm);

	setrlimit(RLIMIT_AS, &limit);
	failed(code, team_is_last() ? IPCSHARE_ERR_NO_MEMORY : IPCSHARE_ERR_INVALID);
	MPI_Type_free(&gaps);
	free(mine);
#endif
}

static int handler_calls, handler_code;

static void note_code(MPI_Comm *at, int *code, ...)
{
	(void)at;
	handler_calls++;
	handler_code = *code;
}

static void the_error_handler_of_the_communicator_is_called(void)
{
	MPI_Errhandler handler;
	int code;

	handler_calls = 0;
	MPI_Comm_create_errhandler(note_code, &handler);
	MPI_Comm_set_errhandler(comm, handler);
	code = ipcshare_mpi_bcast(NULL, 1, MPI_INT, 0, comm);
	CHECK_INT(handler_calls, 1);
	CHECK_INT(handler_code, code);
	failed(code, IPCSHARE_ERR_INVALID);
	MPI_Errhandler_free(&handler);
}

/* ---- The life of groups ---- */

static void communicators_come_and_go_without_a_trace(void)
{
	struct test_resources start;
	MPI_Comm copy;

	test_resources(&start);
	for (int i = 0; i < 1000 / team_size() / team_size(); i++) {
		MPI_Comm_dup(comm, &copy);
		if (i % 4) /* else there is no group to be freed */
			works(copy);
		MPI_Comm_free(&copy);
	}
	MPI_Barrier(comm);
	CHECK_NOTHING_LEAKED(&start);
}

static void a_copy_has_a_group_of_its_own(void)
{
	MPI_Comm copy;

	MPI_Comm_dup(comm, &copy);
	works(copy);
	works(comm);
	MPI_Comm_free(&copy);
	works(comm);
}

static void no_communicator_is_an_error_of_mpis(void)
{
	MPI_Errhandler old;
	int code;

	/* Without a communicator it goes to one that always is there; which, depends on MPI. */
	MPI_Comm_get_errhandler(MPI_COMM_WORLD, &old);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
	code = ipcshare_mpi_barrier(MPI_COMM_NULL);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, old);
	MPI_Errhandler_free(&old);
	CHECK(code != MPI_SUCCESS, "it gave MPI_SUCCESS");
}

/* ---- Groups of the caller's ---- */

static void a_group_of_the_callers_does_the_work_until_it_is_given_up(void)
{
	size_t len = 1 << 20;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	char *mine;

	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, comm, &group));
	REQUIRE_OK(ipcshare_alloc(team_ctx, len, (void **)&mine));
	REQUIRE_OK(ipcshare_share(group, &(struct ipcshare_buf){ mine, len }, 1, 0, &set));
	CHECK_STATUS(ipcshare_mpi_group_attach(group, comm), 0);
	works(comm);
	if (!strcmp(ipcshare_backend(team_ctx), "host")) {
		memset(mine, team_rank() == 0 ? 77 : 0, len);
		CHECK_INT(ipcshare_mpi_bcast(mine, (int)len, MPI_CHAR, 0, comm), MPI_SUCCESS);
		CHECK_BYTES(mine, 77, len);
	}
	CHECK_STATUS(ipcshare_mpi_group_attach(NULL, comm), 0);
	works(comm);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, mine), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	team_close();
}

static void a_group_that_its_caller_has_freed_is_an_error(void)
{
	struct ipcshare_group *group;

	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, comm, &group));
	CHECK_STATUS(ipcshare_mpi_group_attach(group, comm), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK(ipcshare_mpi_barrier(comm) != MPI_SUCCESS, "the barrier worked");
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_mpi_group_attach(group, comm), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_mpi_group_attach(NULL, comm), 0);
	works(comm);
	team_close();
}

static void a_group_that_does_not_fit_is_refused_on_all(void)
{
	struct ipcshare_group *group, *alone;

	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, comm, &group));
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, MPI_COMM_SELF, &alone));
	CHECK_FAILS(ipcshare_mpi_group_attach(group, MPI_COMM_NULL), IPCSHARE_ERR_INVALID);
	if (team_size() > 1) {
		CHECK_FAILS(ipcshare_mpi_group_attach(alone, comm), IPCSHARE_ERR_INVALID);
		CHECK_FAILS(ipcshare_mpi_group_attach(team_is_last() ? alone : group, comm),
			    IPCSHARE_ERR_INVALID);
		CHECK_FAILS(ipcshare_mpi_group_attach(team_is_last() ? NULL : group, comm),
			    IPCSHARE_ERR_MISMATCH);
	}
	works(comm); /* as before */
	CHECK_STATUS(ipcshare_group_free(alone), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	team_close();
}

TEST_SUITE(coll, comm_begin, comm_end,
	TEST(what_one_gives_as_a_column_others_take_as_a_row),
	TEST(unsigned_numbers_are_no_negative_ones),
	TEST(arguments_that_only_the_root_needs_may_be_anything_elsewhere),
	TEST(displacements_may_be_negative),
	TEST(an_op_of_the_programs_own_is_left_to_mpi),
	TEST(a_type_that_the_library_does_not_reduce_is_left_to_mpi),
	TEST(a_type_that_mpi_does_not_reduce_is_an_error_of_mpis),
	TEST(an_intercommunicator_is_left_to_mpi),
	TEST(a_rank_that_can_have_no_group_leaves_its_communicator_to_mpi_on_all),
	TEST(counters_want_their_size_and_reasons_have_texts),
	TEST(a_wrong_argument_on_one_rank_is_an_error_on_all),
	TEST(a_rank_that_gives_itself_more_than_it_wants_fails_all),
	TEST(memory_that_lacks_for_packing_on_one_rank_fails_all),
	TEST(the_error_handler_of_the_communicator_is_called),
	TEST(communicators_come_and_go_without_a_trace),
	TEST(a_copy_has_a_group_of_its_own),
	TEST(no_communicator_is_an_error_of_mpis),
	TEST(a_group_of_the_callers_does_the_work_until_it_is_given_up),
	TEST(a_group_that_its_caller_has_freed_is_an_error),
	TEST(a_group_that_does_not_fit_is_refused_on_all));
