/* SPDX-License-Identifier: BSD-3-Clause */
/* Pulls, pushes and plans over MPI_COMM_WORLD; on the emulator of the Ascend runtime also their calls. */
#include <dlfcn.h>
#include <stdlib.h>

#include "mpi/team.h"
#include "support/test.h"

#define CELLS 10000
#define CELL ((size_t)96)

static struct ipcshare_group *group;
static struct ipcshare_set *set;
static unsigned char *cells, *local; /* CELLS of each; both of the backend */
static unsigned char here[CELLS * CELL]; /* where the CPU can touch it */
static struct ipcshare_item *items;

/* Every rank shares cells that lie side by side. */
static void open_cells(void)
{
	struct ipcshare_buf *bufs = calloc(CELLS, sizeof(*bufs));

	team_open();
	REQUIRE_OK(ipcshare_mpi_group_create(team_ctx, MPI_COMM_WORLD, &group));
	REQUIRE_OK(ipcshare_alloc(team_ctx, CELLS * CELL, (void **)&cells));
	REQUIRE_OK(ipcshare_alloc(team_ctx, CELLS * CELL, (void **)&local));
	items = calloc(CELLS, sizeof(*items));
	for (size_t i = 0; i < CELLS; i++)
		bufs[i] = (struct ipcshare_buf){ cells + i * CELL, CELL };
	team_fill(cells, CELLS, CELL, team_rank(), 0);
	REQUIRE_OK(ipcshare_share(group, bufs, CELLS, 0, &set));
	CHECK_INT(ipcshare_set_failures(set), 0);
	free(bufs);
}

static void clear_local(void)
{
	memset(here, 0, sizeof(here));
	REQUIRE_OK(ipcshare_copy(team_ctx, local, here, sizeof(here)));
}

static void close_cells(void)
{
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, cells), 0);
	CHECK_STATUS(ipcshare_free(team_ctx, local), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	free(items);
	team_close();
}

/* ---- The runtime, if it is the emulator: else NULL, and nothing is counted ---- */

static void *runtime(const char *name)
{
	const char *path = getenv("IPCSHARE_ACL_LIB");
	void *library = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
	void *symbol = library ? dlsym(library, name) : NULL;

	if (library)
		dlclose(library);
	return symbol;
}

static long count_of(const char *call)
{
	int (*counter)(const char *name, uint64_t *value);
	void *symbol = runtime("ascendclEmuCounter");
	uint64_t n = 0;

	memcpy(&counter, &symbol, sizeof(counter));
	if (symbol)
		REQUIRE_INT(counter(call, &n), 0);
	return (long)n;
}

/* All that a copy may call. */
static long count_calls(void)
{
	static const char *const calls[] = {
		"aclrtMemcpyAsync", "aclrtMemcpy2dAsync", "aclrtMemcpy", "aclmdlRIExecuteAsync",
		"aclrtSynchronizeStream", "aclrtPointerGetAttributes", "aclrtCreateStream",
		"aclrtGetCurrentContext", "aclrtSetCurrentContext", "aclrtMallocAlign32",
	};
	long sum = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		sum += count_of(calls[i]);
	return sum;
}

/* ---- Tests ---- */

/* From all ranks in turn, in an order that has no neighbours. */
static void every_rank_pulls_from_every_rank(void)
{
	for (size_t i = 0; i < CELLS; i++)
		items[i] = (struct ipcshare_item){ (int)(i % (size_t)team_size()), i * 37 % CELLS,
						   0, CELL, local + i * CELL };
	clear_local();
	CHECK_STATUS(ipcshare_pull(set, items, CELLS), 0);
	for (size_t i = 0; i < CELLS; i++)
		if (!team_check(items[i].local, CELL, items[i].rank, items[i].index))
			break;
}

/* Each rank has its own cells in the memory of all others. */
static void every_rank_pushes_to_every_rank(void)
{
	const size_t me = (size_t)team_rank(), all = (size_t)team_size();
	size_t n = 0;

	MPI_Barrier(MPI_COMM_WORLD);
	team_fill(local, CELLS, CELL, 100 + team_rank(), 0);
	for (size_t i = 0; i < CELLS; i++)
		if (i % all == me)
			items[n++] = (struct ipcshare_item){ (int)(i / all % all), i, 8, CELL - 16,
							     local + i * CELL + 8 };
	CHECK_STATUS(ipcshare_push(set, items, n), 0);
	MPI_Barrier(MPI_COMM_WORLD);
	REQUIRE_OK(ipcshare_copy(team_ctx, here, cells, sizeof(here)));
	for (size_t i = 0; i < CELLS; i++) {
		const int writer = i / all % all == me ? 100 + (int)(i % all) : team_rank();

		for (size_t k = 0; k < CELL; k++)
			if (!CHECK(here[i * CELL + k] ==
					   team_byte(k >= 8 && k < CELL - 8 ? writer : team_rank(),
						     i, k),
				   "byte %zu of cell %zu", k, i))
				return;
	}
}

static void next_ranks_cells(void)
{
	for (size_t i = 0; i < CELLS; i++)
		items[i] = (struct ipcshare_item){ (team_rank() + 1) % team_size(), i, 0, CELL,
						   local + i * CELL };
	clear_local();
}

static void check_next(void)
{
	for (size_t i = 0; i < CELLS; i++)
		if (!team_check(items[i].local, CELL, items[i].rank, i))
			break;
}

static void cells_side_by_side_take_few_calls(void)
{
	long before;

	next_ranks_cells();
	before = count_calls();
	CHECK_STATUS(ipcshare_pull(set, items, CELLS), 0);
	CHECK(count_calls() - before <= 10, "%ld calls", count_calls() - before);
	check_next();
}

/* One call replays it, one waits; two that name the context belong to each call of ours. */
static void a_plan_takes_one_call_and_a_wait(void)
{
	struct ipcshare_plan *plan;

	next_ranks_cells();
	for (size_t i = 0; i < CELLS; i++) /* nothing merges, nothing is evenly spaced */
		items[i].local = local + i * 7 % CELLS * CELL + i % 2;
	for (size_t i = 0; i < CELLS; i++)
		items[i].len = CELL - 1;
	REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PULL, items, CELLS, &plan));
	for (int run = 0; run < 2; run++) {
		long calls, replays, waits, context;

		clear_local();
		calls = count_calls();
		replays = count_of("aclmdlRIExecuteAsync");
		waits = count_of("aclrtSynchronizeStream");
		context = count_of("aclrtGetCurrentContext") + count_of("aclrtSetCurrentContext");
		CHECK_STATUS(ipcshare_plan_run(plan), 0);
		calls = count_calls() - calls;
		context = count_of("aclrtGetCurrentContext") + count_of("aclrtSetCurrentContext") -
			  context;
		if (runtime("ascendclEmuCounter")) {
			CHECK_INT(count_of("aclmdlRIExecuteAsync") - replays, 1);
			CHECK_INT(count_of("aclrtSynchronizeStream") - waits, 1);
			CHECK_INT(calls - context, 2);
		}
		for (size_t i = 0; i < CELLS; i++)
			if (!team_check(items[i].local, CELL - 1, items[i].rank, i))
				break;
	}
	CHECK_STATUS(ipcshare_plan_free(plan), 0);
}

typedef int device_fn(int32_t device);
typedef int create_fn(void **stream);
typedef int stream_fn(void *stream);

static void *runtime_needed(const char *name, void *slot)
{
	void *symbol = runtime(name);

	REQUIRE(symbol, "no %s", name);
	memcpy(slot, &symbol, sizeof(symbol));
	return symbol;
}

/* A pull, a push of what came, and a plan that brings it back: queued in one go. */
static void a_stream_of_the_program_keeps_their_order(void)
{
	struct ipcshare_peer self = { .size = sizeof(self) };
	device_fn *set_device;
	create_fn *create;
	stream_fn *wait, *destroy;
	struct ipcshare_plan *plan;
	struct ipcshare_item back;
	void *stream;
	long waits;

	if (!runtime("ascendclEmuCounter"))
		return;
	runtime_needed("aclrtSetDevice", &set_device);
	runtime_needed("aclrtCreateStream", &create);
	runtime_needed("aclrtSynchronizeStream", &wait);
	runtime_needed("aclrtDestroyStream", &destroy);
	CHECK_STATUS(ipcshare_group_peer(group, team_rank(), &self), 0);
	REQUIRE_INT(set_device(self.device), 0);
	REQUIRE_INT(create(&stream), 0);
	next_ranks_cells();
	MPI_Barrier(MPI_COMM_WORLD);
	/* Cell 1 comes, goes into cell 0 of the same rank, and comes back as cell 0. */
	back = (struct ipcshare_item){ items[0].rank, 0, 0, CELL, local + CELL };
	REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PULL, items, 1, &plan));
	waits = count_of("aclrtSynchronizeStream");
	CHECK_STATUS(ipcshare_pull_on(set, items, CELLS, stream), 0);
	CHECK_STATUS(ipcshare_push_on(set, &back, 1, stream), 0);
	CHECK_STATUS(ipcshare_plan_run_on(plan, stream), 0);
	CHECK_INT(count_of("aclrtSynchronizeStream") - waits, 0);
	REQUIRE_INT(wait(stream), 0);
	team_check(local, CELL, items[0].rank, 1);
	team_check(local + CELL, CELL, items[0].rank, 1);
	team_check(local + 2 * CELL, CELL, items[0].rank, 2);
	MPI_Barrier(MPI_COMM_WORLD);
	team_check(cells, CELL, team_rank(), 1);
	CHECK_STATUS(ipcshare_plan_free(plan), 0);
	REQUIRE_INT(destroy(stream), 0);
}

/* A device reads past no end either: the local side is the program's to get right, and named. */
static void a_failed_copy_names_its_item(void)
{
	next_ranks_cells();
	items[CELLS - 1].local = local + CELLS * CELL - 1;
	if (runtime("ascendclEmuCounter")) {
		CHECK_FAILS(ipcshare_pull(set, items, CELLS), IPCSHARE_ERR_RANGE);
		CHECK_INT(ipcshare_last_error()->index, CELLS - 1);
		CHECK_INT(ipcshare_last_error()->rank, items[0].rank);
		REQUIRE_OK(ipcshare_copy(team_ctx, here, local, sizeof(here)));
		CHECK_BYTES(here, 0, sizeof(here));
	}
}

TEST_SUITE(pull_world, open_cells, close_cells,
	TEST(every_rank_pulls_from_every_rank),
	TEST(every_rank_pushes_to_every_rank),
	TEST(cells_side_by_side_take_few_calls),
	TEST(a_plan_takes_one_call_and_a_wait),
	TEST(a_stream_of_the_program_keeps_their_order),
	TEST(a_failed_copy_names_its_item));
