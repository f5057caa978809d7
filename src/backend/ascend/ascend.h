/* SPDX-License-Identifier: BSD-3-Clause */
/* One open Ascend backend, as its files share it. */
#ifndef IPCSHARE_BACKEND_ASCEND_ASCEND_H
#define IPCSHARE_BACKEND_ASCEND_ASCEND_H

#include <pthread.h>

#include "backend/ascend/device.h"
#include "backend/ascend/held.h"
#include "backend/backend.h"

#define ASCEND_STREAMS 4 /* that many pieces are spread over */

struct ascend {
	struct ipcshare__backend be;
	struct ascend_device device;
	uint32_t tgid; /* bare: what whitelists have of us */
	bool strict; /* refuse to expose pages beside the user's memory */
	pthread_mutex_t copy_lock; /* one copy at a time: over all below, and the device's stream */
	void *scratch; /* device memory between imported memory and the host */
	acl_handle streams[ASCEND_STREAMS]; /* the first is the device's; NULL: not made yet */
	bool no_2d; /* this release can't copy planes between devices */
};

static inline struct ascend *ipcshare__ascend_of(struct ipcshare__backend *be)
{
	return (struct ascend *)be;
}

/* Where an op of the table is queued: the caller's stream, or the device's own. */
static inline acl_handle ipcshare__ascend_stream(const struct ascend *a,
						 struct ipcshare__stream *stream)
{
	return stream ? (acl_handle)stream : a->device.stream;
}

/* NULL once the context is abandoned: nothing is called then, only forgotten. */
static inline const struct acl *ipcshare__ascend_acl(const struct ascend *a)
{
	return a->device.lost ? NULL : a->device.acl;
}

/* memory.c */
int ipcshare__ascend_alloc(struct ipcshare__backend *be, size_t length,
			   struct ipcshare__memory *out);
int ipcshare__ascend_adopt(struct ipcshare__backend *be, void *base, size_t length, int fd,
			   struct ipcshare__memory *out);
void ipcshare__ascend_release(struct ipcshare__backend *be, struct ipcshare__memory *mem);
int ipcshare__ascend_export(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			    unsigned flags, char key[IPCSHARE__KEY_SIZE]);
int ipcshare__ascend_protect(struct ipcshare__backend *be, struct ipcshare__memory *mem);
int ipcshare__ascend_allow(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			   const struct ipcshare__identity *ids, size_t n,
			   enum ipcshare__access access);
void ipcshare__ascend_close_export(struct ipcshare__backend *be, struct ipcshare__memory *mem);

/* import.c */
int ipcshare__ascend_import(struct ipcshare__backend *be, uint64_t endpoint,
			    struct ipcshare__import *imports, size_t n);
void ipcshare__ascend_close_import(struct ipcshare__backend *be,
				   struct ipcshare__imported *imported);

/* copy.c */
int ipcshare__ascend_copy(struct ipcshare__backend *be, void *dst, const void *src, size_t n);
void ipcshare__ascend_copy_end(struct ascend *a); /* entered */

/* many.c */
int ipcshare__ascend_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
				 size_t n, struct ipcshare__stream *stream);

/* plan.c */
int ipcshare__ascend_plan_create(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
				 size_t n, struct ipcshare__plan **out);
int ipcshare__ascend_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan,
			      struct ipcshare__stream *stream);
void ipcshare__ascend_plan_free(struct ipcshare__backend *be, struct ipcshare__plan *plan);

/* notify.c: if it is no stream, whatever is put into it will say so. */
bool ipcshare__ascend_captures(const struct acl *acl, acl_handle stream);

/* reduce.c */
bool ipcshare__ascend_reduces(const struct ipcshare__backend *be, enum ipcshare_type type,
			      enum ipcshare_op_kind op);
int ipcshare__ascend_reduce(struct ipcshare__backend *be, void *dst, const void *src, size_t n,
			    enum ipcshare_type type, enum ipcshare_op_kind op,
			    struct ipcshare__stream *stream);

/* notify.c */
int ipcshare__ascend_stream_create(struct ipcshare__backend *be, struct ipcshare__stream **out);
void ipcshare__ascend_stream_destroy(struct ipcshare__backend *be, struct ipcshare__stream *stream);
int ipcshare__ascend_stream_synchronise(struct ipcshare__backend *be,
					struct ipcshare__stream *stream);
bool ipcshare__ascend_stream_captured(struct ipcshare__backend *be,
				      struct ipcshare__stream *stream);
int ipcshare__ascend_notify_create(struct ipcshare__backend *be, struct ipcshare__notify **out);
int ipcshare__ascend_notify_export(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				   char key[IPCSHARE__KEY_SIZE]);
int ipcshare__ascend_notify_allow(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				  const struct ipcshare__identity *ids, size_t n);
int ipcshare__ascend_notify_import(struct ipcshare__backend *be, const char key[IPCSHARE__KEY_SIZE],
				   int device, struct ipcshare__notify **out);
int ipcshare__ascend_notify_record(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				   struct ipcshare__stream *stream);
int ipcshare__ascend_notify_wait(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				 struct ipcshare__stream *stream, unsigned timeout_s);
void ipcshare__ascend_notify_destroy(struct ipcshare__backend *be, struct ipcshare__notify *notify);

#endif
