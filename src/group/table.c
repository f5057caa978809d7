/* SPDX-License-Identifier: BSD-3-Clause */
/* The pointers of a row, once more in memory of the device, for kernels. */
#include "base/error.h"
#include "group/set.h"

static bool has_device(const struct ipcshare__set *set)
{
	return set->group->ctx->backend != set->group->ctx->host;
}

int ipcshare__table_refresh(struct ipcshare__set *set, int rank)
{
	const struct ipcshare__row *row = &set->rows[rank];
	struct ipcshare__backend *be = set->group->ctx->backend;
	size_t len = row->cells.n * sizeof(*row->cells.ptr);

	return row->device.base && len ? be->ops->copy(be, row->device.base, row->cells.ptr, len)
				       : 0;
}

void ipcshare__table_free(struct ipcshare__set *set, int rank)
{
	struct ipcshare__memory *mem = &set->rows[rank].device;
	struct ipcshare_ctx *ctx = set->group->ctx;
	uint64_t start = ipcshare__now_ns();

	if (!mem->base)
		return;
	ctx->backend->ops->release(ctx->backend, mem);
	ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_FREE, 1, start);
	mem->base = NULL;
}

static int table_alloc(struct ipcshare__set *set, int rank)
{
	struct ipcshare_ctx *ctx = set->group->ctx;
	struct ipcshare__row *row = &set->rows[rank];
	uint64_t start = ipcshare__now_ns();
	int err = ctx->backend->ops->alloc(ctx->backend,
					   (row->cells.n + 1) * sizeof(*row->cells.ptr),
					   &row->device);

	if (err)
		row->device.base = NULL;
	else
		ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_ALLOC, 1, start);
	return err;
}

int ipcshare_table_device(struct ipcshare_set *open, int rank, void *const **out)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	int err = ipcshare__set_check(open, "set");
	struct ipcshare__row *row;
	bool fresh;

	if (err)
		return err;
	if (!out || rank < 0 || rank >= open->nranks)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "",
				      "out is NULL, or there is no rank %d", rank);
	row = &set->rows[rank];
	if (!has_device(set)) {
		*out = row->cells.ptr;
		return 0;
	}
	pthread_mutex_lock(&set->lock);
	fresh = !row->device.base;
	if (fresh)
		err = table_alloc(set, rank);
	/* A lazy row may have more pointers than at the last call. */
	if (!err && (fresh || row->cells.offset))
		err = ipcshare__table_refresh(set, rank);
	if (!err)
		*out = row->device.base;
	else if (fresh)
		ipcshare__table_free(set, rank);
	pthread_mutex_unlock(&set->lock);
	return err;
}
