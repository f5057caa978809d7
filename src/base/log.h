/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines on standard error, only for those who asked with IPCSHARE_LOG. */
#ifndef IPCSHARE_BASE_LOG_H
#define IPCSHARE_BASE_LOG_H

enum ipcshare__log_level {
	IPCSHARE__LOG_NONE,
	IPCSHARE__LOG_ERROR,
	IPCSHARE__LOG_WARN,
	IPCSHARE__LOG_INFO,
};

/* The level is the process's: the last context opened sets it. */
void ipcshare__log_set_level(int level);
void ipcshare__log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
