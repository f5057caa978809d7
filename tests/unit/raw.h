/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's protocol spoken by hand: by a client, or by a fake broker. */
#ifndef TEST_RAW_H
#define TEST_RAW_H

#include "base/wire.h"
#include "support/test.h"

struct raw_request {
	struct ipcshare__broker_head head;
	union {
		struct ipcshare__broker_get get[IPCSHARE__BROKER_BATCH + 1];
		struct ipcshare__broker_retire retire[IPCSHARE__BROKER_BATCH + 1];
	};
};

struct raw_reply {
	struct ipcshare__broker_head head;
	union {
		struct ipcshare__broker_got got[IPCSHARE__BROKER_BATCH + 1];
		struct ipcshare__broker_retired retired[IPCSHARE__BROKER_BATCH + 1];
	};
	size_t len; /* 0: hung up */
	int fds[IPCSHARE__BROKER_BATCH + 1];
	size_t nfds;
};

/* A connection to the broker of @endpoint. */
int raw_connect(uint64_t endpoint);
/* A head that is right for @count entries. */
struct ipcshare__broker_head raw_head(uint16_t op, uint16_t count);
void raw_send(int sock, const void *bytes, size_t len);
/* The next message; its descriptors are the caller's. Blocks for TEST_CHILD_PATIENCE_S at most. */
void raw_recv(int sock, struct raw_reply *out);
void raw_close_fds(struct raw_reply *reply);
/* Send a request of @count entries and take the reply. */
void raw_call(int sock, const struct raw_request *request, struct raw_reply *out);

/* One entry of a GET on a new connection: its status; checks what must hold for any answer. */
int raw_get(uint64_t endpoint, const uint64_t secret[2], enum ipcshare__access access,
	    struct raw_reply *out);

/*
 * A fake broker: a child that takes one connection after the other and gives @answer every request.
 * The answer fills @reply (whose head is right to begin with), its len (0: hang up) and its fds,
 * which stay its own.
 */
typedef void raw_answer_fn(const struct raw_request *request, struct raw_reply *reply, void *arg);

struct raw_broker {
	uint64_t endpoint;
	int listener;
	struct test_child *child;
	raw_answer_fn *answer;
	void *arg;
	int connections; /* in the child: how many it took so far */
};

int raw_listen(uint64_t *endpoint, int backlog);
void raw_broker_start(struct raw_broker *b, raw_answer_fn *answer, void *arg);
void raw_broker_stop(struct raw_broker *b);

#endif
