/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots of the host backend that have files of their own. */
#ifndef IPCSHARE_BACKEND_HOST_HOST_H
#define IPCSHARE_BACKEND_HOST_HOST_H

#include "backend/backend.h"

/* many.c */
int ipcshare__host_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__stream *stream);
int ipcshare__host_plan_create(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__plan **out);
int ipcshare__host_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan,
			    struct ipcshare__stream *stream);
void ipcshare__host_plan_free(struct ipcshare__backend *be, struct ipcshare__plan *plan);

/* notify.c */
int ipcshare__host_stream_create(struct ipcshare__backend *be, struct ipcshare__stream **out);
void ipcshare__host_stream_destroy(struct ipcshare__backend *be, struct ipcshare__stream *stream);
int ipcshare__host_stream_synchronise(struct ipcshare__backend *be,
				      struct ipcshare__stream *stream);
bool ipcshare__host_stream_captured(struct ipcshare__backend *be, struct ipcshare__stream *stream);
int ipcshare__host_notify_create(struct ipcshare__backend *be, struct ipcshare__notify **out);
int ipcshare__host_notify_export(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				 char key[IPCSHARE__KEY_SIZE]);
int ipcshare__host_notify_allow(struct ipcshare__backend *be, struct ipcshare__notify *n,
				const struct ipcshare__identity *ids, size_t nids);
int ipcshare__host_notify_import(struct ipcshare__backend *be, const char key[IPCSHARE__KEY_SIZE],
				 int device, struct ipcshare__notify **out);
int ipcshare__host_notify_record(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				 struct ipcshare__stream *stream);
int ipcshare__host_notify_wait(struct ipcshare__backend *be, struct ipcshare__notify *notify,
			       struct ipcshare__stream *stream, unsigned timeout_s);
void ipcshare__host_notify_destroy(struct ipcshare__backend *be, struct ipcshare__notify *notify);

#endif
