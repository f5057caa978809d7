/* SPDX-License-Identifier: BSD-3-Clause */
/* collective.h - each collective as a table row: how it is called, what comes of it, what it must move */
#ifndef BENCH_COLLECTIVE_H
#define BENCH_COLLECTIVE_H

#include <stddef.h>

#include <ipcshare.h>

/* Where what a rank receives is from. */
enum collective_from {
	FROM_NOBODY,
	FROM_ROOT,
	FROM_EACH,		/* a block of every rank */
	FROM_SUM,		/* of all ranks */
	FROM_SUM_UPTO,		/* of the ranks up to this one */
	FROM_SUM_BEFORE,
};

/* The arguments of a call. Elements are floats. */
struct collective_call {
	struct ipcshare_group *group;
	int rank, n, root;
	float *send, *recv;
	size_t count;		/* of a block */
	size_t *parts;		/* of a reduce_scatter: how many of them for each rank */
	int *mpi_parts;
};

struct collective {
	const char *name;
	int (*ours)(const struct collective_call *c);
	int (*mpi)(const struct collective_call *c);
	enum collective_from from;
	int sends_blocks;	/* one for each rank, instead of one */
	int sends_parts;	/* each rank receives but a part of the block */
	int to_root;		/* nobody else receives */
};

extern const struct collective collectives[];
extern const size_t ncollectives;

/** collective_find - by its name; NULL if there is none */
const struct collective *collective_find(const char *name);

/* What a rank receives as one piece: the sum of what ranks @first .. @last - 1 have at @offset. */
struct collective_block {
	int first, last;
	size_t offset, at, count;
};

/** collective_blocks - how many of them this rank receives in this call */
int collective_blocks(const struct collective *what, const struct collective_call *c);

/** collective_block - the @i-th of them */
struct collective_block collective_block(const struct collective *what,
					 const struct collective_call *c, int i);

/** collective_part - where the part of @rank begins, if a block is cut into parts; @rank may be n */
size_t collective_part(const struct collective_call *c, int rank);

/** collective_sent - how many blocks a rank sends */
int collective_sent(const struct collective *what, int n);

/** collective_kept - how many blocks a rank must have room for, on either side */
int collective_kept(const struct collective *what, int n);

/**
 * collective_moved - bytes that each of @n ranks has to copy at least, if they share the work evenly
 * @size: of a block
 *
 * A copied byte is one read and one written. What is moved is read as often as it is written: once
 * for each place where it must land, also on the rank that it is from. What is reduced is read once,
 * and each result is written once.
 */
size_t collective_moved(const struct collective *what, int n, size_t size);

#endif
