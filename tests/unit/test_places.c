/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks in sibling containers: what they may have of their own, and what is said where they can't. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/identity.h"
#include "team.h"

#define ALL                                                                                        \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

enum {
	OWN_PROC = 1, /* what a container mounts */
	READ_ONLY_TMP = 2, /* /tmp and /dev/shm */
	FOLDER = 4, /* IPCSHARE_SOCKET_DIR, seen by all */
	OWN_FOLDER = 8, /* the same name, and another folder in each */
	UNMAPPED = 16, /* a user namespace that knows no user */
	BY_START = 32, /* IPCSHARE_IDENTITY=start */
	ONE_INSIDE = 64, /* the other rank stays outside */
};

static const struct place {
	const char *name;
	int spaces; /* CLONE_NEW* */
	unsigned how;
	const char *hint; /* what the refusal advises; NULL: it works */
} places[] = {
	{ "nothing of their own", 0, 0, NULL },
	{ "ipc", CLONE_NEWIPC, 0, NULL },
	{ "user", CLONE_NEWUSER, 0, NULL },
	{ "user, no ids mapped", CLONE_NEWUSER, UNMAPPED, NULL },
	{ "mount", CLONE_NEWNS, 0, NULL },
	{ "mount, /tmp and /dev/shm read-only", CLONE_NEWNS, READ_ONLY_TMP, NULL },
	{ "pid", CLONE_NEWPID, 0, NULL },
	{ "pid + mount, own /proc", CLONE_NEWPID | CLONE_NEWNS, OWN_PROC, NULL },
	{ "pid, known by start time", CLONE_NEWPID, BY_START, "pid namespace" },
	{ "network", CLONE_NEWNET, 0, "set IPCSHARE_SOCKET_DIR" },
	{ "network, one folder", CLONE_NEWNET, FOLDER, NULL },
	{ "network + mount, a folder each", CLONE_NEWNET | CLONE_NEWNS, FOLDER | OWN_FOLDER,
	  "one folder" },
	{ "all but user, own /proc", ALL, OWN_PROC, "set IPCSHARE_SOCKET_DIR" },
	{ "all but user, own /proc, one folder", ALL, OWN_PROC | FOLDER, NULL },
	{ "all, own /proc", ALL | CLONE_NEWUSER, OWN_PROC, "set IPCSHARE_SOCKET_DIR" },
	{ "all, own /proc, one folder", ALL | CLONE_NEWUSER, OWN_PROC | FOLDER, NULL },
	{ "all, one rank outside", ALL | CLONE_NEWUSER, OWN_PROC | ONE_INSIDE,
	  "set IPCSHARE_SOCKET_DIR" },
	{ "all, one rank outside, one folder", ALL | CLONE_NEWUSER, OWN_PROC | FOLDER | ONE_INSIDE,
	  NULL },
};

/* What the ranks have come to; they write, the test reads. */
struct outcome {
	int status;
	char said[640];
};
static struct outcome *outcomes;

static char folder[32];

/* ---- Going there: 0, or an errno ---- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return errno;
	err = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return err;
}

static int map_users(uid_t uid, gid_t gid)
{
	char map[64];
	int err;

	snprintf(map, sizeof(map), "0 %u 1", uid);
	err = write_file("/proc/self/uid_map", map);
	if (!err)
		err = write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return err ?: write_file("/proc/self/gid_map", map);
}

static int make_read_only(const char *dir)
{
	if (mount(dir, dir, "", MS_BIND, NULL) ||
	    mount("", dir, "", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL))
		return errno;
	return access(dir, W_OK) && errno == EROFS ? 0 : EEXIST;
}

static int change_mounts(unsigned how)
{
	int err = mount("", "/", "", MS_REC | MS_PRIVATE, NULL) ? errno : 0;

	if (!err && how & READ_ONLY_TMP)
		err = make_read_only("/tmp") ?: make_read_only("/dev/shm");
	if (!err && how & OWN_FOLDER && mount("tmpfs", folder, "tmpfs", 0, NULL))
		err = errno;
	return err;
}

/* Then @go goes on in a child, for a new pid namespace begins with one. Returns its exit code. */
static int enter(const struct place *p, int (*go)(void *arg), void *arg)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int err = unshare(p->spaces) ? errno : 0, status = -1;
	pid_t pid;

	test_no_leak_check(); /* its helper process would be the first of a namespace */
	if (!err && p->spaces & CLONE_NEWUSER && !(p->how & UNMAPPED))
		err = map_users(uid, gid);
	if (!err && p->spaces & CLONE_NEWNS)
		err = change_mounts(p->how);
	if (err)
		return err;
	pid = fork();
	if (!pid) {
		if (p->how & OWN_PROC && mount("proc", "/proc", "proc", 0, NULL))
			_exit(errno);
		_exit(go(arg));
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "errno %d", errno);
	CHECK(WIFEXITED(status), "it ended with status 0x%x", status);
	return WEXITSTATUS(status);
}

static int just_there(void *arg)
{
	(void)arg;
	return 0;
}

static void tries_to_enter(int channel, void *arg)
{
	int err = enter(arg, just_there, NULL);

	test_send(channel, &err, sizeof(err));
}

static int cannot_enter(const struct place *p)
{
	struct test_child *c = test_child(tries_to_enter, (void *)p);
	int err = -1;

	test_recv(c->channel, &err, sizeof(err));
	test_child_join(c);
	return err;
}

/* ---- Sharing there ---- */

#define SHARED 42 /* exit code of a rank that came through */

struct visit {
	const struct place *place;
	struct test_rank *me;
};

static void use(struct team *t, void *mine)
{
	struct ipcshare_buf buf = { mine, 8192 };
	struct ipcshare_set *set;
	int peer = !t->rank;

	team_fill(mine, 8192, t->rank, 3);
	set = team_share(t, &buf, 1, 0);
	team_check(ipcshare_ptr(set, peer, 0), 8192, peer, 3);
	CHECK_STATUS(ipcshare_set_free(set), 0);
}

/* Rank 1 ends without a word, and rank 0 has to notice. */
static void part(struct team *t, void *mine)
{
	struct ipcshare_buf buf = { mine, 8192 };
	struct ipcshare_set *set;

	if (t->rank)
		return;
	CHECK_FAILS(ipcshare_share(t->group, &buf, 1, 0, &set), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_STATUS(ipcshare_abandon(t->ctx), 0);
}

static int lives(void *arg)
{
	const struct visit *v = arg;
	struct team t = { .rank = v->me->rank, .nranks = 2 };
	struct test_resources before;
	struct outcome *o = &outcomes[t.rank];
	void *mine;

	setenv("IPCSHARE_SOCKET_DIR", v->place->how & FOLDER ? folder : "", 1);
	setenv("IPCSHARE_IDENTITY", v->place->how & BY_START ? "start" : "auto", 1);
	test_resources(&before);
	t.ctx = team_open(0);
	mine = team_alloc(t.ctx, 8192);
	o->status = ipcshare_group_create(t.ctx, &v->me->bootstrap, &t.group);
	snprintf(o->said, sizeof(o->said), "%s", o->status ? ipcshare_explain() : "");
	if (!o->status) {
		use(&t, mine);
		part(&t, mine);
		return SHARED;
	}
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
	return SHARED;
}

static void goes_there(struct test_rank *me, void *arg)
{
	static const struct place outside = { .spaces = 0 };
	struct place here = *(const struct place *)arg;
	struct visit v = { arg, me };

	if (here.how & ONE_INSIDE && !me->rank)
		here = outside;
	CHECK_INT(enter(&here, lives, &v), SHARED);
}

/* Pidfds without inodes of their own end at the border of a pid namespace. */
static const char *expected_hint(const struct place *p)
{
	struct ipcshare__identity id;

	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, 0, &id));
	return p->hint || !(p->spaces & CLONE_NEWPID) || id.kind == IPCSHARE__BY_PIDFD
		? p->hint : "pid namespace";
}

static void visit(const struct place *p)
{
	const char *hint = expected_hint(p);
	int err = cannot_enter(p);

	if (err) {
		test_skip("\"%s\" can't be made here: %s", p->name, strerror(err));
		printf("\n    %-36s not here: %s", p->name, strerror(err));
		return;
	}
	memset(outcomes, 0, 2 * sizeof(*outcomes));
	CHECK_INT(test_ranks(2, goes_there, (void *)p), 0);
	printf("\n    %-36s %s", p->name, outcomes[0].status ? outcomes[0].said : "shared");
	for (int i = 0; i < 2; i++) {
		CHECK(outcomes[i].status == (hint ? IPCSHARE_ERR_UNREACHABLE : 0),
		      "%s: rank %d has %s", p->name, i, ipcshare_status_name(outcomes[i].status));
		if (hint)
			CHECK_HAS(outcomes[i].said, hint);
	}
}

static void ranks_in_sibling_namespaces_share_or_are_told_what_helps(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		visit(&places[i]);
		test_goes_on();
	}
	printf("\n");
	fflush(stdout);
}

static void prepare(void)
{
	strcpy(folder, "/tmp/ipcshare-test-XXXXXX");
	REQUIRE(mkdtemp(folder), "errno %d", errno);
	outcomes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(outcomes != MAP_FAILED, "errno %d", errno);
}

/* Nothing is left in the folder, but what killed ranks left: here, each rank 1 that went away. */
static void tidy(void)
{
	struct ipcshare_ctx *ctx;

	setenv("IPCSHARE_SOCKET_DIR", folder, 1); /* sweeps */
	ctx = team_open(0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	unsetenv("IPCSHARE_SOCKET_DIR");
	CHECK(!rmdir(folder), "%s: errno %d", folder, errno);
	munmap(outcomes, 4096);
}

TEST_SUITE(places, prepare, tidy,
	TEST(ranks_in_sibling_namespaces_share_or_are_told_what_helps));
