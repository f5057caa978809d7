/* SPDX-License-Identifier: BSD-3-Clause */
#include "team.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

struct ipcshare_ctx *team_open(unsigned timeout_ms)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	struct ipcshare_ctx *ctx = NULL;

	options.timeout_ms = timeout_ms;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	return ctx;
}

void *team_alloc(struct ipcshare_ctx *ctx, size_t len)
{
	void *p = NULL;

	REQUIRE_OK(ipcshare_alloc(ctx, len, &p));
	return p;
}

struct ipcshare_counters team_counters(struct ipcshare_ctx *ctx)
{
	struct ipcshare_counters c = { .size = sizeof(c) };

	REQUIRE_OK(ipcshare_counters(ctx, &c));
	return c;
}

uint64_t team_far_bytes(struct test_rank *me, const struct team *t)
{
	uint64_t mine = team_counters(t->ctx).far_bytes, all[TEST_RANKS_MAX], sum = 0;
	size_t lens[TEST_RANKS_MAX];

	for (int r = 0; r < t->nranks; r++)
		lens[r] = sizeof(mine);
	test_rank_gatherv(me, 0, &mine, all, lens);
	for (int r = 0; r < t->nranks; r++)
		sum += all[r];
	return sum;
}

uint64_t team_calls_of(struct ipcshare_ctx *ctx, enum ipcshare_call call)
{
	return team_counters(ctx).calls[call];
}

uint64_t team_calls(struct ipcshare_ctx *ctx)
{
	struct ipcshare_counters c = team_counters(ctx);
	uint64_t n = 0;

	for (int i = 0; i < IPCSHARE_CALLS; i++)
		n += c.calls[i];
	return n;
}

void team_join_for(struct test_rank *me, unsigned timeout_ms, struct team *t)
{
	*t = (struct team){ .rank = me->rank, .nranks = me->nranks };
	test_resources(&t->before);
	t->ctx = team_open(timeout_ms);
	REQUIRE_OK(ipcshare_group_create(t->ctx, &me->bootstrap, &t->group));
}

void team_join(struct test_rank *me, struct team *t)
{
	team_join_for(me, 0, t);
}

void team_leave_quietly(struct team *t)
{
	CHECK_STATUS(ipcshare_group_free(t->group), 0);
	CHECK_STATUS(ipcshare_close(t->ctx), 0);
}

void team_leave(struct team *t)
{
	team_leave_quietly(t);
	CHECK_NOTHING_LEAKED(&t->before);
}

struct ipcshare_set *team_share(struct team *t, const struct ipcshare_buf *bufs, size_t n,
				unsigned flags)
{
	struct ipcshare_set *set = NULL;

	REQUIRE_OK(ipcshare_share(t->group, bufs, n, flags, &set));
	return set;
}

int team_live(struct team *t, struct test_rank *me)
{
	struct ipcshare_buf buf = { team_alloc(t->ctx, 100), 100 };
	struct ipcshare_set *set = NULL;
	int err = ipcshare_group_create(t->ctx, &me->bootstrap, &t->group);

	if (!err)
		err = ipcshare_share(t->group, &buf, 1, 0, &set);
	if (!err)
		err = ipcshare_set_free(set);
	return err;
}

/* A connection that a broker of this process has accepted: it bears the listener's name. */
static int is_client(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr) - 1;
	int listens = 0;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX)
		return 0;
	if (strncmp(addr.sun_path + 1, "ipcshare-", 9))
		return 0;
	len = sizeof(listens);
	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && !listens;
}

static int has_clients(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (is_client(fd))
			return 1;
	return 0;
}

/* All threads but the caller's (there is one that runs: this one) sleep. */
static int others_sleep(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int running = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], state = 'S';
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1)
			running += state != 'S';
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return running <= 1;
}

/* All ranks meet, and every broker has noticed who has hung up. */
static void settle(struct test_rank *me)
{
	time_t end = time(NULL) + TEST_CHILD_PATIENCE_S;

	test_rank_barrier(me, 1);
	while ((has_clients() || !others_sleep()) && time(NULL) < end)
		sched_yield();
	CHECK(time(NULL) < end, "a broker still has clients");
}

void team_resources(struct test_rank *me, struct test_resources *out)
{
	settle(me);
	test_resources(out);
	test_rank_barrier(me, 1);
}

void team_check_leaks(struct test_at at, struct test_rank *me, const struct test_resources *before)
{
	settle(me);
	test_check_leaks(at, before);
	test_rank_barrier(me, 1);
}

/* ---- A bootstrap for one ---- */

static int gather_one(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
		      void *all)
{
	(void)arg;
	(void)wait;
	memcpy(all, mine, len);
	return 0;
}

const struct ipcshare_bootstrap team_alone = {
	.size = sizeof(team_alone), .rank = 0, .nranks = 1,
	.allgather = gather_one,
};

/* ---- Patterns ---- */

/* One multiplication a byte; neighbours in all three numbers differ. */
static unsigned char pattern(int rank, size_t index, size_t offset)
{
	uint64_t x = (uint64_t)(rank + 1) << 48 ^ (uint64_t)index << 24 ^ offset;

	return (unsigned char)(x * 0x9e3779b97f4a7c15u >> 56);
}

void team_fill(void *buf, size_t len, int rank, size_t index)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = pattern(rank, index, i);
}

int team_check(const void *buf, size_t len, int rank, size_t index)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern(rank, index, i))
			return CHECK(0, "rank %d, buffer %zu: byte %zu of %zu is 0x%02x, not 0x%02x",
				     rank, index, i, len, p[i], pattern(rank, index, i));
	return 1;
}
