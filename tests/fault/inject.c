/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands in the place of the library's calls: see inject.h. */
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {
#define INJECT_NAME(name) #name,
	INJECT_CALLS(INJECT_NAME)
#undef INJECT_NAME
	"futex", "pidfd_open",
};

const char *inject_name(enum inject_call call)
{
	return names[call];
}

/* ---- Which use fails ---- */

static struct {
	_Atomic int call; /* -1: none */
	int err, use;
	enum inject_where where;
	pthread_t thread;
	_Atomic int uses;
	_Atomic uintptr_t place; /* 0: it has not come */
} armed = { .call = -1 };

void inject_arm(enum inject_call call, int err, int use, enum inject_where where)
{
	armed.err = err;
	armed.use = use;
	armed.where = where;
	armed.thread = pthread_self();
	atomic_store(&armed.uses, 0);
	atomic_store(&armed.place, 0);
	atomic_store(&armed.call, (int)call);
}

int inject_disarm(uintptr_t *place)
{
	atomic_store(&armed.call, -1);
	*place = atomic_load(&armed.place);
	return *place != 0;
}

static int fails(enum inject_call call, void *place)
{
	int here;

	if (atomic_load(&armed.call) != (int)call)
		return 0;
	here = pthread_equal(pthread_self(), armed.thread);
	if (here != (armed.where == INJECT_HERE) || atomic_fetch_add(&armed.uses, 1) + 1 != armed.use)
		return 0;
	atomic_store(&armed.place, (uintptr_t)place);
	errno = armed.err;
	return 1;
}

#define FAILS(call) fails(INJECT_##call, __builtin_return_address(0))

/* ---- What is held ---- */

static _Atomic int64_t blocks, mapped, files;

struct inject_held inject_held(void)
{
	return (struct inject_held){ blocks, mapped, files };
}

static void *block(void *p)
{
	blocks += p != NULL;
	return p;
}

/* ---- Memory ---- */

void *inject_malloc(size_t len)
{
	return FAILS(malloc) ? NULL : block(malloc(len));
}

void *inject_calloc(size_t n, size_t len)
{
	return FAILS(calloc) ? NULL : block(calloc(n, len));
}

void *inject_aligned_alloc(size_t align, size_t len)
{
	return FAILS(aligned_alloc) ? NULL : block(aligned_alloc(align, len));
}

void *inject_realloc(void *p, size_t len)
{
	int was = p != NULL;
	void *q = FAILS(realloc) ? NULL : realloc(p, len);

	blocks += q && !was;
	return q;
}

void inject_free(void *p)
{
	blocks -= p != NULL;
	free(p);
}

void *inject_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p = FAILS(mmap) ? MAP_FAILED : mmap(at, len, prot, flags, fd, offset);

	mapped += p != MAP_FAILED ? (int64_t)len : 0;
	return p;
}

/* Kept until the cycle is over, as by a kernel that could not split a mapping. */
static struct {
	void *at;
	size_t len;
} refused;

int inject_munmap(void *at, size_t len)
{
	mapped -= (int64_t)len;
	if (!FAILS(munmap))
		return munmap(at, len);
	refused.at = at;
	refused.len = len;
	return -1;
}

void inject_settle(void)
{
	if (refused.len)
		munmap(refused.at, refused.len);
	refused.len = 0;
}

/* ---- Calls that give -1, and have done nothing ---- */

#define CALL(name, params, args)                                                                   \
	int inject_##name params { return FAILS(name) ? -1 : name args; }

CALL(madvise, (void *at, size_t len, int advice), (at, len, advice))
CALL(memfd_create, (const char *name, unsigned flags), (name, flags))
CALL(ftruncate, (int fd, off_t len), (fd, len))
CALL(fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
CALL(fstat, (int fd, struct stat *st), (fd, st))
CALL(stat, (const char *path, struct stat *st), (path, st))
CALL(lstat, (const char *path, struct stat *st), (path, st))
CALL(fstatfs, (int fd, struct statfs *fs), (fd, fs))
CALL(access, (const char *path, int mode), (path, mode))
CALL(rename, (const char *from, const char *to), (from, to))
CALL(unlink, (const char *path), (path))
CALL(fchmod, (int fd, mode_t mode), (fd, mode))
CALL(getrlimit, (__rlimit_resource_t what, struct rlimit *limit), (what, limit))
CALL(socket, (int domain, int type, int protocol), (domain, type, protocol))
CALL(socketpair, (int domain, int type, int protocol, int pair[2]), (domain, type, protocol, pair))
CALL(bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
CALL(listen, (int fd, int n), (fd, n))
CALL(connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
CALL(accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags), (fd, addr, len, flags))
CALL(getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
     (fd, level, name, value, len))
CALL(shutdown, (int fd, int how), (fd, how))
CALL(poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
CALL(eventfd, (unsigned n, int flags), (n, flags))
CALL(nanosleep, (const struct timespec *t, struct timespec *left), (t, left))
CALL(sched_getaffinity, (pid_t pid, size_t len, cpu_set_t *set), (pid, len, set))

ssize_t inject_read(int fd, void *to, size_t len)
{
	return FAILS(read) ? -1 : read(fd, to, len);
}

ssize_t inject_getrandom(void *to, size_t len, unsigned flags)
{
	return FAILS(getrandom) ? -1 : getrandom(to, len, flags);
}

ssize_t inject_recv(int fd, void *to, size_t len, int flags)
{
	return FAILS(recv) ? -1 : recv(fd, to, len, flags);
}

ssize_t inject_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return FAILS(recvmsg) ? -1 : recvmsg(fd, msg, flags);
}

ssize_t inject_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return FAILS(sendmsg) ? -1 : sendmsg(fd, msg, flags);
}

int inject_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return FAILS(open) ? -1 : open(path, flags, mode);
}

int inject_fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long); /* or what lies there, which such a command ignores */
	va_end(args);
	return FAILS(fcntl) ? -1 : fcntl(fd, cmd, arg);
}

/* A wake can't fail. */
static int other_syscall_fails(long number, long op, void *place)
{
	if (number == SYS_futex)
		return (op & FUTEX_CMD_MASK) == FUTEX_WAIT && fails(INJECT_futex, place);
	return number == SYS_pidfd_open && fails(INJECT_pidfd_open, place);
}

long inject_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (FAILS(syscall) || other_syscall_fails(number, a[1], __builtin_return_address(0)))
		return -1;
	return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- Calls that fail after their work ---- */

/* Linux has closed it whatever it says. */
int inject_close(int fd)
{
	int err = close(fd);

	return FAILS(close) ? -1 : err;
}

/* ---- Files and folders ---- */

FILE *inject_fopen(const char *path, const char *mode)
{
	FILE *f = FAILS(fopen) ? NULL : fopen(path, mode);

	files += f != NULL;
	return f;
}

char *inject_fgets(char *line, int len, FILE *f)
{
	return FAILS(fgets) ? NULL : fgets(line, len, f);
}

int inject_fclose(FILE *f)
{
	int err = fclose(f);

	files--;
	return FAILS(fclose) ? EOF : err;
}

DIR *inject_opendir(const char *path)
{
	DIR *dir = FAILS(opendir) ? NULL : opendir(path);

	files += dir != NULL;
	return dir;
}

struct dirent *inject_readdir(DIR *dir)
{
	return FAILS(readdir) ? NULL : readdir(dir);
}

int inject_closedir(DIR *dir)
{
	int err = closedir(dir);

	files--;
	return FAILS(closedir) ? -1 : err;
}

/* ---- Threads: they return the error ---- */

int inject_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return FAILS(pthread_create) ? errno : pthread_create(thread, attr, fn, arg);
}

int inject_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
	return FAILS(pthread_key_create) ? errno : pthread_key_create(key, end);
}

int inject_pthread_setspecific(pthread_key_t key, const void *value)
{
	return FAILS(pthread_setspecific) ? errno : pthread_setspecific(key, value);
}
