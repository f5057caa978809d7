/* SPDX-License-Identifier: BSD-3-Clause */
/* Where pages are. */
#ifndef IPCSHARE_TOPO_MEMORY_NODE_H
#define IPCSHARE_TOPO_MEMORY_NODE_H

#include <stddef.h>

/* The NUMA node that most of these pages are on, of some that are looked at; -1 this process has touched none. */
int ipcshare__memory_node(const void *ptr, size_t len);

#endif
