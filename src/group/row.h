/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row: the buffers of one rank in a set. A cell is one of them; what its allocation is here stands
 * once in the row, with the number of cells that lie in it.
 */
#ifndef IPCSHARE_GROUP_ROW_H
#define IPCSHARE_GROUP_ROW_H

#include "group/describe.h"
#include "group/reader.h"
#include "group/recipe.h"

/* An allocation of the rank, as the set uses it. */
struct ipcshare__used {
	uint32_t region, generation;
	enum ipcshare__access access;
	int status; /* why it can't be used here */
	/* that lie in it; 0: it is let go, and the place kept for its next generation */
	uint64_t cells;
	uint64_t length; /* the owner's word */
	char *base; /* NULL: not mapped */
	struct ipcshare__mapping *mapping; /* held, of a peer's */
	struct ipcshare__region *own; /* held, of ours */
	bool alive; /* between its place and its end */
	bool wanted; /* on the row's list */
	bool unsettled; /* new cells may have an offset in place of a pointer */
	uint32_t next_wanted;
};

struct ipcshare__row {
	struct ipcshare__cells cells;
	struct ipcshare__used *used;
	uint32_t nused, capacity;
	uint32_t nidle; /* of these, alive although no cell lies in them */
	struct ipcshare__idmap by_id; /* 2 * id + read-only, to its place in used */
	/* list of what is still to be mapped, in the order it was met */
	uint32_t wanted, last_wanted;
	bool unsettled; /* of one of used */
	uint64_t failed; /* cells that their owner could not share */
	struct ipcshare__memory device; /* the pointers on the device; .base NULL until asked for */
};

void ipcshare__row_init(struct ipcshare__row *row);
/* Everything is let go by then. */
void ipcshare__row_free(struct ipcshare__row *row, struct ipcshare__blocks *blocks);

/* The place of a region that cells lie in; NULL if there is none such. */
struct ipcshare__used *ipcshare__row_find(const struct ipcshare__row *row, uint32_t region,
					  enum ipcshare__access access);

/* Where a row's new cells come from. */
struct ipcshare__row_source {
	struct ipcshare__row *row;
	struct ipcshare_ctx *ctx;
	struct ipcshare__peer *peer; /* whose they are */
	struct ipcshare__describer *ours; /* or NULL, and ours, which holds the regions until now */
	const struct ipcshare__catalog *catalog;
	enum ipcshare__access access;
	bool lazy;
};

/*
 * An ipcshare__place_fn, with a source: the place of @region in the row. What is mapped in this process is
 * held from then on; what isn't is wanted. IPCSHARE_ERR_NO_MEMORY; IPCSHARE_ERR_PROTOCOL if a region in use
 * has become another.
 */
int ipcshare__row_place(void *source, uint32_t region, struct ipcshare__placed *out);

/*
 * Import what is wanted in one backend call. Each has its own status then; *@failed is the first, with its
 * detail as the last error.
 */
int ipcshare__row_map(struct ipcshare__row_source *source, int *failed);

/* Offsets to pointers. Return: the first cell whose region can't be used here, or cells->n */
size_t ipcshare__row_settle(struct ipcshare__row *row, struct ipcshare__cells *cells);

/* @n more cells lie in regions of these places. */
void ipcshare__row_count(struct ipcshare__row *row, const uint32_t *refs, size_t n);
/* The row is complete: its cells can be had again for their recipe, if they have one and all can be used. */
void ipcshare__row_remember(struct ipcshare__row *row);
/*
 * Cells that were made before are to be the fresh row's: 0 if their regions, which it holds from then on, are where
 * they were, and are counted; 1 if not; or what ipcshare__row_place() returns.
 */
int ipcshare__row_recall(struct ipcshare__row_source *source,
			 const struct ipcshare__recipe *recipe);
/* Exchange @cells for cells indices[] of the row; twice is as never. Counts. */
void ipcshare__row_swap(struct ipcshare__row *row, const uint32_t *indices,
			struct ipcshare__cells *cells);

/* Let go of regions in which no cell lies, row->nidle of them and what is still wanted; or of all. */
void ipcshare__row_sweep(struct ipcshare__row *row, struct ipcshare_ctx *ctx);
void ipcshare__row_drop(struct ipcshare__row *row, struct ipcshare_ctx *ctx);

/* Why cell @i can't be used, or 0. */
int ipcshare__row_status(const struct ipcshare__row *row, size_t i);
/* Cells that can't be used. */
uint64_t ipcshare__row_failures(const struct ipcshare__row *row);

#endif
