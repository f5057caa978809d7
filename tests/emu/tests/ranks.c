/* SPDX-License-Identifier: BSD-3-Clause */
#include "ranks.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SECONDS 60	/* nothing here takes that long: a rank that does is stuck */

void expect_failed(const char *file, int line, const char *what, long long got)
{
	const char *why = aclGetRecentErrMsg();

	fprintf(stderr, "\n    pid %d: %s:%d: %s; got %lld; last error: %s\n", (int)getpid(), file,
		line, what, got, why ? why : "none");
	_exit(1);
}

static void settings_apply(const char *env)
{
	static int job;
	char name[32], *copy = strdup(env ? env : ""), *save, *item;

	snprintf(name, sizeof(name), "t%d.%d", (int)getpid(), ++job);
	setenv("ASCENDCL_EMU_JOB", name, 1);
	for (item = strtok_r(copy, " ", &save); item; item = strtok_r(NULL, " ", &save)) {
		char *value = strchr(item, '=');

		*value++ = 0;
		setenv(item, value, 1);
	}
	free(copy);
}

static void settings_forget(const char *env)
{
	char *copy = strdup(env ? env : ""), *save, *item;

	for (item = strtok_r(copy, " ", &save); item; item = strtok_r(NULL, " ", &save)) {
		*strchr(item, '=') = 0;
		unsetenv(item);
	}
	free(copy);
}

static void child(int id, int n, int mesh[MAX_RANKS][MAX_RANKS], rank_fn fn)
{
	struct rank r = { .id = id, .n = n };

	/* Others' ends must close with their owners: that is how a death is seen. */
	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++)
			if (a == id)
				r.fd[b] = mesh[a][b];
			else if (a != b)
				close(mesh[a][b]);
	alarm(SECONDS);
	fn(&r);
	exit(0);
}

static int mesh_make(int n, int mesh[MAX_RANKS][MAX_RANKS])
{
	int pair[2];

	for (int a = 0; a < n; a++)
		for (int b = 0; b < a; b++) {
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
				return -1;
			mesh[a][b] = pair[0];
			mesh[b][a] = pair[1];
		}
	return 0;
}

int ranks_run(int n, const char *env, unsigned long killed, rank_fn fn)
{
	static int mesh[MAX_RANKS][MAX_RANKS];
	pid_t pid[MAX_RANKS];
	int bad = 0, status;

	settings_apply(env);
	if (mesh_make(n, mesh))
		return -1;
	fflush(NULL);
	for (int i = 0; i < n; i++) {
		pid[i] = fork();
		if (!pid[i])
			child(i, n, mesh, fn);
	}
	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++)
			if (a != b)
				close(mesh[a][b]);
	for (int i = 0; i < n; i++) {
		bool die = killed >> i & 1;

		waitpid(pid[i], &status, 0);
		if (die ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0) {
			fprintf(stderr, "    rank %d ended with status %#x\n", i, status);
			bad++;
		}
	}
	settings_forget(env);
	return bad;
}

void rank_send(struct rank *r, int to, const void *data, size_t len)
{
	EXPECT(send(r->fd[to], data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

void rank_recv(struct rank *r, int from, void *data, size_t len)
{
	if (recv(r->fd[from], data, len, MSG_WAITALL) != (ssize_t)len)
		_exit(2);	/* the other one has said why */
}

void rank_barrier(struct rank *r)
{
	char token = 'b';

	for (int i = 0; i < r->n; i++)
		if (i != r->id)
			rank_send(r, i, &token, 1);
	for (int i = 0; i < r->n; i++)
		if (i != r->id) {
			rank_recv(r, i, &token, 1);
			EXPECT(token == 'b');
		}
}

void rank_wait_gone(struct rank *r, int peer)
{
	char byte;

	while (recv(r->fd[peer], &byte, 1, 0) > 0)
		;
}

void rank_die(void)
{
	raise(SIGKILL);
	_exit(3);
}

int32_t up(int device)
{
	int32_t pid = 0;

	OK(aclInit(NULL));
	OK(aclrtSetDevice(device));
	OK(aclrtDeviceGetBareTgid(&pid));
	EXPECT(pid > 0);
	return pid;
}

void *alloc(size_t len)
{
	void *p = NULL;

	OK(aclrtMallocAlign32(&p, len, ACL_MEM_MALLOC_HUGE_FIRST));
	return p;
}

void put(void *dev, int byte, size_t len)
{
	char *host = malloc(len);

	memset(host, byte, len);
	OK(ascendclEmuPoke(dev, host, len));
	free(host);
}

bool holds(const void *dev, int byte, size_t len)
{
	char *host = malloc(len), *want = malloc(len);
	bool same;

	memset(want, byte, len);
	OK(ascendclEmuPeek(dev, host, len));
	same = !memcmp(host, want, len);
	free(host);
	free(want);
	return same;
}

uint64_t counter(const char *name)
{
	uint64_t value = 0;

	OK(ascendclEmuCounter(name, &value));
	return value;
}

/* Exporter: key to @to after its pid is listed. Importer: pid first, then the key. */
void export_granted(struct rank *r, int to, void *p, size_t len, char *key)
{
	int32_t pid;

	OK(aclrtIpcMemGetExportKey(p, len, key, KEY, 0));
	rank_recv(r, to, &pid, sizeof(pid));
	OK(aclrtIpcMemSetImportPid(key, &pid, 1));
	rank_send(r, to, key, KEY);
}

void import_granted(struct rank *r, int from, char *key, void **p, uint64_t flags)
{
	int32_t pid;

	OK(aclrtDeviceGetBareTgid(&pid));
	rank_send(r, from, &pid, sizeof(pid));
	rank_recv(r, from, key, KEY);
	OK(aclrtIpcMemImportByKey(p, key, flags));
}

int tests_main(const char *suite, const struct test *tests)
{
	const char *only = getenv("TEST");	/* one test's name */
	CU_pSuite s;
	int failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	s = CU_add_suite(suite, NULL, NULL);
	for (; tests->name; tests++)
		if (only && strcmp(only, tests->name))
			continue;
		else if (!CU_add_test(s, tests->name, tests->fn))
			return 2;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() || CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed;
}
