/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of a set and an RDMA device. Ranks 0 .. 2 are a node's, each with a NIC of its own, and share
 * buffers. Rank 3 is on "another node": it is in no group with them, and knows what their leader, rank 0,
 * tells it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "nic.h"
#include "unit/team.h"

#define NODE 3 /* ranks of the node */
#define LEADER 0
#define FAR 3

#define ACCESS (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
#define REGIONS 2 /* of each rank */
#define BUFS 200 /* of each rank, in turns in one and the other */
#define EACH 3000
#define STEP 3072

struct scene {
	struct test_rank *me;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group; /* of the node */
	struct nic nics[NODE]; /* a rank's own is the first; FAR has one for each of them */
	struct nic_address at[NODE];
	char *p[REGIONS];
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set;
	uint64_t verified;
};

/* What the leader tells of one buffer. */
struct tale {
	struct ipcshare_rdma_remote buf;
	struct ipcshare_rdma_record record; /* of its region */
	uint64_t offset;
};
/* And of all. */
struct tales {
	struct nic_address at[NODE];
	struct tale of[NODE][BUFS];
};

static void meet(struct scene *s)
{
	test_rank_barrier(s->me, 0);
}

/* FAR has more than one. */
static int nics_of(const struct scene *s)
{
	return s->me->rank == FAR ? NODE : 1;
}

static void begin(struct test_rank *me, struct scene *s)
{
	struct ipcshare_bootstrap bootstrap;

	*s = (struct scene){ .me = me, .ctx = team_open(0) };
	for (int r = 0; r < nics_of(s); r++)
		nic_open(&s->nics[r], s->ctx, &s->at[r]);
	if (me->rank == FAR)
		return;
	bootstrap = test_rank_bootstrap(me, 1, (1 << NODE) - 1);
	REQUIRE_OK(ipcshare_group_create(s->ctx, &bootstrap, &s->group));
	for (int k = 0; k < REGIONS; k++)
		s->p[k] = team_alloc(s->ctx, BUFS / REGIONS * STEP);
	for (size_t i = 0; i < BUFS; i++)
		s->bufs[i] = (struct ipcshare_buf){ s->p[i % REGIONS] + i / REGIONS * STEP, EACH };
	REQUIRE_OK(ipcshare_share(s->group, s->bufs, BUFS, 0, &s->set));
}

static void end(struct scene *s)
{
	for (int r = 0; r < nics_of(s); r++)
		nic_close(&s->nics[r]);
	if (s->me->rank != FAR) {
		CHECK_STATUS(ipcshare_set_free(s->set), 0);
		for (int k = 0; k < REGIONS; k++)
			CHECK_STATUS(ipcshare_free(s->ctx, s->p[k]), 0);
		CHECK_STATUS(ipcshare_group_free(s->group), 0);
	}
	CHECK_STATUS(ipcshare_close(s->ctx), 0);
}

static struct ipcshare_rdma_stats stats_of(const struct scene *s)
{
	struct ipcshare_rdma_stats stats = { .size = sizeof(stats) };

	CHECK_STATUS(ipcshare_rdma_stats(s->nics[0].domain, &stats), 0);
	return stats;
}

/* ---- What the leader tells ---- */

static void tell(const struct scene *s, const struct ipcshare_rdma_keys *keys, struct tales *out)
{
	memcpy(out->at, s->at, sizeof(out->at));
	for (int r = 0; r < NODE; r++)
		for (size_t i = 0; i < BUFS; i++) {
			struct tale *t = &out->of[r][i];

			REQUIRE_OK(ipcshare_rdma_keys_at(keys, r, i, &t->buf));
			REQUIRE_OK(ipcshare_rdma_keys_record(keys, r, i, &t->record, &t->offset));
		}
}

/* Queue pairs from FAR to each rank; all that FAR knows of the node comes from the leader. */
static void connect_all(struct scene *s, const struct ipcshare_rdma_keys *keys, struct tales *tales)
{
	struct nic_address theirs[NODE], all[NODE + 1][NODE];
	struct tales *heard = malloc((NODE + 1) * sizeof(*heard));

	/* The ranks of the node tell their leader, who gathers for it. */
	if (s->me->rank != FAR) {
		test_rank_gatherv(s->me, 1, &s->at[0], theirs,
				  (size_t[NODE]){ sizeof(*theirs), sizeof(*theirs), sizeof(*theirs) });
		memcpy(s->at, theirs, sizeof(theirs));
	}
	memset(tales, 0, sizeof(*tales));
	if (s->me->rank == LEADER)
		tell(s, keys, tales);
	REQUIRE_INT(s->me->bootstrap.allgather(s->me->bootstrap.arg, NULL, tales, sizeof(*tales), heard), 0);
	*tales = heard[LEADER];
	free(heard);
	/* And FAR tells all to whom each of its queue pairs belongs. */
	REQUIRE_INT(s->me->bootstrap.allgather(s->me->bootstrap.arg, NULL, s->at, sizeof(s->at), all), 0);
	if (s->me->rank == FAR)
		for (int r = 0; r < NODE; r++)
			nic_connect(&s->nics[r], &tales->at[r]);
	else
		nic_connect(&s->nics[0], &all[FAR][s->me->rank]);
	meet(s);
}

/* ---- Moves ---- */

/* @step names the bytes, so that none of before will do. */
static size_t pattern(int step, size_t i)
{
	return (size_t)step * BUFS + i;
}

static void fill_own(struct scene *s, int step)
{
	for (size_t i = 0; i < BUFS && s->me->rank != FAR; i++)
		team_fill(s->bufs[i].ptr, EACH, s->me->rank, pattern(step, i));
}

static void verify(struct scene *s, const void *at, int rank, int step, size_t i)
{
	if (CHECK(team_check(at, EACH, rank, pattern(step, i)), "step %d: buffer %zu of rank %d", step, i, rank))
		s->verified += EACH;
}

static void verify_own(struct scene *s, int step)
{
	for (size_t i = 0; i < BUFS && s->me->rank != FAR; i++)
		verify(s, s->bufs[i].ptr, s->me->rank, step, i);
}

/* Every buffer, in memory of FAR that is registered with the pd of each queue pair. */
static void far_moves(struct scene *s, enum ibv_wr_opcode op, int step, const struct tales *tales)
{
	char *here = team_alloc(s->ctx, EACH);

	for (int r = 0; r < NODE; r++) {
		const struct ipcshare_rdma_region *region;

		REQUIRE_OK(ipcshare_rdma_region(s->nics[r].domain, here, IBV_ACCESS_LOCAL_WRITE, &region));
		for (size_t i = 0; i < BUFS; i++) {
			const struct tale *t = &tales->of[r][i];
			struct ipcshare_rdma_remote whole;

			REQUIRE_INT(t->buf.length, EACH);
			REQUIRE_OK(ipcshare_rdma_unpack(&t->record, &whole)); /* says the same */
			CHECK_INT(whole.base + t->offset, t->buf.base);
			CHECK_INT(whole.rkey, t->buf.rkey);
			team_fill(here, EACH, op == IBV_WR_RDMA_WRITE ? r : FAR, pattern(step, i));
			REQUIRE_INT(nic_move(&s->nics[r], op, here, region->lkey, t->buf.base,
					     t->buf.rkey, EACH), IBV_WC_SUCCESS);
			if (op == IBV_WR_RDMA_READ)
				verify(s, here, r, step, i);
		}
		CHECK_STATUS(ipcshare_rdma_release(region), 0);
	}
	CHECK_STATUS(ipcshare_free(s->ctx, here), 0);
}

static void hands_out_all_buffers(struct test_rank *me, void *arg)
{
	static struct tales tales;
	struct ipcshare_rdma_keys *keys = NULL;
	struct ipcshare_rdma_stats stats;
	uint64_t verified[NODE + 1];
	struct scene s;

	(void)arg;
	begin(me, &s);
	if (me->rank != FAR) {
		REQUIRE_OK(ipcshare_rdma_share(s.nics[0].domain, s.set, ACCESS, &keys));
		stats = stats_of(&s);
		CHECK_INT(stats.registrations, REGIONS);
		CHECK_INT(stats.hits, 0);
		test_figure("rank %d: %ju registrations for %d buffers", me->rank, (uintmax_t)stats.registrations, BUFS);
	}
	connect_all(&s, keys, &tales);
	if (me->rank == FAR)
		far_moves(&s, IBV_WR_RDMA_WRITE, 1, &tales);
	meet(&s);
	verify_own(&s, 1);
	fill_own(&s, 2);
	meet(&s);
	if (me->rank == FAR)
		far_moves(&s, IBV_WR_RDMA_READ, 2, &tales);
	meet(&s);
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, &s.verified, 8, verified), 0);
	if (me->rank == LEADER)
		test_figure("what one leader told of %d buffers of %d ranks: %ju bytes written and %ju read by RDMA, all verified",
			    NODE * BUFS, NODE, (uintmax_t)(verified[0] + verified[1] + verified[2]),
			    (uintmax_t)verified[FAR]);
	end(&s);
}

static void another_node_writes_and_reads_all_ranks_buffers_with_what_a_leader_tells(void)
{
	if (nic_is_there())
		test_ranks(NODE + 1, hands_out_all_buffers, NULL);
}

/* ---- What a key does not open ---- */

/* FAR reads buffer @i of rank 1 over its queue pair to rank @over. */
static enum ibv_wc_status reads(struct scene *s, int over, const struct tales *tales, size_t i)
{
	const struct ipcshare_rdma_remote *buf = &tales->of[1][i].buf;
	const struct ipcshare_rdma_region *here;
	char *p = team_alloc(s->ctx, EACH);
	enum ibv_wc_status status;

	REQUIRE_OK(ipcshare_rdma_region(s->nics[over].domain, p, IBV_ACCESS_LOCAL_WRITE, &here));
	status = nic_move(&s->nics[over], IBV_WR_RDMA_READ, p, here->lkey, buf->base, buf->rkey, EACH);
	CHECK_STATUS(ipcshare_rdma_release(here), 0);
	CHECK_STATUS(ipcshare_free(s->ctx, p), 0);
	return status;
}

static void uses_keys_that_open_nothing(struct test_rank *me, void *arg)
{
	static struct tales tales;
	struct ipcshare_rdma_keys *keys = NULL;
	struct scene s;

	(void)arg;
	begin(me, &s);
	if (me->rank != FAR)
		REQUIRE_OK(ipcshare_rdma_share(s.nics[0].domain, s.set, ACCESS, &keys));
	connect_all(&s, keys, &tales);
	if (me->rank == FAR) { /* each is for its owner's queue pairs */
		CHECK_INT(reads(&s, 1, &tales, 0), IBV_WC_SUCCESS);
		CHECK_INT(reads(&s, 2, &tales, 0), IBV_WC_REM_ACCESS_ERR);
	}
	meet(&s);
	if (me->rank != FAR) {
		CHECK_STATUS(ipcshare_set_free(s.set), 0);
		s.set = NULL;
		CHECK_FAILS(ipcshare_free(s.ctx, s.p[0]), IPCSHARE_ERR_BUSY);
		CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	}
	if (me->rank == 1) {
		CHECK_STATUS(ipcshare_free(s.ctx, s.p[0]), 0);
		s.p[0] = team_alloc(s.ctx, 4096);
	}
	meet(&s);
	if (me->rank == FAR) { /* what was not freed is still registered */
		CHECK_INT(reads(&s, 1, &tales, 1), IBV_WC_SUCCESS);
		CHECK_INT(reads(&s, 1, &tales, 0), IBV_WC_REM_ACCESS_ERR);
	}
	meet(&s);
	end(&s);
}

static void a_key_opens_nothing_over_anothers_queue_pair_or_when_its_memory_was_freed(void)
{
	if (nic_is_there())
		test_ranks(NODE + 1, uses_keys_that_open_nothing, NULL);
}

/* ---- If one rank can't ---- */

static void one_may_pin_nothing(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys = NULL;
	struct scene s;

	(void)arg;
	begin(me, &s);
	if (me->rank == 1) { /* root may pin what it likes */
		REQUIRE(!setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 64 << 10, 64 << 10 }), "%m");
		REQUIRE(!setresuid(65534, 65534, 65534), "%m");
	}
	if (me->rank != FAR) {
		CHECK_FAILS(ipcshare_rdma_share(s.nics[0].domain, s.set, ACCESS, &keys), IPCSHARE_ERR_LIMIT);
		CHECK_HAS(ipcshare_last_error()->text, "RLIMIT_MEMLOCK is 65536 bytes");
		CHECK_INT(ipcshare_last_error()->rank, 1);
		CHECK_INT(ipcshare_last_error()->code, ENOMEM);
		CHECK_PTR(keys, NULL);
		CHECK_INT(stats_of(&s).active, stats_of(&s).idle);
	}
	end(&s);
}

static void a_rank_whose_limit_is_reached_is_named_to_all(void)
{
	if (!nic_is_there())
		return;
	if (geteuid())
		test_skip("only root can become a user whom the limit binds");
	else
		test_ranks(NODE + 1, one_may_pin_nothing, NULL);
}

TEST_SUITE(keys, NULL, NULL,
	TEST(another_node_writes_and_reads_all_ranks_buffers_with_what_a_leader_tells),
	TEST(a_key_opens_nothing_over_anothers_queue_pair_or_when_its_memory_was_freed),
	TEST(a_rank_whose_limit_is_reached_is_named_to_all));
