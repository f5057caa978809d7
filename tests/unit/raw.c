/* SPDX-License-Identifier: BSD-3-Clause */
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/socket.h"

int raw_connect(uint64_t endpoint)
{
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address("", endpoint, &addr);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	REQUIRE(sock >= 0, "errno %d", errno);
	REQUIRE(!connect(sock, (struct sockaddr *)&addr, len), "errno %d", errno);
	return sock;
}

struct ipcshare__broker_head raw_head(uint16_t op, uint16_t count)
{
	struct ipcshare__broker_head head = {
		.magic = IPCSHARE__MAGIC_BROKER, .layout = IPCSHARE__LAYOUT, .op = op,
		.count = count,
	};

	REQUIRE_INT(getrandom(&head.nonce, sizeof(head.nonce), 0), sizeof(head.nonce));
	return head;
}

void raw_send(int sock, const void *bytes, size_t len)
{
	REQUIRE_INT(send(sock, bytes, len, MSG_NOSIGNAL), len);
}

static void take_fds(struct msghdr *msg, struct raw_reply *out)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		memcpy(out->fds + out->nfds, CMSG_DATA(cm), n * sizeof(int));
		out->nfds += n;
	}
}

void raw_recv(int sock, struct raw_reply *out)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(out->fds))];
	} control;
	struct iovec iov[2] = { { &out->head, sizeof(out->head) }, { out->got, sizeof(out->got) } };
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	memset(out, 0, sizeof(*out));
	REQUIRE(test_poll(sock, POLLIN), "the broker does not answer");
	n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	REQUIRE(n >= 0 || errno == ECONNRESET, "errno %d", errno);
	out->len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		take_fds(&msg, out);
}

void raw_close_fds(struct raw_reply *reply)
{
	for (size_t i = 0; i < reply->nfds; i++)
		close(reply->fds[i]);
	reply->nfds = 0;
}

void raw_call(int sock, const struct raw_request *request, struct raw_reply *out)
{
	size_t entry = request->head.op == IPCSHARE__BROKER_GET ? sizeof(request->get[0])
								: sizeof(request->retire[0]);

	raw_send(sock, request, sizeof(request->head) + request->head.count * entry);
	raw_recv(sock, out);
	CHECK_INT(out->head.magic, IPCSHARE__MAGIC_BROKER);
	CHECK_INT(out->head.layout, IPCSHARE__LAYOUT);
	CHECK_INT(out->head.op, request->head.op);
	CHECK_INT(out->head.nonce, request->head.nonce);
}

int raw_get(uint64_t endpoint, const uint64_t secret[2], enum ipcshare__access access,
	    struct raw_reply *out)
{
	struct raw_request request = { .head = raw_head(IPCSHARE__BROKER_GET, 1) };
	int sock = raw_connect(endpoint);

	request.get[0] = (struct ipcshare__broker_get){ { secret[0], secret[1] }, access, 0 };
	raw_call(sock, &request, out);
	close(sock);
	CHECK_INT(out->head.status, 0);
	CHECK_INT(out->head.count, 1);
	CHECK_INT(out->len, sizeof(out->head) + sizeof(out->got[0]));
	CHECK_INT(out->nfds, out->got[0].status == 0);
	return out->got[0].status;
}

/* ---- Fake broker ---- */

int raw_listen(uint64_t *endpoint, int backlog)
{
	struct sockaddr_un addr;
	socklen_t len;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	REQUIRE_INT(getrandom(endpoint, sizeof(*endpoint), 0), sizeof(*endpoint));
	len = ipcshare__socket_address("", *endpoint, &addr);
	REQUIRE(sock >= 0 && !bind(sock, (struct sockaddr *)&addr, len) && !listen(sock, backlog),
		"errno %d", errno);
	return sock;
}

static void send_reply(int sock, struct raw_reply *reply)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(reply->fds))];
	} control;
	struct iovec iov[2] = { { &reply->head, sizeof(reply->head) },
				{ reply->got, sizeof(reply->got) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *cm;

	if (reply->len < sizeof(reply->head))
		iov[0].iov_len = reply->len;
	iov[1].iov_len = reply->len - iov[0].iov_len;
	if (reply->nfds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(reply->nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(reply->nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), reply->fds, reply->nfds * sizeof(int));
	}
	CHECK(sendmsg(sock, &msg, MSG_NOSIGNAL) >= 0, "the client is gone, errno %d", errno);
}

static void serve(struct raw_broker *b, int sock)
{
	struct raw_request request;
	struct raw_reply reply;
	ssize_t n;

	while ((n = recv(sock, &request, sizeof(request), 0)) > 0) {
		memset(&reply, 0, sizeof(reply));
		reply.head = request.head;
		reply.len = sizeof(reply.head);
		b->answer(&request, &reply, b->arg);
		if (!reply.len)
			return; /* hang up */
		send_reply(sock, &reply);
	}
}

static void raw_broker_main(int channel, void *arg)
{
	struct raw_broker *b = arg;
	int sock;

	(void)channel;
	while ((sock = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		b->connections++;
		serve(b, sock);
		close(sock);
	}
}

void raw_broker_start(struct raw_broker *b, raw_answer_fn *answer, void *arg)
{
	b->answer = answer;
	b->arg = arg;
	b->connections = 0;
	b->listener = raw_listen(&b->endpoint, 16);
	b->child = test_child(raw_broker_main, b);
	close(b->listener);
}

void raw_broker_stop(struct raw_broker *b)
{
	test_child_kill(b->child);
}
