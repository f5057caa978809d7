/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long collectives of several nodes, and what goes between the nodes. That results of all kinds are MPI's is shown by
 * coll_random.
 */
#include <stdlib.h>

#include "mpi/spanned.h"
#include "mpi/team.h"
#include "support/test.h"

#define BLOCK 40001 /* elements: more chunks than slots, and the last one is short */

static long *mine, *all; /* of each rank SPANNED_LONG, and of all */

static void begin(void)
{
	size_t len = (size_t)team_size() * SPANNED_LONG * sizeof(long);

	spanned_begin();
	mine = malloc(len);
	all = malloc(len);
	REQUIRE(mine && all, "no memory");
}

static void end(void)
{
	free(mine);
	free(all);
	spanned_end();
}

/* ---- Long messages ---- */

/* Of the first @ranks. */
static long sum_of(int ranks, size_t i)
{
	long sum = 0;

	for (int r = 0; r < ranks; r++)
		sum += spanned_element(r, i);
	return sum;
}

/* @all begins with the sums of the first @ranks, from the one of element @from on. */
static void check_sum(int ranks, size_t from, size_t n)
{
	size_t i = 0;

	while (i < n && all[i] == sum_of(ranks, from + i))
		i++;
	CHECK(i == n, "element %zu is %ld", i, all[i]);
}

/* @all has @n elements of rank @rank, from @from on, in block @block. */
static void check_block(int block, size_t n, int rank, size_t from)
{
	const long *at = all + (size_t)block * n;
	size_t i = 0;

	while (i < n && at[i] == spanned_element(rank, from + i))
		i++;
	CHECK(i == n, "element %zu of block %d is %ld", i, block, at[i % n]);
}

static void fill(long *at, int rank, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = spanned_element(rank, i);
}

static void long_messages_go_in_many_chunks(void)
{
	const int n = SPANNED_LONG, size = team_size();

	fill(mine, team_rank(), n);
	CHECK_INT(ipcshare_mpi_allreduce(mine, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	check_sum(size, 0, n);
	memcpy(all, mine, n * sizeof(long));
	CHECK_INT(ipcshare_mpi_allreduce(MPI_IN_PLACE, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	check_sum(size, 0, n);
	for (int root = 0; root < size; root++) {
		memset(all, 0x55, n * sizeof(long));
		CHECK_INT(ipcshare_mpi_reduce(mine, all, n, MPI_LONG, MPI_SUM, root, spanned_comm), MPI_SUCCESS);
		if (team_rank() == root)
			check_sum(size, 0, n);
		else
			CHECK_BYTES(all, 0x55, n * sizeof(long));
		CHECK_INT(ipcshare_mpi_bcast(all, n, MPI_LONG, root, spanned_comm), MPI_SUCCESS);
		check_sum(size, 0, n);
		test_goes_on();
	}
}

static void long_scans_go_in_many_chunks(void)
{
	const int n = SPANNED_LONG, me = team_rank();

	fill(mine, me, n);
	CHECK_INT(ipcshare_mpi_scan(mine, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	check_sum(me + 1, 0, n);
	memcpy(all, mine, n * sizeof(long));
	CHECK_INT(ipcshare_mpi_scan(MPI_IN_PLACE, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	check_sum(me + 1, 0, n);
	memset(all, 0x55, n * sizeof(long));
	CHECK_INT(ipcshare_mpi_exscan(mine, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	if (me)
		check_sum(me, 0, n);
	else
		CHECK_BYTES(all, 0x55, n * sizeof(long));
	CHECK_INT(ipcshare_mpi_exscan(mine, me ? all : NULL, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	memcpy(all, mine, n * sizeof(long));
	CHECK_INT(ipcshare_mpi_exscan(MPI_IN_PLACE, all, n, MPI_LONG, MPI_SUM, spanned_comm), MPI_SUCCESS);
	if (me)
		check_sum(me, 0, n);
}

/* Communicators whose ranks are not in the order of the nodes. */
static MPI_Comm mixed_make(int *rank)
{
	int size = team_size(), me = team_rank();
	MPI_Comm mixed;

	MPI_Comm_split(MPI_COMM_WORLD, 0, me % 2 ? size - me : me, &mixed);
	MPI_Comm_rank(mixed, rank);
	return mixed;
}

static void long_blocks_are_gathered_wherever_their_ranks_are(void)
{
	const int n = SPANNED_LONG, size = team_size();
	int rank;
	MPI_Comm mixed = mixed_make(&rank);

	fill(mine, rank, n);
	CHECK_INT(ipcshare_mpi_allgather(mine, n, MPI_LONG, all, n, MPI_LONG, mixed), MPI_SUCCESS);
	for (int r = 0; r < size; r++)
		check_block(r, n, r, 0);
	MPI_Comm_free(&mixed);
}

static void long_sums_are_scattered_wherever_their_ranks_are(void)
{
	const int size = team_size();
	int rank, counts[64], total = 0, first = 0;
	MPI_Comm mixed = mixed_make(&rank);

	for (int r = 0; r < size; r++) { /* one has none, and others differ */
		counts[r] = r == 1 ? 0 : BLOCK + r;
		first += r < rank ? counts[r] : 0;
		total += counts[r];
	}
	fill(mine, rank, (size_t)total);
	CHECK_INT(ipcshare_mpi_reduce_scatter(mine, all, counts, MPI_LONG, MPI_SUM, mixed), MPI_SUCCESS);
	check_sum(size, (size_t)first, (size_t)counts[rank]);
	memcpy(all, mine, (size_t)total * sizeof(long));
	CHECK_INT(ipcshare_mpi_reduce_scatter(MPI_IN_PLACE, all, counts, MPI_LONG, MPI_SUM, mixed), MPI_SUCCESS);
	check_sum(size, (size_t)first, (size_t)counts[rank]);
	MPI_Comm_free(&mixed);
}

/* ---- Each call, with so many elements in the longest buffer ---- */

enum call { BARRIER, BCAST, REDUCE, ALLREDUCE, REDUCE_SCATTER, REDUCE_SCATTER_BLOCK, SCAN, EXSCAN, ALLGATHER,
	    ALLGATHERV, CALLS };

/* @n: as many times the number of ranks, but for the calls that have different blocks. */
static int make(enum call call, int n)
{
	int size = team_size(), me = team_rank(), part = n / size, counts[64], displs[64];
	MPI_Comm on = spanned_comm;

	for (int r = 0; r < size; r++) {
		counts[r] = part + (r == size - 1 ? n % size : 0);
		displs[r] = r * part;
	}
	switch (call) {
	case BARRIER: return ipcshare_mpi_barrier(on);
	case BCAST: return ipcshare_mpi_bcast(all, n, MPI_LONG, 0, on);
	case REDUCE: return ipcshare_mpi_reduce(mine, all, n, MPI_LONG, MPI_SUM, 0, on);
	case ALLREDUCE: return ipcshare_mpi_allreduce(mine, all, n, MPI_LONG, MPI_SUM, on);
	case REDUCE_SCATTER: return ipcshare_mpi_reduce_scatter(mine, all, counts, MPI_LONG, MPI_SUM, on);
	case REDUCE_SCATTER_BLOCK:
		return ipcshare_mpi_reduce_scatter_block(mine, all, part, MPI_LONG, MPI_SUM, on);
	case SCAN: return ipcshare_mpi_scan(mine, all, n, MPI_LONG, MPI_SUM, on);
	case EXSCAN: return ipcshare_mpi_exscan(mine, all, n, MPI_LONG, MPI_SUM, on);
	case ALLGATHER: return ipcshare_mpi_allgather(mine, part, MPI_LONG, all, part, MPI_LONG, on);
	default: return ipcshare_mpi_allgatherv(mine, counts[me], MPI_LONG, all, counts, displs, MPI_LONG, on);
	}
}

/* ---- How much goes between nodes ---- */

static uint64_t crossed_since(uint64_t before)
{
	unsigned long long mine = spanned_counters().crossed - before, all;

	MPI_Allreduce(&mine, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, MPI_COMM_WORLD);
	return all;
}

/* Of @bytes of the longest buffer: how many are between nodes, of all ranks together. */
static uint64_t to_cross(enum call call, uint64_t bytes)
{
	uint64_t nodes = (uint64_t)spanned_nodes();

	switch (call) {
	case BARRIER: return 0;
	case BCAST: case ALLGATHER: case ALLGATHERV: return bytes;
	case ALLREDUCE: return nodes * bytes;
	default: return (nodes - 1) * bytes;
	}
}

static void a_node_gives_others_each_byte_once(void)
{
	uint64_t words = (uint64_t)spanned_nodes() * 128, n = 8192 * (uint64_t)team_size(), across = 0;

	if (spanned_nodes() == 1)
		return;
	for (enum call call = BARRIER; call < CALLS; call++) {
		uint64_t before = spanned_counters().crossed, crossed;

		across -= spanned_counters().across;
		CHECK_INT(make(call, (int)n), MPI_SUCCESS);
		across += spanned_counters().across;
		crossed = crossed_since(before) - words;
		CHECK(crossed == to_cross(call, n * sizeof(long)), "call %d: %ju bytes", (int)call,
		      (uintmax_t)crossed);
	}
	CHECK_INT(across, CALLS);
}

/* ---- What is left to MPI ---- */

static uint64_t left(enum ipcshare_mpi_reason why)
{
	return spanned_counters().fallbacks[why];
}

static void a_call_of_few_bytes_is_left_to_mpi(void)
{
	struct ipcshare__mpi_nodes *n = spanned_kept->nodes;
	int size = team_size(), len = size * 100;
	uint64_t was;

	if (!n)
		return;
	was = n->least;
	n->least = (uint64_t)len * sizeof(long);
	for (enum call call = BARRIER; call < CALLS; call++)
		for (int less = 0; less < 2; less++) {
			/* Equal blocks have one element less each. */
			int by = call == ALLGATHERV || call < REDUCE_SCATTER_BLOCK || call == SCAN || call == EXSCAN ?
					 less : less * size;
			uint64_t shorts = left(IPCSHARE_MPI_SHORT), across = spanned_counters().across;
			int is_short = less || call == BARRIER;

			CHECK_INT(make(call, len - by), MPI_SUCCESS);
			CHECK(left(IPCSHARE_MPI_SHORT) - shorts == (uint64_t)is_short, "call %d less %d", (int)call, by);
			CHECK(spanned_counters().across - across == (uint64_t)!is_short, "call %d less %d", (int)call,
			      by);
		}
	n->least = was;
}

/* Of a scan each node's ranks must come before the next one's. */
static void a_scan_of_nodes_that_are_mixed_is_left_to_mpi(void)
{
	const int size = team_size();
	int rank, is_mixed = 0, nodes = 1;
	MPI_Comm mixed = mixed_make(&rank);
	const struct ipcshare__mpi_comm *kept = ipcshare__mpi_comm_find(mixed);
	uint64_t before = left(IPCSHARE_MPI_NODES);

	REQUIRE(kept, "the communicator has no group");
	for (int r = 1; r < size && kept->nodes; r++) {
		is_mixed |= kept->nodes->node_of[r] < kept->nodes->node_of[r - 1];
		nodes = kept->nodes->count;
	}
	fill(mine, rank, 1000);
	CHECK_INT(ipcshare_mpi_scan(mine, all, 1000, MPI_LONG, MPI_SUM, mixed), MPI_SUCCESS);
	check_sum(rank + 1, 0, 1000);
	CHECK_INT(ipcshare_mpi_exscan(mine, all, 1000, MPI_LONG, MPI_SUM, mixed), MPI_SUCCESS);
	if (rank)
		check_sum(rank, 0, 1000);
	CHECK_INT(left(IPCSHARE_MPI_NODES) - before, nodes > 1 && is_mixed ? 2 : 0);
	MPI_Comm_free(&mixed);
}

/* Each of their bytes is for one rank, and goes to its node but once in any case. */
static void calls_that_would_save_nothing_are_left_to_mpi(void)
{
	const int n = 10, size = team_size(), me = team_rank();
	uint64_t before = left(IPCSHARE_MPI_NODES);
	int counts[64], displs[64];

	for (int r = 0; r < size; r++) {
		counts[r] = n;
		displs[r] = r * n;
	}
	fill(mine, me, (size_t)(size * n));
	for (int v = 0; v < 2; v++) {
		CHECK_INT(v ? ipcshare_mpi_gatherv(mine, n, MPI_LONG, all, counts, displs, MPI_LONG, 0, spanned_comm) :
			      ipcshare_mpi_gather(mine, n, MPI_LONG, all, n, MPI_LONG, 0, spanned_comm), 0);
		for (int r = 0; r < size && !me; r++)
			check_block(r, n, r, 0);
		CHECK_INT(v ? ipcshare_mpi_scatterv(mine, counts, displs, MPI_LONG, all, n, MPI_LONG, 0, spanned_comm) :
			      ipcshare_mpi_scatter(mine, n, MPI_LONG, all, n, MPI_LONG, 0, spanned_comm), 0);
		check_block(0, n, 0, (size_t)(me * n));
		CHECK_INT(v ? ipcshare_mpi_alltoallv(mine, counts, displs, MPI_LONG, all, counts, displs, MPI_LONG,
						     spanned_comm) :
			      ipcshare_mpi_alltoall(mine, n, MPI_LONG, all, n, MPI_LONG, spanned_comm), 0);
		for (int r = 0; r < size; r++)
			check_block(r, n, r, (size_t)(me * n));
	}
	CHECK_INT(left(IPCSHARE_MPI_NODES) - before, spanned_nodes() > 1 ? 6 : 0);
}

TEST_SUITE(span, begin, end,
	TEST(long_messages_go_in_many_chunks),
	TEST(long_scans_go_in_many_chunks),
	TEST(long_blocks_are_gathered_wherever_their_ranks_are),
	TEST(long_sums_are_scattered_wherever_their_ranks_are),
	TEST(a_node_gives_others_each_byte_once),
	TEST(a_call_of_few_bytes_is_left_to_mpi),
	TEST(a_scan_of_nodes_that_are_mixed_is_left_to_mpi),
	TEST(calls_that_would_save_nothing_are_left_to_mpi));
