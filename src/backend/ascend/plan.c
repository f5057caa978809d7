/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same copies again and again: recorded once as a model of the runtime, which replays them with
 * one call. Only what lies on devices on both sides goes that way.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/ascend/many.h"
#include "base/error.h"
#include "base/log.h"

struct plan {
	struct ascend_work work;
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
	int code = acl && p->model ? acl->aclmdlRIDestroy(p->model) : ACL_OK;

	if (code)
		ipcshare__log(IPCSHARE__LOG_WARN, "plan: aclmdlRIDestroy returned %d (%s)", code,
			      ipcshare__acl_name(code));
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
	struct ascend_lanes l = { .n = 1 };
	int err, code;

	err = ipcshare__lane_make(a, &p->stream);
	if (err)
		return err;
	l.stream[0] = p->stream;
	code = acl->aclmdlRICaptureBegin(p->stream, ACL_CAPTURE_RELAXED);
	if (code)
		return ipcshare__acl_fail(acl, code, "plan", "aclmdlRICaptureBegin", "");
	err = ipcshare__work_issue(a, &l, &p->work);
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
	err = ipcshare__work_make(a, pieces, n, &p->work);
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

/* Queue the recorded moves; false: they have to be issued one by one. */
static bool replay(struct ascend *a, const struct plan *p, acl_handle stream)
{
	int code;

	if (!p->model)
		return false;
	code = a->device.acl->aclmdlRIExecuteAsync(p->model, stream);
	if (!code)
		return true;
	/* other models may hold all queues */
	ipcshare__log(IPCSHARE__LOG_INFO, "plan: aclmdlRIExecuteAsync returned %d (%s)", code,
		      ipcshare__acl_name(code));
	a->device.acl->aclGetRecentErrMsg();
	return false;
}

static int plan_run(struct ascend *a, const struct plan *p)
{
	struct ascend_lanes l = { .stream = { a->device.stream }, .n = 1 };
	int err;

	if (!replay(a, p, a->device.stream))
		return ipcshare__work_do(a, &p->work);
	err = ipcshare__lane_wait(a, &l, 0);
	return err ? err : ipcshare__work_rest(a, &p->work);
}

static int plan_run_on(struct ascend *a, const struct plan *p, acl_handle stream)
{
	int err = ipcshare__work_rest_on(a, &p->work, stream);

	if (err || replay(a, p, stream))
		return err;
	return ipcshare__work_issue_on(a, &p->work, stream);
}

int ipcshare__ascend_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan,
			      struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err = ipcshare__ascend_enter(&a->device, "plan", &entry);

	if (err)
		return err;
	pthread_mutex_lock(&a->copy_lock);
	err = stream ? plan_run_on(a, (struct plan *)plan, (acl_handle)stream)
		     : plan_run(a, (struct plan *)plan);
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
	ipcshare__work_free(&p->work);
	free(p);
}
