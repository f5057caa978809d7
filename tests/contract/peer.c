/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/host/broker.h"
#include "base/identity.h"

/* ---- An open backend ---- */

static int no_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
		     uint32_t region, uint32_t generation)
{
	(void)arg;
	(void)caller;
	(void)owner;
	(void)region;
	(void)generation;
	return IPCSHARE_ERR_BUSY;
}

int contract_refusal(const struct contract_backend *kind, int cause)
{
	return kind->refused ? kind->refused : cause;
}

void contract_open(struct contract *c, const struct contract_backend *kind, unsigned timeout_ms)
{
	struct ipcshare__config config;
	struct ipcshare__backend_args args = {
		.config = &config, .timeout_ms = timeout_ms, .device = -1,
	};
	uint32_t tgid;
	int device;

	c->kind = kind;
	c->ops = ipcshare__backend_find(kind->name);
	REQUIRE(c->ops, "there is no backend %s", kind->name);
	if (kind->prepare)
		kind->prepare();
	REQUIRE_OK(ipcshare__config_load(&config)); /* it names the runtime */
	strcpy(config.backend, kind->name);
	config.timeout_s = 60;
	REQUIRE_OK(ipcshare__broker_start(&config, no_retire, NULL, &c->broker));
	c->endpoint = ipcshare__broker_endpoint(c->broker);
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, c->endpoint, &c->id));
	args.broker = c->broker;
	REQUIRE_OK(c->ops->open(&args, &c->be));
	REQUIRE_OK(c->ops->identify(c->be, &tgid, &device));
	ipcshare__identity_complete(&c->id, tgid, device);
}

void contract_close(struct contract *c)
{
	c->ops->close(c->be);
	ipcshare__broker_stop(c->broker, 0);
}

int contract_read(struct contract *c, const void *base, size_t offset)
{
	const unsigned char *at = (const unsigned char *)base + offset;

	return c->kind->read ? c->kind->read(c->be, at) : *(const volatile unsigned char *)at;
}

void contract_write(struct contract *c, void *base, size_t offset, int value)
{
	unsigned char *at = (unsigned char *)base + offset;

	if (c->kind->write)
		c->kind->write(c->be, at, value);
	else
		*(volatile unsigned char *)at = (unsigned char)value;
}

struct region region_make(struct contract *c, size_t length, unsigned flags)
{
	struct region r = { .gift = { .endpoint = c->endpoint, .access = IPCSHARE__READ_WRITE,
				      .device = c->id.device } };

	REQUIRE_OK(c->ops->alloc(c->be, length, &r.mem));
	r.gift.length = r.mem.span;
	REQUIRE_OK(c->ops->export_key(c->be, &r.mem, flags, r.gift.key));
	return r;
}

void region_drop(struct contract *c, struct region *r)
{
	c->ops->close_export(c->be, &r->mem);
	c->ops->release(c->be, &r->mem);
}

/* ---- What a peer is told ---- */

enum op {
	IMPORT,
	FORK_IMPORT,
	POOR_IMPORT,
	CLOSE_IMPORT,
	READ,
	WRITE,
	WRITE_SIGNAL,
	END,
};

struct order {
	enum op op;
	int slot;
	size_t n;
	size_t offset;
	int value;
	struct gift gifts[PEER_SLOTS];
};

struct result {
	int status;
	int statuses[PEER_SLOTS];
};

struct start {
	const struct contract_backend *kind;
	unsigned timeout_ms;
};

static struct contract self; /* in a peer */
static struct ipcshare__import imports[PEER_SLOTS];

/* ---- In the peer ---- */

static int import_all(const struct order *order, struct result *result)
{
	struct ipcshare__import *im = &imports[order->slot];
	int status;

	for (size_t i = 0; i < order->n; i++) {
		memcpy(im[i].key, order->gifts[i].key, sizeof(im[i].key));
		im[i].length = order->gifts[i].length;
		im[i].access = order->gifts[i].access;
		im[i].device = order->gifts[i].device;
		im[i].out = (struct ipcshare__imported){ .base = NULL };
	}
	status = self.ops->import_keys(self.be, order->gifts[0].endpoint, im, order->n);
	for (size_t i = 0; i < order->n; i++)
		result->statuses[i] = im[i].status;
	if (status)
		CHECK_INT(ipcshare_last_error()->status, status);
	return status;
}

/* The inherited broker is dead here. */
static void open_anew(void)
{
	const struct contract_backend *kind = self.kind;

	self.ops->close(self.be);
	ipcshare__broker_stop(self.broker, 1);
	contract_open(&self, kind, TIMEOUT_MS);
}

static void imports_in_a_fork(int channel, void *arg)
{
	struct order *order = arg;
	struct result *result = calloc(1, sizeof(*result));
	int status;

	open_anew();
	status = import_all(order, result);
	test_send(channel, &status, sizeof(status));
	if (!status)
		self.ops->close_import(self.be, &imports[order->slot].out);
	free(result);
	contract_close(&self);
}

static void writes_in_a_fork(int channel, void *arg)
{
	struct order *order = arg;
	const struct ipcshare__imported *im = &imports[order->slot].out;

	(void)channel;
	/* As it would be without a sanitizer's handler. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	mprotect(im->base, im->mapped, PROT_READ | PROT_WRITE); /* a peer may try */
	contract_write(&self, im->base, order->offset, order->value);
}

static int write_signal(struct order *order)
{
	int status = test_child_wait(test_child(writes_in_a_fork, order));

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int import_poorly(const struct order *order, struct result *result)
{
	struct rlimit limit, none;
	int status;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	status = import_all(order, result);
	setrlimit(RLIMIT_NOFILE, &limit);
	return status;
}

static void close_one(int slot)
{
	struct ipcshare__imported *im = &imports[slot].out;

	if (im->base)
		self.ops->close_import(self.be, im);
	im->base = NULL;
}

static int obey(struct order *order, struct result *result)
{
	void *base = imports[order->slot].out.base;
	struct test_child *child;
	int status;

	switch (order->op) {
	case IMPORT:
		return import_all(order, result);
	case FORK_IMPORT:
		child = test_child(imports_in_a_fork, order);
		test_recv(child->channel, &status, sizeof(status));
		test_child_join(child);
		return status;
	case POOR_IMPORT:
		return import_poorly(order, result);
	case CLOSE_IMPORT:
		close_one(order->slot);
		return 0;
	case READ:
		return contract_read(&self, base, order->offset);
	case WRITE:
		contract_write(&self, base, order->offset, order->value);
		return 0;
	case WRITE_SIGNAL:
		return write_signal(order);
	case END:
		break;
	}
	return 0;
}

static size_t order_size(const struct order *order)
{
	return offsetof(struct order, gifts) + order->n * sizeof(order->gifts[0]);
}

/* What a backend makes at its first copy stays until it is closed. */
static void copy_once(struct contract *c)
{
	struct ipcshare__memory mem;

	REQUIRE_OK(c->ops->alloc(c->be, 64, &mem));
	REQUIRE_OK(c->ops->copy(c->be, (char *)mem.base + 32, mem.base, 32));
	c->ops->release(c->be, &mem);
}

static void peer_main(int channel, void *arg)
{
	const struct start *start = arg;
	struct order *order = calloc(1, sizeof(*order));
	struct result *result = calloc(1, sizeof(*result));
	struct test_resources before;

	contract_open(&self, start->kind, start->timeout_ms);
	copy_once(&self);
	test_resources(&before);
	test_send(channel, &self.id, sizeof(self.id));
	do {
		/* A test that failed closes the channel or kills us: wait while it lasts. */
		if (recv(channel, order, sizeof(*order), 0) <= 0)
			_exit(1);
		result->status = obey(order, result);
		if (order->op != END)
			test_send(channel, result, sizeof(*result));
	} while (order->op != END);
	for (int i = 0; i < PEER_SLOTS; i++)
		close_one(i);
	CHECK_NOTHING_LEAKED(&before);
	contract_close(&self);
	free(order);
	free(result);
}

/* ---- In the test ---- */

struct peer peer_start(const struct contract_backend *kind, unsigned timeout_ms)
{
	struct start start = { kind, timeout_ms };
	struct peer p = { .child = test_child(peer_main, &start) };

	test_recv(p.child->channel, &p.id, sizeof(p.id));
	return p;
}

void peer_end(struct peer *p)
{
	static const struct order order = { .op = END };

	test_send(p->child->channel, &order, order_size(&order));
	test_child_join(p->child);
}

static struct result result;

static int tell(struct peer *p, const struct order *order)
{
	test_send(p->child->channel, order, order_size(order));
	test_recv(p->child->channel, &result, sizeof(result));
	return result.status;
}

static int tell_gift(struct peer *p, enum op op, int slot, const struct gift *gift)
{
	static struct order order;

	order = (struct order){ .op = op, .slot = slot, .n = 1, .gifts = { *gift } };
	tell(p, &order);
	if (op != FORK_IMPORT)
		CHECK_STATUS(result.statuses[0], result.status);
	return result.status;
}

static int tell_slot(struct peer *p, enum op op, int slot, size_t offset, int value)
{
	static struct order order;

	order = (struct order){ .op = op, .slot = slot, .offset = offset, .value = value };
	return tell(p, &order);
}

int peer_import(struct peer *p, int slot, const struct gift *gift)
{
	return tell_gift(p, IMPORT, slot, gift);
}

int peer_import_many(struct peer *p, const struct gift *gifts, size_t n, int *statuses)
{
	static struct order order;

	order = (struct order){ .op = IMPORT, .n = n };
	memcpy(order.gifts, gifts, n * sizeof(gifts[0]));
	tell(p, &order);
	memcpy(statuses, result.statuses, n * sizeof(statuses[0]));
	return result.status;
}

int peer_fork_import(struct peer *p, const struct gift *gift)
{
	return tell_gift(p, FORK_IMPORT, 0, gift);
}

int peer_import_without_descriptors(struct peer *p, int slot, const struct gift *gift)
{
	return tell_gift(p, POOR_IMPORT, slot, gift);
}

void peer_close_import(struct peer *p, int slot)
{
	tell_slot(p, CLOSE_IMPORT, slot, 0, 0);
}

int peer_read(struct peer *p, int slot, size_t offset)
{
	return tell_slot(p, READ, slot, offset, 0);
}

void peer_write(struct peer *p, int slot, size_t offset, int value)
{
	tell_slot(p, WRITE, slot, offset, value);
}

int peer_write_signal(struct peer *p, int slot, size_t offset)
{
	return tell_slot(p, WRITE_SIGNAL, slot, offset, 1);
}
