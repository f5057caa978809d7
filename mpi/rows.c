/* SPDX-License-Identifier: BSD-3-Clause */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct ipcshare__mpi_job job;

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- Rows ---- */

static size_t row_len(const job *j, int node)
{
	size_t len = 0;

	if (!j->rows->lens)
		return (size_t)(j->on->first[node + 1] - j->on->first[node]) * j->rows->len;
	for (int i = j->on->first[node]; i < j->on->first[node + 1]; i++)
		len += ipcshare__mpi_block_len(j->rows, j->on->members[i]);
	return len;
}

size_t ipcshare__mpi_row_piece(const job *j, int node, size_t chunk, int lane, size_t *from)
{
	size_t row = row_len(j, node);

	*from = (chunk * (size_t)j->lanes + (size_t)lane) * j->piece;
	return *from >= row ? 0 : least(row - *from, j->piece);
}

/* It begins somewhere in the row's blocks. */
void ipcshare__mpi_row_copy(const job *j, int node, size_t from, size_t len, char *flat, bool back)
{
	for (int i = j->on->first[node]; len; i++) {
		int rank = j->on->members[i];
		size_t block = ipcshare__mpi_block_len(j->rows, rank), n;
		char *at = j->rows->at + (ipcshare__mpi_block_at(j->rows, rank) + from) * j->size;

		if (from >= block) {
			from -= block;
			continue;
		}
		n = least(block - from, len);
		memcpy(back ? at : flat, back ? flat : at, n * j->size);
		flat += n * j->size;
		len -= n;
		from = 0;
	}
}

void ipcshare__mpi_lane_pieces(const job *j, size_t chunk)
{
	const struct ipcshare__mpi_nodes *on = j->on;
	size_t from;
	int at = 0;

	for (int node = 0; node < on->count; node++) {
		on->node_counts[node] = (int)ipcshare__mpi_row_piece(j, node, chunk, on->local,
								     &from);
		on->node_displs[node] = at;
		at += on->node_counts[node];
	}
}

/* ---- What passes this rank, of all nodes ---- */

void ipcshare__mpi_passing_places(const job *j, size_t chunk)
{
	const struct ipcshare__mpi_nodes *on = j->on;
	size_t from, at = 0;

	for (int l = 0; l < on->nlocal; l++) {
		on->displs[l] = at;
		for (int node = 0; node < on->count && l < j->lanes; node++)
			at += ipcshare__mpi_row_piece(j, node, chunk, l, &from);
		on->counts[l] = at - on->displs[l];
	}
}

void ipcshare__mpi_passing_copy(const job *j, size_t chunk, int but, bool back)
{
	char *at = j->passing;
	size_t from;

	for (int l = 0; l < j->lanes; l++)
		for (int node = 0; node < j->on->count; node++) {
			size_t len = ipcshare__mpi_row_piece(j, node, chunk, l, &from);

			if (node != but)
				ipcshare__mpi_row_copy(j, node, from, len, at, back);
			at += len * j->size;
		}
}

/* ---- Blocks and pieces ---- */

/* What [a, a + alen) and [b, b + blen) have in common, and where it begins. */
static size_t common(size_t a, size_t alen, size_t b, size_t blen, size_t *at)
{
	size_t end = least(a + alen, b + blen);

	*at = a > b ? a : b;
	return *at < end ? end - *at : 0;
}

/* Of this rank's block what each lane has; and of this rank's piece what is of each rank's block. */
static void meet(const job *j, size_t chunk)
{
	const struct ipcshare__mpi_nodes *on = j->on;
	size_t at = 0, mine = 0, from, len, both;
	size_t own = ipcshare__mpi_row_piece(j, on->mine, chunk, on->local, &from);

	for (int l = 0; l < on->nlocal; l++) {
		len = ipcshare__mpi_block_len(j->rows, on->members[on->first[on->mine] + l]);
		mine = l == on->local ? at : mine;
		on->piece_counts[l] = on->local < j->lanes ? common(at, len, from, own, &both) : 0;
		on->piece_displs[l] = on->piece_counts[l] ? both - from : 0;
		at += len;
	}
	len = ipcshare__mpi_block_len(j->rows, on->rank);
	for (int l = 0; l < on->nlocal; l++) {
		own = ipcshare__mpi_row_piece(j, on->mine, chunk, l, &from);
		on->counts[l] = l < j->lanes ? common(mine, len, from, own, &both) : 0;
		on->displs[l] = on->counts[l] ? both - mine : 0;
	}
}

int ipcshare__mpi_lanes_to_blocks(job *j, size_t chunk, const char *piece, char *block)
{
	if (!j->status)
		meet(j, chunk);
	return ipcshare_alltoallv(j->group, piece, j->on->piece_counts, j->on->piece_displs, block,
				  j->on->counts, j->on->displs, j->type);
}

/* ---- The call ---- */

/* The longest row says how many chunks there are; job->count is what all blocks have. */
static void cut(job *j, size_t pieces)
{
	size_t longest = 0, total = 0, lane;

	for (int r = 0; r < j->on->size && !j->status; r++)
		total += ipcshare__mpi_block_len(j->rows, r);
	for (int node = 0; node < j->on->count && total; node++) {
		size_t len = row_len(j, node);

		longest = len > longest ? len : longest;
	}
	j->count = longest;
	ipcshare__mpi_job_cut(j, ipcshare__mpi_job_lanes(j, total * j->size), j->on->slot / pieces);
	lane = longest / (size_t)j->lanes + 1;
	if (lane < j->piece) /* so that @passing is no longer than it has to be */
		j->piece = lane;
	j->count = total;
}

int ipcshare__mpi_rows_run(struct ipcshare__mpi_call *c, job *j, size_t pieces)
{
	struct ipcshare__mpi_word word;
	int err;

	cut(j, pieces);
	if (j->count) {
		j->passing = malloc((size_t)j->lanes * (size_t)j->on->count * j->piece * j->size);
		if (!j->passing)
			ipcshare__mpi_fault(c, ipcshare__fail_errno(ENOMEM, "collective",
								    "pieces of %d nodes",
								    j->on->count));
	}
	j->type = c->type;
	j->status = c->fault.status;
	err = ipcshare__mpi_job_run(j, j->count == 0, NULL, &word);
	free(j->passing);
	return err;
}
