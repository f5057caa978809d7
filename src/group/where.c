/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the ranks of a group run, as its users ask for it. */
#include <string.h>

#include "base/error.h"
#include "group/group.h"

int ipcshare_group_place(const struct ipcshare_group *g, int rank, struct ipcshare_place *out)
{
	struct ipcshare_place place = { .size = sizeof(place) };
	const struct ipcshare__wire_place *p;
	int err = ipcshare__group_check(g, "group");

	if (err)
		return err;
	if (rank < 0 || rank >= g->size || !out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group",
				      "set out->size to sizeof(struct ipcshare_place)",
				      "rank %d is out of range, or out is NULL or its size wrong",
				      rank);
	p = &g->places[rank];
	place.package = p->package;
	place.numa = p->numa;
	place.cache = p->cache;
	place.cores = (int)p->cores;
	place.first_core = p->first;
	place.device_numa = p->device_numa;
	memcpy(place.device_address, p->address, sizeof(place.device_address));
	*out = place;
	return 0;
}

static int no_array(void)
{
	return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "give an array with a place per rank",
			      "the array is NULL");
}

int ipcshare_group_leaders(const struct ipcshare_group *g, enum ipcshare_level level, int *leaders)
{
	int err = ipcshare__group_check(g, "group");

	if (err)
		return err;
	if ((int)level < 0 || level >= IPCSHARE_LEVELS)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group",
				      "give one of enum ipcshare_level", "there is no level %d",
				      (int)level);
	if (!leaders)
		return no_array();
	memcpy(leaders, g->levels.leaders[level], (size_t)g->size * sizeof(*leaders));
	return 0;
}

int ipcshare_group_order(const struct ipcshare_group *g, int *ranks)
{
	int err = ipcshare__group_check(g, "group");

	if (err)
		return err;
	if (!ranks)
		return no_array();
	memcpy(ranks, g->levels.order, (size_t)g->size * sizeof(*ranks));
	return 0;
}

int ipcshare_group_tree(const struct ipcshare_group *g, int root, int *parents)
{
	int err = ipcshare__group_check(g, "group");

	if (err)
		return err;
	if (root < 0 || root >= g->size)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "",
				      "the root %d is none of %d ranks", root, g->size);
	if (!parents)
		return no_array();
	ipcshare__levels_tree(&g->levels, root, parents);
	return 0;
}
