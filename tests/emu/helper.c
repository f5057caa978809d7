/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The helper thread: it answers other processes of the job on this slot's socket, and its life
 * is this process's sign of life (it holds the slot's robust mutex). Two requests:
 *   'J'  a newcomer: gets the memfd and its pid as this process sees it
 *   'R'  something you import may have been revoked: take the mappings away, then answer
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "emu.h"
#include "identity.h"
#include "join.h"
#include "region.h"
#include "table.h"

static void join_answer(int conn)
{
	struct emu_welcome w = { .magic = EMU_MAGIC, .layout = EMU_LAYOUT };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec io = { &w, sizeof(w) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &cred, &len) || cred.uid != getuid())
		return;
	w.seen_pid = cred.pid;
	w.initial = emu_identity_initial();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &emu_file, sizeof(int));
	sendmsg(conn, &m, MSG_NOSIGNAL);
}

static void serve(int conn)
{
	struct timeval second = { 1, 0 };
	char request;

	setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (recv(conn, &request, 1, 0) != 1)
		return;
	if (request == 'J')
		join_answer(conn);
	if (request == 'R') {
		emu_regions_revoke();
		send(conn, "A", 1, MSG_NOSIGNAL);
	}
}

static struct {		/* one helper a process */
	int listener;
	pthread_mutex_t *alive;
	sem_t up;
} start;

static void *run(void *arg)
{
	struct pollfd p = { .fd = start.listener, .events = POLLIN };

	(void)arg;
	pthread_mutex_lock(start.alive);	/* never unlocked: see table.h */
	sem_post(&start.up);
	for (;;) {
		/* Only mappings the host can touch need somebody to notice an exporter's death. */
		int tick = emu_settings()->host_access ? 20 : -1;

		if (poll(&p, 1, tick) > 0) {
			int conn = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC);

			if (conn >= 0) {
				serve(conn);
				close(conn);
			}
		} else if (tick > 0) {
			emu_regions_revoke();
		}
	}
	return NULL;
}

int emu_helper_start(int listener, pthread_mutex_t *alive)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	start.listener = listener;
	start.alive = alive;
	sem_init(&start.up, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);	/* the application's signals are not ours to take */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	while (!err && sem_wait(&start.up))
		;
	return err ? -1 : 0;
}

int emu_helper_connect(uint32_t slot)
{
	struct timeval patience = { 5, 0 };
	struct sockaddr_un a;
	socklen_t len = emu_socket_name(&a, (int)slot);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&a, len))
		return fd;
	close(fd);
	return -1;
}

void emu_helper_ring(uint32_t slot)
{
	int fd = emu_helper_connect(slot);
	char answer;

	if (fd < 0)
		return;		/* gone: nothing of it can touch the memory */
	if (send(fd, "R", 1, MSG_NOSIGNAL) == 1 && recv(fd, &answer, 1, 0) != 1)
		emu_fail(0, "process in slot %u did not answer a revocation", slot);
	close(fd);
}
