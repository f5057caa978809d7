/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backend opened in this process, and peers: other processes with the same backend, which do what
 * they are told over a channel. So a test reads from top to bottom in one process.
 */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include "backend/backend.h"
#include "support/test.h"

enum {
	CONTRACT_PROTECT = 1, /* the kernel or driver holds read-only access */
	CONTRACT_ADOPT = 2, /* users' memfds can be adopted */
	CONTRACT_FORK = 4, /* who has it open may fork; the fork can use it, and open it anew */
	CONTRACT_OUTLIVES = 8, /* what is mapped stays when its owner frees it or ends */
	/*
	 * The owner's broker hands memory out: it compares owner and length with the key's, it must
	 * answer, and memory is a descriptor.
	 */
	CONTRACT_BROKER = 16,
};

struct contract_backend {
	const char *name;
	unsigned able;
	int refused; /* status of all well-formed keys that it refuses; 0: it tells why */
	void (*prepare)(void); /* or NULL; before it is opened in any process */
	/*
	 * How a byte of its memory, own or imported, is read (or a status, if it can't be) and
	 * written; NULL: as any other.
	 */
	int (*read)(struct ipcshare__backend *be, const void *at);
	void (*write)(struct ipcshare__backend *be, void *at, int value);
};

#define TIMEOUT_MS 20000 /* a deadline that no test is to reach */

/* An open backend. */
struct contract {
	const struct contract_backend *kind;
	const struct ipcshare__backend_ops *ops;
	struct ipcshare__backend *be;
	struct ipcshare__broker *broker;
	uint64_t endpoint;
	struct ipcshare__identity id;
};

/* Of an import that fails because of @cause. */
int contract_refusal(const struct contract_backend *kind, int cause);

/* In this process. No peer may be started afterwards: fork first, open then. */
void contract_open(struct contract *c, const struct contract_backend *kind, unsigned timeout_ms);
void contract_close(struct contract *c);

int contract_read(struct contract *c, const void *base, size_t offset);
void contract_write(struct contract *c, void *base, size_t offset, int value);

/* What an importer needs to know of a region: what would travel in a handle. */
struct gift {
	char key[IPCSHARE__KEY_SIZE];
	uint64_t endpoint;
	uint64_t length;
	enum ipcshare__access access; /* asked for */
	int device; /* the owner's */
};

/* A piece of memory with its key. */
struct region {
	struct ipcshare__memory mem;
	struct gift gift;
};

struct region region_make(struct contract *c, size_t length, unsigned flags);
void region_drop(struct contract *c, struct region *r);

/* ---- Peers ---- */

struct peer {
	struct test_child *child;
	struct ipcshare__identity id;
};

struct peer peer_start(const struct contract_backend *kind, unsigned timeout_ms);
/* It closes what it has imported, must have nothing left then, and ends. */
void peer_end(struct peer *p);

/* The status of an import in the peer; it is kept there as import number @slot. */
int peer_import(struct peer *p, int slot, const struct gift *gift);
#define PEER_SLOTS 400
/* The same for @n gifts in one call, in slots from 0. statuses[i] each; the call's status. */
int peer_import_many(struct peer *p, const struct gift *gifts, size_t n, int *statuses);
/* The same in a fork of the peer, which opens the backend anew. */
int peer_fork_import(struct peer *p, const struct gift *gift);
/* With no descriptor to spare. */
int peer_import_without_descriptors(struct peer *p, int slot, const struct gift *gift);
void peer_close_import(struct peer *p, int slot);
int peer_read(struct peer *p, int slot, size_t offset);
void peer_write(struct peer *p, int slot, size_t offset, int value);
/* Writes in a fork of the peer, mprotect() first: the signal that ended it, 0 if none did. */
int peer_write_signal(struct peer *p, int slot, size_t offset);

#endif
