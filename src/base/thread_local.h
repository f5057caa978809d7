/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A variable of each thread that is read on a hot path. It has a place in what every thread has from its
 * start, also when the library is part of a plugin, for which the C library keeps some room: so it takes
 * no call to find it. For few bytes only.
 */
#ifndef IPCSHARE_BASE_THREAD_LOCAL_H
#define IPCSHARE_BASE_THREAD_LOCAL_H

#define IPCSHARE__THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

#endif
