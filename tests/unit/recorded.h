/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines that this one is not: hwloc's synthetic ones, and files of tests/topo. */
#ifndef TEST_RECORDED_H
#define TEST_RECORDED_H

#include "topo/machine.h"

/* "package:2 core:4 ..." of hwloc, or a file of tests/topo. NULL without hwloc, which is said. */
struct ipcshare__machine *recorded_machine(const char *what);

#endif
