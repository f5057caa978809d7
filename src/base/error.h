/* SPDX-License-Identifier: BSD-3-Clause */
/* The detail behind a status: kept per thread, read with ipcshare_last_error(). */
#ifndef IPCSHARE_BASE_ERROR_H
#define IPCSHARE_BASE_ERROR_H

#include <ipcshare.h>

/*
 * Remember a failure and return @status. Whoever meets an error first calls it, once; callers pass
 * the status on. @stage must be constant text. @hint is the remedy, or "".
 */
int ipcshare__fail(int status, const char *stage, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for a system call that failed: status, code and hint follow from @err (an errno). */
int ipcshare__fail_errno(int err, const char *stage, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Give this thread's last failure the backend's own number, or another status, which is returned. */
void ipcshare__fail_code(int64_t code);
int ipcshare__fail_as(int status);

/* Add to this thread's last failure where it happened; -1 leaves a part as it is. */
void ipcshare__fail_at(int rank, int64_t index);

/* Take over a failure as a whole, from another rank or saved before a clean-up. */
void ipcshare__error_restore(const struct ipcshare_error *error);

/* What the analyser, which sees one file at a time, can't know: these never return 0. */
#if defined(__clang_analyzer__) && !defined(IPCSHARE__ERROR_C)
#define ipcshare__negative(status) ((status) < 0 ? (status) : -1)
#define ipcshare__fail(status, ...)                                                                \
	(ipcshare__fail(status, __VA_ARGS__), ipcshare__negative(status))
#define ipcshare__fail_errno(err, ...) (ipcshare__fail_errno(err, __VA_ARGS__), -1)
#define ipcshare__fail_as(status) (ipcshare__fail_as(status), ipcshare__negative(status))
#endif

#endif
