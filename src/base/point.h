/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * point.h - named points of the protocols, at which the tests of tests/fault kill or stop a process
 *
 * They are nothing in the library itself. The tests link objects of their own that were compiled with
 * IPCSHARE__POINTS, and define the function.
 */
#ifndef IPCSHARE_BASE_POINT_H
#define IPCSHARE_BASE_POINT_H

#ifdef IPCSHARE__POINTS
void ipcshare__point(const char *name);
#define IPCSHARE__POINT(name) ipcshare__point(name)
#else
#define IPCSHARE__POINT(name) ((void)0)
#endif

#endif
