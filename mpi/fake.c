/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

#define MOST 1000000 /* nodes, or ranks of a node */

/* 1 .. MOST at *@text, which is moved behind it; 0: there is no such number. */
static int number(const char **text)
{
	char *end;
	long n;

	if (**text < '1' || **text > '9')
		return 0;
	errno = 0;
	n = strtol(*text, &end, 10);
	*text = end;
	return errno || n > MOST ? 0 : (int)n;
}

/* "3", or "2x4": so many nodes, of so many ranks. 0 if it is something else. */
static int term(const char **text, int *nodes, int *ranks)
{
	*nodes = 1;
	*ranks = number(text);
	if (*ranks && **text == 'x') {
		++*text;
		*nodes = *ranks;
		*ranks = number(text);
	}
	return *ranks;
}

int ipcshare__mpi_fake_node(const char *nodes, int rank, int *node)
{
	const char *at = nodes;
	int count, ranks, found = -1;
	long past_nodes = 0, past_ranks = 0;

	while (*at) {
		if (!term(&at, &count, &ranks) || (*at && (*at != '+' || !at[1])))
			return ipcshare__fail(IPCSHARE_ERR_CONFIG, "settings",
					      "accepted: 2x4 for two nodes of four ranks, or 3+1",
					      "IPCSHARE_FAKE_NODES has the value \"%s\"", nodes);
		if (found < 0 && rank < past_ranks + (long)count * ranks)
			found = (int)(past_nodes + (rank - past_ranks) / ranks);
		past_nodes += count;
		past_ranks += (long)count * ranks;
		at += *at == '+';
	}
	*node = found < 0 ? (int)past_nodes : found;
	return 0;
}
