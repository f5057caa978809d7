/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Joining a job. Processes with one uid and one ASCENDCL_EMU_JOB share a machine. The table lives
 * in a memfd that only they hold, handed from a living one to a newcomer over an abstract socket,
 * so nothing is ever on disk and everything ends with the last process, however it dies.
 * The rendezvous (one socket name, held while joining) keeps two first processes apart.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu.h"
#include "identity.h"
#include "join.h"
#include "table.h"

struct emu_table *emu_table;
uint32_t emu_me = EMU_NONE;
uint64_t emu_serial;
int emu_file = -1;

static int listener = -1;
static int32_t bare_pid;	/* 0 until known */
static bool forked;

socklen_t emu_socket_name(struct sockaddr_un *a, int slot)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ascendcl-emu.%u.%s.%d",
		     (unsigned)getuid(), emu_settings()->job, slot);
	return offsetof(struct sockaddr_un, sun_path) + 1 + n;
}

static int listen_on(int slot)
{
	struct sockaddr_un a;
	socklen_t len = emu_socket_name(&a, slot);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (!bind(fd, (struct sockaddr *)&a, len) && !listen(fd, 256))
		return fd;
	close(fd);
	return -1;
}

/* Only one process joins at a time: it owns the name; the others wait for its hang-up. */
static int rendezvous_enter(void)
{
	struct sockaddr_un a;
	socklen_t len = emu_socket_name(&a, -1);
	uint64_t deadline = emu_now_ns() + UINT64_C(60000000000);
	struct timeval second = { 1, 0 };
	int fd, wait;
	char byte;

	while ((fd = listen_on(-1)) < 0 && emu_now_ns() < deadline) {
		wait = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (wait < 0)
			return -1;
		setsockopt(wait, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
		if (!connect(wait, (struct sockaddr *)&a, len))
			(void)!recv(wait, &byte, 1, 0);
		close(wait);
	}
	return fd;
}

/* 1: @w is filled and *fd is the memfd; 0: it died meanwhile; -1: it does not answer */
static int welcome_receive(int conn, struct emu_welcome *w, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec io = { w, sizeof(*w) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	if (send(conn, "J", 1, MSG_NOSIGNAL) != 1)
		return 0;
	n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	c = n == sizeof(*w) ? CMSG_FIRSTHDR(&m) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS || w->magic != EMU_MAGIC)
		return 0;
	memcpy(fd, CMSG_DATA(c), sizeof(int));
	return 1;
}

/* Asks living processes for the table, and for this process's pid as those outside see it. */
static int table_ask(struct emu_view *seen)
{
	int err = 0;

	for (uint32_t slot = 0; slot < EMU_SLOTS && (emu_file < 0 || !seen->outermost); slot++) {
		struct emu_welcome w;
		int conn = emu_helper_connect(slot), fd = -1, got;

		if (conn < 0)
			continue;
		got = welcome_receive(conn, &w, &fd);
		if (got > 0)
			emu_view_add(seen, conn, &w);
		close(conn);
		if (got < 0)
			err = emu_fail(ACL_ERROR_INTERNAL, "the process in slot %u of job %s does "
				       "not answer", slot, emu_settings()->job);
		if (got <= 0)
			continue;
		if (emu_file < 0)
			emu_file = fd;
		else
			close(fd);
	}
	return emu_file < 0 ? err : 0;	/* never a second table beside a silent process */
}

static int table_map(struct emu_view *seen)
{
	int err = table_ask(seen);
	bool first = emu_file < 0;
	char name[96];

	if (err)
		return err;
	if (first) {
		snprintf(name, sizeof(name), "ascendcl-emu.%s", emu_settings()->job);
		emu_file = memfd_create(name, MFD_CLOEXEC);
		if (emu_file < 0 || ftruncate(emu_file, EMU_FILE_SIZE))
			return emu_fail(ACL_ERROR_INTERNAL, "no memfd for the table");
	}
	emu_table = mmap(NULL, EMU_TABLE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_NORESERVE, emu_file, 0);
	if (emu_table == MAP_FAILED) {
		emu_table = NULL;
		return emu_fail(ACL_ERROR_INTERNAL, "no address space for the table");
	}
	if (first)
		emu_table_init(emu_table);
	return emu_table_check(emu_table);
}

/* A dead process's socket can outlive its slot by a moment: then the next slot is taken. */
static int slot_take(void)
{
	struct emu_table *t = emu_table;

	for (uint32_t i = 0; i < EMU_SLOTS; i++) {
		struct emu_slot *s = &t->slots[i];

		if (s->used)
			continue;
		listener = listen_on((int)i);
		if (listener < 0)
			continue;
		s->pid = bare_pid;
		s->start = emu_identity_start();
		s->keys = 0;
		__atomic_store_n(&s->serial, ++t->next_serial, __ATOMIC_RELEASE);
		if (emu_helper_start(listener, &s->alive))
			return -1;
		if (t->slots_top <= i)
			t->slots_top = i + 1;
		emu_state_set(&s->used, 1);
		emu_serial = s->serial;
		emu_me = i;
		return 0;
	}
	return -1;
}

/* A child of fork() is no process of the job: the runtime does not support it (2.11). */
static void after_fork(void)
{
	forked = true;
	if (listener >= 0)
		close(listener);
	if (emu_file >= 0)
		close(emu_file);
	emu_file = listener = -1;
	emu_table = NULL;
}

static int join_once(void)
{
	struct emu_view seen = { 0 };
	int door, err;
	bool told;

	pthread_atfork(NULL, NULL, after_fork);
	door = rendezvous_enter();
	if (door < 0)
		return emu_fail(ACL_ERROR_INTERNAL, "cannot enter job %s", emu_settings()->job);
	err = table_map(&seen);
	if (!err) {
		bare_pid = (int32_t)emu_settings()->bare_tgid;	/* told to: even a number in use */
		told = bare_pid > 0;
		if (!told)
			bare_pid = emu_identity_pid(&seen);
		emu_table_lock();
		if (!told)
			bare_pid = emu_identity_unique(bare_pid);
		if (slot_take())
			err = emu_fail(ACL_ERROR_INTERNAL, "no slot for another process");
		emu_table_unlock();
	}
	close(door);
	return err;
}

int emu_join(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int result = -1;

	if (emu_settings_error())
		return emu_settings_error();
	pthread_mutex_lock(&lock);
	if (result < 0)
		result = join_once();
	pthread_mutex_unlock(&lock);
	return result;
}

bool emu_forked(void)
{
	return forked;
}

int32_t emu_bare_pid(void)
{
	return bare_pid;
}
