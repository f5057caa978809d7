/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/backend.h"

#include <string.h>

const struct ipcshare__backend_ops *const ipcshare__backends[] = {
	&ipcshare__host_ops,
	&ipcshare__ascend_ops,
	NULL,
};

const struct ipcshare__backend_ops *ipcshare__backend_find(const char *name)
{
	for (int i = 0; ipcshare__backends[i]; i++)
		if (!strcmp(ipcshare__backends[i]->name, name))
			return ipcshare__backends[i];
	return NULL;
}
