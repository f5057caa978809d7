/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/point.h"

void ipcshare__point(const char *name)
{
	(void)name;
}
