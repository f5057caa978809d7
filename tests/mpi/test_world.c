/* SPDX-License-Identifier: BSD-3-Clause */
/* Sharing over MPI_COMM_WORLD: content, counts of calls, verdicts, and what is left behind. */
#include <stdlib.h>

#include "mpi/team.h"
#include "support/test.h"

#define MANY 10000
#define SMALL 64

static struct ipcshare_group *group;

static void open_group(void)
{
	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, MPI_COMM_WORLD, &group));
}

static void close_group(void)
{
	CHECK_STATUS(ipcshare_group_free(group), 0);
	team_close();
}

static struct ipcshare_counters counters(void)
{
	struct ipcshare_counters c = { .size = sizeof(c) };

	REQUIRE_OK(ipcshare_counters(team_ctx, &c));
	return c;
}

static uint64_t calls_of(const struct ipcshare_counters *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < IPCSHARE_CALLS; i++)
		sum += c->calls[i];
	return sum;
}

/* @n buffers of @len bytes, side by side in one allocation. */
static struct ipcshare_buf *cut(size_t n, size_t len, void **memory)
{
	struct ipcshare_buf *bufs = calloc(n, sizeof(*bufs));

	REQUIRE_OK(ipcshare_alloc(team_ctx, n * len, memory));
	team_fill(*memory, n, len, team_rank(), 0);
	for (size_t i = 0; i < n; i++)
		bufs[i] = (struct ipcshare_buf){ (char *)*memory + i * len, len };
	return bufs;
}

static void every_byte_is_seen_and_written_by_every_rank(void)
{
	const size_t n = 50 + 10 * (size_t)team_rank();
	struct ipcshare_set *set;
	struct ipcshare_buf *bufs;
	unsigned char bytes[300] = { 0xa5 };
	void *memory;

	bufs = cut(n, 300, &memory);
	REQUIRE_OK(ipcshare_share(group, bufs, n, 0, &set));
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (int r = 0; r < team_size(); r++) {
		REQUIRE_INT(ipcshare_count(set, r), 50 + 10 * (size_t)r);
		for (size_t i = 0; i < ipcshare_count(set, r); i++) {
			CHECK_INT(ipcshare_len(set, r, i), 300);
			team_check(ipcshare_ptr(set, r, i), 300, r, i);
		}
	}
	MPI_Barrier(MPI_COMM_WORLD); /* all have read */
	for (int r = 0; r < team_size(); r++)
		for (size_t i = 0; i < ipcshare_count(set, r); i++)
			CHECK_STATUS(ipcshare_copy(team_ctx,
						   (char *)ipcshare_ptr(set, r, i) + team_rank(),
						   bytes, 1), 0);
	MPI_Barrier(MPI_COMM_WORLD); /* all have written */
	for (size_t i = 0; i < n; i++) {
		CHECK_STATUS(ipcshare_copy(team_ctx, bytes, bufs[i].ptr, sizeof(bytes)), 0);
		CHECK_BYTES(bytes, 0xa5, (size_t)team_size());
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	free(bufs);
}

static void calls_go_by_allocation_and_not_by_buffer(void)
{
	const uint64_t peers = (uint64_t)team_size() - 1;
	struct ipcshare_counters c;
	struct ipcshare_set *set, *again;
	struct ipcshare_buf *bufs;
	void *memory;
	uint64_t before;

	bufs = cut(MANY, SMALL, &memory);
	REQUIRE_OK(ipcshare_share(group, bufs, MANY, 0, &set));
	c = counters();
	CHECK_INT(c.calls[IPCSHARE_CALL_EXPORT], peers ? 1 : 0);
	CHECK_INT(c.calls[IPCSHARE_CALL_ALLOW], peers ? 1 : 0);
	CHECK_INT(c.calls[IPCSHARE_CALL_IMPORT], peers);
	CHECK_INT(c.cache_misses, peers);
	before = calls_of(&c);

	REQUIRE_OK(ipcshare_share(group, bufs, MANY, 0, &again));
	c = counters();
	CHECK_INT(calls_of(&c), before);
	CHECK_INT(c.cache_hits, peers);
	team_check(ipcshare_ptr(again, team_size() - 1, MANY - 1), SMALL, team_size() - 1,
		   MANY - 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_set_free(again), 0);

	REQUIRE_OK(ipcshare_share(group, bufs, MANY, 0, &set)); /* the mappings were kept */
	c = counters();
	CHECK_INT(calls_of(&c), before);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	free(bufs);
}

static void a_bad_buffer_stops_nobody(void)
{
	int last = team_size() - 1;
	struct ipcshare_set *set;
	void *memory, *foreign = malloc(64);
	struct ipcshare_buf bufs[2];

	REQUIRE_OK(ipcshare_alloc(team_ctx, 64, &memory));
	team_fill(memory, 1, 64, team_rank(), 0);
	bufs[0] = (struct ipcshare_buf){ memory, 64 };
	bufs[1] = (struct ipcshare_buf){ team_rank() == last ? foreign : memory, 64 };
	REQUIRE_OK(ipcshare_share(group, bufs, 2, 0, &set));
	CHECK_INT(ipcshare_set_failures(set), team_size());
	CHECK_INT(ipcshare_set_status(set, last, 0), 0);
	CHECK_INT(ipcshare_set_status(set, last, 1), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_PTR(ipcshare_ptr(set, last, 1), NULL);
	team_check(ipcshare_ptr(set, last, 0), 64, last, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	free(foreign);
}

static void all_or_nothing_fails_alike_everywhere(void)
{
	struct ipcshare_set *const before = (void *)16, *set = before;
	unsigned flags = team_rank() ? 0 : IPCSHARE_ALL_OR_NOTHING; /* one rank's word is enough */
	int last = team_size() - 1;
	char foreign[64];
	void *memory;

	REQUIRE_OK(ipcshare_alloc(team_ctx, 64, &memory));
	CHECK_FAILS(ipcshare_share(group,
				   &(struct ipcshare_buf){ team_rank() == last ? foreign : memory,
							   64 },
				   1, flags, &set),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(ipcshare_last_error()->rank, last);
	CHECK_INT(ipcshare_last_error()->index, 0);
	CHECK_PTR(set, before);
	CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	CHECK_INT(counters().sets, 0);
}

static void a_rank_with_bad_arguments_fails_all(void)
{
	struct ipcshare_set *const before = (void *)16, *set = before;

	CHECK_FAILS(ipcshare_share(group, NULL, team_rank() ? 0 : 3, 0, &set),
		    IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 0);
	CHECK_FAILS(ipcshare_share(group, NULL, 0, team_rank() ? 0 : 0x80, &set),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share(group, NULL, 0, 0, team_rank() ? &set : NULL),
		    IPCSHARE_ERR_INVALID);
	CHECK_PTR(set, before);
	REQUIRE_OK(ipcshare_share(group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
}

/* The first rank shares nothing with the others, and they don't wait for it for ever. */
static void a_rank_that_never_calls_is_named_at_the_deadline(void)
{
	struct ipcshare_options options = team_options();
	struct ipcshare_group *hasty;
	struct ipcshare_set *set = NULL;
	struct ipcshare_ctx *ctx;

	options.timeout_ms = 1000;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &hasty));
	if (team_rank()) {
		CHECK_FAILS(ipcshare_share(hasty, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
		CHECK_INT(ipcshare_last_error()->rank, 0);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (!team_rank() && team_size() > 1) /* it hears of it at once */
		CHECK_FAILS(ipcshare_share(hasty, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
	CHECK_PTR(set, NULL);
	CHECK_STATUS(ipcshare_group_free(hasty), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

/* Not even to make the group. When it comes after all, the others have given up. */
static void a_rank_that_never_comes_to_make_a_group_is_a_timeout(void)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	struct ipcshare_group *none = NULL;
	struct ipcshare_ctx *ctx;
	MPI_Comm comm;

	if (team_size() == 1)
		return;
	options.timeout_ms = 1000;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	if (team_rank()) {
		CHECK_FAILS(ipcshare_mpi_group_create(ctx, comm, &none), IPCSHARE_ERR_TIMEOUT);
		CHECK_INT(ipcshare_last_error()->rank, -1);
		CHECK_HAS(ipcshare_explain(), "every rank");
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (!team_rank())
		CHECK_FAILS(ipcshare_mpi_group_create(ctx, comm, &none), IPCSHARE_ERR_TIMEOUT);
	CHECK_PTR(none, NULL);
	MPI_Barrier(MPI_COMM_WORLD); /* comm stays: calls on it are still under way */
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void a_group_with_a_set_is_busy_on_every_rank(void)
{
	struct ipcshare_set *set;
	const void *blob;
	size_t len;
	struct ipcshare_share *share = NULL;

	if (!team_rank()) /* on one rank only: all have to learn of it */
		REQUIRE_OK(ipcshare_share_begin(group, NULL, 0, 0, &share, &blob, &len));
	CHECK_FAILS(ipcshare_group_free(group), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_share_cancel(share), 0);
	REQUIRE_OK(ipcshare_share(group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
}

static void a_thousand_cycles_leave_nothing(void)
{
	struct test_resources before;
	struct ipcshare_set *set;
	struct ipcshare_buf *bufs;
	void *memory;

	bufs = cut(100, 4096, &memory);
	for (int i = 0; i < 1020; i++) {
		if (i == 20) { /* the first ones warm MPI and malloc up */
			MPI_Barrier(MPI_COMM_WORLD);
			test_resources(&before);
		}
		REQUIRE_OK(ipcshare_share(group, bufs, 100, 0, &set));
		CHECK_STATUS(ipcshare_set_free(set), 0);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	CHECK_NOTHING_LEAKED(&before);
	CHECK_RESIDENT(&before, (uint64_t)4 << 20);
	CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	free(bufs);
}

static void memory_can_be_freed_after_every_cycle(void)
{
	struct test_resources before;
	struct ipcshare_set *set;
	void *memory;

	for (int i = 0; i < 110; i++) {
		if (i == 10) {
			MPI_Barrier(MPI_COMM_WORLD);
			test_resources(&before);
		}
		REQUIRE_OK(ipcshare_alloc(team_ctx, 100000, &memory));
		REQUIRE_OK(ipcshare_share(group, &(struct ipcshare_buf){ memory, 100000 }, 1, 0,
					  &set));
		CHECK_FAILS(ipcshare_free(team_ctx, memory), IPCSHARE_ERR_BUSY);
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_free(team_ctx, memory), 0);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	CHECK_NOTHING_LEAKED(&before);
	CHECK_INT(counters().bytes_mapped, 0);
}

/* The last test: what it leaves is used by main() after MPI_Finalize. */
static void what_outlives_mpi_is_left_for_the_end(void)
{
	struct ipcshare_options options = team_options();
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *late;
	struct ipcshare_set *set;

	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_mpi_group_create(ctx, MPI_COMM_WORLD, &late));
	REQUIRE_OK(ipcshare_share(late, NULL, 0, 0, &set));
	team_leave(ctx, late, set);
}

TEST_SUITE(world, open_group, close_group,
	TEST(every_byte_is_seen_and_written_by_every_rank),
	TEST(calls_go_by_allocation_and_not_by_buffer),
	TEST(a_bad_buffer_stops_nobody),
	TEST(all_or_nothing_fails_alike_everywhere),
	TEST(a_rank_with_bad_arguments_fails_all),
	TEST(a_rank_that_never_calls_is_named_at_the_deadline),
	TEST(a_rank_that_never_comes_to_make_a_group_is_a_timeout),
	TEST(a_group_with_a_set_is_busy_on_every_rank),
	TEST(a_thousand_cycles_leave_nothing),
	TEST(memory_can_be_freed_after_every_cycle),
	TEST(what_outlives_mpi_is_left_for_the_end));
