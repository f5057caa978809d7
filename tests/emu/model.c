/* SPDX-License-Identifier: BSD-3-Clause */
/* Captured models: building their lanes, and replaying them. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "model.h"
#include "notify.h"

struct emu_model *emu_model_new(struct emu_context *c)
{
	static uint64_t serial;		/* under the capture lock */
	struct emu_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->handle = emu_handle_new(EMU_MODEL, m);
	m->end_notify = emu_notify_take(c->device);
	if (!m->handle || m->end_notify == EMU_NONE) {
		emu_handle_drop(EMU_MODEL, m->handle);
		free(m);
		return NULL;
	}
	m->ctx = c->handle;
	m->device = c->device;
	m->serial = ++serial;
	m->thread = pthread_self();
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	return m;
}

void emu_model_free(struct emu_model *m)
{
	emu_handle_drop(EMU_MODEL, m->handle);
	for (uint32_t l = 0; l < m->nlanes; l++) {
		for (uint32_t i = 0; i < m->lanes[l].n; i++)
			emu_task_drop(&m->lanes[l].tasks[i]);
		free(m->lanes[l].tasks);
	}
	emu_notify_give(m->device, m->end_notify);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->changed);
	free(m->lanes);
	free(m->waited_in);
	free(m->edge_run);
	free(m);
}

int emu_lane_add(struct emu_model *m, struct emu_stream *s)
{
	struct emu_lane *more = realloc(m->lanes, (m->nlanes + 1) * sizeof(*more));

	if (!more)
		return -1;
	m->lanes = more;
	memset(&more[m->nlanes], 0, sizeof(*more));
	more[m->nlanes].stream = s;
	s->capture = m;
	s->lane = m->nlanes++;
	return 0;
}

int emu_lane_append(struct emu_model *m, uint32_t lane, const struct emu_task *t)
{
	struct emu_lane *l = &m->lanes[lane];

	if (l->n == l->room) {
		uint32_t want = l->room ? l->room * 2 : 16;
		struct emu_task *more = realloc(l->tasks, want * sizeof(*more));

		if (!more)
			return -1;
		l->tasks = more;
		l->room = want;
	}
	l->tasks[l->n++] = *t;
	l->last_edge = 0;
	return 0;
}

static int edge_record_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_model *m = t->u.model.model;

	(void)where;
	pthread_mutex_lock(&m->lock);
	m->edge_run[t->u.model.edge] = m->run;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* No abort here: a lane that is aborted still passes its edges. */
static int edge_wait_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_model *m = t->u.model.model;

	(void)where;
	pthread_mutex_lock(&m->lock);
	while (m->edge_run[t->u.model.edge] != m->run)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int emu_edge_record(struct emu_model *m, uint32_t lane, uint32_t *edge)
{
	struct emu_task t = { .run = edge_record_run, .u.model = { m, m->nedges } };
	uint64_t *runs = realloc(m->edge_run, (m->nedges + 1) * sizeof(*runs));
	uint32_t *waited;

	if (!runs)
		return -1;
	m->edge_run = runs;
	waited = realloc(m->waited_in, (m->nedges + 1) * sizeof(*waited));
	if (!waited)
		return -1;
	m->waited_in = waited;
	runs[m->nedges] = 0;
	waited[m->nedges] = 0;
	if (emu_lane_append(m, lane, &t))
		return -1;
	*edge = m->nedges++;
	m->lanes[lane].last_edge = *edge + 1;
	return 0;
}

int emu_edge_wait(struct emu_model *m, uint32_t lane, uint32_t edge)
{
	struct emu_task t = { .run = edge_wait_run, .u.model = { m, edge } };

	if (emu_lane_append(m, lane, &t))
		return -1;
	m->waited_in[edge] = lane + 1;
	return 0;
}

/* The last task of each side lane records an edge that a lane leading to the first waits for. */
bool emu_model_joined(const struct emu_model *m)
{
	for (uint32_t l = 1; l < m->nlanes; l++) {
		uint32_t at = l, steps = 0;

		while (at && steps++ < m->nlanes) {
			uint32_t e = m->lanes[at].last_edge;

			if (!e || !m->waited_in[e - 1])
				return false;
			at = m->waited_in[e - 1] - 1;
		}
		if (at)
			return false;
	}
	return true;
}

struct lane_run {
	struct emu_model *model;
	struct emu_lane *lane;
	const struct emu_run *where;
	pthread_t thread;
	bool threaded;
	int err;
};

/* Continues after a failure, as streams do; the first one is the model's. */
static void *lane_run(void *arg)
{
	struct lane_run *r = arg;

	for (uint32_t i = 0; i < r->lane->n; i++) {
		struct emu_task *t = &r->lane->tasks[i];
		bool edge = t->run == edge_record_run || t->run == edge_wait_run;
		int err = edge ? t->run(t, r->where) :
			  *r->where->abort ? 0 : emu_task_run(t, r->where);

		COUNT(task, 1);
		r->err = r->err ? r->err : err;
	}
	return NULL;
}

static int lanes_run(struct emu_model *m, const struct emu_run *where)
{
	struct lane_run *runs = calloc(m->nlanes, sizeof(*runs));
	int err = runs ? 0 : ACL_ERROR_RT_MODEL_EXECUTE;

	for (uint32_t l = 0; runs && l < m->nlanes; l++)
		runs[l] = (struct lane_run){ .model = m, .lane = &m->lanes[l], .where = where };
	for (uint32_t l = 1; runs && l < m->nlanes; l++)
		runs[l].threaded = !pthread_create(&runs[l].thread, NULL, lane_run, &runs[l]);
	if (runs)
		lane_run(&runs[0]);
	for (uint32_t l = 0; runs && l < m->nlanes; l++) {
		if (runs[l].threaded)
			pthread_join(runs[l].thread, NULL);
		else if (l)
			runs[l].err = ACL_ERROR_RT_MODEL_EXECUTE;
		err = err ? err : runs[l].err;
	}
	free(runs);
	return err;
}

static int start_run(struct emu_task *t, const struct emu_run *where)
{
	(void)t;
	(void)where;
	return 0;
}

static int end_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_model *m = t->u.model.model;
	bool busy;
	int err;

	pthread_mutex_lock(&m->lock);
	busy = m->running;	/* two streams at once: not allowed */
	if (!busy) {
		m->running = true;
		m->run++;
	}
	pthread_mutex_unlock(&m->lock);
	if (busy)
		return ACL_ERROR_RT_MODEL_EXECUTE;
	err = lanes_run(m, where);
	pthread_mutex_lock(&m->lock);
	m->running = false;
	pthread_mutex_unlock(&m->lock);
	return err;
}

static void end_drop(struct emu_task *t)
{
	struct emu_model *m = t->u.model.model;

	pthread_mutex_lock(&m->lock);
	m->pending--;
	pthread_mutex_unlock(&m->lock);
}

static int model_of(aclmdlRI handle, struct emu_context *c, struct emu_model **out)
{
	struct emu_model *m = handle ? emu_handle_get(EMU_MODEL, handle) : NULL;

	if (!m)
		return emu_fail(handle ? ACL_ERROR_RT_PARAM_INVALID : ACL_ERROR_INVALID_PARAM,
				"not a living model");
	if (m->ctx != c->handle)
		return emu_fail(ACL_ERROR_RT_MODEL_CONTEXT, "a model of another context");
	if (m->capturing)
		return emu_fail(ACL_ERROR_RT_MODEL_CAPTURED, "the model is still being captured");
	*out = m;
	return 0;
}

/* Two tasks on the launching stream, whatever the model holds. */
aclError aclmdlRIExecuteAsync(aclmdlRI handle, aclrtStream stream)
{
	struct emu_task start = { .run = start_run }, end = { .run = end_run, .drop = end_drop };
	struct emu_context *c;
	struct emu_stream *s;
	struct emu_model *m;
	int err;

	ENTER(aclmdlRIExecuteAsync);
	NEED_CONTEXT(c);
	err = model_of(handle, c, &m);
	if (err)
		return err;
	if (!stream)	/* the real one passes its checks and crashes later */
		return emu_fail(ACL_ERROR_INVALID_PARAM, "replay on the NULL stream");
	s = emu_stream_of(c, stream, &err);
	if (!s)
		return err;
	if (emu_capturing(s))
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "replay onto a capturing stream");
	COUNT(replay, 1);
	err = emu_stream_enqueue(s, &start);
	if (err)
		return err;
	pthread_mutex_lock(&m->lock);
	m->pending++;
	pthread_mutex_unlock(&m->lock);
	end.u.model.model = m;
	return emu_stream_enqueue(s, &end);
}

aclError aclmdlRIExecute(aclmdlRI handle, int32_t ms)
{
	struct emu_context *c;
	struct emu_model *m;
	int err;

	ENTER(aclmdlRIExecute);
	(void)ms;
	NEED_CONTEXT(c);
	err = model_of(handle, c, &m);
	return err ? err : emu_fail(ACL_ERROR_RT_PARAM_INVALID,
				    "a captured model: for hand-built ones only");
}

aclError aclmdlRIDestroy(aclmdlRI handle)
{
	uint64_t deadline;
	struct emu_context *c;
	struct emu_model *m;
	bool busy = true;
	int err;

	ENTER(aclmdlRIDestroy);
	NEED_CONTEXT(c);
	err = model_of(handle, c, &m);
	if (err)
		return err;
	deadline = emu_now_ns() + (uint64_t)emu_settings()->destroy_ms * 1000000;
	while (busy && emu_now_ns() < deadline) {	/* polls, as the real one does */
		pthread_mutex_lock(&m->lock);
		busy = m->pending;
		pthread_mutex_unlock(&m->lock);
		if (busy)
			emu_sleep_us(1000);
	}
	if (busy)
		return emu_fail(ACL_ERROR_RT_MODEL_RUNNING, "the model is running");
	emu_model_free(m);
	return 0;
}
