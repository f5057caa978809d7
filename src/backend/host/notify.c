/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifies on the host: a futex word in shared memory of its own. There are no streams, so a record
 * is done on return and a wait blocks; a stream is but a name.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/host/host.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/identity.h"

/* ---- Streams ---- */

struct ipcshare__stream {
	char name;
};

int ipcshare__host_stream_create(struct ipcshare__backend *be, struct ipcshare__stream **out)
{
	struct ipcshare__stream *s = calloc(1, sizeof(*s));

	(void)be;
	if (!s)
		return ipcshare__fail_errno(ENOMEM, "stream", "a stream");
	*out = s;
	return 0;
}

void ipcshare__host_stream_destroy(struct ipcshare__backend *be, struct ipcshare__stream *stream)
{
	(void)be;
	free(stream);
}

int ipcshare__host_stream_synchronise(struct ipcshare__backend *be, struct ipcshare__stream *stream)
{
	(void)be;
	(void)stream;
	return 0;
}

bool ipcshare__host_stream_captured(struct ipcshare__backend *be, struct ipcshare__stream *stream)
{
	(void)be;
	(void)stream;
	return false;
}

/* ---- Notifies ---- */

/* In shared memory: 1 it was recorded; 0 it was not, or its creator has waited for it. */
struct word {
	_Atomic uint32_t bit;
};

struct ipcshare__notify {
	struct word *word;
	bool creator, exported;
	struct ipcshare__memory mem; /* of the creator */
	struct ipcshare__imported imported; /* of others */
	struct ipcshare__identity peers[IPCSHARE__NOTIFY_PEERS];
	size_t npeers;
	char key[IPCSHARE__KEY_SIZE];
};

static int creator_only(const struct ipcshare__notify *n, const char *what)
{
	if (n->creator)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_NOT_ALLOWED, "notify",
			      "give each direction a notify of its own, made by who waits",
			      "only its creator can %s a notify", what);
}

int ipcshare__host_notify_create(struct ipcshare__backend *be, struct ipcshare__notify **out)
{
	struct ipcshare__notify *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return ipcshare__fail_errno(ENOMEM, "notify", "a notify");
	err = be->ops->alloc(be, sizeof(*n->word), &n->mem);
	if (err) {
		free(n);
		return err;
	}
	n->word = n->mem.base;
	n->creator = true;
	*out = n;
	return 0;
}

int ipcshare__host_notify_export(struct ipcshare__backend *be, struct ipcshare__notify *n,
				 char key[IPCSHARE__KEY_SIZE])
{
	int err = creator_only(n, "export");

	if (!err && !n->exported)
		err = be->ops->export_key(be, &n->mem, 0, n->key);
	if (err)
		return err;
	n->exported = true;
	memcpy(key, n->key, sizeof(n->key));
	return 0;
}

static bool is_allowed(const struct ipcshare__notify *n, const struct ipcshare__identity *id)
{
	for (size_t i = 0; i < n->npeers; i++)
		if (ipcshare__identity_same(&n->peers[i], id))
			return true;
	return false;
}

/* As many as the driver allows, so that a program that works here works there. */
int ipcshare__host_notify_allow(struct ipcshare__backend *be, struct ipcshare__notify *n,
				const struct ipcshare__identity *ids, size_t nids)
{
	size_t before = n->npeers;
	int err = creator_only(n, "allow others");

	if (!err && !n->exported)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "notify", "", "it is not exported yet");
	for (size_t i = 0; i < nids && !err; i++) {
		if (is_allowed(n, &ids[i]))
			continue;
		if (n->npeers < IPCSHARE__NOTIFY_PEERS)
			n->peers[n->npeers++] = ids[i];
		else
			err = ipcshare__fail(IPCSHARE_ERR_LIMIT, "notify",
					     "make one notify for each group of 16 peers",
					     "a notify can be imported by %d processes",
					     IPCSHARE__NOTIFY_PEERS);
	}
	if (!err)
		err = be->ops->allow(be, &n->mem, ids, nids, IPCSHARE__READ_WRITE);
	if (err)
		n->npeers = before;
	return err;
}

int ipcshare__host_notify_import(struct ipcshare__backend *be, const char key[IPCSHARE__KEY_SIZE],
				 int device, struct ipcshare__notify **out)
{
	struct ipcshare__import im = { .length = sizeof(struct word),
				       .access = IPCSHARE__READ_WRITE,
				       .device = device };
	struct ipcshare__host_key parts;
	struct ipcshare__notify *n;
	int err;

	memcpy(im.key, key, sizeof(im.key));
	if (!memchr(im.key, '\0', sizeof(im.key)) || ipcshare__unhex(im.key, &parts, sizeof(parts)))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "notify",
				      "send all its bytes unchanged", "a key is malformed");
	n = calloc(1, sizeof(*n));
	if (!n)
		return ipcshare__fail_errno(ENOMEM, "notify", "a notify");
	err = be->ops->import_keys(be, parts.endpoint, &im, 1);
	if (err) {
		free(n);
		return err;
	}
	n->imported = im.out;
	n->word = im.out.base;
	*out = n;
	return 0;
}

static void futex(struct word *word, int op, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, &word->bit, op, value, timeout, NULL, 0);
}

/* Pairs with the exchange of the wait: what was written before is seen after it. */
int ipcshare__host_notify_record(struct ipcshare__backend *be, struct ipcshare__notify *n,
				 struct ipcshare__stream *stream)
{
	(void)be;
	(void)stream;
	atomic_store_explicit(&n->word->bit, 1, memory_order_release);
	futex(n->word, FUTEX_WAKE, INT_MAX, NULL);
	return 0;
}

static int wait_until(struct word *word, uint64_t deadline)
{
	struct timespec left;
	uint64_t now;

	while (!atomic_exchange_explicit(&word->bit, 0, memory_order_acquire)) {
		now = ipcshare__now_ns();
		if (now >= deadline)
			return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "notify",
					      "has the peer ended, or recorded it too late?",
					      "nobody has recorded the notify");
		left.tv_sec = (time_t)((deadline - now) / 1000000000u);
		left.tv_nsec = (long)((deadline - now) % 1000000000u);
		futex(word, FUTEX_WAIT, 0, &left);
	}
	return 0;
}

int ipcshare__host_notify_wait(struct ipcshare__backend *be, struct ipcshare__notify *n,
			       struct ipcshare__stream *stream, unsigned timeout_s)
{
	int err = creator_only(n, "wait for");

	(void)be;
	(void)stream;
	if (!err && !timeout_s)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "notify", "pass 1 second or more",
				     "a wait without a limit is not made");
	return err ? err : wait_until(n->word, ipcshare__now_ns() + timeout_s * 1000000000ull);
}

void ipcshare__host_notify_destroy(struct ipcshare__backend *be, struct ipcshare__notify *n)
{
	if (!n)
		return;
	if (n->exported)
		be->ops->close_export(be, &n->mem);
	if (n->creator)
		be->ops->release(be, &n->mem);
	else
		be->ops->close_import(be, &n->imported);
	free(n);
}
