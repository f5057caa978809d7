/* SPDX-License-Identifier: BSD-3-Clause */
/* The host backend: memory in memfds, keys served by the owner's broker. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/host/broker.h"
#include "backend/host/host.h"
#include "backend/host/line.h"
#include "backend/host/memfd.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/identity.h"

struct host {
	struct ipcshare__backend be;
	struct ipcshare__broker *broker;
	char socket_dir[sizeof(((struct ipcshare__config *)0)->socket_dir)];
	unsigned timeout_ms;
	bool huge_pages;
};

struct host_memory {
	struct ipcshare__memfd memfd;
	struct ipcshare__offer *offer; /* NULL until exported */
};

static int host_probe(const struct ipcshare__config *config)
{
	int err = ipcshare__memfd_try();

	(void)config;
	if (!err)
		return 0;
	if (err == EMFILE || err == ENFILE || err == ENOMEM) /* that is not the kernel's lack */
		return ipcshare__fail_errno(err, "probe", "memfd_create");
	return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, "probe",
			      "a seccomp filter may forbid memfd_create", "memfd_create: %s",
			      strerrordesc_np(err));
}

static int host_open(const struct ipcshare__backend_args *args, struct ipcshare__backend **out)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return ipcshare__fail_errno(ENOMEM, "open", "the host backend");
	h->be.ops = &ipcshare__host_ops;
	h->broker = args->broker;
	h->timeout_ms = args->timeout_ms;
	h->huge_pages = args->config->huge_pages;
	strcpy(h->socket_dir, args->config->socket_dir);
	*out = &h->be;
	return 0;
}

static void host_close(struct ipcshare__backend *be)
{
	free(be);
}

/* No driver is called anyway; the offers end with the broker. */
static void host_forget(struct ipcshare__backend *be)
{
	(void)be;
}

static int host_identify(struct ipcshare__backend *be, uint32_t *tgid, int *device)
{
	(void)be;
	*tgid = ipcshare__outermost_tgid();
	*device = -1;
	return 0;
}

/* ---- Memory ---- */

static int memory_new(struct ipcshare__memory *out, void *base, size_t length,
		      struct ipcshare__memfd *memfd)
{
	struct host_memory *m = calloc(1, sizeof(*m));

	if (!m) {
		ipcshare__memfd_drop(memfd);
		return ipcshare__fail_errno(ENOMEM, "alloc", "one more allocation");
	}
	m->memfd = *memfd;
	*out = (struct ipcshare__memory){
		.base = base,
		.length = length,
		.start = base,
		.span = length,
		.priv = m,
	};
	return 0;
}

static int host_alloc(struct ipcshare__backend *be, size_t length, struct ipcshare__memory *out)
{
	bool could = ((struct host *)be)->huge_pages && length % IPCSHARE__HUGE_PAGE == 0;
	struct ipcshare__memfd memfd;
	bool huge = could && !ipcshare__memfd_make_huge(length, &memfd);
	int err = huge ? 0 : ipcshare__memfd_make(length, &memfd);

	if (!err)
		err = memory_new(out, memfd.map, length, &memfd);
	if (err)
		return err;
	out->huge = huge;
	out->huge_missed = could && !huge;
	return 0;
}

static int host_adopt(struct ipcshare__backend *be, void *base, size_t length, int fd,
		      struct ipcshare__memory *out)
{
	struct ipcshare__memfd memfd;
	int err = ipcshare__memfd_adopt(base, length, fd, &memfd);

	(void)be;
	return err ? err : memory_new(out, base, length, &memfd);
}

static void host_release(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	struct host_memory *m = mem->priv;

	(void)be;
	ipcshare__memfd_drop(&m->memfd);
	free(m);
}

/* ---- The owner's side ---- */

static int host_export(struct ipcshare__backend *be, struct ipcshare__memory *mem, unsigned flags,
		       char key[IPCSHARE__KEY_SIZE])
{
	struct host *h = (struct host *)be;
	struct host_memory *m = mem->priv;
	struct ipcshare__host_key parts = {
		.endpoint = ipcshare__broker_endpoint(h->broker),
		.inode = m->memfd.inode,
	};
	int err;

	err = ipcshare__broker_offer(h->broker, m->memfd.fd, m->memfd.offset, mem->length,
				     (flags & IPCSHARE__EXPORT_OPEN) != 0, &m->offer);
	if (err)
		return err;
	memcpy(parts.secret, ipcshare__offer_secret(m->offer), sizeof(parts.secret));
	ipcshare__hex(&parts, sizeof(parts), key);
	return 0;
}

static int host_protect(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	struct host_memory *m = mem->priv;

	(void)be;
	return ipcshare__memfd_protect(&m->memfd);
}

static int host_allow(struct ipcshare__backend *be, struct ipcshare__memory *mem,
		      const struct ipcshare__identity *ids, size_t n, enum ipcshare__access access)
{
	struct host_memory *m = mem->priv;

	return ipcshare__broker_allow(((struct host *)be)->broker, m->offer, ids, n, access);
}

static void host_pause_export(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			      int paused)
{
	struct host_memory *m = mem->priv;

	ipcshare__broker_pause(((struct host *)be)->broker, m->offer, paused);
}

static void host_close_export(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	struct host_memory *m = mem->priv;

	ipcshare__broker_withdraw(((struct host *)be)->broker, m->offer);
	m->offer = NULL;
}

/* ---- The importer's side ---- */

static const char *hint_for(int status)
{
	switch (status) {
	case IPCSHARE_ERR_NOT_ALLOWED:
		return "the owner must ipcshare_allow() this process first; a fork or a restart "
		       "needs its own ipcshare_self()";
	case IPCSHARE_ERR_STALE:
		return "the owner has freed it, or the key was altered; share it anew";
	case IPCSHARE_ERR_BUSY:
		return "its owner frees it at this moment; if that is refused, it can be mapped again";
	case IPCSHARE_ERR_READ_ONLY:
		return "it was shared with IPCSHARE_READ_ONLY";
	default:
		return "";
	}
}

static int import_one(struct ipcshare__import *im, const struct ipcshare__host_key *key,
		      const struct ipcshare__broker_got *got, int fd)
{
	if (got->status)
		return ipcshare__fail(got->status, "import", hint_for(got->status),
				      "the owner refused: %s", ipcshare_strerror(got->status));
	if (got->length != im->length)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				      "the region has %ju bytes, its descriptor says %ju",
				      (uintmax_t)got->length, (uintmax_t)im->length);
	return ipcshare__memfd_map(fd, key->inode, got->offset, got->length, im->access,
				   &im->out.base, &im->out.mapped);
}

/* Each failure overwrites the last error; the caller is to see the first. */
static void note_first(struct ipcshare_error *first, int status)
{
	if (status && !first->status)
		*first = *ipcshare_last_error();
}

/* Up to IPCSHARE__BROKER_BATCH keys, all well-formed, over one line; not 0 if that has failed. */
static int import_batch(struct ipcshare__line *line, struct ipcshare__import **batch,
			const struct ipcshare__host_key *keys, size_t n,
			struct ipcshare_error *first)
{
	struct ipcshare__broker_get get[IPCSHARE__BROKER_BATCH] = { 0 };
	struct ipcshare__broker_got got[IPCSHARE__BROKER_BATCH];
	int fds[IPCSHARE__BROKER_BATCH], err;

	for (size_t i = 0; i < n; i++) {
		memcpy(get[i].secret, keys[i].secret, sizeof(get[i].secret));
		get[i].access = batch[i]->access;
	}
	err = ipcshare__line_get(line, get, n, got, fds);
	for (size_t i = 0; i < n; i++) {
		batch[i]->status = err ? err : import_one(batch[i], &keys[i], &got[i], fds[i]);
		note_first(first, batch[i]->status);
		if (!err && fds[i] >= 0)
			close(fds[i]);
	}
	return err;
}

static int parse_key(struct ipcshare__import *im, uint64_t endpoint, struct ipcshare__host_key *key)
{
	if (!memchr(im->key, '\0', sizeof(im->key)) ||
	    ipcshare__unhex(im->key, key, sizeof(*key)) || key->endpoint != endpoint)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import",
				      "send all its bytes unchanged", "a key is malformed");
	return 0;
}

static int host_import(struct ipcshare__backend *be, uint64_t endpoint,
		       struct ipcshare__import *imports, size_t n)
{
	struct host *h = (struct host *)be;
	struct ipcshare__import *batch[IPCSHARE__BROKER_BATCH];
	struct ipcshare__host_key keys[IPCSHARE__BROKER_BATCH];
	struct ipcshare_error first = { .status = 0 };
	struct ipcshare__line line;
	size_t used = 0;
	int err, broken = 0;

	err = ipcshare__line_open(h->socket_dir, endpoint, h->timeout_ms, "import", &line);
	if (err) {
		for (size_t i = 0; i < n; i++)
			imports[i].status = err;
		return err;
	}
	for (size_t i = 0; i < n; i++) {
		imports[i].status = broken ?: parse_key(&imports[i], endpoint, &keys[used]);
		note_first(&first, imports[i].status);
		if (!imports[i].status)
			batch[used++] = &imports[i];
		if (used == IPCSHARE__BROKER_BATCH || (used && i + 1 == n)) {
			broken = import_batch(&line, batch, keys, used, &first);
			used = 0;
		}
	}
	ipcshare__line_close(&line);
	if (first.status)
		ipcshare__error_restore(&first);
	return first.status;
}

static void host_close_import(struct ipcshare__backend *be, struct ipcshare__imported *imported)
{
	(void)be;
	munmap(imported->base, imported->mapped);
}

static int host_copy(struct ipcshare__backend *be, void *dst, const void *src, size_t n)
{
	(void)be;
	memcpy(dst, src, n);
	return 0;
}

/* Where the CPU reaches all memory, it reduces: src/coll. */
static bool host_reduces(const struct ipcshare__backend *be, enum ipcshare_type type,
			 enum ipcshare_op_kind op)
{
	(void)be;
	(void)type;
	(void)op;
	return false;
}

static int host_reduce(struct ipcshare__backend *be, void *dst, const void *src, size_t n,
		       enum ipcshare_type type, enum ipcshare_op_kind op,
		       struct ipcshare__stream *stream)
{
	(void)dst;
	(void)src;
	(void)n;
	(void)type;
	(void)op;
	(void)stream;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "reduce", "",
			      "backend %s has no device that reduces", be->ops->name);
}

const struct ipcshare__backend_ops ipcshare__host_ops = {
	.name = "host",
	.text = "memory of this machine, in memfds",
	.id = IPCSHARE__BACKEND_HOST,
	.direct = true,
	.probe = host_probe,
	.open = host_open,
	.close = host_close,
	.forget = host_forget,
	.identify = host_identify,
	.alloc = host_alloc,
	.adopt = host_adopt,
	.release = host_release,
	.export_key = host_export,
	.protect = host_protect,
	.allow = host_allow,
	.pause_export = host_pause_export,
	.close_export = host_close_export,
	.import_keys = host_import,
	.close_import = host_close_import,
	.copy = host_copy,
	.copy_pieces = ipcshare__host_copy_pieces,
	.plan_create = ipcshare__host_plan_create,
	.plan_run = ipcshare__host_plan_run,
	.plan_free = ipcshare__host_plan_free,
	.stream_create = ipcshare__host_stream_create,
	.stream_destroy = ipcshare__host_stream_destroy,
	.stream_synchronise = ipcshare__host_stream_synchronise,
	.stream_captured = ipcshare__host_stream_captured,
	.reduces = host_reduces,
	.reduce = host_reduce,
	.notify_create = ipcshare__host_notify_create,
	.notify_export = ipcshare__host_notify_export,
	.notify_allow = ipcshare__host_notify_allow,
	.notify_import = ipcshare__host_notify_import,
	.notify_record = ipcshare__host_notify_record,
	.notify_wait = ipcshare__host_notify_wait,
	.notify_destroy = ipcshare__host_notify_destroy,
};
