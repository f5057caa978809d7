/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 1.9.5 and items 17 and 18 of section 6: capture and replay. */
#include "ranks.h"

#include <pthread.h>

#define D2D ACL_MEMCPY_DEVICE_TO_DEVICE
#define GLOBAL ACL_MODEL_RI_CAPTURE_MODE_GLOBAL
#define LOCAL ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL
#define RELAXED ACL_MODEL_RI_CAPTURE_MODE_RELAXED

static aclrtStream s, side;
static char *p, *q;

static void ready(void)
{
	up(0);
	OK(aclrtCreateStream(&s));
	OK(aclrtCreateStream(&side));
	p = alloc(4096);
	q = alloc(4096);
	put(p, 1, 4096);
	put(q, 2, 4096);
}

static void replay(struct rank *r)
{
	aclmdlRICaptureStatus status;
	aclmdlRI m, seen;
	aclrtStream other;

	(void)r;
	ready();
	OK(aclmdlRICaptureGetInfo(s, &status, &seen));
	EXPECT(status == ACL_MODEL_RI_CAPTURE_STATUS_NONE && !seen);
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclmdlRICaptureGetInfo(s, &status, &m));
	EXPECT(status == ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE && m);
	CODE(107026, aclmdlRIExecuteAsync(m, side));		/* still capturing */
	OK(aclrtMemcpyAsync(p, 8, q, 8, D2D, s));
	OK(aclrtMemcpy2dAsync(p + 64, 8, q, 16, 8, 3, D2D, s));
	OK(aclmdlRICaptureEnd(s, &seen));
	EXPECT(m == seen);
	OK(aclrtSynchronizeStream(s));
	EXPECT(holds(p, 1, 4096));				/* nothing ran */
	put(q, 3, 4096);					/* contents are read at replay */
	ascendclEmuResetCounters();
	OK(aclmdlRIExecuteAsync(m, side));
	EXPECT(counter("queue_entry") == 2 && counter("aclmdlRIExecuteAsync") == 1);
	OK(aclrtSynchronizeStream(side));
	EXPECT(counter("queue_entry") == 2);
	EXPECT(counter("task") == 2 + 4);			/* and the recorded ones */
	EXPECT(holds(p, 3, 8) && holds(p + 8, 1, 56) && holds(p + 64, 3, 24));
	CODE(107000, aclmdlRIExecute(m, 100));			/* hand-built models only */
	CODE(100000, aclmdlRIExecuteAsync(m, NULL));
	OK(aclrtSetDevice(1));
	OK(aclrtCreateStream(&other));
	CODE(107004, aclmdlRIExecuteAsync(m, other));		/* the model's context */
	OK(aclrtSetDevice(0));
	CODE(107003, aclmdlRIExecuteAsync(m, other));
	OK(aclmdlRIDestroy(m));
	CODE(107000, aclmdlRIExecuteAsync(m, s));
}

static void nothing_runs_while_captured_and_replay_is_two_tasks(void)
{
	RANKS_OK(1, "", replay);
}

static void *other_thread(void *arg)
{
	aclrtContext c = arg;
	long code;

	OK(aclrtSetCurrentContext(c));
	code = aclrtMemcpy(p, 8, q, 8, D2D);
	return (void *)code;
}

static long in_thread(void *(*fn)(void *))
{
	aclrtContext c;
	pthread_t t;
	void *code;

	OK(aclrtGetCurrentContext(&c));
	pthread_create(&t, NULL, fn, c);
	pthread_join(t, &code);
	return (long)code;
}

static void modes(struct rank *r)
{
	aclmdlRICaptureMode mode = RELAXED;
	aclmdlRI m;
	char host[8];

	(void)r;
	ready();
	OK(aclmdlRICaptureBegin(s, GLOBAL));
	CODE(107030, in_thread(other_thread));
	CODE(507903, aclmdlRICaptureEnd(s, &m));	/* spoilt, by the documents */
	EXPECT(!m);
	OK(aclmdlRICaptureBegin(s, LOCAL));
	CODE(0, in_thread(other_thread));
	CODE(107030, aclrtMemcpy(p, 8, q, 8, D2D));
	CODE(107030, aclrtMemset(p, 8, 0, 8));
	CODE(107030, aclrtMemcpy2d(p, 8, host, 8, 8, 1, ACL_MEMCPY_HOST_TO_DEVICE));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRICaptureBegin(s, RELAXED));
	OK(aclrtMemcpy(p, 8, q, 8, D2D));
	OK(aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRIDestroy(m));
	OK(aclmdlRICaptureBegin(s, GLOBAL));
	OK(aclmdlRICaptureThreadExchangeMode(&mode));	/* this thread goes RELAXED */
	EXPECT(mode == GLOBAL);
	OK(aclrtMemcpy(p, 8, q, 8, D2D));
	OK(aclmdlRICaptureThreadExchangeMode(&mode));
	EXPECT(mode == RELAXED);
	OK(aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRIDestroy(m));
}

static void sync_calls_by_mode_and_thread(void)
{
	RANKS_OK(1, "", modes);
}

static void refused(struct rank *r)
{
	aclrtStreamStatus status;
	char host[8], key[KEY];
	void *x, *pinned;
	aclrtEvent e;
	aclrtNotify n;
	aclmdlRI m;

	(void)r;
	ready();
	OK(aclrtMallocHost(&pinned, 8));
	CODE(100000, aclmdlRICaptureBegin(NULL, LOCAL));
	CODE(107029, aclmdlRICaptureEnd(s, &m));		/* not capturing */
	OK(aclmdlRICaptureBegin(s, LOCAL));
	CODE(107027, aclmdlRICaptureBegin(s, LOCAL));
	CODE(107027, aclrtSynchronizeStream(s));
	CODE(107027, aclrtStreamQuery(s, &status));
	CODE(107027, aclrtDestroyStream(s));
	CODE(107027, aclrtSynchronizeDevice());
	/* malloc, free, IPC and the making of streams and events are executed at once */
	OK(aclrtMalloc(&x, 64, ACL_MEM_MALLOC_HUGE_FIRST));
	OK(aclrtIpcMemGetExportKey(x, 64, key, KEY, 0));
	OK(aclrtIpcMemClose(key));
	OK(aclrtFree(x));
	OK(aclrtCreateNotify(&n, 0));
	OK(aclrtCreateEventExWithFlag(&e, ACL_EVENT_SYNC));
	OK(aclrtMemcpyAsync(p, 8, pinned, 8, ACL_MEMCPY_HOST_TO_DEVICE, s));
	CODE(107000, aclrtFreeHost((char *)pinned + 4));
	OK(aclrtRecordEvent(e, s));
	CODE(107028, aclrtSynchronizeEvent(e));			/* used in the capture */
	CODE(107036, (aclrtStreamWaitEvent(side, e), aclmdlRICaptureEnd(side, &m)));
	CODE(107025, aclmdlRICaptureEnd(s, &m));		/* side was not joined back */
	EXPECT(!m);
	OK(aclrtSynchronizeStream(side));			/* free again */
	OK(aclmdlRICaptureBegin(s, LOCAL));
	CODE(107000, aclrtMemcpyAsync(p, 8, host, 8, ACL_MEMCPY_HOST_TO_DEVICE, s));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRICaptureBegin(s, LOCAL));
	CODE(107041, aclrtMemcpyAsync(p, 8, host, 8, ACL_MEMCPY_HOST_TO_DEVICE, side));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
}

static void what_is_refused_meanwhile(void)
{
	RANKS_OK(1, "", refused);
}

static void *end_elsewhere(void *arg)
{
	aclmdlRI m;

	OK(aclrtSetCurrentContext(arg));
	return (void *)(long)aclmdlRICaptureEnd(s, &m);
}

static void event_rules(struct rank *r)
{
	aclrtEvent plain, ex, ipc, outside, external;
	aclrtTaskGrp group = NULL;
	aclrtContext c;
	aclmdlRI m;

	(void)r;
	ready();
	OK(aclrtCreateEvent(&plain));
	OK(aclrtCreateEventExWithFlag(&ex, ACL_EVENT_SYNC));
	OK(aclrtCreateEventExWithFlag(&outside, ACL_EVENT_SYNC));
	OK(aclrtCreateEventExWithFlag(&ipc, ACL_EVENT_IPC));
	OK(aclrtCreateEventExWithFlag(&external, ACL_EVENT_EXTERNAL));
	OK(aclrtRecordEvent(outside, side));
	OK(aclrtRecordEvent(external, side));
	aclrtEvent bad[] = { plain, ipc };

	for (int i = 0; i < 2; i++) {
		OK(aclmdlRICaptureBegin(s, LOCAL));
		CODE(207000, aclrtRecordEvent(bad[i], s));
		CODE(507903, aclmdlRICaptureEnd(s, &m));
	}
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclrtStreamWaitEvent(s, external));
	CODE(107024, aclrtStreamWaitEvent(s, outside));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclrtRecordEvent(ex, s));
	CODE(107031, aclrtStreamWaitEvent(NULL, ex));	/* pulls in the default stream */
	CODE(107038, in_thread(end_elsewhere));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRICaptureBegin(s, RELAXED));
	CODE(0, in_thread(end_elsewhere));
	OK(aclmdlRICaptureBegin(s, RELAXED));
	OK(aclmdlRICaptureTaskGrpBegin(s));
	OK(aclmdlRICaptureTaskGrpEnd(s, &group));
	OK(aclmdlRICaptureTaskUpdateBegin(side, group));
	OK(aclmdlRICaptureTaskUpdateEnd(side));
	OK(aclmdlRICaptureTaskGrpBegin(s));
	CODE(507009, aclrtMemcpyAsync(p, 8, q, 8, D2D, s));	/* a copy in a task group */
	OK(aclrtGetCurrentContext(&c));
	CODE(507903, aclmdlRICaptureEnd(s, &m));
}

static void events_threads_and_groups(void)
{
	RANKS_OK(1, "", event_rules);
	RANKS_OK(1, "ASCENDCL_EMU_RELEASE=8.5.0", event_rules);	/* EXTERNAL events too */
}

static void two_lanes(struct rank *r)
{
	aclrtEvent fork_event, join_event;
	aclrtNotify n;
	aclmdlRI m;

	(void)r;
	ready();
	OK(aclrtCreateEventExWithFlag(&fork_event, ACL_EVENT_SYNC));
	OK(aclrtCreateEventExWithFlag(&join_event, ACL_EVENT_SYNC));
	OK(aclrtCreateNotify(&n, 0));
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclrtRecordEvent(fork_event, s));
	OK(aclrtStreamWaitEvent(side, fork_event));
	OK(aclrtWaitAndResetNotify(n, s, 10));		/* set by the other lane: they run abreast */
	OK(aclrtMemcpyAsync(p, 8, q, 8, D2D, s));
	OK(aclrtMemcpyAsync(q, 8, q + 8, 8, D2D, side));
	OK(aclrtRecordNotify(n, side));
	OK(aclrtRecordEvent(join_event, side));
	OK(aclrtStreamWaitEvent(s, join_event));
	OK(aclmdlRICaptureEnd(s, &m));
	for (int i = 4; i < 8; i++) {
		put(q, i, 4096);
		put(q, 99, 8);
		OK(aclmdlRIExecuteAsync(m, s));
		OK(aclrtSynchronizeStream(s));
		EXPECT(holds(p, i, 8));		/* notify bits are set and cleared each time */
	}
	OK(aclmdlRIDestroy(m));
}

static void lanes_joined_by_events_and_a_notify(void)
{
	RANKS_OK(1, "", two_lanes);
}

static void running(struct rank *r)
{
	aclrtNotify n;
	aclmdlRI m;

	(void)r;
	ready();
	OK(aclrtCreateNotify(&n, 0));
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclrtWaitAndResetNotify(n, s, 0));
	OK(aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRIExecuteAsync(m, s));
	CODE(107037, aclmdlRIDestroy(m));
	OK(aclmdlRIExecuteAsync(m, side));
	OK(aclrtRecordNotify(n, NULL));
	OK(aclrtSynchronizeStream(NULL));
	/* one of the two runs got the bit, the other ran beside it or after it */
	OK(aclrtRecordNotify(n, NULL));
	aclrtSynchronizeStream(s);
	aclrtSynchronizeStream(side);
	OK(aclmdlRIDestroy(m));
}

static void destroying_a_running_model(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_DESTROY_MS=30", running);
}

static void revoked(struct rank *r)
{
	static char key[KEY];
	void *import;
	aclmdlRI m;

	ready();
	if (r->id == 0) {
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		rank_barrier(r);
		return;
	}
	import_granted(r, 0, key, &import, 0);
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclrtMemcpyAsync(q, 8, import, 8, D2D, s));
	OK(aclmdlRICaptureEnd(s, &m));
	OK(aclmdlRIExecuteAsync(m, s));
	OK(aclrtSynchronizeStream(s));
	EXPECT(holds(q, 1, 8));
	rank_barrier(r);
	rank_barrier(r);
	OK(aclmdlRIExecuteAsync(m, s));
	CODE(507013, aclrtSynchronizeStream(s));	/* revoked */
	OK(aclrtIpcMemClose(key));
	OK(aclmdlRIExecuteAsync(m, s));
	CODE(507013, aclrtSynchronizeStream(s));	/* closed */
}

static void replay_of_a_revoked_mapping_faults(void)
{
	RANKS_OK(2, "", revoked);
}

static void no_notify_left(struct rank *r)
{
	aclrtNotify n;
	aclmdlRI m;

	(void)r;
	ready();
	OK(aclmdlRICaptureBegin(s, LOCAL));
	OK(aclmdlRICaptureEnd(s, &m));
	CODE(207009, aclrtCreateNotify(&n, 0));		/* the model's end took the only one */
	OK(aclmdlRIDestroy(m));
	OK(aclrtCreateNotify(&n, 0));
	CODE(207009, aclmdlRICaptureBegin(s, LOCAL));
}

static void a_model_takes_a_notify(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_NOTIFIES=1", no_notify_left);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(nothing_runs_while_captured_and_replay_is_two_tasks),
		TEST(sync_calls_by_mode_and_thread), TEST(what_is_refused_meanwhile),
		TEST(events_threads_and_groups), TEST(lanes_joined_by_events_and_a_notify),
		TEST(destroying_a_running_model), TEST(replay_of_a_revoked_mapping_faults),
		TEST(a_model_takes_a_notify), { NULL, NULL },
	};

	return tests_main("1.9.5 capture and replay", tests);
}
