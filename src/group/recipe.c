/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/recipe.h"

#include <string.h>

void ipcshare__recipe_begin(struct ipcshare__recipe *r, const struct ipcshare__wire_blob *prefix,
			    const unsigned char *descriptors)
{
	r->endpoint = prefix->endpoint;
	r->nbufs = prefix->nbufs;
	r->access = prefix->access;
	r->ndescriptors = prefix->ndescriptors;
	r->nregions = 0;
	memcpy(r->descriptors, descriptors, r->ndescriptors * sizeof(*r->descriptors));
	__asm__ volatile("" : "+m"(r->descriptors)); /* from here on it is the copy that counts */
}

uint64_t ipcshare__recipe_tag(const struct ipcshare__recipe *r)
{
	uint64_t tag = r->endpoint;

	for (uint32_t i = 0; i < r->ndescriptors; i++) {
		tag = (tag ^ r->descriptors[i].what) * 0x9e3779b97f4a7c15u;
		tag = (tag ^ r->descriptors[i].where ^ tag >> 32) * 0xd6e8feb86659fd93u;
	}
	return tag | 1;
}

bool ipcshare__recipe_same(const struct ipcshare__recipe *made,
			   const struct ipcshare__recipe *asked)
{
	return made->nregions && made->endpoint == asked->endpoint && made->nbufs == asked->nbufs &&
	       made->access == asked->access && made->ndescriptors == asked->ndescriptors &&
	       !memcmp(made->descriptors, asked->descriptors,
		       made->ndescriptors * sizeof(*made->descriptors));
}
