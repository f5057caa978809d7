/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory and an RDMA device. Ranks 0 and 1 are a node's: 0 owns memory, 1 has the NIC. Rank 2 is
 * on "another node": it is in no group with them, and has a NIC and memory of its own.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "nic.h"
#include "unit/team.h"

#define OWNER 0
#define NIC 1
#define FAR 2

#define READ IBV_ACCESS_REMOTE_READ
#define WRITE_TOO (READ | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

#define MANY 10000
#define EACH 100
#define CELL 128 /* what an arena makes of it */
#define ALL ((size_t)MANY * CELL)

/* What one rank tells all others. */
struct card {
	struct nic_address address;
	struct ipcshare_rdma_record record;
	uint64_t offset; /* of what is meant, in the region */
};

struct scene {
	struct test_rank *me;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group; /* of OWNER and NIC */
	struct nic nic; /* of NIC and FAR */
	struct card mine, theirs; /* FAR's and NIC's, each to the other */
	struct ipcshare_rdma_remote remote; /* the region at the other end */
	const struct ipcshare_rdma_region *region;
	char *far; /* memory of FAR */
	uint64_t verified;
};

static int node_of(const struct scene *s)
{
	return s->me->rank != FAR;
}

static void meet(struct scene *s)
{
	test_rank_barrier(s->me, 0);
}

static void verify(struct scene *s, const void *at, size_t len, size_t index)
{
	if (CHECK(team_check(at, len, 0, index), "bytes of step %zu are wrong", index))
		s->verified += len;
}

/* Everybody is there; nobody has memory yet. */
static void open_scene(struct test_rank *me, struct scene *s)
{
	struct ipcshare_bootstrap bootstrap;

	*s = (struct scene){ .me = me, .ctx = team_open(0) };
	if (node_of(s)) {
		bootstrap = test_rank_bootstrap(me, 1, 1 << OWNER | 1 << NIC);
		REQUIRE_OK(ipcshare_group_create(s->ctx, &bootstrap, &s->group));
	}
	if (me->rank == FAR)
		s->far = team_alloc(s->ctx, ALL);
	if (me->rank != OWNER)
		nic_open(&s->nic, s->ctx, &s->mine.address);
	if (me->rank == FAR)
		REQUIRE_OK(ipcshare_rdma_region(s->nic.domain, s->far, WRITE_TOO, &s->region));
}

/* NIC and FAR have their regions: they tell each other of them. */
static void connect_scene(struct scene *s)
{
	struct card cards[3];

	if (s->me->rank != OWNER)
		REQUIRE_OK(ipcshare_rdma_pack(s->region, &s->mine.record));
	REQUIRE_INT(s->me->bootstrap.allgather(s->me->bootstrap.arg, NULL, &s->mine, sizeof(s->mine), cards), 0);
	if (s->me->rank != OWNER) {
		s->theirs = cards[s->me->rank == NIC ? FAR : NIC];
		nic_connect(&s->nic, &s->theirs.address);
		REQUIRE_OK(ipcshare_rdma_unpack(&s->theirs.record, &s->remote));
	}
	meet(s);
}

static void close_scene(struct scene *s)
{
	if (s->me->rank == FAR)
		CHECK_STATUS(ipcshare_rdma_release(s->region), 0);
	meet(s);
	if (s->me->rank != OWNER)
		nic_close(&s->nic);
	if (s->group)
		CHECK_STATUS(ipcshare_group_free(s->group), 0);
	CHECK_STATUS(ipcshare_close(s->ctx), 0);
}

/* FAR to or from the region that NIC has told of. */
static enum ibv_wc_status far_moves(struct scene *s, enum ibv_wr_opcode op, size_t offset, size_t len)
{
	return nic_move(&s->nic, op, s->far + offset, s->region->lkey,
			s->remote.base + s->theirs.offset + offset, s->remote.rkey, len);
}

/* ---- Bytes ---- */

/* A copy of all memory that is private: what is shared must not become another. */
static void is_there_meanwhile(int channel, void *arg)
{
	struct scene *s = arg;
	const struct ipcshare_rdma_region *none = NULL;

	if (s->me->rank == NIC)
		CHECK_FAILS(ipcshare_rdma_region(s->nic.domain, s, READ, &none), IPCSHARE_ERR_FORKED);
	test_await(channel);
}

/* All buffers of the owner, asked for one by one: the NIC has one registration. */
static void nic_registers(struct scene *s, struct ipcshare_set *set,
			  const struct ipcshare_rdma_region **regions)
{
	struct ipcshare_rdma_stats stats = { .size = sizeof(stats) };

	for (size_t i = 0; i < MANY; i++)
		REQUIRE_OK(ipcshare_rdma_region_of(s->nic.domain, set, OWNER, i, WRITE_TOO, &regions[i]));
	s->region = regions[0];
	s->mine.offset = (uint64_t)((char *)ipcshare_ptr(set, OWNER, 0) - (char *)s->region->base);
	REQUIRE_OK(ipcshare_rdma_stats(s->nic.domain, &stats));
	CHECK_INT(stats.registrations, 1);
	CHECK_INT(stats.hits, MANY - 1);
	test_figure("%s: %ju registration for %d buffers of a peer, %ju bytes pinned",
		    ibv_get_device_name(s->nic.device->device), (uintmax_t)stats.registrations, MANY,
		    (uintmax_t)stats.active_bytes);
}

/* 1: the other node writes into the owner's buffers; 2: and reads them. */
static void far_is_active(struct scene *s, char *all, char *middle)
{
	if (s->me->rank == FAR) {
		team_fill(s->far, ALL, 0, 1);
		CHECK_INT(far_moves(s, IBV_WR_RDMA_WRITE, 0, ALL), IBV_WC_SUCCESS);
	}
	meet(s);
	if (s->me->rank == OWNER)
		verify(s, all, ALL, 1);
	meet(s);
	if (s->me->rank == FAR) {
		team_fill(s->far + 5000 * CELL, EACH, 0, 2); /* one buffer alone */
		CHECK_INT(far_moves(s, IBV_WR_RDMA_WRITE, 5000 * CELL, EACH), IBV_WC_SUCCESS);
	}
	meet(s);
	if (s->me->rank == OWNER) {
		verify(s, middle, EACH, 2);
		verify(s, all, 5000 * CELL, 1); /* and what is before it stayed */
		team_fill(all, ALL, 0, 3);
	}
	meet(s);
	if (s->me->rank == FAR) {
		CHECK_INT(far_moves(s, IBV_WR_RDMA_READ, 0, ALL), IBV_WC_SUCCESS);
		verify(s, s->far, ALL, 3);
	}
	meet(s);
}

/* 3: this node's NIC writes the owner's buffers to the other node; 4: and reads from there into them. */
static void nic_is_active(struct scene *s, char *all, struct ipcshare_set *set)
{
	void *peers = s->me->rank == NIC ? ipcshare_ptr(set, OWNER, 0) : NULL;

	if (s->me->rank == OWNER)
		team_fill(all, ALL, 0, 4);
	meet(s);
	if (s->me->rank == NIC)
		CHECK_INT(nic_move(&s->nic, IBV_WR_RDMA_WRITE, peers, s->region->lkey, s->remote.base,
				   s->remote.rkey, ALL), IBV_WC_SUCCESS);
	meet(s);
	if (s->me->rank == FAR) {
		verify(s, s->far, ALL, 4);
		team_fill(s->far, ALL, 0, 5);
	}
	meet(s);
	if (s->me->rank == NIC)
		CHECK_INT(nic_move(&s->nic, IBV_WR_RDMA_READ, peers, s->region->lkey, s->remote.base,
				   s->remote.rkey, ALL), IBV_WC_SUCCESS);
	meet(s);
	if (s->me->rank == OWNER)
		verify(s, all, ALL, 5);
}

static void moves_a_peers_buffers(struct test_rank *me, void *arg)
{
	static const struct ipcshare_rdma_region *regions[MANY];
	static struct ipcshare_buf bufs[MANY];
	struct ipcshare_arena *arena = NULL;
	struct ipcshare_set *set = NULL;
	struct test_child *child;
	void *p[MANY] = { NULL };
	uint64_t verified[3];
	struct scene s;

	(void)arg;
	open_scene(me, &s);
	if (me->rank == OWNER) {
		REQUIRE_OK(ipcshare_arena_create(s.ctx, NULL, &arena));
		REQUIRE_OK(ipcshare_arena_alloc_many(arena, EACH, MANY, p));
		CHECK_INT((char *)p[MANY - 1] - (char *)p[0], ALL - CELL);
		for (size_t i = 0; i < MANY; i++)
			bufs[i] = (struct ipcshare_buf){ p[i], EACH };
	}
	if (node_of(&s))
		REQUIRE_OK(ipcshare_share(s.group, bufs, me->rank == OWNER ? MANY : 0, 0, &set));
	if (me->rank == NIC)
		nic_registers(&s, set, regions);
	child = test_child(is_there_meanwhile, &s);
	connect_scene(&s);
	far_is_active(&s, p[0], p[5000]);
	nic_is_active(&s, p[0], set);
	test_signal(child->channel);
	test_child_join(child);
	if (me->rank == NIC)
		for (size_t i = 0; i < MANY; i++)
			CHECK_STATUS(ipcshare_rdma_release(regions[i]), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	meet(&s);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, &s.verified, 8, verified), 0);
	if (me->rank == OWNER)
		test_figure("RDMA write and read into and out of a peer's buffers: %ju bytes verified",
			    (uintmax_t)(verified[0] + verified[1] + verified[2]));
	close_scene(&s);
}

static void a_nic_writes_and_reads_buffers_of_a_peer_where_they_lie(void)
{
	if (nic_is_there())
		test_ranks(3, moves_a_peers_buffers, NULL);
}

/* ---- The end of memory ---- */

static void is_freed_while_registered(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	struct ipcshare_buf buf = { NULL, 4096 };
	struct scene s;

	(void)arg;
	open_scene(me, &s);
	if (me->rank == OWNER)
		buf.ptr = team_alloc(s.ctx, buf.len);
	if (node_of(&s))
		REQUIRE_OK(ipcshare_share(s.group, &buf, me->rank == OWNER, 0, &set));
	if (me->rank == NIC)
		REQUIRE_OK(ipcshare_rdma_region_of(s.nic.domain, set, OWNER, 0, WRITE_TOO, &s.region));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	connect_scene(&s);
	if (me->rank == OWNER)
		CHECK_FAILS(ipcshare_free(s.ctx, buf.ptr), IPCSHARE_ERR_BUSY);
	meet(&s);
	if (me->rank == FAR) { /* the refusal has changed nothing */
		team_fill(s.far, buf.len, 0, 1);
		CHECK_INT(far_moves(&s, IBV_WR_RDMA_WRITE, 0, buf.len), IBV_WC_SUCCESS);
	}
	meet(&s);
	if (me->rank == OWNER)
		verify(&s, buf.ptr, buf.len, 1);
	if (me->rank == NIC)
		CHECK_STATUS(ipcshare_rdma_release(s.region), 0);
	meet(&s);
	if (me->rank == FAR) /* it is kept: the key lives until the owner takes it away */
		CHECK_INT(far_moves(&s, IBV_WR_RDMA_WRITE, 0, buf.len), IBV_WC_SUCCESS);
	meet(&s);
	if (me->rank == OWNER)
		CHECK_STATUS(ipcshare_free(s.ctx, buf.ptr), 0);
	meet(&s);
	if (me->rank == FAR)
		CHECK_INT(far_moves(&s, IBV_WR_RDMA_WRITE, 0, buf.len), IBV_WC_REM_ACCESS_ERR);
	close_scene(&s);
}

static void memory_is_freed_only_when_the_nic_has_let_it_go(void)
{
	if (nic_is_there())
		test_ranks(3, is_freed_while_registered, NULL);
}

static void is_invalidated_in_use(struct test_rank *me, void *arg)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct scene s;
	char *p = NULL;

	(void)arg;
	open_scene(me, &s);
	if (me->rank == NIC) {
		REQUIRE(!ftruncate(fd, 4096), "%m");
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		REQUIRE_OK(ipcshare_register(s.ctx, p, 4096, fd));
		REQUIRE_OK(ipcshare_rdma_region(s.nic.domain, p, WRITE_TOO, &s.region));
	}
	connect_scene(&s);
	if (me->rank == FAR)
		CHECK_INT(far_moves(&s, IBV_WR_RDMA_WRITE, 0, 4096), IBV_WC_SUCCESS);
	meet(&s);
	if (me->rank == NIC) {
		CHECK_FAILS(ipcshare_invalidate(s.ctx, p, 4096), IPCSHARE_ERR_BUSY);
		munmap(p, 4096);
	}
	meet(&s);
	if (me->rank == FAR)
		CHECK_INT(far_moves(&s, IBV_WR_RDMA_WRITE, 0, 4096), IBV_WC_REM_ACCESS_ERR);
	meet(&s);
	if (me->rank == NIC)
		CHECK_STATUS(ipcshare_rdma_release(s.region), 0);
	close(fd);
	close_scene(&s);
}

static void keys_of_invalidated_memory_are_dead(void)
{
	if (nic_is_there())
		test_ranks(3, is_invalidated_in_use, NULL);
}

/* ---- What a kernel refuses ---- */

static void pins_too_much(int channel, void *arg)
{
	const struct ipcshare_rdma_region *r = NULL;
	struct ipcshare_ctx *ctx;
	struct nic_address address;
	struct nic nic;
	void *p, *big;

	(void)channel, (void)arg;
	ctx = team_open(0);
	nic_open(&nic, ctx, &address);
	p = team_alloc(ctx, 40 << 10);
	big = team_alloc(ctx, 65 << 10);
	REQUIRE(!setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 64 << 10, 64 << 10 }), "%m");
	REQUIRE(!setresuid(65534, 65534, 65534), "%m"); /* root may pin what it likes */
	CHECK_FAILS(ipcshare_rdma_region(nic.domain, big, READ, &r), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->text, "RLIMIT_MEMLOCK is 65536 bytes");
	CHECK_INT(ipcshare_last_error()->code, ENOMEM);
	REQUIRE_OK(ipcshare_rdma_region(nic.domain, p, READ, &r));
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	/* Registered bytes count each time: what is kept has to make way. */
	REQUIRE_OK(ipcshare_rdma_region(nic.domain, p, WRITE_TOO, &r));
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	nic_close(&nic);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void the_limit_on_locked_memory_is_named(void)
{
	if (!nic_is_there())
		return;
	if (geteuid())
		test_skip("only root can become a user whom the limit binds");
	else
		test_child_join(test_child(pins_too_much, NULL));
}

static void registers_read_only_memory(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r = NULL;
	struct ipcshare_buf buf = { NULL, 4096 };
	struct ipcshare_set *set;
	struct nic_address address;
	struct utsname kernel;
	struct team t;
	struct nic nic;
	int status;

	(void)arg;
	team_join(me, &t);
	nic_open(&nic, t.ctx, &address);
	buf.ptr = team_alloc(t.ctx, buf.len);
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	CHECK_FAILS(ipcshare_rdma_region_of(nic.domain, set, !me->rank, 0, WRITE_TOO, &r),
		    IPCSHARE_ERR_READ_ONLY);
	status = ipcshare_rdma_region_of(nic.domain, set, !me->rank, 0, READ, &r);
	uname(&kernel);
	if (!strncmp(kernel.release, "6.1.", 4))
		CHECK_INT(status, IPCSHARE_ERR_READ_ONLY);
	if (status)
		CHECK_INT(ipcshare_last_error()->code, EFAULT);
	else
		CHECK_STATUS(ipcshare_rdma_release(r), 0);
	if (me->rank == 0)
		test_figure("Linux %s: registering a read-only mapping gives %s", kernel.release,
			    ipcshare_status_name(status));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	nic_close(&nic);
	team_leave_quietly(&t);
}

static void memory_that_is_mapped_read_only_is_refused_by_name(void)
{
	if (nic_is_there())
		test_ranks(2, registers_read_only_memory, NULL);
}

TEST_SUITE(nic, NULL, NULL,
	TEST(a_nic_writes_and_reads_buffers_of_a_peer_where_they_lie),
	TEST(memory_is_freed_only_when_the_nic_has_let_it_go),
	TEST(keys_of_invalidated_memory_are_dead),
	TEST(the_limit_on_locked_memory_is_named),
	TEST(memory_that_is_mapped_read_only_is_refused_by_name));
