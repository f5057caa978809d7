/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.4 (aclrtIpcMemSetImportPid) and 2.5 (the form for several servers), row by row. */
#include "ranks.h"

#include <sys/wait.h>
#include <time.h>

static char key[KEY];

static void arguments(struct rank *r)
{
	char endless[KEY + 1], empty[KEY] = "", unknown[KEY];
	int32_t pid[32], me;

	(void)r;
	me = up(0);
	for (int i = 0; i < 32; i++)
		pid[i] = me + 1 + i;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
	/* row 2.4: key or pid NULL */
	CODE(100000, aclrtIpcMemSetImportPid(NULL, pid, 1));
	CODE(100000, aclrtIpcMemSetImportPid(key, NULL, 1));
	/* row 2.4: num 0, or (int32)num <= 0: num is narrowed to int32 */
	CODE(107000, aclrtIpcMemSetImportPid(key, pid, 0));
	CODE(107000, aclrtIpcMemSetImportPid(key, pid, (size_t)1 << 31));
	/* row 2.4: num > 31 */
	CODE(107000, aclrtIpcMemSetImportPid(key, pid, 32));
	OK(aclrtIpcMemSetImportPid(key, pid, 31));
	OK(aclrtIpcMemSetImportPid(key, pid, ((size_t)1 << 32) + 1));	/* narrowed to int32 */
	/* row 2.4: empty key, or no NUL within 65 */
	memset(endless, '0', sizeof(endless));
	CODE(107000, aclrtIpcMemSetImportPid(endless, pid, 1));
	CODE(107000, aclrtIpcMemSetImportPid(empty, pid, 1));
	/* row 2.4: unknown key; caller is not the creator; listed already + num > 32768 */
	memcpy(unknown, key, KEY);
	unknown[20] ^= 1;
	CODE(507899, aclrtIpcMemSetImportPid(unknown, pid, 1));
	EXPECT(counter("aclrtIpcMemSetImportPid") == 10);
	EXPECT(counter("ioctl_set_pid") == 3);	/* what the library refuses is no ioctl */
}

static void null_num_key_and_31_a_call(void)
{
	RANKS_OK(1, "", arguments);
}

/* row 2.4: unknown key; caller is not the creator; listed already + num > 32768 */
static void not_creator(struct rank *r)
{
	int32_t pid = 0;
	void *p;

	pid = up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
	} else {
		import_granted(r, 0, key, &p, 0);
		pid++;
		CODE(507899, aclrtIpcMemSetImportPid(key, &pid, 1));
	}
	rank_barrier(r);
}

static void caller_is_not_the_creator(void)
{
	RANKS_OK(2, "", not_creator);
}

static void skipping(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	int32_t me = up(0), pids[3] = { 0, me, -5 };

	(void)r;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
	/* row 2.4: all pids skipped: each 0 or the creator's own */
	CODE(507899, aclrtIpcMemSetImportPid(key, pids, 2));	/* all skipped */
	CODE(507899, aclrtIpcMemSetImportPid(key, &pids[1], 1));
	OK(aclrtIpcMemSetImportPid(key, pids, 3));	/* a negative pid is stored */
	OK(ascendclEmuHoldings(&h));
	EXPECT(h.grants == 1);
	OK(aclrtIpcMemSetImportPid(key, &pids[2], 1));	/* listed already: only refreshed */
	OK(ascendclEmuHoldings(&h));
	EXPECT(h.grants == 1);
}

static void self_and_zero_are_skipped(void)
{
	RANKS_OK(1, "", skipping);
}

/* row 2.4: unknown key; caller is not the creator; listed already + num > 32768 */
static void total(struct rank *r)
{
	int32_t me = up(0), pid[31], k;

	(void)r;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
	for (k = 0; k < 32768 - 32768 % 31; k += 31) {
		for (int i = 0; i < 31; i++)
			pid[i] = me + 1 + k + i;
		OK(aclrtIpcMemSetImportPid(key, pid, 31));
	}
	CODE(507899, aclrtIpcMemSetImportPid(key, pid, 31));	/* 32767 and 31 more: even listed */
	OK(aclrtIpcMemSetImportPid(key, pid, 1));		/* which is listed */
	pid[0] = me + 40000;
	OK(aclrtIpcMemSetImportPid(key, pid, 1));
	pid[0]++;
	CODE(507899, aclrtIpcMemSetImportPid(key, pid, 1));
}

static void no_more_than_32768_in_total(void)
{
	RANKS_OK(1, "", total);
}

/* row 2.4: key exported with flag 1 */
static void flag_1(struct rank *r)
{
	int32_t pid = up(0) + 1;

	(void)r;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 1));
	CODE(207006, aclrtIpcMemSetImportPid(key, &pid, 1));
}

static void key_exported_without_whitelist(void)
{
	RANKS_OK(1, "", flag_1);
}

/* row 2.4: kernel out of memory */
static void out_of_memory(struct rank *r)
{
	int32_t pid = up(0) + 1;

	(void)r;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
	CODE(207001, aclrtIpcMemSetImportPid(key, &pid, 1));
	OK(aclrtIpcMemSetImportPid(key, &pid, 1));
}

/* Nobody can provoke it, so it is injected. */
static void the_kernel_runs_out_of_memory(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_FAIL=aclrtIpcMemSetImportPid:1=207001", out_of_memory);
}

/* row 2.4: key destroyed but still held by importers */
static void destroyed(struct rank *r)
{
	int32_t pid = up(0);
	void *p;

	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);	/* it is imported */
		OK(aclrtIpcMemClose(key));
		pid++;
		CODE(107017, aclrtIpcMemSetImportPid(key, &pid, 1));
		rank_barrier(r);
		rank_barrier(r);	/* the importer closed */
		CODE(507899, aclrtIpcMemSetImportPid(key, &pid, 1));
	} else {
		import_granted(r, 0, key, &p, 0);
		rank_barrier(r);
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		rank_barrier(r);
	}
}

static void key_destroyed_but_still_imported(void)
{
	RANKS_OK(2, "", destroyed);
}

/* Appends: an earlier entry stays when another call lists somebody else. */
static void appending(struct rank *r)
{
	int32_t pid;
	void *p;

	up(0);
	if (r->id == 0) {
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
		for (int i = 1; i < r->n; i++) {
			rank_recv(r, i, &pid, sizeof(pid));
			OK(aclrtIpcMemSetImportPid(key, &pid, 1));
		}
		for (int i = 1; i < r->n; i++)
			rank_send(r, i, key, KEY);
	} else {
		import_granted(r, 0, key, &p, 0);
	}
	rank_barrier(r);
}

static void calls_append(void)
{
	RANKS_OK(4, "", appending);
}

static void tick_wait(void)
{
	struct timespec a, b;

	/* A process's start is known to a clock tick (10 ms): let one pass. */
	clock_gettime(CLOCK_BOOTTIME, &a);
	do
		clock_gettime(CLOCK_BOOTTIME, &b);
	while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 25);
}

/*
 * The entry is written first, for a pid that the importer will have: pids are handed out one after
 * the other, so a guess a little ahead is met by forking until it comes up. Rank 1 exports and
 * lists; rank 0 makes no ACL call, so that it may fork the importer.
 */
static void start_rule(struct rank *r)
{
	int32_t want, none = 0;
	pid_t child = 0;
	int pipe_to[2], pipe_back[2], status;
	char c;

	if (r->id == 1) {
		up(0);
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
		for (rank_recv(r, 0, &want, 4); want; rank_recv(r, 0, &want, 4)) {
			OK(aclrtIpcMemSetImportPid(key, &want, 1));
			rank_send(r, 0, key, KEY);
		}
		return;
	}
	EXPECT(!pipe(pipe_to) && !pipe(pipe_back));
	for (int tries = 0; !child && tries < 50; tries++) {
		pid_t probe = fork();

		if (!probe)
			_exit(0);
		waitpid(probe, &status, 0);
		want = probe + 3;
		if (want > 32000)
			continue;	/* pids wrap there */
		rank_send(r, 1, &want, 4);
		rank_recv(r, 1, key, KEY);
		tick_wait();
		for (pid_t last = 0; !child && last < want;) {
			last = fork();
			if (last == want)
				child = last;
			if (!last && getpid() != want)
				_exit(0);
			if (!last) {
				void *p;

				up(0);
				CODE(507899, aclrtIpcMemImportByKey(&p, key, 0));
				EXPECT(write(pipe_back[1], "r", 1) == 1);
				EXPECT(read(pipe_to[0], &c, 1) == 1);
				OK(aclrtIpcMemImportByKey(&p, key, 0));
				exit(0);
			}
			if (!child)
				waitpid(last, &status, 0);
		}
	}
	EXPECT(child > 0 && read(pipe_back[0], &c, 1) == 1);
	want = child;
	rank_send(r, 1, &want, 4);	/* listed anew, now that it runs */
	rank_recv(r, 1, key, KEY);
	EXPECT(write(pipe_to[1], "g", 1) == 1);
	EXPECT(waitpid(child, &status, 0) == child && !status);
	rank_send(r, 1, &none, 4);
}

/* row 2.6: unknown key, destroyed key, source freed, pid not listed or listed before the process
 * started */
static void entry_older_than_the_importer(void)
{
	RANKS_OK(2, "", start_rule);
}

static void servers(struct rank *r)
{
	int32_t pid[32], me = up(0);
	int64_t sdid;
	aclrtServerPid s = { 0, pid, 1 };
	void *p;

	for (int i = 0; i < 32; i++)
		pid[i] = me + 1 + i;
	OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_SUPER_POD_DEVICE_ID, &sdid));
	s.sdid = (uint32_t)sdid;
	if (r->id == 0) {
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
		CODE(107000, aclrtIpcMemImportPidInterServer(NULL, &s, 1));
		CODE(107000, aclrtIpcMemImportPidInterServer(key, NULL, 1));
		CODE(107000, aclrtIpcMemImportPidInterServer(key, &s, 0));
		s.num = 32;
		CODE(107000, aclrtIpcMemImportPidInterServer(key, &s, 1));
		s.num = 1;
		rank_recv(r, 1, pid, 4);
		OK(aclrtIpcMemImportPidInterServer(key, &s, 1));
		rank_send(r, 1, key, KEY);
	} else {
		import_granted(r, 0, key, &p, 0);
	}
	rank_barrier(r);
}

static void no_servers(struct rank *r)
{
	int32_t pid = up(0) + 1;
	aclrtServerPid s = { 0, &pid, 1 };

	(void)r;
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
	CODE(207000, aclrtIpcMemImportPidInterServer(key, &s, 1));
}

static void several_servers_on_910c_only(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_SOC=Ascend910_9391", servers);
	RANKS_OK(1, "", no_servers);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(null_num_key_and_31_a_call), TEST(caller_is_not_the_creator),
		TEST(self_and_zero_are_skipped), TEST(no_more_than_32768_in_total),
		TEST(key_exported_without_whitelist), TEST(key_destroyed_but_still_imported),
		TEST(the_kernel_runs_out_of_memory), TEST(calls_append),
		TEST(entry_older_than_the_importer), TEST(several_servers_on_910c_only), { NULL, NULL },
	};

	return tests_main("2.4 aclrtIpcMemSetImportPid", tests);
}
