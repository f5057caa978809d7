/* SPDX-License-Identifier: BSD-3-Clause */
/* Many pieces, as the runtime can take them: what is between devices merged, the rest apart. */
#ifndef IPCSHARE_BACKEND_ASCEND_WORK_H
#define IPCSHARE_BACKEND_ASCEND_WORK_H

#include "backend/ascend/ascend.h"
#include "backend/pieces.h"

/* Moves between devices, and pieces with memory of the host at one end. */
struct ascend_work {
	struct ipcshare__moves moves;
	struct ipcshare__piece *rest; /* to be freed; moves' pieces stand before them */
	size_t nrest;
};

/* Entered. IPCSHARE_ERR_RANGE with the index of a piece that leaves its memory. */
int ipcshare__work_make(struct ascend *a, const struct ipcshare__piece *pieces, size_t n,
			struct ascend_work *out);
void ipcshare__work_free(struct ascend_work *w);

#endif
