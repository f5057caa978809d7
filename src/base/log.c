/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int level = IPCSHARE__LOG_NONE;

void ipcshare__log_set_level(int new_level)
{
	atomic_store_explicit(&level, new_level, memory_order_relaxed);
}

void ipcshare__log(int at, const char *format, ...)
{
	static const char *const name[] = { "", "error", "warning", "info" };
	char line[768];
	va_list args;
	int used;

	if (at > atomic_load_explicit(&level, memory_order_relaxed))
		return;
	used = snprintf(line, sizeof(line), "ipcshare[%d] %s: ", (int)getpid(), name[at]);
	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	strcat(line, "\n");
	fputs(line, stderr); /* one call a line, so that the lines of ranks don't mix */
}
