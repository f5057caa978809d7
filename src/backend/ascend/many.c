/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many copies in few calls, and plans: the same copies recorded once as a model of the runtime, which
 * replays them with one call. Only what lies on devices on both sides goes that way.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/ascend/place.h"
#include "backend/pieces.h"
#include "base/error.h"
#include "base/log.h"

#define MOVES_PER_STREAM 64 /* fewer aren't worth waiting for one more stream */

/* Moves between devices, and pieces with memory of the host at one end. */
struct work {
	struct ipcshare__moves moves;
	struct ipcshare__piece *rest; /* to be freed; moves' pieces stand before them */
	size_t nrest;
};

static void work_free(struct work *w)
{
	free(w->moves.list);
	free(w->rest);
}

/* Divide the pieces: those between devices to the front of @all, the others behind; entered. */
static int work_sort(const struct ascend *a, const struct ipcshare__piece *pieces, size_t n,
		     struct ipcshare__piece *all, size_t *ndevice)
{
	struct ascend_place to = { 0 }, from = { 0 };
	size_t front = 0, back = n;
	int err;

	for (size_t i = 0; i < n; i++) {
		const struct ipcshare__piece *p = &pieces[i];

		err = p->len ? ipcshare__ascend_place(a, p->dst, p->len, &to) : 0;
		if (!err && p->len)
			err = ipcshare__ascend_place(a, p->src, p->len, &from);
		if (err) {
			ipcshare__fail_at(-1, (int64_t)i);
			return err;
		}
		if (p->len && (to.kind == ASCEND_HOST || from.kind == ASCEND_HOST))
			all[--back] = *p;
		else
			all[front++] = *p;
	}
	*ndevice = front;
	return 0;
}

static int work_make(struct ascend *a, const struct ipcshare__piece *pieces, size_t n,
		     struct work *out)
{
	struct ipcshare__run_limits limits = { ACL_2D_WIDTH, ACL_2D_HEIGHT };
	struct work w = { .rest = malloc((n + 1) * sizeof(*w.rest)) };
	size_t ndevice = 0;
	int err;

	if (!w.rest)
		return ipcshare__fail_errno(ENOMEM, "copy", "%zu pieces", n);
	err = work_sort(a, pieces, n, w.rest, &ndevice);
	if (!err) {
		if (a->no_2d || !a->device.acl->aclrtMemcpy2dAsync)
			limits.height = 1;
		err = ipcshare__moves_plan(w.rest, ndevice, limits, &w.moves);
	}
	if (err) {
		work_free(&w);
		return err;
	}
	w.nrest = n - ndevice;
	for (size_t i = 0; i < w.nrest; i++)
		w.rest[i] = w.rest[ndevice + i];
	*out = w;
	return 0;
}

/* ---- Issue ---- */

/* Where moves are put, and how many tasks each stream may still have before it. */
struct lanes {
	acl_handle stream[ASCEND_STREAMS];
	size_t queued[ASCEND_STREAMS];
	size_t n;
	bool counted; /* wait when a queue is nearly full; not while recording */
};

static int stream_make(struct ascend *a, acl_handle *out)
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

static int lanes_own(struct ascend *a, size_t nmoves, struct lanes *out)
{
	struct lanes l = { .n = 1 + nmoves / MOVES_PER_STREAM, .counted = true };
	int err = 0;

	if (l.n > ASCEND_STREAMS)
		l.n = ASCEND_STREAMS;
	a->streams[0] = a->device.stream;
	for (size_t i = 0; i < l.n && !err; i++) {
		err = stream_make(a, &a->streams[i]);
		l.stream[i] = a->streams[i];
	}
	*out = l;
	return err;
}

static int lane_wait(struct ascend *a, struct lanes *l, size_t lane)
{
	int code = a->device.acl->aclrtSynchronizeStream(l->stream[lane]);

	l->queued[lane] = 0;
	return code ? ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtSynchronizeStream",
					 "has the owner freed the memory, or ended?")
		    : 0;
}

/* Everything that was queued has ended, whatever became of it; the first failure counts. */
static int lanes_wait(struct ascend *a, struct lanes *l, int err)
{
	struct ipcshare_error first;

	for (size_t i = 0; i < l->n; i++) {
		int status;

		if (!l->queued[i])
			continue;
		first = *ipcshare_last_error();
		status = lane_wait(a, l, i);
		if (err)
			ipcshare__error_restore(&first);
		else
			err = status;
	}
	return err;
}

static int row_issue(struct ascend *a, struct lanes *l, size_t lane, char *dst, const char *src,
		     size_t n)
{
	int err = 0, code;

	if (l->counted && l->queued[lane] >= ACL_QUEUE)
		err = lane_wait(a, l, lane);
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

static int rows_issue(struct ascend *a, struct lanes *l, size_t lane,
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
static int move_issue(struct ascend *a, struct lanes *l, size_t lane,
		      const struct ipcshare__move *m)
{
	int code, err = 0;

	if (m->height == 1 || a->no_2d)
		return rows_issue(a, l, lane, m);
	if (l->counted && l->queued[lane] && l->queued[lane] + m->height > ACL_QUEUE)
		err = lane_wait(a, l, lane);
	if (err)
		return err;
	code = a->device.acl->aclrtMemcpy2dAsync(m->dst, m->dpitch, m->src, m->spitch, m->width,
						 m->height, ACL_MEMCPY_DEVICE_TO_DEVICE,
						 l->stream[lane]);
	if (code == ACL_INVALID_PARAM) {
		a->device.acl->aclGetRecentErrMsg();
		a->no_2d = true;
		return l->counted ? rows_issue(a, l, lane, m) : IPCSHARE_ERR_UNSUPPORTED;
	}
	if (code)
		return ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtMemcpy2dAsync",
					  "do both ranks have peer access?");
	l->queued[lane] += m->height;
	return 0;
}

static int moves_issue(struct ascend *a, struct lanes *l, const struct ipcshare__moves *moves)
{
	int err = 0;

	for (size_t i = 0; i < moves->n && !err; i++)
		err = move_issue(a, l, i % l->n, &moves->list[i]);
	return err;
}

/* ---- Do it ---- */

static int rest_copy(struct ascend *a, const struct work *w)
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

static int work_on_own(struct ascend *a, const struct work *w)
{
	struct lanes l;
	int err;

	err = lanes_own(a, w->moves.n, &l);
	if (!err)
		err = moves_issue(a, &l, &w->moves);
	err = lanes_wait(a, &l, err);
	return err ? err : rest_copy(a, w);
}

/* What is in the stream before it comes first, so the host's bytes wait for that. */
static int work_on_stream(struct ascend *a, const struct work *w, acl_handle stream)
{
	struct lanes l = { .stream = { stream }, .n = 1, .counted = true };
	int err = w->nrest ? lane_wait(a, &l, 0) : 0;

	if (!err)
		err = rest_copy(a, w);
	return err ? err : moves_issue(a, &l, &w->moves);
}

int ipcshare__ascend_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
				 size_t n, struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	struct work w;
	int err = ipcshare__ascend_enter(&a->device, "copy", &entry);

	if (err)
		return err;
	pthread_mutex_lock(&a->copy_lock);
	err = work_make(a, pieces, n, &w);
	if (!err) {
		err = stream ? work_on_stream(a, &w, (acl_handle)stream) : work_on_own(a, &w);
		work_free(&w);
	}
	pthread_mutex_unlock(&a->copy_lock);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

/* ---- Plans ---- */

struct plan {
	struct work work;
	acl_handle model; /* NULL: the moves are issued anew each time */
	acl_handle stream; /* that it was recorded on */
};

static bool can_record(const struct acl *acl)
{
	return acl->aclmdlRICaptureBegin && acl->aclmdlRICaptureEnd && acl->aclmdlRIExecuteAsync &&
	       acl->aclmdlRIDestroy;
}

static void record_drop(struct ascend *a, struct plan *p)
{
	const struct acl *acl = ipcshare__ascend_acl(a);

	if (acl && p->model)
		acl->aclmdlRIDestroy(p->model);
	if (acl && p->stream)
		acl->aclrtDestroyStream(p->stream);
	p->model = NULL;
	p->stream = NULL;
}

/*
 * In the mode that refuses nothing to any thread: we copy nothing synchronously meanwhile, and should
 * the end fail, this thread can still copy. Any failure: no model, and nothing has been copied.
 */
static int record(struct ascend *a, struct plan *p)
{
	const struct acl *acl = a->device.acl;
	struct lanes l = { .n = 1 };
	int err, code;

	err = stream_make(a, &p->stream);
	if (err)
		return err;
	l.stream[0] = p->stream;
	code = acl->aclmdlRICaptureBegin(p->stream, ACL_CAPTURE_RELAXED);
	if (code)
		return ipcshare__acl_fail(acl, code, "plan", "aclmdlRICaptureBegin", "");
	err = moves_issue(a, &l, &p->work.moves);
	code = acl->aclmdlRICaptureEnd(p->stream, &p->model);
	if (!code)
		return err;
	if (!err)
		err = ipcshare__acl_fail(acl, code, "plan", "aclmdlRICaptureEnd", "");
	if (acl->aclmdlRICaptureEnd(p->stream, &p->model)) /* be sure that it is over */
		p->model = NULL;
	acl->aclGetRecentErrMsg();
	return err;
}

/* Without a model a plan only costs more calls, so that is no error. */
static void plan_record(struct ascend *a, struct plan *p)
{
	struct ipcshare_error before = *ipcshare_last_error();
	bool planes = !a->no_2d;
	int err;

	if (!p->work.moves.n || !can_record(a->device.acl))
		return;
	err = record(a, p);
	if (err)
		record_drop(a, p);
	if (err && planes && a->no_2d) { /* the first time that this was tried: now without */
		err = record(a, p);
		if (err)
			record_drop(a, p);
	}
	if (err)
		ipcshare__log(IPCSHARE__LOG_INFO, "plan: not recorded, copies will be issued anew");
	ipcshare__error_restore(&before);
}

int ipcshare__ascend_plan_create(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
				 size_t n, struct ipcshare__plan **out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct plan *p = calloc(1, sizeof(*p));
	struct ascend_entry entry;
	int err;

	if (!p)
		return ipcshare__fail_errno(ENOMEM, "plan", "a plan");
	err = ipcshare__ascend_enter(&a->device, "plan", &entry);
	if (err) {
		free(p);
		return err;
	}
	pthread_mutex_lock(&a->copy_lock);
	err = work_make(a, pieces, n, &p->work);
	if (!err)
		plan_record(a, p);
	pthread_mutex_unlock(&a->copy_lock);
	ipcshare__ascend_leave(&a->device, &entry);
	if (err)
		free(p);
	else
		*out = (struct ipcshare__plan *)p;
	return err;
}

static int plan_run(struct ascend *a, struct plan *p)
{
	struct lanes l = { .stream = { a->device.stream }, .n = 1 };
	int err, code;

	if (!p->model)
		return work_on_own(a, &p->work);
	code = a->device.acl->aclmdlRIExecuteAsync(p->model, a->device.stream);
	if (code) { /* other models may hold all queues */
		ipcshare__log(IPCSHARE__LOG_INFO, "plan: aclmdlRIExecuteAsync returned %d (%s)",
			      code, ipcshare__acl_name(code));
		a->device.acl->aclGetRecentErrMsg();
		return work_on_own(a, &p->work);
	}
	err = lane_wait(a, &l, 0);
	return err ? err : rest_copy(a, &p->work);
}

int ipcshare__ascend_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err = ipcshare__ascend_enter(&a->device, "plan", &entry);

	if (err)
		return err;
	pthread_mutex_lock(&a->copy_lock);
	err = plan_run(a, (struct plan *)plan);
	pthread_mutex_unlock(&a->copy_lock);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

void ipcshare__ascend_plan_free(struct ipcshare__backend *be, struct ipcshare__plan *plan)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct plan *p = (struct plan *)plan;
	struct ascend_entry entry;

	if (!p)
		return;
	if (!a->device.lost && !ipcshare__ascend_enter(&a->device, "plan", &entry)) {
		record_drop(a, p);
		ipcshare__ascend_leave(&a->device, &entry);
	}
	work_free(&p->work);
	free(p);
}
