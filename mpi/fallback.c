/* SPDX-License-Identifier: BSD-3-Clause */
#include "fallback.h"

#include "base/counters.h"
#include "base/error.h"
#include "base/log.h"

static struct {
	_Atomic uint64_t calls, packed, across, crossed, fallbacks[IPCSHARE_MPI_REASONS];
} counted;

void ipcshare__mpi_fall_back(enum ipcshare_mpi_reason why)
{
	if (!atomic_fetch_add_explicit(&counted.fallbacks[why], 1, memory_order_relaxed))
		ipcshare__log(IPCSHARE__LOG_INFO, "mpi: a collective is left to MPI: %s",
			      ipcshare_mpi_reason_text((int)why));
}

void ipcshare__mpi_count_call(bool across)
{
	ipcshare__count(&counted.calls, 1);
	if (across)
		ipcshare__count(&counted.across, 1);
}

void ipcshare__mpi_count_crossed(size_t bytes)
{
	ipcshare__count(&counted.crossed, bytes);
}

void ipcshare__mpi_count_packed(void)
{
	ipcshare__count(&counted.packed, 1);
}

int ipcshare_mpi_counters(struct ipcshare_mpi_counters *out)
{
	if (!out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "counters",
				      "set out->size to sizeof(struct ipcshare_mpi_counters)",
				      "out is NULL or its size wrong");
	out->calls = atomic_load_explicit(&counted.calls, memory_order_relaxed);
	out->packed = atomic_load_explicit(&counted.packed, memory_order_relaxed);
	out->across = atomic_load_explicit(&counted.across, memory_order_relaxed);
	out->crossed = atomic_load_explicit(&counted.crossed, memory_order_relaxed);
	for (int i = 0; i < IPCSHARE_MPI_REASONS; i++)
		out->fallbacks[i] = atomic_load_explicit(&counted.fallbacks[i],
							 memory_order_relaxed);
	return 0;
}

const char *ipcshare_mpi_reason_text(int reason)
{
	static const char *const text[] = {
#define TEXT(name, text) [IPCSHARE_MPI_##name] = text,
		IPCSHARE_MPI_REASON_LIST(TEXT)
#undef TEXT
	};

	return reason > IPCSHARE_MPI_NOTHING && reason < IPCSHARE_MPI_REASONS ? text[reason]
									      : "unknown reason";
}
