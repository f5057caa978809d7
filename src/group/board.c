/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/board.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/identity.h"
#include "base/point.h"
#include "group/crowd.h"
#include "group/verdict.h"
#include "group/wait.h"

/* ---- Our own part, and those of the peers ---- */

int ipcshare__board_make(struct ipcshare_group *g, char key[IPCSHARE__KEY_SIZE])
{
	struct ipcshare__backend *host = g->ctx->host;
	int err = host->ops->alloc(host, IPCSHARE__CONTROL_SIZE, &g->control);

	if (err)
		return err;
	g->page = g->control.base;
	*g->page = (struct ipcshare__control){
		.magic = IPCSHARE__MAGIC_CONTROL,
		.layout = IPCSHARE__LAYOUT,
		.rank = (uint32_t)g->rank,
		.nranks = (uint32_t)g->size,
	};
	ipcshare__wait_cores(g->page->cores, sizeof(g->page->cores));
	err = host->ops->export_key(host, &g->control, 0, key);
	g->control_exported = !err;
	return err;
}

void ipcshare__board_end(struct ipcshare_group *g)
{
	struct ipcshare__backend *host = g->ctx->host;

	if (g->control_exported)
		host->ops->close_export(host, &g->control);
	if (g->control.base)
		host->ops->release(host, &g->control);
}

int ipcshare__board_allow(struct ipcshare_group *g)
{
	struct ipcshare__backend *host = g->ctx->host;
	int err = 0;

	if (g->nothers)
		err = host->ops->allow(host, &g->control, g->others, g->nothers,
				       IPCSHARE__READ_WRITE);
	/* Ranks in this process come through the broker as everybody does. */
	if (!err && (int)g->nothers + 1 < g->size)
		err = host->ops->allow(host, &g->control, &g->ctx->identity, 1,
				       IPCSHARE__READ_WRITE);
	return err;
}

static int control_check(const struct ipcshare_group *g, int rank)
{
	const struct ipcshare__control *c = g->members[rank].control;

	if (c->magic == IPCSHARE__MAGIC_CONTROL && c->layout == IPCSHARE__LAYOUT &&
	    c->rank == (uint32_t)rank && c->nranks == (uint32_t)g->size)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "group", "",
			      "the rank's control page is not what it should be");
}

int ipcshare__board_meet(struct ipcshare_group *g, int rank, const char *key)
{
	struct ipcshare__backend *host = g->ctx->host;
	struct ipcshare__member *m = &g->members[rank];
	struct ipcshare__import im = { .length = IPCSHARE__CONTROL_SIZE,
				       .access = IPCSHARE__READ_WRITE };
	int err;

	memcpy(im.key, key, sizeof(im.key));
	err = host->ops->import_keys(host, m->identity.endpoint, &im, 1);
	if (err)
		return err;
	m->control = im.out.base;
	m->import = im.out;
	return control_check(g, rank);
}

void ipcshare__board_leave(struct ipcshare_group *g, int rank)
{
	if (g->members[rank].control)
		g->ctx->host->ops->close_import(g->ctx->host, &g->members[rank].import);
	g->members[rank].control = NULL;
}

/* All come to the same: each looks at what all have written before they met. */
bool ipcshare__board_crowded(const struct ipcshare_group *g)
{
	const uint64_t *cores[IPCSHARE__CORES_MOST];

	if (g->size > IPCSHARE__CORES_MOST)
		return true;
	for (int r = 0; r < g->size; r++)
		cores[r] = r == g->rank ? g->page->cores : g->members[r].control->cores;
	return ipcshare__is_crowd(cores, g->size);
}

/* ---- Rounds ---- */

struct ipcshare__slot *ipcshare__board_slot(struct ipcshare_group *g)
{
	return ipcshare__board_slot_in(g->page, g->round + 1);
}

const struct ipcshare__slot *ipcshare__board_read(const struct ipcshare_group *g, int rank)
{
	return ipcshare__board_slot_in(rank == g->rank ? g->page : g->members[rank].control,
				       g->round);
}

static void wake(uint64_t *round)
{
	syscall(SYS_futex, round, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void ipcshare__board_wake(struct ipcshare_group *g)
{
	if (!g->met)
		return; /* they don't sleep */
	wake(&ipcshare__board_slot_in(g->page, 0)->round);
	wake(&ipcshare__board_slot_in(g->page, 1)->round);
}

void ipcshare__board_post(struct ipcshare_group *g)
{
	struct ipcshare__slot *slot = ipcshare__board_slot(g);
	const uint64_t *from = (const uint64_t *)&g->front;
	uint64_t *to = (uint64_t *)&slot->front;

	IPCSHARE__POINT("round.begun");
	/* What is beside the flag last, and all in one go: whoever looks on takes the line away. */
	for (size_t i = (g->front_used + 7) / 8; i > 0; i--)
		to[i - 1] = from[i - 1];
	g->front_used = 0;
	/* Pairs with the acquire loads in has_entered(). It may still be on its way when this returns. */
	__atomic_store_n(&slot->round, ++g->round, __ATOMIC_RELEASE);
	IPCSHARE__POINT("round.posted");
}

#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored                                                                     \
	"-Wtsan" /* it does not follow fences; nothing but a wake depends on this one */
#endif

void ipcshare__board_call(struct ipcshare_group *g)
{
	bool sleepers = false;

	/* One of the two is seen: by us that a peer sleeps, or by it, before it does, that we have posted
	 * (sleep_until_posted()). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (int r = 0; r < g->size && !sleepers; r++)
		sleepers = r != g->rank &&
			   __atomic_load_n(&g->members[r].control->asleep, __ATOMIC_RELAXED);
	if (sleepers)
		wake(&ipcshare__board_slot_in(g->page, g->round)->round);
}

int ipcshare__board_late(const struct ipcshare_group *g, int r)
{
	while (r < g->size && ipcshare__wait_has_entered(g, r))
		r++;
	return r;
}

/* It takes longer than ranks on cores of their own need for a short call. */
static int wait_long(struct ipcshare_group *g, int late)
{
	struct ipcshare_error before = *ipcshare_last_error();
	struct ipcshare_wait wait;
	int err = 0;

	ipcshare__wait_begin(&wait, g);
	while (!err && (late = ipcshare__board_late(g, late)) < g->size)
		err = ipcshare__wait_for_post(&wait, late);
	return err ? ipcshare__verdict_doubt(g, err, &before) : 0;
}

int ipcshare__board_wait(struct ipcshare_group *g)
{
	int late;

	if (g->crowded) /* they may need our core, or sleep */
		ipcshare__board_call(g);
	late = ipcshare__wait_spin(g);
	if (!g->crowded) /* our post has arrived meanwhile: this costs less now */
		ipcshare__board_call(g);
	return late == g->size ? 0 : wait_long(g, late);
}

int ipcshare__board_glance(struct ipcshare_wait *wait)
{
	struct ipcshare_error before = *ipcshare_last_error();
	int err = ipcshare__wait_glance(wait);

	return err ? ipcshare__verdict_doubt(wait->group, err, &before) : 0;
}
