/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Communicators of more than one node: what IPCSHARE_FAKE_NODES makes of this one, which may also be one.
 * That results are MPI's is shown by coll_random.
 */
#include <ipcshare_coll.h>
#include <stdlib.h>

#include "../../mpi/comm.h"
#include "../../mpi/fake.h"
#include "base/error.h"
#include "group/group.h"
#include "memory/context.h"
#include "mpi/fault.h"
#include "mpi/spanned.h"
#include "mpi/team.h"
#include "support/test.h"

#define DEADLINE_MS 4000u /* whose eighth is enough for a rank to be heard on a busy machine */
#define LONG_DEADLINE_MS 8000u /* a leader gives up a second before its node does */

/* ---- Which ranks are where ---- */

static void fake_nodes_are_read_as_they_are_written(void)
{
	static const struct {
		const char *text;
		int rank, node;
	} good[] = {
		{ "", 0, 0 }, { "", 99, 0 }, { "2x2", 0, 0 }, { "2x2", 1, 0 }, { "2x2", 2, 1 },
		{ "2x2", 3, 1 }, { "2x2", 4, 2 }, { "2x2", 9, 2 }, { "3+1", 2, 0 }, { "3+1", 3, 1 },
		{ "1+2x3+1", 0, 0 }, { "1+2x3+1", 3, 1 }, { "1+2x3+1", 4, 2 }, { "1+2x3+1", 7, 3 },
		{ "1000000x1000000", 1 << 30, 1073 },
	};
	static const char *const bad[] = { "0", "x2", "2x", "2x0", "+1", "3+", "3++1", "2x2x2", " 2", "2 ",
					   "-1", "2,2", "1000001", "99999999999999999999" };
	int node;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CHECK_STATUS(ipcshare__mpi_fake_node(good[i].text, good[i].rank, &node), 0);
		CHECK(node == good[i].node, "rank %d of \"%s\" is on node %d", good[i].rank, good[i].text,
		      node);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		node = -7;
		CHECK_FAILS(ipcshare__mpi_fake_node(bad[i], 0, &node), IPCSHARE_ERR_CONFIG);
		CHECK_HAS(ipcshare_last_error()->text, bad[i]);
		CHECK_INT(node, -7);
	}
}

static void a_group_has_the_ranks_of_one_node(void)
{
	const char *text = getenv("IPCSHARE_FAKE_NODES");
	struct ipcshare_group *group;
	int mine, other, members = 0;

	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, spanned_comm, &group));
	REQUIRE_OK(ipcshare__mpi_fake_node(text ? text : "", team_rank(), &mine));
	for (int r = 0; r < team_size(); r++) {
		REQUIRE_OK(ipcshare__mpi_fake_node(text ? text : "", r, &other));
		if (other == mine)
			CHECK_INT(ipcshare_mpi_group_rank(group, r), members++);
		else
			CHECK_FAILS(ipcshare_mpi_group_rank(group, r), IPCSHARE_ERR_OTHER_NODE);
		CHECK_INT(spanned_node_of(r), other);
	}
	CHECK_INT(ipcshare_group_size(group), members);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	team_close();
}

/* Until the nodes are told apart all ranks of the machine are one. */
static void one_rank_with_nodes_that_are_none_fails_all(void)
{
	struct ipcshare_group *const before = (void *)16, *group = before;

	team_open();
	if (team_is_last())
		strcpy(team_ctx->config.fake_nodes, "2x");
	CHECK_FAILS(ipcshare_mpi_group_create(team_ctx, spanned_comm, &group), IPCSHARE_ERR_CONFIG);
	CHECK_PTR(group, before);
	team_close();
}

/* ---- Bits ---- */

/* Numbers whose sum depends on the order in which they are added. */
static double uneven(size_t i)
{
	return 1.0 / (double)(i * 13 + (size_t)team_rank() * 7 + 1) * (i % 3 ? 1 : 1e10);
}

static void a_sum_has_the_same_bits_on_all_ranks_and_each_time(void)
{
	static const int lens[] = { 1, 11, 12, 4000, 100000 };
	double *mine = malloc(100000 * sizeof(double)), *sum = malloc(100000 * sizeof(double)),
	       *first = malloc(100000 * sizeof(double));

	REQUIRE(mine && sum && first, "no memory");
	for (size_t i = 0; i < 100000; i++)
		mine[i] = uneven(i);
	for (size_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++)
		for (int time = 0; time < 3; time++) {
			size_t bytes = (size_t)lens[k] * sizeof(double);

			CHECK_INT(ipcshare_mpi_allreduce(mine, sum, lens[k], MPI_DOUBLE, MPI_SUM, spanned_comm),
				  MPI_SUCCESS);
			if (!time) {
				memcpy(first, sum, bytes);
				MPI_Bcast(first, lens[k], MPI_DOUBLE, 0, spanned_comm);
			}
			CHECK_MEM(sum, first, bytes);
		}
	free(mine);
	free(sum);
	free(first);
}

/* Both are the least, or one is no number: which one is taken depends on who asks. */
static void few_numbers_have_the_same_bits_even_if_their_order_has_none(void)
{
	double mine[2] = { team_rank() % 2 ? 0.0 : -0.0, team_is_last() ? 0.0 / 0.0 : team_rank() }, least[2],
	       first[2];

	CHECK_INT(ipcshare_mpi_allreduce(mine, least, 2, MPI_DOUBLE, MPI_MIN, spanned_comm), MPI_SUCCESS);
	memcpy(first, least, sizeof(first));
	MPI_Bcast(first, 2, MPI_DOUBLE, 0, spanned_comm);
	CHECK_MEM(least, first, sizeof(first));
}

/* MPI merges in any order, and in another one on each node. */
static struct ipcshare__mpi_word merged(const struct ipcshare__mpi_word *in, const struct ipcshare__mpi_word *acc)
{
	struct ipcshare__mpi_word x = *in, result = *acc;
	int one = 1;

	ipcshare__mpi_word_merge(&x, &result, &one, NULL);
	return result;
}

static void words_are_merged_to_the_same_bits_in_either_order(void)
{
	struct ipcshare__mpi_word low = { .node = 0, .rank = 0, .type = IPCSHARE_FP64, .op = IPCSHARE_OP_MIN,
					  .count = 3, .has = 24 },
				  high = low, other, one, two;
	double a[3] = { 0.0, 0.0 / 0.0, 1 }, b[3] = { -0.0, 5, 2 }, got;

	high.node = 1;
	high.rank = 2;
	memcpy(low.data, a, sizeof(a));
	memcpy(high.data, b, sizeof(b));
	one = merged(&low, &high);
	two = merged(&high, &low);
	CHECK_MEM(&one, &two, sizeof(one));
	memcpy(&got, one.data + 16, sizeof(got));
	CHECK(got == 1, "the least of 1 and 2 is %f", got);
	other = high;
	other.count = 2;
	one = merged(&low, &other);
	two = merged(&other, &low);
	CHECK_INT(one.status, IPCSHARE_ERR_MISMATCH);
	CHECK_INT(one.rank, 2);
	CHECK_INT(two.status, IPCSHARE_ERR_MISMATCH);
	CHECK_INT(two.rank, 2);
	other.status = IPCSHARE_ERR_NO_MEMORY;
	one = merged(&low, &other);
	two = merged(&other, &low);
	CHECK_INT(one.status, IPCSHARE_ERR_NO_MEMORY);
	CHECK_INT(one.rank, 2);
	CHECK_INT(two.status, IPCSHARE_ERR_NO_MEMORY);
	CHECK_INT(two.rank, 2);
}

/* ---- MPI gets on ---- */

/*
 * The leader of a node has given much to MPI, for a rank of another node; which another rank of the leader's node
 * waits for, and the leader on its node for that one.
 */
static void who_waits_on_its_node_lets_mpi_work(void)
{
	unsigned was = spanned_kept->group->ctx->timeout_ms;
	const struct ipcshare__mpi_nodes *n = spanned_kept->nodes;
	size_t len = 4 << 20;
	char *much = calloc(1, len);
	MPI_Request request;
	int there = 0, here = 0, word = 0, me = team_rank();

	REQUIRE(much, "no memory");
	while (n && there < n->count && n->first[there + 1] - n->first[there] < 2)
		there++;
	if (!n || there == n->count) { /* no node has two ranks, or there are no others */
		free(much);
		return;
	}
	here = n->members[n->first[there ? 0 : 1]];
	spanned_kept->group->ctx->timeout_ms = DEADLINE_MS;
	if (me == n->members[n->first[there]]) {
		MPI_Isend(much, (int)len, MPI_CHAR, here, 7, spanned_comm, &request);
		CHECK_STATUS(ipcshare_barrier(spanned_kept->group), 0);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
	} else if (me == here) {
		MPI_Recv(much, (int)len, MPI_CHAR, n->members[n->first[there]], 7, spanned_comm, MPI_STATUS_IGNORE);
		MPI_Send(&word, 1, MPI_INT, n->members[n->first[there] + 1], 8, spanned_comm);
	} else if (me == n->members[n->first[there] + 1]) {
		MPI_Recv(&word, 1, MPI_INT, here, 8, spanned_comm, MPI_STATUS_IGNORE);
		CHECK_STATUS(ipcshare_barrier(spanned_kept->group), 0);
	} else if (n->mine == there) {
		CHECK_STATUS(ipcshare_barrier(spanned_kept->group), 0);
	}
	spanned_kept->group->ctx->timeout_ms = was;
	MPI_Barrier(MPI_COMM_WORLD);
	free(much);
}

/* ---- What is left to MPI ---- */

static void of_ranks_that_are_set_to_different_bytes_the_most_count(void)
{
	uint32_t *across = &spanned_kept->group->ctx->config.across, was = *across;
	struct ipcshare__mpi_comm *made;
	MPI_Comm copy;

	if (!spanned_kept->nodes)
		return;
	*across = team_is_last() ? 1234 : 7;
	MPI_Comm_dup(spanned_comm, &copy);
	made = ipcshare__mpi_comm_find(copy);
	CHECK(made && made->nodes->least == 1234, "the least is not what the last rank has");
	MPI_Comm_free(&copy);
	*across = team_is_last() ? UINT32_MAX : 7; /* never */
	MPI_Comm_dup(spanned_comm, &copy);
	CHECK(!ipcshare__mpi_comm_find(copy), "it has a group all the same");
	MPI_Comm_free(&copy);
	*across = was;
}

/* ---- Errors ---- */

static void a_wrong_argument_on_one_rank_is_an_error_on_all_of_all_nodes(void)
{
	int n = team_is_last() ? -1 : 1000, many = team_is_last() ? -1 : 100000, *one = calloc(100000, 4),
	    *all = calloc(100000 * (size_t)team_size(), 4), size = team_size();
	MPI_Datatype type = team_is_last() ? MPI_DATATYPE_NULL : MPI_INT;
	MPI_Op op = team_is_last() ? MPI_OP_NULL : MPI_SUM;
	void *in_place = team_is_last() ? MPI_IN_PLACE : all, *none = team_is_last() ? NULL : all;
	int counts[64], displs[64] = { 0 };

	REQUIRE(one && all, "no memory");
	for (int r = 0; r < size; r++)
		counts[r] = team_is_last() ? -1 : 1;
	spanned_failed(ipcshare_mpi_bcast(one, n, MPI_INT, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(one, many, MPI_INT, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(one, 1, type, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(in_place, 1, MPI_INT, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(none, 1, MPI_INT, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(one, 1, MPI_INT, size, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_bcast(one, 1, MPI_INT, team_is_last() ? -1 : 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allgather(one, 1, MPI_INT, all, team_is_last() ? -1 : 1, MPI_INT, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allgather(one, 1, type, all, 1, MPI_INT, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allgather(one, 1, MPI_INT, in_place, 1, MPI_INT, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allgather(one, 1, MPI_INT, none, 1, MPI_INT, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allgatherv(one, 1, MPI_INT, all, counts, displs, MPI_INT, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter(all, one, counts, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(all, one, n, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(all, one, 1, type, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(all, one, 1, MPI_INT, op, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(none, one, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(all, none, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce_scatter_block(all, in_place, 1, MPI_INT, MPI_SUM, spanned_comm),
		       IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_scan(one, all, n, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_scan(one, none, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_scan(none, all, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_exscan(one, all, many, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_exscan(one, all, 1, MPI_INT, op, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_exscan(none, all, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	if (size > 1) /* else nothing comes there */
		spanned_failed(ipcshare_mpi_exscan(one, in_place, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce(one, all, n, MPI_INT, MPI_SUM, 0, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce(one, all, 1, MPI_INT, MPI_SUM, size, spanned_comm), IPCSHARE_ERR_INVALID);
	if (size > 1) /* else it is the root, where that is right */
		spanned_failed(ipcshare_mpi_reduce(team_is_last() ? MPI_IN_PLACE : one, all, 1, MPI_INT, MPI_SUM, 0, spanned_comm),
		       IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_reduce(one, none, 1, MPI_INT, MPI_SUM, size - 1, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, all, n, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, all, many, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, all, 1, type, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, all, 1, MPI_INT, op, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, in_place, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(one, none, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(none, all, 1, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	free(one);
	free(all);
}

/* On the first ranks of nodes, who alone would be heard. */
static void a_wrong_argument_of_a_leader_is_heard_too(void)
{
	int one = 1, sum, n = team_rank() == 0 ? -1 : 40000, *many = calloc(40000, 4);

	REQUIRE(many, "no memory");
	spanned_failed(ipcshare_mpi_bcast(many, n, MPI_INT, team_size() - 1, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(MPI_IN_PLACE, many, n, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_INVALID);
	spanned_failed(ipcshare_mpi_allreduce(&one, &sum, team_rank() == 0 ? -1 : 1, MPI_INT, MPI_SUM, spanned_comm),
	       IPCSHARE_ERR_INVALID);
	free(many);
}

/* The ranks of a node make one call, the others another: all hear that. */
static void nodes_that_make_different_calls_are_told(void)
{
	int one[2] = { 1, 1 }, sum[2], first = spanned_node_of(team_rank()) == 0;

	if (spanned_nodes() == 1)
		return;
	spanned_failed(ipcshare_mpi_allreduce(one, sum, 1 + first, MPI_INT, MPI_SUM, spanned_comm), IPCSHARE_ERR_MISMATCH);
	spanned_failed(ipcshare_mpi_allreduce(one, sum, 1, MPI_INT, first ? MPI_SUM : MPI_MAX, spanned_comm),
	       IPCSHARE_ERR_MISMATCH);
	spanned_failed(first ? ipcshare_mpi_barrier(spanned_comm) : ipcshare_mpi_bcast(one, 1, MPI_INT, 0, spanned_comm),
	       IPCSHARE_ERR_MISMATCH);
}

/* As after the death of a rank; it is not the leader who leaves, if there are others. */
static void a_node_whose_group_is_broken_says_so_to_all(void)
{
	const struct ipcshare__mpi_comm *broken;
	int code;
	MPI_Comm on;

	MPI_Comm_dup(MPI_COMM_WORLD, &on);
	MPI_Comm_set_errhandler(on, MPI_ERRORS_RETURN);
	ipcshare_mpi_barrier(on);
	broken = ipcshare__mpi_comm_find(on);
	REQUIRE(broken, "the communicator has no group");
	MPI_Barrier(MPI_COMM_WORLD);
	if (team_is_last()) {
		ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "test", "", "on purpose");
		ipcshare__exchange_quit(broken->group, IPCSHARE_ERR_NO_MEMORY);
	}
	for (int i = 0; i < 3; i++) {
		code = ipcshare_mpi_barrier(on);
		CHECK(code != MPI_SUCCESS, "it gave MPI_SUCCESS");
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_NO_MEMORY);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Comm_free(&on);
	spanned_works();
}

/* ---- MPI fails between the nodes ---- */

#define PART (SPANNED_LONG / 64) /* elements of a block, however many ranks there are */

static int make(enum fault_call call, long *mine, long *all, MPI_Comm on)
{
	const int n = SPANNED_LONG;

	switch (call) {
	case FAULT_MPI_Iallreduce: return ipcshare_mpi_allreduce(mine, all, n, MPI_LONG, MPI_SUM, on);
	case FAULT_MPI_Ibcast: return ipcshare_mpi_bcast(all, n, MPI_LONG, 0, on);
	case FAULT_MPI_Ireduce: return ipcshare_mpi_reduce(mine, all, n, MPI_LONG, MPI_SUM, 0, on);
	case FAULT_MPI_Iexscan: return ipcshare_mpi_scan(mine, all, n, MPI_LONG, MPI_SUM, on);
	case FAULT_MPI_Ialltoallv:
		return ipcshare_mpi_reduce_scatter_block(mine, all, PART, MPI_LONG, MPI_SUM, on);
	default: return ipcshare_mpi_allgather(mine, PART, MPI_LONG, all, PART, MPI_LONG, on);
	}
}

/* The word of a leader: the others can't hear then that it does not go on. */
static int is_word(enum fault_call call, int use, int victim)
{
	return call == FAULT_MPI_Iallreduce && use == 1 && spanned_kept->nodes && spanned_kept->nodes->local_of[victim] == 0;
}

/*
 * Use number @use fails on rank @victim: 0 there is none. All ranks of its node have the same error, and
 * others none, unless they wait for it.
 */
static int make_with(enum fault_call call, int use, int victim, long *mine, long *all)
{
	int failed = 0, code, beside = spanned_node_of(team_rank()) == spanned_node_of(victim), late;
	unsigned was = spanned_kept->group->ctx->timeout_ms;
	MPI_Comm on;

	MPI_Comm_dup(MPI_COMM_WORLD, &on);
	PMPI_Comm_set_errhandler(on, MPI_ERRORS_RETURN);
	ipcshare_mpi_barrier(on);
	if (team_rank() == victim)
		fault_arm(call, use);
	if (is_word(call, use, victim)) /* else nobody waits in vain */
		spanned_kept->group->ctx->timeout_ms = DEADLINE_MS;
	code = make(call, mine, all, on);
	spanned_kept->group->ctx->timeout_ms = was;
	if (team_rank() == victim)
		failed = fault_disarm();
	MPI_Bcast(&failed, 1, MPI_INT, victim, MPI_COMM_WORLD);
	late = failed && !beside && is_word(call, use, victim);
	CHECK((code != MPI_SUCCESS) == (failed && (beside || late)), "%s, use %d: %d", fault_name(call),
	      use, code);
	if (late)
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_TIMEOUT);
	if (failed && beside && code != MPI_SUCCESS) {
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_BOOTSTRAP);
		CHECK_HAS(ipcshare_last_error()->text, fault_name(call));
		CHECK(ipcshare_mpi_barrier(on) != MPI_SUCCESS, "nodes are still together");
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_CLOSED);
	}
	MPI_Comm_free(&on);
	return failed;
}

static void a_failure_of_mpi_between_nodes_is_an_error_on_all_ranks_of_the_node(void)
{
	static const enum fault_call calls[] = { FAULT_MPI_Iallreduce, FAULT_MPI_Ibcast, FAULT_MPI_Ireduce,
						 FAULT_MPI_Iallgatherv, FAULT_MPI_Ialltoallv,
						 FAULT_MPI_Iexscan };
	const int ncalls = (int)(sizeof(calls) / sizeof(calls[0]));
	long *mine = calloc(SPANNED_LONG, sizeof(long)), *all = calloc(SPANNED_LONG, sizeof(long));
	int uses = 0;

	REQUIRE(mine && all, "no memory");
	for (int i = 0; i < ncalls; i++)
		for (int victim = 0; victim < 2; victim++)
			for (int use = 1; use < 4; use++, uses++) {
				if (!make_with(calls[i], use, victim ? team_size() - 1 : 0, mine, all))
					break;
				test_goes_on();
			}
	CHECK(uses >= 2 * ncalls || spanned_nodes() == 1, "MPI has failed %d times", uses);
	spanned_works();
	free(mine);
	free(all);
}

/* ---- A node that does not come ---- */

static void a_node_that_does_not_come_is_a_timeout_on_all_ranks_of_the_others(void)
{
	unsigned was = spanned_kept->group->ctx->timeout_ms;
	struct test_resources before;
	int code;
	MPI_Comm on;

	if (spanned_nodes() == 1)
		return;
	test_resources(&before);
	MPI_Comm_dup(MPI_COMM_WORLD, &on);
	MPI_Comm_set_errhandler(on, MPI_ERRORS_RETURN);
	ipcshare_mpi_barrier(on);
	spanned_kept->group->ctx->timeout_ms = LONG_DEADLINE_MS; /* the context is that of all groups */
	if (spanned_node_of(team_rank()) != spanned_nodes() - 1) {
		code = ipcshare_mpi_barrier(on);
		CHECK(code != MPI_SUCCESS, "it gave MPI_SUCCESS");
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_TIMEOUT);
		CHECK_HAS(ipcshare_last_error()->text, "7000 ms have passed, and MPI_Iallreduce");
		CHECK(ipcshare_mpi_barrier(on) != MPI_SUCCESS, "nodes are still together");
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_CLOSED);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	spanned_kept->group->ctx->timeout_ms = was;
	/* It comes now: what the others have begun ends, so that nothing of it is left. */
	if (spanned_node_of(team_rank()) == spanned_nodes() - 1)
		ipcshare_mpi_barrier(on);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Comm_free(&on);
	spanned_works();
	CHECK_NOTHING_LEAKED(&before);
}

TEST_SUITE(nodes, spanned_begin, spanned_end,
	TEST(fake_nodes_are_read_as_they_are_written),
	TEST(a_group_has_the_ranks_of_one_node),
	TEST(one_rank_with_nodes_that_are_none_fails_all),
	TEST(a_sum_has_the_same_bits_on_all_ranks_and_each_time),
	TEST(few_numbers_have_the_same_bits_even_if_their_order_has_none),
	TEST(words_are_merged_to_the_same_bits_in_either_order),
	TEST(who_waits_on_its_node_lets_mpi_work),
	TEST(of_ranks_that_are_set_to_different_bytes_the_most_count),
	TEST(a_wrong_argument_on_one_rank_is_an_error_on_all_of_all_nodes),
	TEST(a_wrong_argument_of_a_leader_is_heard_too),
	TEST(nodes_that_make_different_calls_are_told),
	TEST(a_node_whose_group_is_broken_says_so_to_all),
	TEST(a_failure_of_mpi_between_nodes_is_an_error_on_all_ranks_of_the_node),
	TEST(a_node_that_does_not_come_is_a_timeout_on_all_ranks_of_the_others));
