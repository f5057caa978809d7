/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: messages of a client to the broker's thread: good requests and altered ones, cut, too long, and with
 * descriptors that nobody asked for.
 * Must hold: each is answered once, as its head says, or the client is dropped; a key that is not right gets
 * no descriptor; none that came is kept.
 */
#include "../../src/backend/host/broker.c" /* serve(), without the thread, so that a run can be repeated */

#include "backend/host/memfd.h"
#include "fuzz.h"

static struct {
	struct ipcshare__broker *broker;
	uint64_t secret[2];
} our;

static int retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner, uint32_t region,
		  uint32_t generation)
{
	(void)arg;
	(void)caller;
	return owner % 3 == 1 ? IPCSHARE_ERR_BUSY : region % 2 && generation ? IPCSHARE_ERR_NOT_ALLOWED : 0;
}

/* A broker that never runs, with one memfd for all of this user. */
static void begin(void)
{
	struct ipcshare__memfd memfd;
	struct ipcshare__offer *offer;

	our.broker = calloc(1, sizeof(*our.broker));
	our.broker->retire = retire;
	pthread_mutex_init(&our.broker->lock, NULL);
	FUZZ_REQUIRE(!ipcshare__memfd_make(4096, &memfd));
	FUZZ_REQUIRE(!ipcshare__broker_offer(our.broker, memfd.fd, 0, 4096, 1, &offer));
	memcpy(our.secret, ipcshare__offer_secret(offer), sizeof(our.secret));
}

/* A good request, and how long it is. */
static size_t good(struct message *m, unsigned op, size_t count)
{
	m->head = (struct ipcshare__broker_head){
		.magic = IPCSHARE__MAGIC_BROKER, .layout = IPCSHARE__LAYOUT, .op = (uint16_t)op,
		.count = (uint16_t)count, .nonce = 7,
	};
	for (size_t i = 0; i < count; i++)
		if (op == IPCSHARE__BROKER_GET)
			m->get[i] = (struct ipcshare__broker_get){
				{ our.secret[0], our.secret[1] }, IPCSHARE__READ_WRITE, 0,
			};
		else
			m->retire[i] = (struct ipcshare__broker_retire){ 3, (uint32_t)i, 1 };
	return sizeof(m->head) + count * (op == IPCSHARE__BROKER_GET ? sizeof(m->get[0])
								     : sizeof(m->retire[0]));
}

/* How many descriptors were in the answer, all closed; *@len 0: there was none. */
static size_t hear(int sock, struct message *answer, size_t *len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPCSHARE__BROKER_BATCH * sizeof(int))];
	} control;
	struct iovec iov = { answer, sizeof(*answer) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	size_t nfds = cm ? (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

	for (size_t i = 0; i < nfds; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cm) + i * sizeof(fd), sizeof(fd));
		close(fd);
	}
	*len = n > 0 ? (size_t)n : 0;
	return nfds;
}

/* What was asked, what came of it. @sent: as it went into the socket. */
static void check(const struct message *sent, size_t sent_len, const struct message *got, size_t len,
		  size_t nfds, int dropped)
{
	size_t right = 0, each = sent->head.op == IPCSHARE__BROKER_GET ? sizeof(got->got[0])
								       : sizeof(got->retired[0]);

	FUZZ_REQUIRE(len >= sizeof(got->head) && got->head.magic == IPCSHARE__MAGIC_BROKER);
	FUZZ_REQUIRE(got->head.status <= 0 && got->head.status >= IPCSHARE_ERR_SYSTEM);
	FUZZ_REQUIRE(!got->head.status == !dropped);
	if (got->head.status) {
		FUZZ_REQUIRE(len == sizeof(got->head) && !nfds);
		return;
	}
	FUZZ_REQUIRE(sent_len >= sizeof(sent->head) && got->head.nonce == sent->head.nonce);
	FUZZ_REQUIRE(got->head.count == sent->head.count && len == sizeof(got->head) + got->head.count * each);
	for (size_t i = 0; i < got->head.count && sent->head.op == IPCSHARE__BROKER_GET; i++) {
		int known = !memcmp(sent->get[i].secret, our.secret, sizeof(our.secret));

		FUZZ_REQUIRE(known == !got->got[i].status);
		right += known;
	}
	FUZZ_REQUIRE(nfds == right);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	size_t messages = 1 + fuzz_below(&in, 4);
	uint32_t how[4]; /* op, count, length, descriptors of each */
	struct client c = { .caller = { .pidfd = -1, .uid = geteuid() } };
	struct fuzz_edits edits;
	int socks[2], dropped = 0, lowest;

	if (!our.broker)
		begin();
	lowest = fuzz_lowest_descriptor();
	for (size_t i = 0; i < 4; i++)
		how[i] = (uint32_t)fuzz_take(&in, 4);
	fuzz_edits(&in, &edits);
	FUZZ_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	c.socket = socks[1];
	for (size_t i = 0; i < messages && !dropped; i++) {
		static struct message sent, got;
		static char raw[sizeof(sent) + 512];
		size_t n, heard, nfds;

		memset(&sent, 0, sizeof(sent));
		n = good(&sent, 1 + (how[i] & 1), 1 + (how[i] >> 1) % IPCSHARE__BROKER_BATCH);
		fuzz_alter(&edits, (unsigned)i, 0, &sent, n);
		fuzz_alter(&edits, (unsigned)i, 1, &sent.head, sizeof(sent.head));
		if (how[i] >> 16 & 0x80) /* another length: 0 hangs up */
			n = (n + (how[i] >> 8 & 0xff)) % (sizeof(raw) - 1);
		memset(raw, 0, sizeof(raw));
		memcpy(raw, &sent, sizeof(sent));
		if (!n)
			shutdown(socks[0], SHUT_WR);
		else
			fuzz_send(socks[0], raw, n, how[i] >> 24 & 7);
		dropped = serve(our.broker, &c);
		nfds = hear(socks[0], &got, &heard);
		FUZZ_REQUIRE(n || (dropped && !heard));
		if (n)
			check(&sent, n, &got, heard, nfds, dropped);
	}
	close(socks[0]);
	close(socks[1]);
	FUZZ_REQUIRE(fuzz_lowest_descriptor() == lowest);
	return 0;
}
