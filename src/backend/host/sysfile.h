/* SPDX-License-Identifier: BSD-3-Clause */
/* The small text files in which /proc and /sys say what the kernel does. */
#ifndef IPCSHARE_BACKEND_HOST_SYSFILE_H
#define IPCSHARE_BACKEND_HOST_SYSFILE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The first line, without its end; 0, or -1 if it can't be read. */
static inline int ipcshare__sysfile_line(const char *path, char *text, size_t len)
{
	FILE *f = fopen(path, "re");
	char *got;

	if (!f)
		return -1;
	got = fgets(text, (int)len, f);
	fclose(f);
	if (!got)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* Its first number; 0, or -1 if there is none. */
static inline int ipcshare__sysfile_number(const char *path, uint64_t *number)
{
	char text[64];

	if (ipcshare__sysfile_line(path, text, sizeof(text)))
		return -1;
	return sscanf(text, "%" SCNu64, number) == 1 ? 0 : -1;
}

#endif
