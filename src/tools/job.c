/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/job.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define STAGE "job"
#define HELLO 0x6a6f6231 /* "job1" */
#define NAP_NS 5000000 /* between two looks whether rank 0 is there */

/* The first thing that a rank says to rank 0. */
struct hello {
	uint32_t magic;
	int32_t rank, size;
};

/* ---- Bytes, before a deadline ---- */

static uint64_t deadline_of(const struct job *job)
{
	return ipcshare__now_ns() + (uint64_t)job->patience_ms * 1000000u;
}

/* Milliseconds; 0 it is over. */
static int left_of(uint64_t deadline)
{
	uint64_t now = ipcshare__now_ns();

	return now < deadline ? (int)((deadline - now) / 1000000u) + 1 : 0;
}

/* Wait for @events; 0 if they don't come in time. */
static bool look(int fd, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int left;

	while ((left = left_of(deadline)))
		if (poll(&p, 1, left) > 0)
			return true;
	return false;
}

static int gone(int rank)
{
	return ipcshare__fail(IPCSHARE_ERR_PEER_DEAD, STAGE, "what does it say itself?",
			      "rank %d has ended, or gave up", rank);
}

static int silent(const struct job *job, int rank)
{
	return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, STAGE, "is it stopped, or in another program?",
			      "nothing came from rank %d in %g s", rank, job->patience_ms / 1e3);
}

/* All @len bytes, to (POLLOUT) or from (POLLIN) a rank. */
static int move(const struct job *job, struct ipcshare_wait *wait, int rank, short direction,
		void *bytes, size_t len, uint64_t deadline)
{
	int fd = job->sockets[rank], err;
	char *at = bytes;

	while (len) {
		ssize_t n = direction == POLLIN ? recv(fd, at, len, MSG_DONTWAIT)
						: send(fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (!n || (errno != EAGAIN && errno != EINTR))
			return gone(rank);
		if (!left_of(deadline))
			return silent(job, rank);
		err = wait ? ipcshare_wait_tick(wait) : 0; /* which sleeps, too */
		if (err)
			return err;
		if (!wait)
			look(fd, direction, deadline);
	}
	return 0;
}

/* ---- Meeting ---- */

/* Abstract: it ends with its owner. The same for all that the launcher has started. */
static socklen_t address(const struct job *job, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1,
					    "ipcshare-job-%u-%d", geteuid(), job->launcher));
}

/* The kernel's word of who is at the other end. */
static bool is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && who.uid == geteuid();
}

static int occupied(void)
{
	return ipcshare__fail(IPCSHARE_ERR_NOT_ALLOWED, STAGE,
			      "who is it? 'ss -xlp | grep ipcshare-job' names the process",
			      "the socket at which this user's ranks meet is another user's");
}

static int listen_at(const struct job *job, int *out)
{
	struct sockaddr_un name;
	socklen_t len = address(job, &name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return ipcshare__fail_errno(errno, STAGE, "socket");
	if (!bind(fd, (struct sockaddr *)&name, len) && !listen(fd, job->size)) {
		*out = fd;
		return 0;
	}
	err = errno == EADDRINUSE ? occupied() : ipcshare__fail_errno(errno, STAGE, "bind, listen");
	close(fd);
	return err;
}

/* A rank that we wait for? Then its socket is kept. */
static void welcome(struct job *job, int fd, uint64_t deadline)
{
	struct hello h = { .rank = -1 };
	int err = 0;

	job->sockets[0] = fd; /* our own place, while it has no other */
	if (is_ours(fd))
		err = move(job, NULL, 0, POLLIN, &h, sizeof(h), deadline);
	job->sockets[0] = -1;
	if (!err && h.magic == HELLO && h.size == job->size && h.rank > 0 && h.rank < job->size &&
	    job->sockets[h.rank] < 0)
		job->sockets[h.rank] = fd;
	else
		close(fd);
}

/* "1, 3"; how many. */
static int missing(const struct job *job, char *text, size_t len)
{
	size_t used = 0;
	int n = 0;

	text[0] = '\0';
	for (int r = 1; r < job->size; r++)
		if (job->sockets[r] < 0 && n++ < 8 && used < len)
			used += (size_t)snprintf(text + used, len - used, "%s%d", used ? ", " : "",
						 r);
	if (n > 8 && used < len)
		snprintf(text + used, len - used, ", ...");
	return n;
}

static int not_come(const struct job *job, const char *ranks, int n)
{
	char hint[256];

	snprintf(hint, sizeof(hint),
		 "start it on all %d ranks of the node; 'env -u %s' starts it alone", job->size,
		 job->size_variable ? job->size_variable : "VARIABLE");
	return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, STAGE, hint,
			      "rank%s %s of %d did not come in %g s", n == 1 ? "" : "s", ranks,
			      job->size, job->patience_ms / 1e3);
}

/* Rank 0: all others come. */
static int gather_in(struct job *job)
{
	uint64_t deadline = deadline_of(job);
	char ranks[64];
	int listener = -1, n, err = listen_at(job, &listener);

	while (!err && (n = missing(job, ranks, sizeof(ranks)))) {
		if (!look(listener, POLLIN, deadline)) {
			err = not_come(job, ranks, n);
		} else {
			int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				welcome(job, fd, deadline);
		}
	}
	if (listener >= 0)
		close(listener);
	return err;
}

/* The others: rank 0 may not be there yet. */
static int go_to(struct job *job)
{
	struct hello h = { .magic = HELLO, .rank = job->rank, .size = job->size };
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t deadline = deadline_of(job);
	struct sockaddr_un name;
	socklen_t len = address(job, &name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	job->sockets[0] = fd;
	if (fd < 0)
		return ipcshare__fail_errno(errno, STAGE, "socket");
	while (connect(fd, (struct sockaddr *)&name, len)) {
		if (errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR)
			return ipcshare__fail_errno(errno, STAGE, "connect");
		if (!left_of(deadline))
			return not_come(job, "0", 1);
		nanosleep(&nap, NULL);
	}
	return is_ours(fd) ? move(job, NULL, 0, POLLOUT, &h, sizeof(h), deadline) : occupied();
}

int job_meet(struct job *job)
{
	int err;

	job->sockets = malloc((size_t)job->size * sizeof(*job->sockets));
	if (!job->sockets)
		return ipcshare__fail_errno(ENOMEM, STAGE, "sockets of %d ranks", job->size);
	memset(job->sockets, 0xff, (size_t)job->size * sizeof(*job->sockets));
	err = job->rank ? go_to(job) : gather_in(job);
	if (err)
		job_leave(job);
	return err;
}

void job_leave(struct job *job)
{
	for (int r = 0; job->sockets && r < job->size; r++)
		if (job->sockets[r] >= 0)
			close(job->sockets[r]);
	free(job->sockets);
	job->sockets = NULL;
}

/* ---- Exchanging ---- */

int job_allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	const struct job *job = arg;
	const size_t total = (size_t)job->size * len;
	uint64_t deadline = deadline_of(job);
	int err = 0;

	if (job->rank) {
		err = move(job, wait, 0, POLLOUT, (void *)(uintptr_t)mine, len, deadline);
		return err ? err : move(job, wait, 0, POLLIN, all, total, deadline);
	}
	memcpy(all, mine, len);
	for (int r = 1; r < job->size && !err; r++)
		err = move(job, wait, r, POLLIN, (char *)all + (size_t)r * len, len, deadline);
	for (int r = 1; r < job->size && !err; r++)
		err = move(job, wait, r, POLLOUT, all, total, deadline);
	return err;
}

int job_barrier(struct job *job)
{
	char all[JOB_RANKS];

	return job_allgather(job, NULL, "", 1, all);
}
