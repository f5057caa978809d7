/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ipcshare__finding_set(struct ipcshare__finding *f, enum ipcshare__verdict verdict,
			   const char *remedy, const char *format, ...)
{
	va_list args;

	f->verdict = verdict;
	f->skipped = 0;
	va_start(args, format);
	vsnprintf(f->detail, sizeof(f->detail), format, args);
	va_end(args);
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

void ipcshare__finding_append(char *text, unsigned len, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, len - used, format, args);
	va_end(args);
}
