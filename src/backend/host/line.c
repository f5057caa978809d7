/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/line.h"

#include <errno.h>
#include <ipcshare.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/socket.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"

/* at most between the two signs of a process's end, where others have its core */
#define DYING_MS 1000

static int ms_left(uint64_t deadline_ns)
{
	uint64_t now = ipcshare__now_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / 1000000u) + 1;
}

static const char *unreachable_hint(int err, const char *dir)
{
	if (err == EPERM || err == EACCES)
		return dir[0] ? "ranks that use the folder of IPCSHARE_SOCKET_DIR must have one user"
			      : "a sandbox keeps abstract sockets apart: set IPCSHARE_SOCKET_DIR to a "
				"folder all ranks see";
	return dir[0] ? "the owner has closed its context or ended, or sees another folder as "
			"IPCSHARE_SOCKET_DIR: mount one folder there in all containers"
		      : "the owner has closed its context or ended, or it is in another network "
			"namespace: then set IPCSHARE_SOCKET_DIR to a folder all ranks see";
}

static int unreachable(int err, const char *stage, const char *dir, const struct sockaddr_un *addr)
{
	return ipcshare__fail(IPCSHARE_ERR_UNREACHABLE, stage, unreachable_hint(err, dir),
			      "no broker answers at %s%s: %s", dir[0] ? "" : "@",
			      addr->sun_path + !dir[0], strerrordesc_np(err));
}

/* A full queue at the listener refuses at once; the broker empties it soon, so try again. */
static int connect_until(int sock, const char *dir, uint64_t endpoint, uint64_t deadline_ns,
			 const char *stage)
{
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address(dir, endpoint, &addr);

	while (connect(sock, (struct sockaddr *)&addr, len)) {
		if (errno != EAGAIN && errno != EINTR)
			return unreachable(errno, stage, dir, &addr);
		if (!ms_left(deadline_ns))
			return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, stage, "is the owner stopped?",
					      "the broker's queue stays full");
		poll(NULL, 0, 1);
	}
	return 0;
}

int ipcshare__line_open(const char *socket_dir, uint64_t endpoint, unsigned timeout_ms,
			const char *stage, struct ipcshare__line *out)
{
	struct ipcshare__line line = {
		.deadline_ns = ipcshare__now_ns() + timeout_ms * (uint64_t)1000000u,
	};
	int err;

	line.socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (line.socket < 0)
		return ipcshare__fail_errno(errno, stage, "socket");
	err = connect_until(line.socket, socket_dir, endpoint, line.deadline_ns, stage);
	IPCSHARE__POINT("line.connected");
	if (!err)
		err = ipcshare__caller_of(line.socket, &line.owner);
	if (err) {
		close(line.socket);
		return err;
	}
	*out = line;
	return 0;
}

void ipcshare__line_close(struct ipcshare__line *line)
{
	close(line->socket);
	ipcshare__caller_close(&line->owner);
}

int ipcshare__line_idle(struct ipcshare__line *line, unsigned timeout_ms)
{
	struct pollfd p = { .fd = line->socket, .events = POLLIN };

	line->deadline_ns = ipcshare__now_ns() + timeout_ms * (uint64_t)1000000u;
	return poll(&p, 1, 0) == 0;
}

/* The line is cut. */
static int lost(const struct ipcshare__line *line, const char *stage)
{
	if (ipcshare__pidfd_ended(line->owner.pidfd))
		return ipcshare__fail(IPCSHARE_ERR_PEER_DEAD, stage, "",
				      "process %d, which owns the memory, has ended",
				      line->owner.pid);
	return ipcshare__fail(IPCSHARE_ERR_UNREACHABLE, stage, "has it closed its context?",
			      "the broker of process %d hung up", line->owner.pid);
}

/* The line failed: it is cut, or there is something the kernel lacks. */
static int failed(const struct ipcshare__line *line, int err, const char *stage)
{
	if (err == ENOMEM || err == ENOBUFS)
		return ipcshare__fail_errno(err, stage, "talking to process %d", line->owner.pid);
	return lost(line, stage);
}

static int send_request(struct ipcshare__line *line, const struct ipcshare__broker_head *head,
			const void *entries, size_t len, const char *stage)
{
	struct iovec iov[2] = { { (void *)head, sizeof(*head) }, { (void *)entries, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	while (sendmsg(line->socket, &msg, MSG_NOSIGNAL) < 0) {
		struct pollfd p = { .fd = line->socket, .events = POLLOUT };

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return failed(line, errno, stage);
		if (poll(&p, 1, ms_left(line->deadline_ns)) == 0)
			return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, stage, "is it stopped?",
					      "the broker of process %d takes no request",
					      line->owner.pid);
	}
	return 0;
}

/* Until the reply is there. A fork of the owner may keep the socket open after its death. */
static int await_reply(struct ipcshare__line *line, const char *stage)
{
	struct pollfd p[2] = {
		{ .fd = line->socket, .events = POLLIN },
		{ .fd = line->owner.pidfd, .events = POLLIN },
	};
	int n;

	do {
		n = poll(p, 2, ms_left(line->deadline_ns));
		if (n == 0)
			return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, stage,
					      "is it stopped? IPCSHARE_TIMEOUT sets the deadline",
					      "the broker of process %d does not answer",
					      line->owner.pid);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return ipcshare__fail_errno(errno, stage, "poll");
	return p[0].revents ? 0 : lost(line, stage);
}

/* Take the descriptors out of a message: how many came. Those beyond @max are closed. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	size_t n = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++, n++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (n < max)
				fds[n] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* What another process calls a failure: one that we know, or it is malformed. */
static int peer_status(int32_t status)
{
	switch (status) {
#define KNOWN(name, number, text)                                                                  \
	case number:                                                                               \
		return number ? number : IPCSHARE_ERR_PROTOCOL;
		IPCSHARE_STATUS_LIST(KNOWN)
#undef KNOWN
	}
	return IPCSHARE_ERR_PROTOCOL;
}

/* Is it the answer to @head? The layout is looked at first, as all the rest follows from it. */
static int reply_check(const struct ipcshare__line *line, const struct ipcshare__broker_head *head,
		       const struct ipcshare__broker_head *reply, size_t len, const char *stage)
{
	if (len < sizeof(*reply) || reply->magic != IPCSHARE__MAGIC_BROKER ||
	    reply->nonce != head->nonce)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, stage, "",
				      "a malformed reply from process %d", line->owner.pid);
	if (reply->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, stage, "link all ranks to one version",
				      "process %d speaks layout %u, we %u", line->owner.pid,
				      reply->layout, IPCSHARE__LAYOUT);
	if (reply->op != head->op)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, stage, "",
				      "process %d answers another question", line->owner.pid);
	if (reply->status)
		return ipcshare__fail(peer_status(reply->status), stage,
				      peer_status(reply->status) == IPCSHARE_ERR_LIMIT
					      ? "raise the limit on open files there (ulimit -n)"
					      : "",
				      "process %d refuses: %s", line->owner.pid,
				      ipcshare_strerror(peer_status(reply->status)));
	return 0;
}

struct answers { /* room for what comes back */
	void *entries;
	size_t size; /* of one */
	int *fds;
	size_t max_fds;
	size_t nfds; /* out */
};

/* One request of @n @entries, and its reply. */
static int exchange(struct ipcshare__line *line, uint16_t op, const void *entries,
		    size_t entry_size, size_t n, struct answers *answers, const char *stage)
{
	struct ipcshare__broker_head head = {
		.magic = IPCSHARE__MAGIC_BROKER, .layout = IPCSHARE__LAYOUT, .op = op,
		.count = (uint16_t)n,
	}, reply;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPCSHARE__BROKER_BATCH * sizeof(int))];
	} control;
	struct iovec iov[2] = {
		{ &reply, sizeof(reply) },
		{ answers->entries, n * answers->size },
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len;
	int err;

	if (getrandom(&head.nonce, sizeof(head.nonce), 0) != sizeof(head.nonce))
		return ipcshare__fail_errno(errno, stage, "getrandom");
	err = send_request(line, &head, entries, n * entry_size, stage);
	IPCSHARE__POINT("line.asked");
	do {
		if (!err)
			err = await_reply(line, stage);
		if (err)
			return err;
		len = recvmsg(line->socket, &msg, MSG_CMSG_CLOEXEC);
	} while (len < 0 && (errno == EINTR || errno == EAGAIN));
	IPCSHARE__POINT("line.answered");
	if (len <= 0)
		return failed(line, len ? errno : 0, stage);
	answers->nfds = take_fds(&msg, answers->fds, answers->max_fds);
	err = reply_check(line, &head, &reply, (size_t)len, stage);
	if (!err && (reply.count != n || (size_t)len != sizeof(reply) + n * answers->size ||
		     msg.msg_flags & MSG_TRUNC || answers->nfds > answers->max_fds))
		err = ipcshare__fail(IPCSHARE_ERR_PROTOCOL, stage, "",
				     "process %d sent more or less than was asked for",
				     line->owner.pid);
	if (!err && msg.msg_flags & MSG_CTRUNC)
		err = ipcshare__fail(IPCSHARE_ERR_LIMIT, stage,
				     "raise the limit on open files (ulimit -n)",
				     "no descriptor left for what process %d sent",
				     line->owner.pid);
	if (err)
		close_all(answers->fds,
			  answers->nfds < answers->max_fds ? answers->nfds : answers->max_fds);
	return err;
}

/*
 * A process that ends closes its sockets a moment before its pidfd says so: give it that moment, so
 * that a death is called one.
 */
static void await_death(const struct ipcshare__line *line)
{
	struct pollfd p = { .fd = line->owner.pidfd, .events = POLLIN };

	while (poll(&p, 1, DYING_MS) < 0 && errno == EINTR)
		;
}

int ipcshare__line_get(struct ipcshare__line *line, const struct ipcshare__broker_get *get,
		       size_t n, struct ipcshare__broker_got *got, int *fds)
{
	int received[IPCSHARE__BROKER_BATCH];
	struct answers answers = { got, sizeof(*got), received, n, 0 };
	size_t used = 0, expected = 0;
	int err;

	err = exchange(line, IPCSHARE__BROKER_GET, get, sizeof(*get), n, &answers, "import");
	if (err == IPCSHARE_ERR_UNREACHABLE) {
		await_death(line);
		err = lost(line, "import");
	}
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (got[i].status)
			got[i].status = peer_status(got[i].status);
		expected += got[i].status == 0;
	}
	if (expected != answers.nfds) {
		close_all(received, answers.nfds);
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				      "process %d sent %zu descriptors for %zu regions",
				      line->owner.pid, answers.nfds, expected);
	}
	for (size_t i = 0; i < n; i++)
		fds[i] = got[i].status == 0 ? received[used++] : -1;
	return 0;
}

int ipcshare__line_retire(struct ipcshare__line *line, const struct ipcshare__broker_retire *retire)
{
	struct ipcshare__broker_retired answer;
	struct answers answers = { &answer, sizeof(answer), NULL, 0, 0 };
	int err;

	err = exchange(line, IPCSHARE__BROKER_RETIRE, retire, sizeof(*retire), 1, &answers, "free");
	if (err || !answer.status)
		return err;
	if (answer.status == IPCSHARE_ERR_BUSY)
		return ipcshare__fail(IPCSHARE_ERR_BUSY, "free",
				      "free the sets and unmap it there first",
				      "process %d still uses the memory", line->owner.pid);
	return ipcshare__fail(peer_status(answer.status), "free", "", "process %d: %s",
			      line->owner.pid, ipcshare_strerror(peer_status(answer.status)));
}
