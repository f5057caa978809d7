/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 1.6 and 1.9.6: notifies within and between processes; streams and events (1.3). */
#include "ranks.h"

static char key[KEY];
static aclrtStream stream;

static void ready(int device)
{
	up(device);
	OK(aclrtCreateStream(&stream));
}

static void arguments(struct rank *r)
{
	int32_t pid[2];
	aclrtNotify n, other;
	uint32_t id;

	(void)r;
	ready(0);
	pid[0] = pid[1] = 4000000;
	CODE(100000, aclrtCreateNotify(NULL, 0));
	OK(aclrtCreateNotify(&n, 0));
	OK(aclrtGetNotifyId(n, &id));
	CODE(107000, aclrtNotifyGetExportKey(n, key, 64, 0));
	CODE(107000, aclrtNotifyGetExportKey(n, key, KEY, 1));	/* memory's value, not notify's */
	OK(aclrtNotifyGetExportKey(n, key, KEY, 0));
	CODE(107000, aclrtNotifySetImportPid(n, pid, 0));
	CODE(107000, aclrtNotifySetImportPid(n, pid, 2));	/* exactly one a call */
	for (int i = 0; i < 16; i++, pid[0]++)
		OK(aclrtNotifySetImportPid(n, pid, 1));
	CODE(507899, aclrtNotifySetImportPid(n, pid, 1));	/* the 17th distinct one */
	pid[0]--;
	OK(aclrtNotifySetImportPid(n, pid, 1));			/* listed already */
	CODE(107000, aclrtNotifyImportByKey(&other, key, 1));
	CODE(107000, aclrtNotifyImportByKey(&other, "N000000", 0));
	key[60] ^= 1;
	CODE(507899, aclrtNotifyImportByKey(&other, key, 0));	/* unknown */
	OK(aclrtNotifyGetExportKey(n, key, KEY, 2));
	CODE(207006, aclrtNotifySetImportPid(n, pid, 1));
	OK(aclrtDestroyNotify(n));
	CODE(107000, aclrtDestroyNotify(n));
	CODE(207000, aclrtCntNotifyCreate(&n, 0));
	CODE(207000, aclrtCntNotifyDestroy(n));
	CODE(207000, aclrtCntNotifyRecord(n, stream, NULL));
	CODE(207000, aclrtCntNotifyWaitWithTimeout(n, stream, NULL));
	CODE(207000, aclrtCntNotifyReset(n, stream));
	CODE(207000, aclrtCntNotifyGetId(n, &id));
}

static void one_pid_a_call_and_sixteen_in_all(void)
{
	RANKS_OK(1, "", arguments);
}

static void share(struct rank *r)
{
	aclrtNotify n, again;
	int32_t pid;
	void *p;

	ready(r->id);
	OK(aclrtDeviceEnablePeerAccess(!r->id, 0));
	rank_barrier(r);
	if (r->id == 0) {
		OK(aclrtCreateNotify(&n, 0));
		OK(aclrtNotifyGetExportKey(n, key, KEY, 0));
		rank_send(r, 1, key, KEY);
		rank_barrier(r);		/* refused so far: not listed */
		rank_recv(r, 1, &pid, 4);
		OK(aclrtNotifySetImportPid(n, &pid, 1));
		rank_barrier(r);
		p = alloc(4096);
		put(p, 1, 8);
		OK(aclrtWaitAndResetNotify(n, stream, 0));
		OK(aclrtMemsetAsync(p, 8, 2, 8, stream));
		CODE(507046, aclrtSynchronizeStreamWithTimeout(stream, 50));
		EXPECT(holds(p, 1, 8));		/* nothing passes the wait */
		rank_barrier(r);
		OK(aclrtSynchronizeStream(stream));
		EXPECT(holds(p, 2, 8));
		OK(aclrtWaitAndResetNotify(n, stream, 1));	/* it was reset */
		CODE(107019, aclrtSynchronizeStream(stream));
		OK(aclrtDestroyNotify(n));
		rank_barrier(r);
	} else {
		rank_recv(r, 0, key, KEY);
		CODE(507899, aclrtNotifyImportByKey(&n, key, 0));
		rank_barrier(r);
		OK(aclrtDeviceGetBareTgid(&pid));
		rank_send(r, 0, &pid, 4);
		rank_barrier(r);
		OK(aclrtNotifyImportByKey(&n, key, 0));
		OK(aclrtNotifyImportByKey(&again, key, 0));	/* counted */
		OK(aclrtDestroyNotify(again));
		CODE(107000, aclrtWaitAndResetNotify(n, stream, 0));	/* only the creator waits */
		rank_barrier(r);
		OK(aclrtRecordNotify(n, stream));
		OK(aclrtSynchronizeStream(stream));
		rank_barrier(r);
		OK(aclrtRecordNotify(n, stream));
		CODE(507013, aclrtSynchronizeStream(stream));	/* the creator destroyed it */
		OK(aclrtDestroyNotify(n));
	}
}

static void an_importer_records_and_the_creator_waits(void)
{
	RANKS_OK(2, "", share);
}

static void crowd(struct rank *r)
{
	aclrtNotify n;
	char token;

	ready(0);
	if (r->id == 0) {
		OK(aclrtCreateNotify(&n, 0));
		OK(aclrtNotifyGetExportKey(n, key, KEY, 2));
		for (int i = 1; i < r->n; i++) {
			rank_send(r, i, key, KEY);
			rank_recv(r, i, &token, 1);	/* one after the other */
		}
	} else {
		rank_recv(r, 0, key, KEY);
		CODE(r->id <= 16 ? 0 : 507899, aclrtNotifyImportByKey(&n, key, 0));
		rank_send(r, 0, "x", 1);
	}
	rank_barrier(r);
}

static void sixteen_importers_without_a_whitelist_too(void)
{
	RANKS_OK(18, "", crowd);
}

static void exhausted(struct rank *r)
{
	aclrtNotify n[4];

	(void)r;
	ready(0);
	for (int i = 0; i < 3; i++)
		OK(aclrtCreateNotify(&n[i], 0));
	CODE(207009, aclrtCreateNotify(&n[3], 0));
	OK(aclrtDestroyNotify(n[1]));
	OK(aclrtCreateNotify(&n[3], 0));
	OK(aclrtSetDevice(1));
	OK(aclrtCreateStream(&stream));
	OK(aclrtCreateNotify(&n[1], 0));	/* per device */
	CODE(107000, aclrtWaitAndResetNotify(n[0], stream, 0));	/* not the creating device */
}

static void notifies_per_device_run_out(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_NOTIFIES=3", exhausted);
}

static void virtual_notify(struct rank *r)
{
	aclrtNotify n;

	(void)r;
	ready(0);
	CODE(207000, aclrtCreateNotify(&n, 0));
}

static void not_on_virtual_instances(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_VIRTUAL=1", virtual_notify);
}

static void reset(struct rank *r)
{
	aclrtNotify n;

	(void)r;
	ready(0);
	OK(aclrtCreateNotify(&n, 0));
	OK(aclrtRecordNotify(n, stream));
	OK(aclrtRecordNotify(n, stream));	/* it holds one bit */
	OK(aclrtWaitAndResetNotify(n, stream, 0));
	OK(aclrtSynchronizeStream(stream));
	OK(aclrtRecordNotify(n, stream));
	OK(aclrtSynchronizeStream(stream));
	OK(aclrtNotifyBatchReset(&n, 1));
	OK(aclrtWaitAndResetNotify(n, stream, 0));
	CODE(507046, aclrtSynchronizeStreamWithTimeout(stream, 30));
	OK(aclrtDestroyStreamForce(stream));	/* ends a wait that never comes true */
}

static void a_notify_is_one_bit(void)
{
	RANKS_OK(1, "", reset);
}

static void servers(struct rank *r)
{
	bool pod = !strncmp(aclrtGetSocName(), "Ascend910_93", 12);
	int32_t pid = 4000000;
	aclrtServerPid s = { 0, &pid, 1 };
	aclrtNotify n;

	(void)r;
	ready(0);
	OK(aclrtCreateNotify(&n, 0));
	CODE(107000, aclrtNotifySetImportPidInterServer(n, &s, 0));
	CODE(pod ? 0 : 207000, aclrtNotifySetImportPidInterServer(n, &s, 1));
	s.num = 2;
	CODE(pod ? 107000 : 207000, aclrtNotifySetImportPidInterServer(n, &s, 1));
}

static void several_servers_on_910c_only(void)
{
	RANKS_OK(1, "", servers);
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910_9391", servers);
}

static void persistent(struct rank *r)
{
	aclrtStream held;
	int err = 0, n;
	void *p;

	(void)r;
	ready(0);
	p = alloc(4096);
	put(p, 1, 8);
	CODE(107000, aclrtCreateStreamWithConfig(&held, 8, 0));		/* priorities 0 to 7 */
	CODE(107000, aclrtCreateStreamWithConfig(&held, 0, 0x40));
	OK(aclrtCreateStreamWithConfig(&held, 0, ACL_STREAM_FAST_LAUNCH | ACL_STREAM_FAST_SYNC));
	OK(aclrtMemsetAsync(p, 8, 2, 8, held));
	OK(aclrtSynchronizeStream(held));
	EXPECT(holds(p, 2, 8));
	OK(aclrtCreateStreamWithConfig(&held, 0, ACL_STREAM_PERSISTENT));
	CODE(207000, aclmdlRICaptureBegin(held, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
	for (n = 0; !err && n < 2048; n++)
		err = aclrtMemsetAsync(p, 8, 3, 8, held);
	EXPECT(err == 507002);		/* a full one */
	EXPECT(holds(p, 2, 8));		/* and nothing ran */
}

static void persistent_streams_hold_tasks(void)
{
	RANKS_OK(1, "", persistent);
}

static void host_fn(void *arg)
{
	void *p;

	*(int *)arg = aclrtMalloc(&p, 64, ACL_MEM_MALLOC_HUGE_FIRST);
}

static void events(struct rank *r)
{
	aclrtEventRecordedStatus status;
	aclrtStream other;
	aclrtEvent a, b;
	aclrtNotify n;
	float ms;
	int inside = 0;

	(void)r;
	ready(0);
	OK(aclrtCreateStream(&other));
	OK(aclrtCreateNotify(&n, 0));
	OK(aclrtCreateEvent(&a));
	OK(aclrtCreateEvent(&b));
	CODE(107000, aclrtCreateEventWithFlag(&a, ACL_EVENT_IPC | ACL_EVENT_SYNC));
	OK(aclrtRecordEvent(a, stream));
	OK(aclrtWaitAndResetNotify(n, stream, 0));
	OK(aclrtRecordEvent(b, stream));
	OK(aclrtSynchronizeEvent(a));
	OK(aclrtQueryEventStatus(a, &status));
	EXPECT(status == ACL_EVENT_RECORDED_STATUS_COMPLETE);
	OK(aclrtQueryEventStatus(b, &status));
	EXPECT(status == ACL_EVENT_RECORDED_STATUS_NOT_READY);
	CODE(507047, aclrtSynchronizeEventWithTimeout(b, 20));
	OK(aclrtStreamWaitEventWithTimeout(other, b, 20));
	CODE(107019, aclrtSynchronizeStream(other));
	OK(aclrtStreamWaitEvent(other, b));
	CODE(507046, aclrtSynchronizeStreamWithTimeout(other, 20));
	CODE(507046, aclrtSynchronizeDeviceWithTimeout(20));
	OK(aclrtRecordNotify(n, NULL));
	OK(aclrtSynchronizeDevice());
	OK(aclrtEventElapsedTime(&ms, a, b));
	EXPECT(ms >= 20.0f && ms < 60000.0f);
	OK(aclrtResetEvent(b, stream));
	OK(aclrtSynchronizeStream(stream));
	CODE(107000, aclrtEventElapsedTime(&ms, a, b));
	OK(aclrtLaunchHostFunc(stream, host_fn, &inside));
	OK(aclrtSynchronizeStream(stream));
	EXPECT(inside == 107000);	/* a host function makes no ACL call */
	OK(aclrtDestroyEvent(a));
	CODE(107000, aclrtRecordEvent(a, stream));
}

static void events_order_streams(void)
{
	RANKS_OK(1, "", events);
}

static void ipc_event(struct rank *r)
{
	aclrtIpcEventHandle h;
	aclrtNotify n;
	aclrtEvent e, plain;

	ready(r->id);
	if (r->id == 0) {
		OK(aclrtCreateEvent(&plain));
		CODE(107000, aclrtIpcGetEventHandle(plain, &h));
		OK(aclrtCreateEventWithFlag(&e, ACL_EVENT_IPC));
		OK(aclrtIpcGetEventHandle(e, &h));
		OK(aclrtCreateNotify(&n, 0));
		OK(aclrtWaitAndResetNotify(n, stream, 0));
		OK(aclrtRecordEvent(e, stream));
		rank_send(r, 1, &h, sizeof(h));
		rank_barrier(r);		/* rank 1 saw that it has to wait */
		OK(aclrtRecordNotify(n, NULL));
		rank_barrier(r);
		OK(aclrtDestroyEvent(e));
		rank_barrier(r);
	} else {
		rank_recv(r, 0, &h, sizeof(h));
		OK(aclrtIpcOpenEventHandle(h, &e));
		OK(aclrtStreamWaitEvent(stream, e));
		CODE(507046, aclrtSynchronizeStreamWithTimeout(stream, 30));
		rank_barrier(r);
		OK(aclrtSynchronizeStream(stream));
		rank_barrier(r);
		rank_barrier(r);
		CODE(507899, aclrtIpcOpenEventHandle(h, &plain));	/* gone */
		memset(&h, 1, sizeof(h));
		CODE(107000, aclrtIpcOpenEventHandle(h, &plain));
	}
}

static void ipc_events_order_streams_of_two_processes(void)
{
	RANKS_OK(2, "", ipc_event);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(one_pid_a_call_and_sixteen_in_all),
		TEST(an_importer_records_and_the_creator_waits),
		TEST(sixteen_importers_without_a_whitelist_too), TEST(notifies_per_device_run_out),
		TEST(not_on_virtual_instances), TEST(several_servers_on_910c_only),
		TEST(persistent_streams_hold_tasks), TEST(a_notify_is_one_bit),
		TEST(events_order_streams), TEST(ipc_events_order_streams_of_two_processes),
		{ NULL, NULL },
	};

	return tests_main("1.6 notifies, 1.3 events", tests);
}
