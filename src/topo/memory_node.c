/* SPDX-License-Identifier: BSD-3-Clause */
#include "topo/memory_node.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOKS 64 /* pages that are looked at, from the first to the last */

/* Without new nodes for the pages, move_pages() only says where they are. */
static int look(void **pages, int *nodes, size_t n)
{
	return (int)syscall(SYS_move_pages, 0, n, pages, NULL, nodes, 0);
}

static int most_common(const int *nodes, size_t n)
{
	size_t most = 0;
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		size_t same = 0;

		for (size_t j = 0; nodes[i] >= 0 && j < n; j++)
			same += nodes[j] == nodes[i];
		if (same > most) {
			most = same;
			best = nodes[i];
		}
	}
	return best;
}

int ipcshare__memory_node(const void *ptr, size_t len)
{
	const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)ptr;
	const uintptr_t first = at & ~(size - 1);
	const size_t npages = (at - first + len + size - 1) / size,
		     n = npages < LOOKS ? npages : LOOKS;
	void *pages[LOOKS];
	int nodes[LOOKS];

	for (size_t i = 0; i < n; i++)
		pages[i] = (void *)(first + npages / n * i * size);
	return n && !look(pages, nodes, n) ? most_common(nodes, n) : -1;
}
