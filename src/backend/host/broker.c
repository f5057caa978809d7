/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <ipcshare.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/host/listener.h"
#include "backend/host/offers.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"

#define CLIENTS 64 /* served at a time; more wait in the socket's queue */
#define PATIENCE_NS 5000000000u /* a client that says nothing that long is dropped */
#define PART 16 /* places of one process that others don't want back */
#define GRACE_MS 50 /* and for how long it may have more */

struct client {
	int socket;
	uint64_t since_ns, deadline_ns;
	/* its last request was a RETIRE: an owner that keeps the line, and can ask anew */
	int keeps;
	int status; /* not 0: why we don't know who it is; the answer to whatever it asks */
	struct ipcshare__caller caller;
};

/* The largest message of either direction. */
struct message {
	struct ipcshare__broker_head head;
	union {
		struct ipcshare__broker_get get[IPCSHARE__BROKER_BATCH];
		struct ipcshare__broker_got got[IPCSHARE__BROKER_BATCH];
		struct ipcshare__broker_retire retire[IPCSHARE__BROKER_BATCH];
		struct ipcshare__broker_retired retired[IPCSHARE__BROKER_BATCH];
	};
};

struct ipcshare__broker {
	uint64_t endpoint;
	char dir[sizeof(((struct ipcshare__config *)0)->socket_dir)];
	int listener;
	int wake; /* eventfd: stop */
	pthread_t thread;
	ipcshare__retire_fn *retire;
	void *arg;
	pthread_mutex_t lock; /* over offers; leaf: nothing is locked under it */
	struct ipcshare__offers offers;
	/* the thread's own */
	struct client clients[CLIENTS];
	size_t nclients;
	int paused; /* no place or descriptor for one more client: don't look at the listener */
	int spare; /* a descriptor for a client when there is no other; -1 while one has it */
	int starved; /* the last time it looked there, there was no descriptor */
	struct message in, out;
};

/* ---- Answering ---- */

static size_t answer_get(struct ipcshare__broker *b, const struct client *c, int *fds)
{
	size_t nfds = 0;

	for (size_t i = 0; i < b->in.head.count; i++) {
		struct ipcshare__broker_got *got = &b->out.got[i];
		const struct ipcshare__offer *offer;

		memset(got, 0, sizeof(*got));
		got->status = ipcshare__offers_find(&b->offers, &c->caller, &b->in.get[i], &offer);
		if (got->status)
			continue;
		got->offset = offer->offset;
		got->length = offer->length;
		fds[nfds++] = offer->fd;
	}
	return nfds;
}

/* Only descriptors that still belong to an offer may be sent, so the lock is held until then. */
static int send_answer(struct client *c, struct message *out, size_t len, const int *fds,
		       size_t nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPCSHARE__BROKER_BATCH * sizeof(int))];
	} control;
	struct iovec iov = { out, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	int err;

	if (nfds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	do
		err = sendmsg(c->socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
	while (err == EINTR);
	return err;
}

static int serve_get(struct ipcshare__broker *b, struct client *c)
{
	size_t len = sizeof(b->out.head) + b->in.head.count * sizeof(b->out.got[0]), nfds;
	int fds[IPCSHARE__BROKER_BATCH], err;

	pthread_mutex_lock(&b->lock);
	nfds = answer_get(b, c, fds);
	err = send_answer(c, &b->out, len, fds, nfds);
	pthread_mutex_unlock(&b->lock);
	if (err == ETOOMANYREFS || err == ENOMEM || err == ENOBUFS) { /* say so, without them */
		b->out.head.status = IPCSHARE_ERR_LIMIT;
		err = send_answer(c, &b->out, sizeof(b->out.head), NULL, 0);
	}
	return err ? -1 : 0;
}

static int serve_retire(struct ipcshare__broker *b, struct client *c)
{
	size_t n = b->in.head.count;

	for (size_t i = 0; i < n; i++) {
		const struct ipcshare__broker_retire *r = &b->in.retire[i];

		b->out.retired[i] = (struct ipcshare__broker_retired){
			.status = b->retire(b->arg, &c->caller, r->owner, r->region, r->generation),
		};
	}
	return send_answer(c, &b->out, sizeof(b->out.head) + n * sizeof(b->out.retired[0]), NULL, 0)
		       ? -1
		       : 0;
}

/* 0 if it is a whole, well-formed request. The layout comes first: the rest follows from it. */
static int request_check(const struct message *in, size_t len)
{
	size_t entry = in->head.op == IPCSHARE__BROKER_GET ? sizeof(in->get[0])
							   : sizeof(in->retire[0]);

	if (len < sizeof(in->head) || in->head.magic != IPCSHARE__MAGIC_BROKER)
		return IPCSHARE_ERR_PROTOCOL;
	if (in->head.layout != IPCSHARE__LAYOUT)
		return IPCSHARE_ERR_VERSION;
	if ((in->head.op != IPCSHARE__BROKER_GET && in->head.op != IPCSHARE__BROKER_RETIRE) ||
	    in->head.count < 1 || in->head.count > IPCSHARE__BROKER_BATCH ||
	    len != sizeof(in->head) + in->head.count * entry)
		return IPCSHARE_ERR_PROTOCOL;
	return 0;
}

/*
 * It asks again before it has read its answer. Answers that nobody reads hold kernel memory, and
 * descriptors of which a user may have only so many under way.
 */
static int has_unread_answer(const struct client *c)
{
	int bytes;

	return !ioctl(c->socket, SIOCOUTQ, &bytes) && bytes > 0;
}

/* One request; 0 to keep the client, -1 to drop it. */
static int serve(struct ipcshare__broker *b, struct client *c)
{
	ssize_t len;
	int err;

	b->in.head = (struct ipcshare__broker_head){ 0 }; /* a short one leaves the rest as it is */
	len = recv(c->socket, &b->in, sizeof(b->in), MSG_DONTWAIT | MSG_TRUNC);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (len == 0 || has_unread_answer(c))
		return -1;
	c->deadline_ns = ipcshare__now_ns() + PATIENCE_NS;
	IPCSHARE__POINT("broker.asked");
	b->out.head = (struct ipcshare__broker_head){
		.magic = IPCSHARE__MAGIC_BROKER,
		.layout = IPCSHARE__LAYOUT,
		.op = b->in.head.op,
		.nonce = b->in.head.nonce,
		.status = request_check(&b->in, (size_t)len) ?: c->status,
	};
	if (b->out.head.status) {
		send_answer(c, &b->out, sizeof(b->out.head), NULL, 0);
		return -1;
	}
	b->out.head.count = b->in.head.count;
	c->keeps = b->in.head.op == IPCSHARE__BROKER_RETIRE;
	err = b->in.head.op == IPCSHARE__BROKER_GET ? serve_get(b, c) : serve_retire(b, c);
	IPCSHARE__POINT("broker.answered");
	return err;
}

/* ---- Clients ---- */

/* Its descriptor takes the spare's place at once, or another thread could have it. */
static void socket_close(struct ipcshare__broker *b, int socket)
{
	if (b->spare < 0)
		b->spare = dup3(b->wake, socket, O_CLOEXEC);
	if (b->spare != socket)
		close(socket);
}

static void client_close(struct ipcshare__broker *b, size_t i)
{
	socket_close(b, b->clients[i].socket);
	ipcshare__caller_close(&b->clients[i].caller);
	b->clients[i] = b->clients[--b->nclients];
	b->paused = 0;
}

/* A fork of ours may hold the socket too: tell the client all the same. */
static void client_drop(struct ipcshare__broker *b, size_t i)
{
	shutdown(b->clients[i].socket, SHUT_RDWR);
	client_close(b, i);
}

static int is_stranger(struct ipcshare__broker *b, const struct client *c)
{
	int known;

	pthread_mutex_lock(&b->lock);
	known = ipcshare__offers_know(&b->offers, &c->caller);
	pthread_mutex_unlock(&b->lock);
	return !known;
}

/* The kept line that was silent longest, or CLIENTS. */
static size_t silent_keeper(const struct ipcshare__broker *b)
{
	size_t found = CLIENTS;

	for (size_t i = 0; i < b->nclients; i++)
		if (b->clients[i].keeps &&
		    (found == CLIENTS || b->clients[i].deadline_ns < b->clients[found].deadline_ns))
			found = i;
	return found;
}

static size_t first_stranger(struct ipcshare__broker *b)
{
	for (size_t i = 0; i < b->nclients; i++)
		if (is_stranger(b, &b->clients[i]))
			return i;
	return CLIENTS;
}

static size_t places_of(const struct ipcshare__broker *b, const struct ipcshare__caller *caller)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nclients; i++)
		n += b->clients[i].caller.inode == caller->inode &&
		     b->clients[i].caller.pid == caller->pid;
	return n;
}

/* Of the lines of processes that have more than @part places the oldest, if it has that age, or CLIENTS. */
static size_t oldest(const struct ipcshare__broker *b, size_t part, uint64_t age_ns)
{
	uint64_t latest = ipcshare__now_ns() - age_ns;
	size_t found = CLIENTS;

	for (size_t i = 0; i < b->nclients; i++)
		if (b->clients[i].since_ns <= latest &&
		    places_of(b, &b->clients[i].caller) > part) {
			latest = b->clients[i].since_ns;
			found = i;
		}
	return found;
}

/*
 * Every place is taken: a line that is only kept gives way, else the first stranger, else who has more
 * places than its part, be it silent or not. Whoever is listed keeps its place, but none for ever.
 */
static void make_room(struct ipcshare__broker *b)
{
	size_t i = silent_keeper(b);

	if (i == CLIENTS)
		i = first_stranger(b);
	if (i == CLIENTS)
		i = oldest(b, PART, GRACE_MS * 1000000u);
	if (i == CLIENTS)
		i = oldest(b, 0, PATIENCE_NS);
	if (i < CLIENTS)
		client_drop(b, i);
}

/*
 * The next client's socket, or -1. Without a descriptor a client would stay in the queue, and its
 * rank with it until the deadline. If that lasts, the spare one is enough to tell it so.
 */
static int accept_next(struct ipcshare__broker *b, int *status)
{
	int socket = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int starves = socket < 0 && (errno == EMFILE || errno == ENFILE);

	if (starves && b->starved && b->spare >= 0) {
		close(b->spare);
		b->spare = -1;
		socket = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		*status = IPCSHARE_ERR_LIMIT;
	}
	b->starved = starves;
	return socket;
}

static void client_accept(struct ipcshare__broker *b)
{
	uint64_t now = ipcshare__now_ns();
	struct client c = {
		.since_ns = now,
		.deadline_ns = now + PATIENCE_NS,
		.caller = { .pidfd = -1 },
	};

	if (b->nclients == CLIENTS)
		make_room(b);
	if (b->nclients == CLIENTS) {
		b->paused = 1;
		return;
	}
	c.socket = accept_next(b, &c.status);
	if (c.socket < 0) {
		/* What stays in the queue would wake us for ever. */
		b->paused = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
		return;
	}
	if (!c.status)
		c.status = ipcshare__caller_of(c.socket, &c.caller);
	IPCSHARE__POINT("broker.accepted");
	b->clients[b->nclients++] = c;
}

static void drop_silent(struct ipcshare__broker *b, uint64_t now)
{
	for (size_t i = b->nclients; i-- > 0;)
		if (now >= b->clients[i].deadline_ns)
			client_drop(b, i);
}

static void *broker_main(void *arg)
{
	struct ipcshare__broker *b = arg;
	struct pollfd p[CLIENTS + 2];
	size_t n;

	for (;;) {
		n = b->nclients;
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){ .fd = b->clients[i].socket, .events = POLLIN };
		p[n] = (struct pollfd){ .fd = b->wake, .events = POLLIN };
		p[n + 1] = (struct pollfd){ .fd = b->paused ? -1 : b->listener, .events = POLLIN };
		if (poll(p, n + 2, b->paused ? GRACE_MS : n ? 1000 : -1) < 0)
			continue; /* EINTR, or no kernel memory: look again */
		b->paused = 0;
		if (p[n].revents)
			break;
		for (size_t i = n; i-- > 0;) /* from the end: a drop moves the last one */
			if (p[i].revents && serve(b, &b->clients[i]))
				client_drop(b, i);
		drop_silent(b, ipcshare__now_ns());
		if (p[n + 1].revents)
			client_accept(b);
	}
	while (b->nclients)
		client_drop(b, 0);
	return NULL;
}

/* ---- Start and stop ---- */

static int start_thread(struct ipcshare__broker *b)
{
	sigset_t all, before;
	int err;

	sigfillset(&all); /* signals are for the user's threads */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&b->thread, NULL, broker_main, b);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return ipcshare__fail_errno(err, "open", "starting the broker's thread");
	return 0;
}

int ipcshare__broker_start(const struct ipcshare__config *config, ipcshare__retire_fn *retire,
			   void *arg, struct ipcshare__broker **out)
{
	struct ipcshare__broker *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return ipcshare__fail_errno(ENOMEM, "open", "the broker");
	strcpy(b->dir, config->socket_dir);
	b->retire = retire;
	b->arg = arg;
	pthread_mutex_init(&b->lock, NULL);
	if (getrandom(&b->endpoint, sizeof(b->endpoint), 0) != sizeof(b->endpoint)) {
		err = ipcshare__fail_errno(errno, "open", "getrandom");
		goto free_broker;
	}
	err = ipcshare__listener_open(b->dir, b->endpoint, &b->listener);
	if (err)
		goto free_broker;
	b->wake = eventfd(0, EFD_CLOEXEC);
	if (b->wake < 0) {
		err = ipcshare__fail_errno(errno, "open", "eventfd");
		goto close_listener;
	}
	b->spare = fcntl(b->wake, F_DUPFD_CLOEXEC, 0);
	if (b->spare < 0) {
		err = ipcshare__fail_errno(errno, "open", "a spare descriptor");
		goto close_wake;
	}
	err = start_thread(b);
	if (err)
		goto close_spare;
	*out = b;
	return 0;

close_spare:
	close(b->spare);
close_wake:
	close(b->wake);
close_listener:
	ipcshare__listener_end(b->dir, b->endpoint, b->listener);
	close(b->listener);
free_broker:
	pthread_mutex_destroy(&b->lock);
	free(b);
	return err;
}

void ipcshare__broker_stop(struct ipcshare__broker *b, int in_child)
{
	if (!in_child) {
		eventfd_write(b->wake, 1);
		pthread_join(b->thread, NULL);
		ipcshare__listener_end(b->dir, b->endpoint, b->listener);
		pthread_mutex_destroy(&b->lock);
	}
	while (b->nclients) /* in a child: without a word, they are the parent's */
		client_close(b, 0);
	if (b->spare >= 0)
		close(b->spare);
	close(b->wake);
	close(b->listener);
	ipcshare__offers_clear(&b->offers);
	free(b);
}

uint64_t ipcshare__broker_endpoint(const struct ipcshare__broker *b)
{
	return b->endpoint;
}

/* ---- Offers ---- */

int ipcshare__broker_offer(struct ipcshare__broker *b, int fd, uint64_t offset, uint64_t length,
			   int open, struct ipcshare__offer **out)
{
	struct ipcshare__offer what = {
		.fd = fd,
		.offset = offset,
		.length = length,
		.open = open,
	};
	int err;

	if (getrandom(what.secret, sizeof(what.secret), 0) != sizeof(what.secret))
		return ipcshare__fail_errno(errno, "export", "getrandom");
	pthread_mutex_lock(&b->lock);
	err = ipcshare__offers_add(&b->offers, &what, out);
	pthread_mutex_unlock(&b->lock);
	return err ? ipcshare__fail_errno(ENOMEM, "export", "one more export") : 0;
}

const uint64_t *ipcshare__offer_secret(const struct ipcshare__offer *offer)
{
	return offer->secret;
}

int ipcshare__broker_allow(struct ipcshare__broker *b, struct ipcshare__offer *offer,
			   const struct ipcshare__identity *ids, size_t n,
			   enum ipcshare__access access)
{
	int err;

	pthread_mutex_lock(&b->lock);
	err = ipcshare__offer_grant(offer, ids, n, access);
	pthread_mutex_unlock(&b->lock);
	return err ? ipcshare__fail_errno(ENOMEM, "whitelist", "%zu more entries", n) : 0;
}

void ipcshare__broker_pause(struct ipcshare__broker *b, struct ipcshare__offer *offer, int paused)
{
	pthread_mutex_lock(&b->lock);
	offer->paused = paused;
	pthread_mutex_unlock(&b->lock);
}

void ipcshare__broker_withdraw(struct ipcshare__broker *b, struct ipcshare__offer *offer)
{
	pthread_mutex_lock(&b->lock);
	ipcshare__offers_remove(&b->offers, offer);
	pthread_mutex_unlock(&b->lock);
}
