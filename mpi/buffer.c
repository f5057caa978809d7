/* SPDX-License-Identifier: BSD-3-Clause */
#include "buffer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/error.h"
#include "fallback.h"
#include "type.h"

static int count_of(const struct ipcshare__mpi_given *g, int block)
{
	return g->counts ? g->counts[block] : g->count;
}

static MPI_Aint displ_of(const struct ipcshare__mpi_given *g, int block)
{
	return g->displs ? g->displs[block] : (MPI_Aint)block * g->count;
}

static int check(const struct ipcshare__mpi_given *g)
{
	if (g->type == MPI_DATATYPE_NULL)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
				      "a datatype is MPI_DATATYPE_NULL");
	if (g->counts && !g->displs)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
				      "there are no displacements");
	if (!g->counts && g->count < 0)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "", "a count is %d",
				      g->count);
	for (int i = 0; g->counts && i < g->blocks; i++)
		if (g->counts[i] < 0)
			return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					      "the count of block %d is %d", i, g->counts[i]);
	return 0;
}

/* How long the blocks are; and all of them, side by side as they are when packed. */
static void measure(struct ipcshare__mpi_buffer *b, size_t *places)
{
	const struct ipcshare__mpi_given *g = &b->given;

	if (!g->counts) {
		b->len = (size_t)g->blocks * (size_t)g->count * b->unit;
		return;
	}
	b->lens = places;
	b->firsts = places + g->blocks;
	for (int i = 0; i < g->blocks; i++) {
		b->firsts[i] = b->len;
		b->lens[i] = (size_t)g->counts[i] * b->unit;
		b->len += b->lens[i];
	}
}

/* Displacements may be negative; the library's are not. */
static void locate(struct ipcshare__mpi_buffer *b)
{
	const struct ipcshare__mpi_given *g = &b->given;
	MPI_Aint least = 0;

	for (int i = 0; g->counts && i < g->blocks; i++)
		if (g->counts[i] && displ_of(g, i) < least)
			least = displ_of(g, i);
	for (int i = 0; g->counts && i < g->blocks; i++)
		b->firsts[i] = g->counts[i] ? (size_t)(displ_of(g, i) - least) * b->unit : 0;
	b->at = (char *)g->buf + least * (MPI_Aint)b->unit;
}

/* ---- Packing ---- */

/* So many elements at once that MPI can count their bytes in an int. */
static int step(const struct ipcshare__mpi_buffer *b, int left)
{
	size_t most = INT_MAX / b->unit;

	return (size_t)left < most ? left : (int)most;
}

/* MPI_Pack() or MPI_Unpack() of all blocks. */
static int convert(const struct ipcshare__mpi_buffer *b, bool pack, MPI_Comm comm)
{
	const struct ipcshare__mpi_given *g = &b->given;
	char *bytes = b->at;

	for (int i = 0; i < g->blocks; i++) {
		char *user = (char *)g->buf + displ_of(g, i) * b->extent;

		for (int left = count_of(g, i), n, at, err; left; left -= n) {
			n = step(b, left);
			at = 0;
			err = pack ? MPI_Pack(user, n, g->type, bytes, (int)((size_t)n * b->unit),
					      &at, comm)
				   : MPI_Unpack(bytes, (int)((size_t)n * b->unit), &at, user, n,
						g->type, comm);
			if (err || (size_t)at != (size_t)n * b->unit)
				return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "collective", "",
						      "MPI packs %d elements of %zu bytes to %d", n,
						      b->unit, at);
			bytes += at;
			user += n * b->extent;
		}
	}
	return 0;
}

int ipcshare__mpi_buffer_begin(struct ipcshare__mpi_buffer *b,
			       const struct ipcshare__mpi_given *given, bool filled, size_t *places,
			       MPI_Comm comm)
{
	int err = check(given);
	MPI_Count size;
	MPI_Aint lb;

	*b = (struct ipcshare__mpi_buffer){ .given = *given };
	if (err)
		return err;
	MPI_Type_size_x(given->type, &size);
	MPI_Type_get_extent(given->type, &lb, &b->extent);
	b->unit = (size_t)size;
	measure(b, places);
	if (!b->len || ipcshare__mpi_is_flat(given->type)) {
		locate(b);
		return 0;
	}
	if (b->unit > INT_MAX)
		return ipcshare__fail(IPCSHARE_ERR_LIMIT, "collective",
				      "use a smaller type and count more",
				      "MPI can't pack an element of %zu bytes", b->unit);
	ipcshare__mpi_count_packed();
	b->packed = true;
	b->at = malloc(b->len);
	if (!b->at)
		return ipcshare__fail_errno(ENOMEM, "collective", "%zu bytes to pack", b->len);
	return filled ? convert(b, true, comm) : 0;
}

int ipcshare__mpi_buffer_unpack(const struct ipcshare__mpi_buffer *b, MPI_Comm comm)
{
	return b->packed ? convert(b, false, comm) : 0;
}

void ipcshare__mpi_buffer_end(struct ipcshare__mpi_buffer *b)
{
	if (b->packed)
		free(b->at);
}
