/* SPDX-License-Identifier: BSD-3-Clause */
/* Many copies in few calls. */
#include "backend/ascend/many.h"

#include <errno.h>
#include <stdlib.h>

#include "backend/ascend/place.h"
#include "base/error.h"
#include "base/known.h"

#define MOVES_PER_STREAM 64 /* fewer aren't worth waiting for one more stream */

/* ---- Issue ---- */

int ipcshare__lane_make(struct ascend *a, acl_handle *out)
{
	int code;

	if (*out)
		return 0;
	code = a->device.acl->aclrtCreateStream(out);
	if (!code)
		return 0;
	*out = NULL;
	return ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtCreateStream",
				  "a device has 1984 streams for all of its processes");
}

static int lanes_own(struct ascend *a, size_t nmoves, struct ascend_lanes *out)
{
	struct ascend_lanes l = { .n = 1 + nmoves / MOVES_PER_STREAM, .counted = true };
	int err = 0;

	if (l.n > ASCEND_STREAMS)
		l.n = ASCEND_STREAMS;
	a->streams[0] = a->device.stream;
	for (size_t i = 0; i < l.n && !err; i++) {
		err = ipcshare__lane_make(a, &a->streams[i]);
		l.stream[i] = a->streams[i];
	}
	*out = l;
	return err;
}

int ipcshare__lane_wait(struct ascend *a, struct ascend_lanes *l, size_t lane)
{
	int code = a->device.acl->aclrtSynchronizeStream(l->stream[lane]);

	l->queued[lane] = 0;
	return code ? ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtSynchronizeStream",
					 "has the owner freed the memory, or ended?")
		    : 0;
}

/* Everything that was queued has ended, whatever became of it; the first failure counts. */
static int lanes_wait(struct ascend *a, struct ascend_lanes *l, int err)
{
	struct ipcshare_error first;

	for (size_t i = 0; i < l->n; i++) {
		int status;

		if (!l->queued[i])
			continue;
		first = *ipcshare_last_error();
		status = ipcshare__lane_wait(a, l, i);
		if (err)
			ipcshare__error_restore(&first);
		else
			err = status;
	}
	return err;
}

static int row_issue(struct ascend *a, struct ascend_lanes *l, size_t lane, char *dst,
		     const char *src, size_t n)
{
	int err = 0, code;

	if (l->counted && l->queued[lane] >= ACL_QUEUE)
		err = ipcshare__lane_wait(a, l, lane);
	if (err)
		return err;
	code = a->device.acl->aclrtMemcpyAsync(dst, n, src, n, ACL_MEMCPY_DEVICE_TO_DEVICE,
					       l->stream[lane]);
	if (code)
		return ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtMemcpyAsync",
					  "do both ranks have peer access?");
	l->queued[lane]++;
	return 0;
}

static int rows_issue(struct ascend *a, struct ascend_lanes *l, size_t lane,
		      const struct ipcshare__move *m)
{
	int err = 0;

	for (size_t row = 0; row < m->height && !err; row++)
		err = row_issue(a, l, lane, m->dst + row * m->dpitch, m->src + row * m->spitch,
				m->width);
	return err;
}

/*
 * A run is one call of the host, but a task per row. One that is higher than the queue is issued as
 * it is: the call then goes on as the device does. 8.5.0 documents the call and refuses it.
 */
static int move_issue(struct ascend *a, struct ascend_lanes *l, size_t lane,
		      const struct ipcshare__move *m)
{
	int code, err = 0;

	if (m->height == 1 || a->no_2d)
		return rows_issue(a, l, lane, m);
	if (l->counted && l->queued[lane] && l->queued[lane] + m->height > ACL_QUEUE)
		err = ipcshare__lane_wait(a, l, lane);
	if (err)
		return err;
	code = a->device.acl->aclrtMemcpy2dAsync(m->dst, m->dpitch, m->src, m->spitch, m->width,
						 m->height, ACL_MEMCPY_DEVICE_TO_DEVICE,
						 l->stream[lane]);
	if (code == ACL_INVALID_PARAM) {
		a->device.acl->aclGetRecentErrMsg();
		a->no_2d = true;
		return l->counted ? rows_issue(a, l, lane, m)
				  : ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "copy",
						   "record the copies anew",
						   "this release can't record copies of planes, "
						   "which was not known before");
	}
	if (code)
		return ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtMemcpy2dAsync",
					  "do both ranks have peer access?");
	l->queued[lane] += m->height;
	return 0;
}

int ipcshare__work_issue(struct ascend *a, struct ascend_lanes *l, const struct ascend_work *w)
{
	int err = 0;

	ipcshare__known(l->n != 0);
	for (size_t i = 0; i < w->moves.n && !err; i++)
		err = move_issue(a, l, i % l->n, &w->moves.list[i]);
	return err;
}

/* ---- Do it ---- */

int ipcshare__work_rest(struct ascend *a, const struct ascend_work *w)
{
	struct ascend_place to = { 0 }, from = { 0 };
	int err = 0;

	for (size_t i = 0; i < w->nrest && !err; i++) {
		const struct ipcshare__piece *p = &w->rest[i];

		err = ipcshare__ascend_place(a, p->dst, p->len, &to);
		if (!err)
			err = ipcshare__ascend_place(a, p->src, p->len, &from);
		if (!err)
			err = ipcshare__ascend_copy_placed(a, p->dst, to.kind, p->src, from.kind,
							   p->len);
	}
	return err;
}

int ipcshare__work_do(struct ascend *a, const struct ascend_work *w)
{
	struct ascend_lanes l;
	int err;

	err = lanes_own(a, w->moves.n, &l);
	if (!err)
		err = ipcshare__work_issue(a, &l, w);
	err = lanes_wait(a, &l, err);
	return err ? err : ipcshare__work_rest(a, w);
}

int ipcshare__work_rest_on(struct ascend *a, const struct ascend_work *w, acl_handle stream)
{
	struct ascend_lanes l = { .stream = { stream }, .n = 1 };
	int err;

	if (!w->nrest)
		return 0;
	if (ipcshare__ascend_captures(a->device.acl, stream))
		return ipcshare__fail(
			IPCSHARE_ERR_UNSUPPORTED, "copy",
			"copy to and from the host before or after the capture",
			"%zu pieces have memory of the host at one end, and the stream "
			"is capturing",
			w->nrest);
	err = ipcshare__lane_wait(a, &l, 0);
	return err ? err : ipcshare__work_rest(a, w);
}

int ipcshare__work_issue_on(struct ascend *a, const struct ascend_work *w, acl_handle stream)
{
	struct ascend_lanes l = { .stream = { stream }, .n = 1 };

	l.counted = !ipcshare__ascend_captures(a->device.acl, stream);
	return ipcshare__work_issue(a, &l, w);
}

static int work_on_stream(struct ascend *a, const struct ascend_work *w, acl_handle stream)
{
	int err = ipcshare__work_rest_on(a, w, stream);

	return err ? err : ipcshare__work_issue_on(a, w, stream);
}

int ipcshare__ascend_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
				 size_t n, struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	struct ascend_work w;
	int err = ipcshare__ascend_enter(&a->device, "copy", &entry);

	if (err)
		return err;
	pthread_mutex_lock(&a->copy_lock);
	err = ipcshare__work_make(a, pieces, n, &w);
	if (!err) {
		err = stream ? work_on_stream(a, &w, (acl_handle)stream) : ipcshare__work_do(a, &w);
		ipcshare__work_free(&w);
	}
	pthread_mutex_unlock(&a->copy_lock);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}
