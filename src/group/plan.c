/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan: items that were checked, looked up and given to the backend once. It belongs to its set,
 * which takes the backend's part away when it ends: then the plan is only there to say so.
 */
#include "group/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "group/pull.h"
#include "group/set.h"

struct ipcshare_plan {
	struct ipcshare_plan *next, **link; /* of its set */
	struct ipcshare_ctx *ctx; /* NULL: it has ended, */
	int ended; /* and runs fail with this status */
	struct ipcshare__plan *work; /* the backend's */
};

/* ---- In its set's list ---- */

static void plan_link(struct ipcshare_plan *plan, struct ipcshare__plans *plans)
{
	pthread_mutex_lock(&plan->ctx->lock);
	plan->next = plans->first;
	plan->link = &plans->first;
	if (plan->next)
		plan->next->link = &plan->next;
	plans->first = plan;
	pthread_mutex_unlock(&plan->ctx->lock);
}

static void plan_unlink(struct ipcshare_plan *plan)
{
	pthread_mutex_lock(&plan->ctx->lock);
	*plan->link = plan->next;
	if (plan->next)
		plan->next->link = plan->link;
	pthread_mutex_unlock(&plan->ctx->lock);
}

static void work_free(struct ipcshare_plan *plan)
{
	struct ipcshare__backend *be = plan->ctx->backend;

	be->ops->plan_free(be, plan->work);
	plan->work = NULL;
	plan->ctx = NULL;
}

void ipcshare__plans_end(struct ipcshare_ctx *ctx, struct ipcshare__plans *plans, int status)
{
	struct ipcshare_plan *plan, *next;

	pthread_mutex_lock(&ctx->lock);
	plan = plans->first;
	plans->first = NULL;
	pthread_mutex_unlock(&ctx->lock);
	for (; plan; plan = next) {
		next = plan->next;
		plan->ended = status;
		work_free(plan);
	}
}

void ipcshare__plans_abandon(struct ipcshare__plans *plans)
{
	while (plans->first) {
		struct ipcshare_plan *plan = plans->first;

		plans->first = plan->next;
		ipcshare__handle_remove(plan);
		work_free(plan);
		free(plan);
	}
}

/* ---- Create ---- */

static int plan_make(struct ipcshare_set *set, enum ipcshare_direction direction,
		     const struct ipcshare_item *items, size_t n, struct ipcshare_plan *plan)
{
	struct ipcshare__backend *be = plan->ctx->backend;
	struct ipcshare__piece *pieces;
	int err = ipcshare__items_resolve(set, direction, items, n, "plan", &pieces);

	if (err)
		return err;
	err = be->ops->plan_create(be, pieces, n, &plan->work);
	free(pieces);
	if (err) {
		ipcshare__items_blame(items, n);
		return err;
	}
	err = ipcshare__handle_add(plan, IPCSHARE__HANDLE_PLAN);
	if (err)
		be->ops->plan_free(be, plan->work);
	return err;
}

static int arguments_check(struct ipcshare_set *set, enum ipcshare_direction direction,
			   const struct ipcshare_item *items, size_t n, struct ipcshare_plan **out)
{
	if (!out || (direction != IPCSHARE_PULL && direction != IPCSHARE_PUSH))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "plan", "",
				      "out is NULL, or direction %d is unknown", (int)direction);
	return ipcshare__items_check(set, direction, items, n, "plan");
}

int ipcshare_plan_create(struct ipcshare_set *set, enum ipcshare_direction direction,
			 const struct ipcshare_item *items, size_t n, struct ipcshare_plan **out)
{
	struct ipcshare_plan *plan;
	int err = arguments_check(set, direction, items, n, out);

	if (err)
		return err;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return ipcshare__fail_errno(ENOMEM, "plan", "a plan");
	plan->ctx = ipcshare__set_group(set)->ctx;
	err = plan_make(set, direction, items, n, plan);
	if (err) {
		free(plan);
		return err;
	}
	plan_link(plan, &ipcshare__set_of(set)->plans);
	*out = plan;
	return 0;
}

/* ---- Run ---- */

static int has_ended(const struct ipcshare_plan *plan)
{
	if (plan->ended == IPCSHARE_ERR_STALE)
		return ipcshare__fail(IPCSHARE_ERR_STALE, "plan", "free it, and make a new one",
				      "the plan's set was updated since it was made");
	return ipcshare__fail(plan->ended, "plan", "free it, and make one of another set",
			      "the plan's set was freed");
}

int ipcshare_plan_run_on(struct ipcshare_plan *plan, void *stream)
{
	struct ipcshare__backend *be;
	int err = ipcshare__handle_check(plan, IPCSHARE__HANDLE_PLAN, "plan");

	if (err)
		return err;
	if (!plan->ctx)
		return has_ended(plan);
	be = plan->ctx->backend;
	err = ipcshare__items_stream(be, stream, "plan");
	return err ? err : be->ops->plan_run(be, plan->work, stream);
}

int ipcshare_plan_run(struct ipcshare_plan *plan)
{
	return ipcshare_plan_run_on(plan, NULL);
}

/* ---- Free ---- */

int ipcshare_plan_free(struct ipcshare_plan *plan)
{
	int err;

	if (!plan)
		return 0;
	err = ipcshare__handle_check(plan, IPCSHARE__HANDLE_PLAN, "plan");
	if (err)
		return err;
	ipcshare__handle_remove(plan);
	if (plan->ctx) {
		plan_unlink(plan);
		work_free(plan);
	}
	free(plan);
	return 0;
}
