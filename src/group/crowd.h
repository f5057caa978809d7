/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether ranks get in each other's way: then whoever waits had better give its core away. */
#ifndef IPCSHARE_GROUP_CROWD_H
#define IPCSHARE_GROUP_CROWD_H

#include <stdbool.h>

#include "base/wire.h"

/* Bits of a rank's cores, as its control page has them. */
#define IPCSHARE__CORE_WORDS (sizeof(((struct ipcshare__control *)0)->cores) / 8)
#define IPCSHARE__CORES_MOST ((int)(64 * IPCSHARE__CORE_WORDS))

/*
 * Can't each of @nranks ranks have a core to itself? cores[r] are those that rank r may use. To count all
 * cores is not enough: two ranks that are bound to one are a crowd, however many others have.
 */
bool ipcshare__is_crowd(const uint64_t *const *cores, int nranks);

#endif
