/* SPDX-License-Identifier: BSD-3-Clause */
#define IPCSHARE__ERROR_C /* the functions themselves */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static _Thread_local struct ipcshare_error last = { .rank = -1, .index = -1, .stage = "" };

static void explain(char *line, size_t len)
{
	char place[80] = "";
	size_t used = 0;

	if (last.rank >= 0)
		used += (size_t)snprintf(place, sizeof(place), "rank %d, ", last.rank);
	if (last.index >= 0)
		used += (size_t)snprintf(place + used, sizeof(place) - used, "buffer %lld, ",
					 (long long)last.index);
	if (used)
		memcpy(place + used - 2, ": ", 3);
	snprintf(line, len, "%s: %s%s%s%s%s", last.stage, place, last.text,
		 last.hint[0] ? " (" : "", last.hint, last.hint[0] ? ")" : "");
}

static void log_last(void)
{
	char line[640]; /* its own: the user may still read that of ipcshare_explain() */

	explain(line, sizeof(line));
	ipcshare__log(IPCSHARE__LOG_ERROR, "%s", line);
}

static void remember(int status, const char *stage, int64_t code, const char *hint,
		     const char *format, va_list args)
{
	last.status = status;
	last.rank = -1;
	last.index = -1;
	last.code = code;
	last.stage = stage;
	vsnprintf(last.text, sizeof(last.text), format, args);
	snprintf(last.hint, sizeof(last.hint), "%s", hint);
}

int ipcshare__fail(int status, const char *stage, const char *hint, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	remember(status, stage, 0, hint, format, args);
	va_end(args);
	log_last();
	return status;
}

struct errno_meaning {
	int err;
	int status;
	const char *hint;
};

static const struct errno_meaning meanings[] = {
	{ ENOMEM, IPCSHARE_ERR_NO_MEMORY,
	  "free memory, or raise the limit on address space (ulimit -v) or of the memory cgroup" },
	{ ENOSPC, IPCSHARE_ERR_NO_MEMORY, "free memory, or raise the limit of the memory cgroup" },
	{ ENOBUFS, IPCSHARE_ERR_NO_MEMORY, "free memory: the kernel has none left for sockets" },
	{ EMFILE, IPCSHARE_ERR_LIMIT,
	  "raise the limit on open files (ulimit -n), or cut buffers from fewer allocations" },
	{ ENFILE, IPCSHARE_ERR_LIMIT, "the machine has too many open files (fs.file-max)" },
	{ ETOOMANYREFS, IPCSHARE_ERR_LIMIT,
	  "too many descriptors are in flight; raise the limit on open files (ulimit -n)" },
	{ EAGAIN, IPCSHARE_ERR_LIMIT,
	  "raise the limit on processes and threads (ulimit -u), or on address space for their stacks "
	  "(ulimit -v)" },
	{ EPERM, IPCSHARE_ERR_SYSTEM,
	  "a seccomp filter or another sandbox may forbid this call; see ipcshare-info" },
	{ EACCES, IPCSHARE_ERR_SYSTEM,
	  "a seccomp filter or another sandbox may forbid this call; see ipcshare-info" },
	{ ENOSYS, IPCSHARE_ERR_UNSUPPORTED,
	  "the kernel or a seccomp filter lacks this call; see ipcshare-info" },
};

int ipcshare__fail_errno(int err, const char *stage, const char *format, ...)
{
	struct errno_meaning m = { err, IPCSHARE_ERR_SYSTEM, "" };
	va_list args;
	size_t used;

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].err == err)
			m = meanings[i];
	va_start(args, format);
	remember(m.status, stage, err, m.hint, format, args);
	va_end(args);
	used = strlen(last.text);
	snprintf(last.text + used, sizeof(last.text) - used, ": %s", strerrordesc_np(err) ?: "?");
	log_last();
	return m.status;
}

void ipcshare__fail_code(int64_t code)
{
	last.code = code;
}

int ipcshare__fail_as(int status)
{
	last.status = status;
	return status;
}

void ipcshare__fail_at(int rank, int64_t index)
{
	if (rank >= 0)
		last.rank = rank;
	if (index >= 0)
		last.index = index;
}

void ipcshare__error_restore(const struct ipcshare_error *error)
{
	last = *error;
}

const struct ipcshare_error *ipcshare_last_error(void)
{
	return &last;
}

const char *ipcshare_explain(void)
{
	static _Thread_local char line[640];

	if (!last.status)
		return "no failure";
	explain(line, sizeof(line));
	return line;
}

const char *ipcshare_strerror(int status)
{
	switch (status) {
#define TEXT(name, number, text)                                                                   \
	case number:                                                                               \
		return text;
		IPCSHARE_STATUS_LIST(TEXT)
#undef TEXT
	}
	return "unknown status";
}

const char *ipcshare_status_name(int status)
{
	switch (status) {
#define NAME(name, number, text)                                                                   \
	case number:                                                                               \
		return "IPCSHARE_" #name;
		IPCSHARE_STATUS_LIST(NAME)
#undef NAME
	}
	return "unknown status";
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *ipcshare_version(void)
{
	return STRING(IPCSHARE_VERSION_MAJOR) "." STRING(IPCSHARE_VERSION_MINOR) "." STRING(
		IPCSHARE_VERSION_PATCH);
}
