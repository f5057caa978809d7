/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A registration is attached to its region or mapping, where the next who asks finds it. It is made and
 * ended by one thread, to which it is busy; whoever ends it has the device let go before anything else.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "rdma/domain.h"
#include "rdma/verbs.h"

static struct ipcshare__registration *registration_of(struct ipcshare__attached *attached)
{
	return (struct ipcshare__registration *)((char *)attached -
						 offsetof(struct ipcshare__registration, attached));
}

/* ---- Lists and counts; locked ---- */

static void list_add(struct ipcshare_rdma_domain *d, struct ipcshare__registration *r)
{
	r->next = d->all;
	r->link = &d->all;
	if (r->next)
		r->next->link = &r->next;
	d->all = r;
}

static void list_remove(struct ipcshare__registration *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
}

static void count_active(struct ipcshare__registration *r, int by)
{
	struct ipcshare_rdma_stats *s = &r->domain->stats;

	s->active += (uint64_t)by;
	s->active_bytes += (uint64_t)by * r->open.length;
	s->idle += r->users ? 0 : (uint64_t)by;
}

/* ---- End ---- */

static void registration_free(struct ipcshare__registration *r)
{
	ipcshare__handle_remove(r);
	free(r);
}

/* It is busy for us, and its memory goes or nobody uses it. What is in use stays, without keys. */
static void registration_end(struct ipcshare__attached *attached)
{
	struct ipcshare__registration *r = registration_of(attached);
	struct ipcshare_rdma_domain *d = r->domain;
	struct ipcshare_ctx *ctx = d->ctx;
	bool ended = ipcshare__mr_end(r->mr), used;

	pthread_mutex_lock(&ctx->lock);
	used = r->users;
	r->mr = NULL;
	count_active(r, -1);
	d->stats.stuck += !ended;
	d->stats.revoked += used;
	if (!used)
		list_remove(r);
	ipcshare__detach(ctx, attached);
	pthread_mutex_unlock(&ctx->lock);
	if (!used)
		registration_free(r);
}

static struct ipcshare__registration *find_idle(struct ipcshare_rdma_domain *d, bool *busy)
{
	struct ipcshare__registration *r = d->all;

	for (*busy = false; r && (r->users || r->attached.busy); r = r->next)
		*busy |= !r->users;
	return r;
}

size_t ipcshare__registrations_trim(struct ipcshare_rdma_domain *d)
{
	struct ipcshare_ctx *ctx = d->ctx;
	struct ipcshare__registration *r;
	size_t n = 0;
	bool busy;

	pthread_mutex_lock(&ctx->lock);
	while ((r = find_idle(d, &busy)) || busy) {
		if (!r) {
			pthread_cond_wait(&ctx->changed, &ctx->lock);
			continue;
		}
		r->attached.busy = true;
		pthread_mutex_unlock(&ctx->lock);
		r->attached.end(&r->attached);
		n++;
		pthread_mutex_lock(&ctx->lock);
	}
	pthread_mutex_unlock(&ctx->lock);
	return n;
}

void ipcshare__registrations_abandon(struct ipcshare_rdma_domain *d)
{
	struct ipcshare__registration *r = d->all, *next;

	for (d->all = NULL; r; r = next) {
		next = r->next;
		registration_free(r);
	}
}

/* ---- Find, or make ---- */

static struct ipcshare__registration *find(struct ipcshare__attached *list,
					   const struct ipcshare_rdma_domain *d, int access)
{
	for (; list; list = list->next) {
		struct ipcshare__registration *r = registration_of(list);

		if (list->end == registration_end && r->domain == d && r->open.access == access)
			return r;
	}
	return NULL;
}

/* One user more of what is ready. true: it has the hold on the anchor from now on. Locked. */
static bool use(struct ipcshare__registration *r, const struct ipcshare__anchor *anchor)
{
	bool was_idle = r->users++ == 0;

	r->domain->stats.hits++;
	r->domain->stats.idle -= was_idle;
	if (was_idle)
		r->anchor = *anchor;
	return was_idle;
}

/* For the device, which is asked with no lock held; what is only kept makes way. */
static int make(struct ipcshare__registration *r)
{
	struct ipcshare__span span = ipcshare__anchor_span(&r->anchor);
	struct ipcshare_rdma_domain *d = r->domain;
	int error = ipcshare__mr_make(d->pd, &span, r->open.access, &r->mr);

	if (error == ENOMEM && ipcshare__registrations_trim(d))
		error = ipcshare__mr_make(d->pd, &span, r->open.access, &r->mr);
	if (error)
		return ipcshare__mr_fail(error, &span, r->open.access);
	r->open.base = span.base;
	r->open.length = span.length;
	ipcshare__mr_keys(r->mr, &r->open.lkey, &r->open.rkey);
	return 0;
}

/* @r is attached, and busy. On failure it is no more, and others try for themselves. */
static int make_attached(struct ipcshare__registration *r)
{
	struct ipcshare_rdma_domain *d = r->domain;
	int err = make(r);

	pthread_mutex_lock(&d->ctx->lock);
	if (err) {
		list_remove(r);
		ipcshare__detach(d->ctx, &r->attached);
	} else {
		count_active(r, 1);
		d->stats.registrations++;
		r->attached.busy = false;
		pthread_cond_broadcast(&d->ctx->changed);
	}
	pthread_mutex_unlock(&d->ctx->lock);
	return err;
}

static struct ipcshare__registration *
registration_new(struct ipcshare_rdma_domain *d, const struct ipcshare__anchor *anchor, int access)
{
	struct ipcshare__registration *r = calloc(1, sizeof(*r));

	if (!r) {
		ipcshare__fail_errno(ENOMEM, "register", "one more registration");
		return NULL;
	}
	*r = (struct ipcshare__registration){
		.open.access = access,
		.domain = d,
		.attached = { .end = registration_end, .busy = true },
		.anchor = *anchor,
		.users = 1,
	};
	if (!ipcshare__handle_add(r, IPCSHARE__HANDLE_RDMA_REGION))
		return r;
	free(r);
	return NULL;
}

/*
 * What there is, with one user more; else @spare, attached; NULL if that is NULL too. *@kept: it has the hold on
 * the anchor from now on.
 */
static int settle(const struct ipcshare__anchor *anchor, struct ipcshare_rdma_domain *d, int access,
		  struct ipcshare__registration *spare, struct ipcshare__registration **out,
		  bool *kept)
{
	struct ipcshare__attached **list;
	struct ipcshare__registration *r = NULL;

	pthread_mutex_lock(&d->ctx->lock);
	while ((list = ipcshare__anchor_list(anchor)) && (r = find(*list, d, access)) &&
	       r->attached.busy)
		pthread_cond_wait(&d->ctx->changed, &d->ctx->lock);
	if (list && r) {
		*kept = use(r, anchor);
	} else if (list && spare) {
		ipcshare__attach(list, &spare->attached);
		list_add(d, spare);
		*kept = true;
		r = spare;
	}
	pthread_mutex_unlock(&d->ctx->lock);
	if (!list)
		return ipcshare__fail(IPCSHARE_ERR_STALE, "register", "share it anew",
				      "its owner has invalidated the memory");
	*out = r;
	return 0;
}

int ipcshare__registration_use(struct ipcshare_rdma_domain *d, struct ipcshare__anchor *anchor,
			       int access, struct ipcshare__registration **out)
{
	struct ipcshare__registration *r = NULL, *spare = NULL;
	bool kept = false;
	int err = settle(anchor, d, access, NULL, &r, &kept);

	if (!err && !r) {
		spare = registration_new(d, anchor, access);
		err = spare ? settle(anchor, d, access, spare, &r, &kept)
			    : ipcshare_last_error()->status;
	}
	if (!err && spare && r == spare)
		err = make_attached(r);
	if (spare && (err || r != spare))
		registration_free(spare);
	if (err || !kept)
		ipcshare__anchor_drop(d->ctx, anchor);
	if (!err)
		*out = r;
	return err;
}

/* ---- Release ---- */

/* One user less: true if it was the last. *@dead: it was revoked, and is off the list. Locked. */
static bool user_less(struct ipcshare__registration *r, bool *dead)
{
	*dead = false;
	if (--r->users)
		return false;
	*dead = !r->mr;
	if (*dead)
		list_remove(r);
	else
		r->domain->stats.idle++; /* also while it is being revoked: it ends so, then */
	return true;
}

int ipcshare__registration_release(struct ipcshare__registration *r)
{
	struct ipcshare_ctx *ctx = r->domain->ctx;
	struct ipcshare__anchor anchor;
	bool released = true, last = false, dead = false;

	pthread_mutex_lock(&ctx->lock);
	if (r->users) {
		released = false;
		anchor = r->anchor;
		last = user_less(r, &dead);
	}
	pthread_mutex_unlock(&ctx->lock);
	if (released)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, "release", "",
				      "the region %p was released before", (void *)r);
	if (dead)
		registration_free(r);
	if (last)
		ipcshare__anchor_drop(ctx, &anchor);
	return 0;
}
