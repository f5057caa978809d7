/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorded.h"

#include <stdlib.h>

#include "support/test.h"

struct ipcshare__machine *recorded_machine(const char *what)
{
	int is_file = strstr(what, ".xml") != NULL, err;
	const char *variable = is_file ? "HWLOC_XMLFILE" : "HWLOC_SYNTHETIC";
	struct ipcshare__machine *m = NULL;
	char path[256] = "tests/topo/";

	strcat(path, what);
	setenv(variable, is_file ? path : what, 1);
	err = ipcshare__machine_load(true, &m);
	unsetenv(variable);
	if (err == IPCSHARE_ERR_UNSUPPORTED) {
		test_skip("machine %s: built without hwloc", what);
		return NULL;
	}
	REQUIRE_OK(err);
	return m;
}
