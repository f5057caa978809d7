/* SPDX-License-Identifier: BSD-3-Clause */
#include "word.h"

#include <string.h>

#include "coll/fold.h"

static bool same_call(const struct ipcshare__mpi_word *a, const struct ipcshare__mpi_word *b)
{
	return a->call == b->call && a->type == b->type && a->op == b->op && a->root == b->root &&
	       a->count == b->count;
}

/* Lower nodes come first, wherever MPI has them: so all get the same bits, also of nothing and NaNs. */
static void reduce(struct ipcshare__mpi_word *into, const struct ipcshare__mpi_word *low,
		   const struct ipcshare__mpi_word *high)
{
	const struct ipcshare_op *op = (const struct ipcshare_op *)(uintptr_t)low->op;
	size_t size = ipcshare_type_size(low->type);
	_Alignas(16) char x[IPCSHARE__MPI_FEW], y[IPCSHARE__MPI_FEW];
	struct ipcshare__fold fold;

	if (ipcshare__fold_find(op, low->type, &fold))
		return;
	memcpy(x, low->data, sizeof(x));
	memcpy(y, high->data, sizeof(y));
	ipcshare__fold(&fold, x, x, y, low->has / size);
	memcpy(into->data, x, sizeof(x));
}

/* Whose status is the worst is the one to be named; of several the first. */
static bool is_worse(const struct ipcshare__mpi_word *a, const struct ipcshare__mpi_word *b)
{
	return a->status < b->status || (a->status == b->status && a->rank < b->rank);
}

static void merge(struct ipcshare__mpi_word *acc, const struct ipcshare__mpi_word *in)
{
	bool first = acc->node < in->node;

	if (!acc->status && !in->status && !same_call(acc, in)) {
		acc->status = IPCSHARE_ERR_MISMATCH;
		acc->rank = first ? in->rank : acc->rank;
	} else if (is_worse(in, acc)) {
		acc->status = in->status;
		acc->rank = in->rank;
	}
	acc->over |= in->over;
	if (acc->status)
		return;
	if (acc->has && in->has)
		reduce(acc, first ? acc : in, first ? in : acc);
	else if (in->has)
		memcpy(acc->data, in->data, sizeof(acc->data));
	acc->has |= in->has;
	acc->node = first ? acc->node : in->node;
}

void ipcshare__mpi_word_merge(void *in, void *inout, int *n, MPI_Datatype *type)
{
	(void)type;
	for (int i = 0; i < *n; i++) {
		struct ipcshare__mpi_word acc, x;

		memcpy(&acc, (char *)inout + (size_t)i * sizeof(acc), sizeof(acc));
		memcpy(&x, (char *)in + (size_t)i * sizeof(x), sizeof(x));
		merge(&acc, &x);
		memcpy((char *)inout + (size_t)i * sizeof(acc), &acc, sizeof(acc));
	}
}
