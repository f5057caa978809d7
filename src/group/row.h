/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row: the buffers of one rank in a set. A cell is one of them; what its allocation is here stands
 * once in the row, with the number of cells that lie in it. 20 bytes a cell, 28 in a lazy row.
 */
#ifndef IPCSHARE_GROUP_ROW_H
#define IPCSHARE_GROUP_ROW_H

#include "group/blob.h"
#include "group/describe.h"

struct ipcshare__cells {
	void **ptr; /* NULL: empty, failed, or not mapped yet */
	size_t *len;
	uint32_t *ref; /* place of its region in the row */
	uint64_t *offset; /* in the region; NULL unless the row is lazy */
	size_t n;
	struct ipcshare__block room; /* all of these are in it */
};

/* 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__cells_alloc(struct ipcshare__cells *cells, struct ipcshare__blocks *blocks, size_t n,
			  bool lazy);
void ipcshare__cells_free(struct ipcshare__cells *cells, struct ipcshare__blocks *blocks);

/* An allocation of the rank, as the set uses it. */
struct ipcshare__used {
	uint32_t region, generation;
	enum ipcshare__access access;
	int status; /* why it can't be used here */
	uint64_t cells; /* that lie in it; 0: it is let go, and the place kept for its next generation */
	uint64_t length; /* the owner's word */
	char *base; /* NULL: not mapped */
	struct ipcshare__mapping *mapping; /* held, of a peer's */
	struct ipcshare__region *own; /* held, of ours */
	bool wanted; /* on the row's list */
	uint32_t next_wanted;
};

struct ipcshare__row {
	struct ipcshare__cells cells;
	struct ipcshare__used *used;
	uint32_t nused, capacity;
	struct ipcshare__idmap by_id; /* 2 * id + read-only, to its place in used */
	uint32_t wanted, last_wanted; /* list of what ipcshare__row_read() found, in its order */
	uint64_t failed; /* cells that their owner could not share */
	struct ipcshare__memory device; /* the pointers on the device; .base NULL until asked for */
};

void ipcshare__row_init(struct ipcshare__row *row);
/* Everything is let go by then. */
void ipcshare__row_free(struct ipcshare__row *row, struct ipcshare__blocks *blocks);

/* The place of a region that cells lie in; NULL if there is none such. */
struct ipcshare__used *ipcshare__row_find(const struct ipcshare__row *row, uint32_t region,
					  enum ipcshare__access access);

/*
 * Which region each of @cells lies in, from a blob whose descriptors are checked on the way. Regions that
 * are new to the row are wanted. 0; IPCSHARE_ERR_NO_MEMORY; IPCSHARE_ERR_PROTOCOL also if a region in use has
 * become another.
 */
int ipcshare__row_read(struct ipcshare__row *row, const struct ipcshare__blob *blob,
		       const struct ipcshare__catalog *catalog, struct ipcshare__cells *cells);

/*
 * Map what is wanted: from @peer in one backend call, or our own regions, which @ours held until now.
 * Each has its own status then; *@failed is the first, with its detail as the last error.
 */
int ipcshare__row_map(struct ipcshare__row *row, struct ipcshare_ctx *ctx,
		      struct ipcshare__peer *peer, const struct ipcshare__catalog *catalog, int *failed);
void ipcshare__row_map_own(struct ipcshare__row *row, struct ipcshare__describer *ours);
/* A lazy row: none of it now. */
void ipcshare__row_map_later(struct ipcshare__row *row);

/*
 * Once its regions are mapped, the rest of the cells. Return: the first one whose region can't be used
 * here, or cells->n
 */
size_t ipcshare__row_fill(const struct ipcshare__row *row, const struct ipcshare__blob *blob,
			  struct ipcshare__cells *cells);

/* Count the cells in (@by 1) or out (-1) of their regions. */
void ipcshare__row_count(struct ipcshare__row *row, const struct ipcshare__cells *cells, int by);
/* Exchange @cells for those of the row that an update names; twice is as never. Counts. */
void ipcshare__row_swap(struct ipcshare__row *row, const struct ipcshare__blob *update,
			struct ipcshare__cells *cells);
/* Do @cells refer to regions in which no cell of the row lies? */
bool ipcshare__row_has_idle(const struct ipcshare__row *row, const struct ipcshare__cells *cells);

/* Let go of regions without cells: of those that @cells refer to, or of all, cells or not. */
void ipcshare__row_sweep(struct ipcshare__row *row, struct ipcshare_ctx *ctx,
			 const struct ipcshare__cells *cells);
void ipcshare__row_drop(struct ipcshare__row *row, struct ipcshare_ctx *ctx);

/* Why cell @i can't be used, or 0. */
int ipcshare__row_status(const struct ipcshare__row *row, size_t i);
/* Cells that can't be used. */
uint64_t ipcshare__row_failures(const struct ipcshare__row *row);

#endif
