/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What provides shareable memory. The table has the shape of the ACL IPC calls: export makes a key,
 * allow lists who may import it, import turns a key into a pointer, close ends either side. Nothing
 * here counts, caches or locks for its callers: src/memory does, and calls each function for a given
 * piece of memory from one thread at a time.
 */
#ifndef IPCSHARE_BACKEND_BACKEND_H
#define IPCSHARE_BACKEND_BACKEND_H

#include "base/config.h"
#include "base/wire.h"

struct ipcshare__broker;

enum ipcshare__backend_id { /* on the wire */
	IPCSHARE__BACKEND_HOST = 1,
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
	void *priv; /* the backend's */
};

struct ipcshare__import {
	/* in */
	char key[IPCSHARE__KEY_SIZE];
	uint64_t length; /* the owner's word; the backend checks it where it can */
	enum ipcshare__access access;
	/* out */
	int status;
	void *base;
	size_t mapped; /* bytes of address space */
};

enum ipcshare__export_flag {
	IPCSHARE__EXPORT_OPEN = 1, /* no whitelist */
};

struct ipcshare__backend_ops {
	const char *name; /* as users spell it in IPCSHARE_BACKEND */
	const char *text; /* one line for ipcshare-info */
	enum ipcshare__backend_id id;
	/* Can it work here? 0, or IPCSHARE_ERR_NO_BACKEND with the reason as the last error. */
	int (*probe)(void);
	int (*open)(const struct ipcshare__backend_args *args, struct ipcshare__backend **out);
	void (*close)(struct ipcshare__backend *be); /* all memory and imports are gone by then */
	/* The process id as a whitelist of this backend wants it. */
	int (*bare_tgid)(struct ipcshare__backend *be, uint32_t *tgid);

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
	void (*close_export)(struct ipcshare__backend *be, struct ipcshare__memory *mem);

	/*
	 * @n keys of one owner in one go. Each entry has its own status; the result is 0 if all are
	 * 0, else the first that isn't, with its detail as the last error.
	 */
	int (*import_keys)(struct ipcshare__backend *be, uint64_t endpoint,
			   struct ipcshare__import *imports, size_t n);
	void (*close_import)(struct ipcshare__backend *be, void *base, size_t mapped);
};

/* Every backend, in the order ipcshare-info shows; NULL-ended. */
extern const struct ipcshare__backend_ops *const ipcshare__backends[];

/* NULL if there is none of that name. */
const struct ipcshare__backend_ops *ipcshare__backend_find(const char *name);

extern const struct ipcshare__backend_ops ipcshare__host_ops;

#endif
