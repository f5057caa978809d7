/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif
#define PIDFS_MAGIC 0x50494446 /* Linux 6.9: pidfds have inodes of their own */

static int read_file(const char *path, char *text, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = read(fd, text, len - 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return 0;
}

#define STAT 1024 /* bytes of /proc/PID/stat */

/* From the blank before a field of /proc/PID/stat on, from the third; NULL if it can't be read. */
static const char *stat_field(int pid, int wanted, char text[STAT])
{
	char path[32], *p;

	snprintf(path, sizeof(path), pid ? "/proc/%d/stat" : "/proc/self/stat", pid);
	if (read_file(path, text, STAT))
		return NULL;
	p = strrchr(text, ')'); /* field 2, the name, may hold anything */
	for (int field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	return p;
}

/* Clock ticks since boot; 0 if it can't be read. */
static uint64_t start_time(int pid)
{
	char text[STAT];
	const char *p = stat_field(pid, 22, text);

	return p ? strtoull(p, NULL, 10) : 0;
}

/* The first number of "NSpid:" is the pid in the namespace that /proc belongs to. */
uint32_t ipcshare__outermost_tgid(void)
{
	char text[4096], *p;

	if (read_file("/proc/self/status", text, sizeof(text)))
		return (uint32_t)getpid();
	p = strstr(text, "\nNSpid:");
	return p ? (uint32_t)strtoul(p + 7, NULL, 10) : (uint32_t)getpid();
}

static int read_boot_id(uint8_t boot[16])
{
	char text[64], hex[33];
	size_t n = 0;

	if (read_file("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
		return -1;
	for (const char *p = text; *p && *p != '\n' && n < 32; p++)
		if (*p != '-')
			hex[n++] = *p;
	hex[n] = '\0';
	return n == 32 ? ipcshare__unhex(hex, boot, 16) : -1;
}

static uint64_t own_pidns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

/* 0 where pidfds share one inode (before Linux 6.9). */
static uint64_t pidfd_inode(int pidfd)
{
	struct statfs fs;
	struct stat st;
	int err;

	do
		err = fstatfs(pidfd, &fs);
	while (err && errno == EINTR);
	if (err || fs.f_type != PIDFS_MAGIC || fstat(pidfd, &st))
		return 0;
	return st.st_ino;
}

static uint64_t own_pidfd_inode(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	uint64_t inode;

	if (pidfd < 0)
		return 0;
	inode = pidfd_inode(pidfd);
	close(pidfd);
	return inode;
}

/* A socket's SO_PEERPIDFD is what brokers see, so both are needed for identity by pidfd. */
static int has_peer_pidfd(void)
{
	int pair[2], pidfd = -1;
	socklen_t len = sizeof(pidfd);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return 0;
	if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		pidfd = -1;
	close(pair[0]);
	close(pair[1]);
	if (pidfd < 0)
		return 0;
	close(pidfd);
	return 1;
}

static uint32_t identity_sum(const struct ipcshare__identity *id)
{
	return ipcshare__checksum32(id, offsetof(struct ipcshare__identity, check));
}

int ipcshare__identity_self(enum ipcshare__identity_policy policy, uint64_t endpoint,
			    struct ipcshare__identity *out)
{
	struct ipcshare__identity id = {
		.magic = IPCSHARE__MAGIC_IDENTITY,
		.tgid = ipcshare__outermost_tgid(),
		.pid = (uint32_t)getpid(),
		.uid = (uint32_t)geteuid(),
		.pidns = own_pidns(),
		.endpoint = endpoint,
		.device = -1,
	};

	if (policy == IPCSHARE__IDENTITY_AUTO && has_peer_pidfd())
		id.proc = own_pidfd_inode();
	id.kind = id.proc ? IPCSHARE__BY_PIDFD : IPCSHARE__BY_START;
	if (!id.proc)
		id.proc = start_time(0);
	if (!id.proc || !id.pidns || read_boot_id(id.boot))
		return ipcshare__fail(IPCSHARE_ERR_SYSTEM, "identity", "mount /proc",
				      "can't read this process's start time, pid namespace or the "
				      "boot id in /proc");
	id.check = identity_sum(&id);
	*out = id;
	return 0;
}

void ipcshare__identity_complete(struct ipcshare__identity *id, uint32_t tgid, int device)
{
	id->tgid = tgid;
	id->device = (int16_t)device;
	id->check = identity_sum(id);
}

int ipcshare__identity_check(const struct ipcshare__identity *id, const char *stage)
{
	if (id->magic == IPCSHARE__MAGIC_IDENTITY && id->check == identity_sum(id) &&
	    (id->kind == IPCSHARE__BY_PIDFD || id->kind == IPCSHARE__BY_START))
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, stage,
			      "send the 64 bytes of ipcshare_self() unchanged",
			      "an identity is malformed");
}

int ipcshare__identity_same(const struct ipcshare__identity *a, const struct ipcshare__identity *b)
{
	if (memcmp(a->boot, b->boot, sizeof(a->boot)) || a->kind != b->kind || a->proc != b->proc)
		return 0;
	return a->kind == IPCSHARE__BY_PIDFD || (a->pid == b->pid && a->pidns == b->pidns);
}

int ipcshare__caller_of(int socket, struct ipcshare__caller *out)
{
	struct ipcshare__caller caller = { .pidfd = -1 };
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return ipcshare__fail_errno(errno, "identity", "SO_PEERCRED");
	caller.pid = cred.pid;
	caller.uid = cred.uid;
	len = sizeof(caller.pidfd);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &caller.pidfd, &len)) {
		caller.pidfd = -1;
		if (errno == EMFILE || errno == ENFILE) /* else it would seem to be nobody */
			return ipcshare__fail_errno(errno, "identity", "SO_PEERPIDFD");
	}
	if (caller.pidfd >= 0)
		caller.inode = pidfd_inode(caller.pidfd);
	else if (cred.pid > 0)
		caller.pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	*out = caller;
	return 0;
}

void ipcshare__caller_close(struct ipcshare__caller *caller)
{
	if (caller->pidfd >= 0)
		close(caller->pidfd);
	caller->pidfd = -1;
}

int ipcshare__caller_is(const struct ipcshare__caller *caller, const struct ipcshare__identity *id)
{
	if (id->kind == IPCSHARE__BY_PIDFD)
		return caller->inode && caller->inode == id->proc;
	/* If the pidfd's process still lives, the start time just read under its pid is its own. */
	return caller->pid > 0 && (uint32_t)caller->pid == id->pid && own_pidns() == id->pidns &&
	       start_time(caller->pid) == id->proc && !ipcshare__pidfd_ended(caller->pidfd);
}

int ipcshare__identity_watch(const struct ipcshare__identity *id, int *ended)
{
	struct ipcshare__caller process = { .pid = (int)id->pid };

	*ended = 0;
	if (own_pidns() != id->pidns)
		return -1;
	process.pidfd = (int)syscall(SYS_pidfd_open, process.pid, 0);
	if (process.pidfd < 0) {
		*ended = errno == ESRCH;
		return -1;
	}
	process.inode = pidfd_inode(process.pidfd);
	*ended = !ipcshare__caller_is(&process, id); /* another one has its pid */
	if (*ended)
		ipcshare__caller_close(&process);
	return process.pidfd;
}

int ipcshare__identity_stopped(const struct ipcshare__identity *id)
{
	char text[STAT];
	const char *state = own_pidns() == id->pidns ? stat_field((int)id->pid, 3, text) : NULL;

	return state && (state[1] == 'T' || state[1] == 't');
}

/* In a user namespace, the id that stands for all users it has no id for. */
static uint32_t unknown_user(void)
{
	char text[32];

	if (read_file("/proc/sys/kernel/overflowuid", text, sizeof(text)))
		return 65534;
	return (uint32_t)strtoul(text, NULL, 10);
}

static int knows_all_users(void)
{
	uint32_t here, outside, count;
	char text[256];

	return !read_file("/proc/self/uid_map", text, sizeof(text)) &&
	       sscanf(text, "%u %u %u", &here, &outside, &count) == 3 && count == UINT32_MAX;
}

int ipcshare__caller_is_our_user(const struct ipcshare__caller *caller)
{
	if (caller->uid != (uint32_t)geteuid())
		return 0;
	return caller->uid != unknown_user() || knows_all_users();
}

int ipcshare__pidfd_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&p, 1, 0) == 1;
}
