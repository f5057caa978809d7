/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reader turns the descriptors of one blob into cells, in one pass and in as many pieces as they come in. It
 * distrusts them: each is copied before it is looked at, for the rank that wrote them can change them meanwhile.
 */
#ifndef IPCSHARE_GROUP_READER_H
#define IPCSHARE_GROUP_READER_H

#include "base/descriptor.h"
#include "group/catalog.h"
#include "group/cells.h"

/* What becomes of buffers in a region: its place in the row, and where it is mapped. */
struct ipcshare__placed {
	uint32_t ref;
	char *base; /* NULL: nowhere yet; offsets stand in place of pointers then */
};
typedef int ipcshare__place_fn(void *arg, uint32_t region, struct ipcshare__placed *out);

/*
 * What descriptors of a region are held against, looked up once for many. Ids are small, so the regions of a
 * rank with fewer than this many mostly have a place each.
 */
#define IPCSHARE__PLACES 64u
struct ipcshare__place {
	uint64_t what; /* region << 44; a region that belongs elsewhere: none yet */
	uint64_t where; /* low 20 bits of the generation << 44 */
	uint64_t length; /* of the region */
	struct ipcshare__placed to;
};

struct ipcshare__reader {
	const struct ipcshare__catalog *catalog;
	ipcshare__place_fn *place; /* asked at least once for each region */
	void *arg;
	struct ipcshare__cells *cells;
	size_t n; /* cells so far */
	uint64_t ndescriptors; /* so far */
	/* The last one, if it was a buffer in a region: a run goes on from it. */
	struct ipcshare__placed last;
	uint64_t offset, length;
	uint64_t rest; /* bytes of its region behind it; 0 if it was none */
	struct ipcshare__place places[IPCSHARE__PLACES];
};

void ipcshare__reader_begin(struct ipcshare__reader *reader,
			    const struct ipcshare__catalog *catalog, ipcshare__place_fn *place,
			    void *arg, struct ipcshare__cells *cells);

/*
 * The next @n descriptors, at any address: 0; IPCSHARE_ERR_PROTOCOL with detail if one is malformed, lies
 * outside a region that the catalog has, or is one too many; or what @place returns.
 */
int ipcshare__reader_read(struct ipcshare__reader *reader, const unsigned char *descriptors,
			  size_t n);
/* All of its @n descriptors are read: the cells were made before. */
void ipcshare__reader_skip(struct ipcshare__reader *reader, struct ipcshare__cells *cells,
			   uint64_t n);
/* All cells must be filled now. */
int ipcshare__reader_end(const struct ipcshare__reader *reader);

#endif
