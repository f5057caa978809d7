/* SPDX-License-Identifier: BSD-3-Clause */
/* Where brokers listen: the one place that knows how an endpoint becomes a socket address. */
#ifndef IPCSHARE_BACKEND_HOST_SOCKET_H
#define IPCSHARE_BACKEND_HOST_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define IPCSHARE__SOCKET_NAME "ipcshare-"

/* @dir "": an abstract socket, which ends with its owner. Gives the address's length. */
static inline socklen_t ipcshare__socket_address(const char *dir, uint64_t endpoint,
						 struct sockaddr_un *out)
{
	char *name;
	int n;

	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	name = out->sun_path;
	if (dir[0])
		n = snprintf(name, sizeof(out->sun_path), "%s/" IPCSHARE__SOCKET_NAME "%016jx", dir,
			     (uintmax_t)endpoint);
	else
		n = 1 + snprintf(name + 1, sizeof(out->sun_path) - 1,
				 IPCSHARE__SOCKET_NAME "%016jx", (uintmax_t)endpoint);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
}

#endif
