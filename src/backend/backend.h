/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What provides shareable memory. The table has the shape of the ACL IPC calls: export makes a key,
 * allow lists who may import it, import turns a key into a pointer, close ends either side. Nothing
 * here counts, caches or locks for its callers: src/memory does, and calls each function for a given
 * piece of memory from one thread at a time.
 */
#ifndef IPCSHARE_BACKEND_BACKEND_H
#define IPCSHARE_BACKEND_BACKEND_H

#include <ipcshare_coll.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/wire.h"

struct ipcshare__broker;

enum ipcshare__backend_id { /* on the wire */
	IPCSHARE__BACKEND_HOST = 1,
	IPCSHARE__BACKEND_ASCEND = 2,
};

/* One open backend. Each implementation begins its own struct with this one. */
struct ipcshare__backend {
	const struct ipcshare__backend_ops *ops;
};

struct ipcshare__backend_args {
	const struct ipcshare__config *config;
	struct ipcshare__broker *broker;
	unsigned timeout_ms;
	int device;
};

/* One allocation of this process. */
struct ipcshare__memory {
	void *base;
	size_t length; /* as asked for */
	/*
	 * What its key covers: an importer's base corresponds to start. Memory that the user
	 * allocated may begin inside it.
	 */
	void *start;
	size_t span;
	void *priv; /* the backend's */
	bool huge; /* on huge pages that were set apart */
	bool huge_missed; /* it could have been, but not so many were free */
};

/* A peer's memory as mapped here. */
struct ipcshare__imported {
	void *base;
	size_t mapped; /* bytes of address space */
	void *priv; /* the backend's */
};

struct ipcshare__import {
	/* in */
	char key[IPCSHARE__KEY_SIZE];
	uint64_t length; /* the owner's word; the backend checks it where it can */
	enum ipcshare__access access;
	int device; /* physical device of the owner, -1 unknown or none */
	/* out */
	int status;
	struct ipcshare__imported out;
};

enum ipcshare__export_flag {
	IPCSHARE__EXPORT_OPEN = 1, /* no whitelist */
};

/* One of many copies. */
struct ipcshare__piece {
	void *dst;
	const void *src;
	size_t len; /* 0: nothing */
};

/* Each backend has its own; opaque to all others. */
struct ipcshare__stream;
struct ipcshare__plan;
struct ipcshare__notify;

#define IPCSHARE__NOTIFY_PEERS 16 /* processes that may import one notify */

struct ipcshare__backend_ops {
	const char *name; /* as users spell it in IPCSHARE_BACKEND */
	const char *text; /* one line for ipcshare-info */
	enum ipcshare__backend_id id;
	/* driver calls an allow() takes: one per so many ids; 0: one in all */
	size_t ids_per_allow;
	/* its memory is the CPU's own: a copy is a memcpy(), and there are no streams */
	bool direct;
	/* Can it work here? 0, or IPCSHARE_ERR_NO_BACKEND with the reason as the last error. */
	int (*probe)(const struct ipcshare__config *config);
	int (*open)(const struct ipcshare__backend_args *args, struct ipcshare__backend **out);
	void (*close)(struct ipcshare__backend *be); /* all memory and imports are gone by then */
	/* From now on no call reaches a driver: what is released and closed is only forgotten. */
	void (*forget)(struct ipcshare__backend *be);
	/* The process id as a whitelist of this backend wants it; the physical device, -1 none. */
	int (*identify)(struct ipcshare__backend *be, uint32_t *tgid, int *device);

	int (*alloc)(struct ipcshare__backend *be, size_t length, struct ipcshare__memory *out);
	/* Take memory the user allocated; @fd as in ipcshare_register(). */
	int (*adopt)(struct ipcshare__backend *be, void *base, size_t length, int fd,
		     struct ipcshare__memory *out);
	void (*release)(struct ipcshare__backend *be, struct ipcshare__memory *mem);

	int (*export_key)(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			  unsigned flags, char key[IPCSHARE__KEY_SIZE]);
	/* From now on nobody can get write access who hasn't got it. */
	int (*protect)(struct ipcshare__backend *be, struct ipcshare__memory *mem);
	int (*allow)(struct ipcshare__backend *be, struct ipcshare__memory *mem,
		     const struct ipcshare__identity *ids, size_t n, enum ipcshare__access access);
	/*
	 * While @paused nobody can import it, for its owner asks the importers to let go: what came in
	 * behind the question would be there unseen. Where the driver takes mappings away from importers
	 * when the export is closed, there is nothing to do.
	 */
	void (*pause_export)(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			     int paused);
	void (*close_export)(struct ipcshare__backend *be, struct ipcshare__memory *mem);

	/*
	 * @n keys of one owner in one go. Each entry has its own status; the result is 0 if all are
	 * 0, else the first that isn't, with its detail as the last error.
	 */
	int (*import_keys)(struct ipcshare__backend *be, uint64_t endpoint,
			   struct ipcshare__import *imports, size_t n);
	void (*close_import)(struct ipcshare__backend *be, struct ipcshare__imported *imported);

	/* Bytes between any two of: memory of ours, imported memory, memory of the program. Blocks. */
	int (*copy)(struct ipcshare__backend *be, void *dst, const void *src, size_t n);

	/*
	 * The same for many pieces in few driver calls, in any order: no destination may overlap
	 * another piece's bytes. @stream NULL: all is done on return, also when it fails. Else what
	 * lies on devices is only queued there, and bytes of the host are waited for.
	 */
	int (*copy_pieces)(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			   size_t n, struct ipcshare__stream *stream);
	/*
	 * The same pieces again and again, worked out once. Addresses are kept, bytes are read at
	 * each run; @stream as above. To be freed before any memory in it is, and after whatever
	 * stream it was run on has been waited for.
	 */
	int (*plan_create)(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			   size_t n, struct ipcshare__plan **out);
	int (*plan_run)(struct ipcshare__backend *be, struct ipcshare__plan *plan,
			struct ipcshare__stream *stream);
	void (*plan_free)(struct ipcshare__backend *be, struct ipcshare__plan *plan);

	/* Queues of the device. Everywhere else a NULL stream is one of the backend's own. */
	int (*stream_create)(struct ipcshare__backend *be, struct ipcshare__stream **out);
	void (*stream_destroy)(struct ipcshare__backend *be, struct ipcshare__stream *stream);
	int (*stream_synchronise)(struct ipcshare__backend *be, struct ipcshare__stream *stream);
	/* What is put into it is only recorded now, for the program to replay. */
	bool (*stream_captured)(struct ipcshare__backend *be, struct ipcshare__stream *stream);

	/* Can reduce() do that? */
	bool (*reduces)(const struct ipcshare__backend *be, enum ipcshare_type type,
			enum ipcshare_op_kind op);
	/*
	 * dst = dst op src for @n bytes of elements, in the order of the stream; both on the device of
	 * the backend, and neither imported from another one.
	 */
	int (*reduce)(struct ipcshare__backend *be, void *dst, const void *src, size_t n,
		      enum ipcshare_type type, enum ipcshare_op_kind op,
		      struct ipcshare__stream *stream);

	/*
	 * A notify is one bit that orders streams of different processes: whoever has it records it,
	 * its creator alone waits for it and so resets it. It is exported once, to at most
	 * IPCSHARE__NOTIFY_PEERS processes in its life (IPCSHARE_ERR_LIMIT), which must run already
	 * when they are allowed. Each side destroys its own, the creator last. On host, where streams
	 * are nothing, a record is done on return and a wait blocks.
	 */
	int (*notify_create)(struct ipcshare__backend *be, struct ipcshare__notify **out);
	int (*notify_export)(struct ipcshare__backend *be, struct ipcshare__notify *notify,
			     char key[IPCSHARE__KEY_SIZE]);
	int (*notify_allow)(struct ipcshare__backend *be, struct ipcshare__notify *notify,
			    const struct ipcshare__identity *ids, size_t n);
	int (*notify_import)(struct ipcshare__backend *be, const char key[IPCSHARE__KEY_SIZE],
			     int device, struct ipcshare__notify **out);
	int (*notify_record)(struct ipcshare__backend *be, struct ipcshare__notify *notify,
			     struct ipcshare__stream *stream);
	/* @timeout_s from 1; then the stream's next synchronisation is IPCSHARE_ERR_TIMEOUT. */
	int (*notify_wait)(struct ipcshare__backend *be, struct ipcshare__notify *notify,
			   struct ipcshare__stream *stream, unsigned timeout_s);
	void (*notify_destroy)(struct ipcshare__backend *be, struct ipcshare__notify *notify);
};

/* Every backend, in the order ipcshare-info shows; NULL-ended. */
extern const struct ipcshare__backend_ops *const ipcshare__backends[];

/* NULL if there is none of that name. */
const struct ipcshare__backend_ops *ipcshare__backend_find(const char *name);

extern const struct ipcshare__backend_ops ipcshare__host_ops;
extern const struct ipcshare__backend_ops ipcshare__ascend_ops;

#endif
