/* SPDX-License-Identifier: BSD-3-Clause */
/* A group, its members, and the exchanges that all collectives are made of. */
#ifndef IPCSHARE_GROUP_GROUP_H
#define IPCSHARE_GROUP_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/idmap.h"
#include "group/catalog.h"
#include "memory/context.h"
#include "topo/border.h"

struct ipcshare__member {
	struct ipcshare__identity identity;
	struct ipcshare__peer *peer; /* NULL for ourselves */
	int pidfd; /* of its process, while the group is created; -1: none */
	int ended; /* it had ended before we looked */
	struct ipcshare__control *control; /* its control page, as mapped here; NULL until then */
	struct ipcshare__imported import; /* of it */
	struct ipcshare__catalog catalog; /* what its collective shares have told */
};

struct ipcshare_group {
	struct ipcshare__owned owned;
	struct ipcshare_ctx *ctx;
	struct ipcshare_bootstrap bootstrap;
	int rank, size;
	int broken; /* status of the exchange that failed: peers can't be waited for any more */
	int broken_by; /* the rank it failed on or with, -1: not known */
	int unmet; /* the rank that could not be met, -1: none */
	uint64_t round; /* of the exchange we are in, or left last */
	struct ipcshare__front front; /* for the next slot */
	size_t front_used; /* bytes of it */
	_Atomic size_t children; /* sets, shares, requests, views and RDMA keys alive */
	struct ipcshare__memory control; /* our own control page; .base NULL until it is made */
	bool control_exported;
	bool met; /* exchanges go over the board; before that over the bootstrap */
	bool crowded; /* some ranks must share a core: never spin */
	struct ipcshare__control *page; /* what we write: in .control, or before that the next */
	struct ipcshare__control unshared;
	struct ipcshare__member *members; /* by rank */
	struct ipcshare__identity *others; /* of the ranks in other processes: the whitelist */
	size_t nothers;
	struct ipcshare__wire_place *places; /* by rank: where each one runs */
	struct ipcshare__levels levels; /* that follow from it */
	struct ipcshare__border border; /* the outermost of them */
	/* What all ranks say in an exchange, by rank: so none fails, and breaks the group, for want of memory. */
	struct ipcshare__wire_header *headers;
	uint64_t *serials;
	struct ipcshare__wire_hello *hellos; /* this and the next only until the ranks have met */
	struct ipcshare__wire_detail *details;
	uint64_t sets_made, views_made; /* collective ones: serials of sets, and of views */
	void *spare; /* memory that no view has had to write to, for the next one */
	size_t spare_len;
	/* Collectives that were started and are not over: whoever uses the board next ends them first. */
	struct ipcshare_request *requests;
	void (*drain)(struct ipcshare_group *group); /* not NULL while there are some */
	/* what has to go on while the group waits, for mpi/: true, and nobody sleeps; NULL: nothing */
	bool (*meanwhile)(void *arg);
	void *meanwhile_arg;
	/* orders the ranks' streams; NULL until a call is queued on one */
	struct ipcshare__mesh *mesh;
	struct ipcshare__idmap told; /* generations of our regions that all members know, by id */
	/* Collectives write catalogs; ipcshare_ptr_lazy() reads them at any time. */
	pthread_mutex_t catalog_lock;
};

int ipcshare__group_check(const struct ipcshare_group *group, const char *stage);

/* Before an exchange that is not one of a request's. */
static inline void ipcshare__group_drain(struct ipcshare_group *group)
{
	if (group->drain)
		group->drain(group);
}

/* The argument and release function of the bootstrap, for mpi/. */
const struct ipcshare_bootstrap *ipcshare__group_bootstrap(const struct ipcshare_group *group);

/*
 * Free a group without sets and shares here, and wait for nobody: for when no rank will use it again. A
 * peer that still reads in its last round has mapped what it reads.
 */
void ipcshare__group_end(struct ipcshare_group *group);

/* ---- Exchanges (exchange.c): all bounded; a failure breaks the group for good ---- */

/* @len bytes of every rank, in rank order, into @all; at most IPCSHARE__SLOT_MOST. */
int ipcshare__exchange(struct ipcshare_group *group, const void *mine, size_t len, void *all);
/* Leave the protocol: the peers are told, and the group is broken with @status, which is returned. */
int ipcshare__exchange_quit(struct ipcshare_group *group, int status);
int ipcshare__exchange_barrier(struct ipcshare_group *group);
/* The two halves of it. */
int ipcshare__exchange_post(struct ipcshare_group *group);
int ipcshare__exchange_wait(struct ipcshare_group *group);
/* Instead of the second: is it *@over? @wait was begun with the round, and its deadline is not kept. */
int ipcshare__exchange_test(struct ipcshare_wait *wait, bool *over);

/*
 * Begin collective @which: every rank says how it fares so far (@status, with its last error as the
 * detail), and gives a number. If a rank failed, the lowest one's status is returned on all, with its
 * detail as the last error. @flags are or-ed over the ranks. @values, if not NULL, gets every rank's.
 */
int ipcshare__agree(struct ipcshare_group *group, enum ipcshare__collective which, int status,
		    uint32_t *flags, uint64_t value, uint64_t *values);

/*
 * The same with @len bytes of each rank, which need not be as many: they are the values in @lens. Their
 * beginnings go with the headers; once agreed, ipcshare__exchange_bytes() must follow.
 */
int ipcshare__agree_bytes(struct ipcshare_group *group, enum ipcshare__collective which, int status,
			  uint32_t *flags, const void *mine, uint64_t len, uint64_t *lens);
/*
 * All of these bytes, also our own, piece by piece in order: rank after rank, and again. A piece is gone, and
 * may be altered before that, when @take returns.
 */
typedef void ipcshare__take_fn(void *arg, int rank, const void *bytes, size_t n);
int ipcshare__exchange_bytes(struct ipcshare_group *group, const void *mine, const uint64_t *lens,
			     ipcshare__take_fn *take, void *arg);

/* What a rank says of itself first in each collective, and whether another's fits to it: else we quit. */
void ipcshare__header_fill(const struct ipcshare_group *group, enum ipcshare__collective which,
			   int status, uint32_t flags, uint64_t value,
			   struct ipcshare__wire_header *out);
int ipcshare__header_check(struct ipcshare_group *group, const struct ipcshare__wire_header *mine,
			   const struct ipcshare__wire_header *header, int rank);

/* All ranks free the @serial-th of their group's @noun: "set", a stage of errors too. */
int ipcshare__agree_to_free(struct ipcshare_group *group, enum ipcshare__collective which,
			    uint64_t serial, const char *noun);

/* The second half of it, for ranks that know already that one of them failed. */
int ipcshare__agree_on_failure(struct ipcshare_group *group, int status);
/* The same on the board, by who makes the round himself: before it, and after. */
void ipcshare__detail_say(struct ipcshare_group *group, int status);
int ipcshare__details_hear(struct ipcshare_group *group);

#endif
