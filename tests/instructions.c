/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot paths, each often enough that all else is no matter. instructions.sh counts what each function
 * here takes, with what it calls.
 */
#include <ipcshare.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TIMES 10000
#define BATCH 1000
#define BUFFERS 64

#define TRY(call) do { if (call) { fprintf(stderr, "%s\n", ipcshare_explain()); return 1; } } while (0)
#define COUNTED __attribute__((noinline)) void

COUNTED arena_at_once(struct ipcshare_arena *arena)
{
	for (int i = 0; i < TIMES; i++) {
		void *p = NULL;

		ipcshare_arena_alloc(arena, 200, &p);
		ipcshare_arena_free(arena, p);
	}
}

/* Every tenth that was allocated goes first, then the next ones. */
COUNTED arena_in_batches(struct ipcshare_arena *arena)
{
	static void *p[BATCH];

	for (int done = 0; done < TIMES; done += BATCH) {
		for (int i = 0; i < BATCH; i++)
			ipcshare_arena_alloc(arena, 200, &p[i]);
		for (int i = 0; i < BATCH; i++)
			ipcshare_arena_free(arena, p[(i % (BATCH / 10)) * 10 + i / (BATCH / 10)]);
	}
}

COUNTED ptr_of_a_set(const struct ipcshare_set *set)
{
	for (int i = 0; i < TIMES; i++) {
		void *p = ipcshare_ptr(set, 0, (size_t)i % BUFFERS);

		__asm__ volatile("" : : "r"(p) : "memory"); /* no load is left out */
	}
}

COUNTED find_again(struct ipcshare_ctx *ctx, char *p)
{
	void *base;
	size_t len;

	for (int i = 0; i < TIMES; i++)
		ipcshare_find(ctx, p + i % BUFFERS, &base, &len);
}

COUNTED find_in_turns(struct ipcshare_ctx *ctx, char *const *p)
{
	void *base;
	size_t len;

	for (int i = 0; i < TIMES; i++)
		ipcshare_find(ctx, p[i % BUFFERS], &base, &len);
}

/* The list of a set that has ended. */
COUNTED share_again(struct ipcshare_group *group, const struct ipcshare_buf *bufs)
{
	struct ipcshare_set *set = NULL;

	ipcshare_share(group, bufs, TIMES, 0, &set);
	ipcshare_set_free(set);
}

static int gather_one(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	(void)arg;
	(void)wait;
	memcpy(all, mine, len);
	return 0;
}

int main(void)
{
	const struct ipcshare_bootstrap alone = {
		.size = sizeof(alone), .rank = 0, .nranks = 1, .allgather = gather_one,
	};
	static struct ipcshare_buf bufs[BUFFERS], cells[TIMES];
	char *allocations[BUFFERS];
	struct ipcshare_arena *arena;
	struct ipcshare_group *group;
	struct ipcshare_ctx *ctx;
	struct ipcshare_set *set;
	static void *many[TIMES];
	void *first;

	TRY(ipcshare_open(NULL, &ctx));
	TRY(ipcshare_arena_create(ctx, NULL, &arena));
	TRY(ipcshare_arena_alloc(arena, 200, &first)); /* makes the slab, and the stash */
	TRY(ipcshare_arena_free(arena, first));
	arena_at_once(arena);
	arena_in_batches(arena);

	for (int i = 0; i < BUFFERS; i++) {
		TRY(ipcshare_alloc(ctx, 4096, (void **)&allocations[i]));
		bufs[i] = (struct ipcshare_buf){ allocations[i], 4096 };
	}
	TRY(ipcshare_group_create(ctx, &alone, &group));
	TRY(ipcshare_share(group, bufs, BUFFERS, 0, &set));
	ptr_of_a_set(set);
	TRY(ipcshare_set_free(set));

	TRY(ipcshare_arena_alloc_many(arena, 200, TIMES, many));
	for (int i = 0; i < TIMES; i++)
		cells[i] = (struct ipcshare_buf){ many[i], 200 };
	TRY(ipcshare_share(group, cells, TIMES, 0, &set));
	TRY(ipcshare_set_free(set));
	share_again(group, cells);
	for (int i = 0; i < TIMES; i++)
		TRY(ipcshare_arena_free(arena, many[i]));
	TRY(ipcshare_group_free(group));
	find_again(ctx, allocations[0]);
	find_in_turns(ctx, allocations);
	TRY(ipcshare_arena_destroy(arena));
	TRY(ipcshare_close(ctx));
	return 0;
}
