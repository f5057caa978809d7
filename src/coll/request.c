/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/request.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/point.h"
#include "group/wait.h"

struct ipcshare_request {
	struct ipcshare__call call;
	struct ipcshare_group *group; /* what call.group is, also when the handle has ended */
	struct ipcshare_request *behind; /* started after it */
	struct ipcshare_wait wait; /* for the round that is posted */
	bool begun, over;
	int status; /* once it is over */
	struct ipcshare_error error; /* the detail of it; before that, of the call's status */
};

/* ---- One request ---- */

static void end(struct ipcshare_request *r, int status)
{
	ipcshare__call_end(&r->call);
	r->over = true;
	r->status = status < 0 ? status : 0;
	r->error = *ipcshare_last_error();
}

/* What the call does between two rounds, and then the next one. */
static void step(struct ipcshare_request *r)
{
	int err;

	if (r->call.status) /* of the arguments: it may be told in this step */
		ipcshare__error_restore(&r->error);
	err = r->begun ? r->call.next(&r->call) : ipcshare__call_first(&r->call);
	r->begun = true;
	if (err >= 0 && r->call.next) {
		ipcshare__wait_begin(&r->wait, r->group);
		err = ipcshare__exchange_post(r->group);
	}
	if (err < 0 || !r->call.next)
		end(r, err);
}

/* As far as it comes without waiting; or to the end of a round. */
static void advance(struct ipcshare_request *r, bool wait)
{
	bool over = true;
	int err = wait ? ipcshare__exchange_wait(r->group)
		       : ipcshare__exchange_test(&r->wait, &over);

	if (err)
		end(r, err);
	else if (over)
		step(r);
}

/* ---- Those of a group ---- */

static void drain(struct ipcshare_group *g);

static void append(struct ipcshare_group *g, struct ipcshare_request *r)
{
	struct ipcshare_request **last = &g->requests;

	while (*last)
		last = &(*last)->behind;
	*last = r;
	g->drain = drain;
	atomic_fetch_add(&g->children, 1);
}

/* Begin the first one; whatever is over makes room for the next. */
static void settle(struct ipcshare_group *g)
{
	while (g->requests && (!g->requests->begun || g->requests->over)) {
		if (g->requests->over)
			g->requests = g->requests->behind;
		else
			step(g->requests);
	}
	if (!g->requests)
		g->drain = NULL;
}

/* Until @last is over, or all. */
static void run(struct ipcshare_group *g, const struct ipcshare_request *last)
{
	while (g->requests && !(last && last->over)) {
		advance(g->requests, true);
		settle(g);
	}
}

/* The caller's last error is not theirs. */
static void drain(struct ipcshare_group *g)
{
	struct ipcshare_error before = *ipcshare_last_error();

	run(g, NULL);
	ipcshare__error_restore(&before);
}

/* As far as all of them come. A round that is over may complete the next at once. */
static void progress(struct ipcshare_group *g)
{
	struct ipcshare_error before = *ipcshare_last_error();
	uint64_t round;

	do {
		round = g->round;
		if (g->requests)
			advance(g->requests, false);
		settle(g);
	} while (g->requests && g->round != round);
	ipcshare__error_restore(&before);
}

int ipcshare__request_start(struct ipcshare__call *call, struct ipcshare_request **out)
{
	struct ipcshare_request *r;

	if (!out && !call->status)
		call->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					      "there is nowhere to put the request");
	r = out ? calloc(1, sizeof(*r)) : NULL;
	if (out && !r && !call->status)
		call->status = ipcshare__fail_errno(ENOMEM, "collective", "the request");
	if (!r)
		return ipcshare__call_run(call);
	r->call = *call;
	r->group = call->group;
	r->error = *ipcshare_last_error();
	append(r->group, r);
	settle(r->group);
	IPCSHARE__POINT("request.started");
	*out = r;
	return 0;
}

/* ---- For the caller ---- */

/* It is over, or nobody can end it any more. */
static int finish(struct ipcshare_request **request)
{
	struct ipcshare_request *r = *request;
	int status = r->status;

	if (status)
		ipcshare__error_restore(&r->error);
	atomic_fetch_sub(&r->group->children, 1);
	free(r);
	*request = NULL;
	return status;
}

/* Its group was abandoned, and with it what the call held. */
static int forget(struct ipcshare_request **request, int err)
{
	free((*request)->call.offered);
	free(*request);
	*request = NULL;
	return err;
}

int ipcshare_request_test(struct ipcshare_request **request, int *done)
{
	int err;

	if (!request || !done)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "", "%s is NULL",
				      request ? "done" : "request");
	if (*request) {
		err = ipcshare__group_check((*request)->group, "collective");
		if (err)
			return forget(request, err);
		progress((*request)->group);
		IPCSHARE__POINT("request.tested");
		if (!(*request)->over) {
			*done = 0;
			return 0;
		}
	}
	*done = 1;
	return *request ? finish(request) : 0;
}

int ipcshare_request_wait(struct ipcshare_request **request)
{
	struct ipcshare_error before;
	int err;

	if (!request)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "", "request is NULL");
	if (!*request)
		return 0;
	err = ipcshare__group_check((*request)->group, "collective");
	if (err)
		return forget(request, err);
	before = *ipcshare_last_error();
	IPCSHARE__POINT("request.awaited");
	run((*request)->group, *request);
	ipcshare__error_restore(&before);
	return finish(request);
}
