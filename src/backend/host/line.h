/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to another context's broker: the importer's end. */
#ifndef IPCSHARE_BACKEND_HOST_LINE_H
#define IPCSHARE_BACKEND_HOST_LINE_H

#include "base/identity.h"
#include "base/wire.h"

struct ipcshare__line {
	int socket;
	struct ipcshare__caller owner; /* who listens, as the kernel names it */
	uint64_t deadline_ns;
};

/*
 * IPCSHARE_ERR_UNREACHABLE nobody listens; IPCSHARE_ERR_TIMEOUT; IPCSHARE_ERR_LIMIT. @stage is for
 * the detail of failures here and of those on this line later.
 */
int ipcshare__line_open(const char *socket_dir, uint64_t endpoint, unsigned timeout_ms,
			const char *stage, struct ipcshare__line *out);
void ipcshare__line_close(struct ipcshare__line *line);

/* Before one more request on a line that was kept, with a new deadline: not 0 if it still stands. */
int ipcshare__line_idle(struct ipcshare__line *line, unsigned timeout_ms);

/*
 * Ask for @n <= IPCSHARE__BROKER_BATCH memfds. On success got[i].status is the owner's answer and
 * fds[i] the descriptor, for the caller to close, or -1.
 */
int ipcshare__line_get(struct ipcshare__line *line, const struct ipcshare__broker_get *get,
		       size_t n, struct ipcshare__broker_got *got, int *fds);

/*
 * Ask to drop a region of ours. 0 it is not mapped there any more; IPCSHARE_ERR_BUSY;
 * IPCSHARE_ERR_UNREACHABLE the other end hung up, without a look whether its process ends.
 */
int ipcshare__line_retire(struct ipcshare__line *line,
			  const struct ipcshare__broker_retire *retire);

#endif
