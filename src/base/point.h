/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * point.h - named points of the protocols, at which the tests of tests/fault kill or stop a process
 *
 * They are nothing in the library itself. The tests link objects of their own that were compiled with
 * IPCSHARE__POINTS, and define the function. There the linker collects all names into one array, so that
 * no point can be forgotten.
 */
#ifndef IPCSHARE_BASE_POINT_H
#define IPCSHARE_BASE_POINT_H

#ifdef IPCSHARE__POINTS
void ipcshare__point(const char *name);
#define IPCSHARE__POINT(name)                                                                      \
	do {                                                                                       \
		static const char *const ipcshare__here                                            \
			__attribute__((section("ipcshare_points"), used)) = name;                  \
		ipcshare__point(ipcshare__here);                                                   \
	} while (0)
#else
#define IPCSHARE__POINT(name) ((void)0)
#endif

#endif
