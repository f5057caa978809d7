/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket at which a broker listens: an abstract one, which ends with its process, or a file in a
 * folder that all ranks see.
 */
#ifndef IPCSHARE_BACKEND_HOST_LISTENER_H
#define IPCSHARE_BACKEND_HOST_LISTENER_H

#include <stdint.h>

/*
 * Listen as @endpoint. In a folder the files of brokers that were killed are removed on the way.
 * IPCSHARE_ERR_LIMIT, IPCSHARE_ERR_SYSTEM.
 */
int ipcshare__listener_open(const char *dir, uint64_t endpoint, int *out);

/* Remove the file, if there is one; nobody comes any more. The descriptor is for the caller to close. */
void ipcshare__listener_end(const char *dir, uint64_t endpoint, int listener);

#endif
