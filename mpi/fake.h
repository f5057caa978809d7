/* SPDX-License-Identifier: BSD-3-Clause */
/* One machine as several nodes, as IPCSHARE_FAKE_NODES says: for tests. */
#ifndef IPCSHARE_MPI_FAKE_H
#define IPCSHARE_MPI_FAKE_H

/*
 * @nodes: how many ranks each node has, as "3+1", or "2x4" for two nodes of four; "2x2+1" is allowed too.
 * *@node: that of world rank @rank, from 0; who is left over has one node more; "" is one node. 0, or
 * IPCSHARE_ERR_CONFIG.
 */
int ipcshare__mpi_fake_node(const char *nodes, int rank, int *node);

#endif
