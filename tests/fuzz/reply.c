/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: what a broker answers to a GET or a RETIRE: good replies and altered ones, cut, too long, with too
 * few or too many descriptors, or none at all and the line cut.
 * Must hold: 0 and as many descriptors as entries that succeeded, or a named status and no descriptor left.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/host/line.h"
#include "fuzz.h"

#define BATCH IPCSHARE__BROKER_BATCH

struct message {
	struct ipcshare__broker_head head;
	union {
		struct ipcshare__broker_got got[BATCH];
		struct ipcshare__broker_retired retired[BATCH];
		unsigned char more[BATCH * 32];
	};
};

static struct { /* of the input */
	int sock; /* the broker's end; -1: it has answered */
	struct fuzz_edits edits;
	size_t cut; /* bytes that the answer is to be shorter, or with LONGER longer */
	int longer, hang_up;
	size_t nfds; /* instead of what is right, if more is not 0 */
} our;

/* The request is there: give the answer. */
static void answer(void)
{
	static struct message m;
	size_t each, len, nfds;

	memset(&m, 0, sizeof(m));
	FUZZ_REQUIRE(recv(our.sock, &m, sizeof(m), MSG_DONTWAIT) > 0);
	memset(m.more, 0, sizeof(m.more));
	each = m.head.op == IPCSHARE__BROKER_GET ? sizeof(m.got[0]) : sizeof(m.retired[0]);
	len = sizeof(m.head) + m.head.count * each;
	nfds = m.head.op == IPCSHARE__BROKER_GET ? m.head.count : 0;
	fuzz_alter(&our.edits, 0, 0, &m, len);
	fuzz_alter(&our.edits, 0, 1, &m.head, sizeof(m.head));
	if (our.longer)
		len = len + our.cut < sizeof(m) ? len + our.cut : sizeof(m);
	else
		len -= our.cut < len ? our.cut : len - 1;
	if (our.nfds)
		nfds = our.nfds - 1;
	if (!our.hang_up)
		fuzz_send(our.sock, &m, len, nfds);
	shutdown(our.sock, SHUT_WR);
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

/* Whoever waits for the reply has asked. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (our.sock >= 0 && n == 2) {
		answer();
		close(our.sock);
		our.sock = -1;
	}
	return __real_poll(fds, n, timeout < 0 ? -1 : 0);
}

static void get(struct ipcshare__line *line, size_t n)
{
	struct ipcshare__broker_get *want = calloc(n, sizeof(*want));
	struct ipcshare__broker_got *got = calloc(n, sizeof(*got));
	int *fds = calloc(n, sizeof(*fds));

	if (!fuzz_status(ipcshare__line_get(line, want, n, got, fds), 1))
		for (size_t i = 0; i < n; i++) {
			FUZZ_REQUIRE((fds[i] >= 0) == !got[i].status);
			fuzz_status(got[i].status, 0);
			if (fds[i] >= 0)
				close(fds[i]);
		}
	free(want);
	free(got);
	free(fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	struct ipcshare__broker_retire retire = { .owner = 1 };
	struct ipcshare__line line = { .owner = { .pidfd = -1, .pid = 4711 } };
	unsigned how = (unsigned)fuzz_take(&in, 1);
	size_t n = 1 + (how & 2 ? fuzz_below(&in, 4) : fuzz_below(&in, BATCH));
	int socks[2], lowest = fuzz_lowest_descriptor();

	our.longer = how >> 2 & 1;
	our.hang_up = (how >> 4 & 15) == 15;
	our.cut = how & 8 ? fuzz_below(&in, 600) : 0;
	our.nfds = fuzz_below(&in, BATCH + 1);
	if (our.nfds > 2 * n + 1)
		our.nfds = 0;
	fuzz_edits(&in, &our.edits);
	FUZZ_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	line.socket = socks[0];
	our.sock = socks[1];
	line.deadline_ns = UINT64_MAX;
	if (how & 1)
		fuzz_status(ipcshare__line_retire(&line, &retire), 1);
	else
		get(&line, n);
	if (our.sock >= 0)
		close(our.sock);
	our.sock = -1;
	ipcshare__line_close(&line);
	FUZZ_REQUIRE(fuzz_lowest_descriptor() == lowest);
	return 0;
}
