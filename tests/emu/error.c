/* SPDX-License-Identifier: BSD-3-Clause */
/* The message behind a refusal, per thread: aclGetRecentErrMsg() reads it once. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "emu.h"

static _Thread_local char pending[512];

int emu_fail(int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(pending, sizeof(pending), "EE9999: [%d] ", code);
	va_start(ap, fmt);
	vsnprintf(pending + n, sizeof(pending) - n, fmt, ap);
	va_end(ap);
	if (emu_settings()->trace)
		fprintf(stderr, "ascendcl-emu: %s\n", pending);
	return code;
}

/* Only the latest returned pointer is valid. */
const char *aclGetRecentErrMsg(void)
{
	static _Thread_local char shown[sizeof(pending)];

	emu_count(EMU_aclGetRecentErrMsg, 1);
	if (!pending[0])
		return NULL;
	memcpy(shown, pending, sizeof(shown));
	pending[0] = 0;
	return shown;
}
