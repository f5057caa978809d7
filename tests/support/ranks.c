/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranks as forked processes. Each has TEST_LANES sockets to its parent, the hub: a rank sends what
 * it contributes to an exchange, the hub waits for all members and sends each of them all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/internal.h"
#include "support/ranks.h"

/* ---- A rank's side ---- */

static int tick(struct ipcshare_wait *wait)
{
	return wait ? ipcshare_wait_tick(wait) : 0;
}

/* Until @fd is ready; the tick's verdict if that comes first. */
static int wait_ready(int fd, short events, struct ipcshare_wait *wait)
{
	struct pollfd p = { .fd = fd, .events = events };
	int err;

	for (;;) {
		int n = poll(&p, 1, wait ? 1 : TEST_CHILD_PATIENCE_S * 1000);

		if (n > 0)
			return 0;
		if (!wait && (n == 0 || errno != EINTR))
			return -1;
		err = tick(wait);
		if (err)
			return err;
	}
}

static int send_all(int fd, const void *bytes, size_t len, struct ipcshare_wait *wait)
{
	const char *p = bytes;
	int err;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		err = n < 0 ? wait_ready(fd, POLLOUT, wait) : 0;
		if (err)
			return err;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int recv_all(int fd, void *bytes, size_t len, struct ipcshare_wait *wait)
{
	char *p = bytes;
	int err;

	while (len) {
		ssize_t n = recv(fd, p, len, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
		err = n < 0 ? wait_ready(fd, POLLIN, wait) : 0;
		if (err)
			return err;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int exchange_over_hub(struct test_lane *lane, struct ipcshare_wait *wait,
			     enum test_exchange_kind kind, const void *mine, size_t len, void *all,
			     size_t total)
{
	struct hub_head head = { kind, 0, lane->members, len }, reply;
	int err = send_all(lane->fd, &head, sizeof(head), wait);

	if (!err)
		err = send_all(lane->fd, mine, len, wait);
	if (!err)
		err = recv_all(lane->fd, &reply, sizeof(reply), wait);
	if (!err && (reply.kind != (uint32_t)kind || reply.len != total))
		err = -1; /* the ranks don't agree on what they do */
	return err ? err : recv_all(lane->fd, all, total, wait);
}

/* ---- The hub's side ---- */

struct line {
	int fd; /* -1: the rank has hung up */
	struct hub_head head;
	size_t have; /* bytes read of head and payload */
	unsigned char *bytes;
	unsigned char *out;
	size_t out_len, out_done;
};

struct hub {
	const struct test_ranks *options;
	struct line lines[TEST_RANKS_MAX][TEST_LANES];
	int serial[TEST_LANES];
};

static int is_whole(const struct line *l)
{
	return l->have >= sizeof(l->head) && l->have == sizeof(l->head) + l->head.len;
}

static void hang_up(struct line *l)
{
	close(l->fd);
	l->fd = -1;
	l->have = 0;
	l->out_len = l->out_done = 0;
}

static void read_line(struct line *l)
{
	ssize_t n;

	if (l->have < sizeof(l->head)) {
		n = recv(l->fd, (char *)&l->head + l->have, sizeof(l->head) - l->have,
			 MSG_DONTWAIT);
		if (n > 0 && (l->have += (size_t)n) == sizeof(l->head)) {
			free(l->bytes);
			l->bytes = malloc(l->head.len + 1);
		}
	} else {
		n = recv(l->fd, l->bytes + l->have - sizeof(l->head),
			 sizeof(l->head) + l->head.len - l->have, MSG_DONTWAIT);
		l->have += n > 0 ? (size_t)n : 0;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		hang_up(l);
}

static void write_line(struct line *l)
{
	ssize_t n = send(l->fd, l->out + l->out_done, l->out_len - l->out_done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		l->out_done += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		hang_up(l);
	if (l->out_done == l->out_len)
		l->out_done = l->out_len = 0;
}

/* Has every member brought its part? Their lines, in order, or 0. */
static int members_ready(struct hub *h, int lane, uint64_t members, struct line **out)
{
	int n = 0;

	for (int r = 0; r < h->options->nranks; r++) {
		struct line *l = &h->lines[r][lane];

		if (!(members >> r & 1))
			continue;
		if (l->fd < 0 || !is_whole(l) || l->head.members != members || l->out_len)
			return 0;
		out[n++] = l;
	}
	return n;
}

static void answer(struct hub *h, int lane, int to, struct line **member, int n)
{
	struct hub_head head = member[to]->head;
	struct line *l = member[to];
	size_t used = sizeof(head);

	head.len = 0;
	for (int i = 0; i < n; i++) {
		head.len += member[i]->head.len;
		if (member[i]->head.kind != head.kind)
			head.kind = 0;
	}
	free(l->out);
	l->out = malloc(sizeof(head) + head.len);
	memcpy(l->out, &head, sizeof(head));
	for (int i = 0; i < n; i++) {
		struct test_exchange x = {
			.kind = (enum test_exchange_kind)head.kind, .lane = lane,
			.serial = h->serial[lane], .from = i, .to = to,
			.bytes = l->out + used, .len = member[i]->head.len,
		};

		memcpy(x.bytes, member[i]->bytes, x.len);
		if (h->options->filter)
			h->options->filter(&x, h->options->filter_arg);
		used += x.len;
	}
	l->out_len = used;
	l->out_done = 0;
}

static void answer_all(struct hub *h, int lane)
{
	for (int r = 0; r < h->options->nranks; r++) {
		struct line *member[TEST_RANKS_MAX];
		int n = 0;

		if (h->lines[r][lane].fd >= 0 && is_whole(&h->lines[r][lane]))
			n = members_ready(h, lane, h->lines[r][lane].head.members, member);
		for (int i = 0; i < n; i++)
			answer(h, lane, i, member, n);
		for (int i = 0; i < n; i++)
			member[i]->have = 0;
		h->serial[lane] += n > 0;
	}
}

/* One look at all lines; how many are still there. */
static int hub_turn(struct hub *h)
{
	struct pollfd p[TEST_RANKS_MAX * TEST_LANES];
	struct line *line[TEST_RANKS_MAX * TEST_LANES];
	nfds_t n = 0;

	for (int i = 0; i < h->options->nranks * TEST_LANES; i++) {
		struct line *l = &h->lines[i / TEST_LANES][i % TEST_LANES];
		short in = is_whole(l) ? 0 : POLLIN;

		if (l->fd < 0)
			continue;
		line[n] = l;
		p[n++] = (struct pollfd){ l->fd, (short)(l->out_len ? in | POLLOUT : in), 0 };
	}
	if (!n || poll(p, n, 1000) <= 0)
		return (int)n;
	for (nfds_t i = 0; i < n; i++) {
		if (p[i].revents & POLLOUT)
			write_line(line[i]);
		else if (p[i].revents && !is_whole(line[i]))
			read_line(line[i]);
		else if (p[i].revents)
			hang_up(line[i]);
	}
	for (int lane = 0; lane < TEST_LANES; lane++)
		answer_all(h, lane);
	return (int)n;
}

/* ---- Both ---- */

struct start {
	const struct test_ranks *options;
	int rank;
	int (*fds)[TEST_LANES]; /* the ranks' ends; -1 where closed */
	struct hub *hub;
};

static void rank_main(int channel, void *arg)
{
	struct start *s = arg;
	struct test_lane lanes[TEST_LANES];
	struct test_rank me = { .rank = s->rank, .nranks = s->options->nranks, .lanes = lanes };

	(void)channel;
	for (int r = 0; r < s->options->nranks; r++)
		for (int i = 0; i < TEST_LANES; i++) {
			if (s->hub->lines[r][i].fd >= 0)
				close(s->hub->lines[r][i].fd);
			if (r != s->rank && s->fds[r][i] >= 0)
				close(s->fds[r][i]);
		}
	for (int i = 0; i < TEST_LANES; i++)
		test_lane_init(&lanes[i], &me, s->options, i, s->fds[s->rank][i],
			       exchange_over_hub);
	me.bootstrap = test_rank_bootstrap(&me, 0, 0);
	s->options->fn(&me, s->options->arg);
}

static void free_hub(struct hub *h)
{
	for (int i = 0; i < TEST_RANKS_MAX * TEST_LANES; i++) {
		struct line *l = &h->lines[i / TEST_LANES][i % TEST_LANES];

		if (l->fd >= 0)
			close(l->fd);
		free(l->bytes);
		free(l->out);
	}
	free(h);
}

static int rank_end(struct test_at at, const struct test_ranks *o, int rank,
		    struct test_child *child)
{
	char what[128];
	int status;

	snprintf(what, sizeof(what), "%s, rank %d", at.what, rank);
	at.what = what;
	if (!(o->dies >> rank & 1))
		return test_child_join_at(at, child);
	status = test_child_wait_at(at, child);
	return test_check(at, WIFSIGNALED(status), "it was to die by a signal, its status is 0x%x",
			  status);
}

int test_ranks_at(struct test_at at, const struct test_ranks *o)
{
	struct test_child *child[TEST_RANKS_MAX];
	int fds[TEST_RANKS_MAX][TEST_LANES], pair[2], failed = 0;
	struct hub *h = calloc(1, sizeof(*h));
	time_t end = time(NULL) + TEST_CHILD_PATIENCE_S;

	h->options = o;
	for (int i = 0; i < TEST_RANKS_MAX * TEST_LANES; i++)
		h->lines[i / TEST_LANES][i % TEST_LANES].fd = -1;
	for (int i = 0; i < o->nranks * TEST_LANES; i++) {
		REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "errno %d",
			errno);
		h->lines[i / TEST_LANES][i % TEST_LANES].fd = pair[0];
		fds[i / TEST_LANES][i % TEST_LANES] = pair[1];
	}
	for (int r = 0; r < o->nranks; r++) {
		struct start start = { o, r, fds, h };

		child[r] = test_child(rank_main, &start);
		for (int i = 0; i < TEST_LANES; i++) {
			close(fds[r][i]);
			fds[r][i] = -1;
		}
	}
	while (hub_turn(h) && time(NULL) < end)
		;
	for (int r = 0; r < o->nranks; r++) {
		if (time(NULL) >= end)
			kill(child[r]->pid, SIGKILL);
		failed += !rank_end(at, o, r, child[r]);
	}
	test_check(at, time(NULL) < end, "the ranks did not end within %d s",
		   TEST_CHILD_PATIENCE_S);
	free_hub(h);
	return failed;
}
