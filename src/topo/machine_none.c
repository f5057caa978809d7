/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of machine_hwloc.c where there is no hwloc: the Makefile chooses. */
#include <ipcshare.h>

#include "base/error.h"
#include "topo/machine.h"

int ipcshare__machine_load(bool devices, struct ipcshare__machine **out)
{
	(void)devices;
	(void)out;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "topology",
			      "build the library where hwloc's headers are (make deps)",
			      "this libipcshare was built without hwloc");
}
