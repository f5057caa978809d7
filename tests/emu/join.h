/* SPDX-License-Identifier: BSD-3-Clause */
/* How processes of one job find each other: names of sockets, and the first answer. */
#ifndef EMU_JOIN_H
#define EMU_JOIN_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct emu_welcome {		/* the answer to 'J'; the memfd comes with it */
	uint64_t magic;
	uint32_t layout;
	int32_t seen_pid;	/* 0: the asker is outside the answerer's pid namespaces */
	uint32_t initial;	/* the answerer is in the initial one */
	uint32_t pad;
};
_Static_assert(sizeof(struct emu_welcome) == 24, "wire");

/* The abstract name of a slot's socket, or of the rendezvous (slot -1). */
socklen_t emu_socket_name(struct sockaddr_un *a, int slot);

#endif
