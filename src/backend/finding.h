/* SPDX-License-Identifier: BSD-3-Clause */
/* What ipcshare-info --doctor says of one thing that a backend needs. */
#ifndef IPCSHARE_BACKEND_FINDING_H
#define IPCSHARE_BACKEND_FINDING_H

enum ipcshare__verdict {
	IPCSHARE__VERDICT_UNKNOWN, /* it could not be tried, or the answer says nothing */
	IPCSHARE__VERDICT_OK,
	IPCSHARE__VERDICT_LIMITED, /* missing, but something else does its job, or few need it */
	IPCSHARE__VERDICT_FAILED, /* the backend can't be used */
};

struct ipcshare__finding {
	const char *name;
	enum ipcshare__verdict verdict;
	int skipped; /* not tried, as something before it failed; @detail says what */
	char detail[256]; /* what was found, or what its lack means */
	char remedy[224]; /* "" for what is well, or for what nobody can change */
};

/* All but the name. */
void ipcshare__finding_set(struct ipcshare__finding *f, enum ipcshare__verdict verdict,
			   const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Go on with @text, as far as there is room in its @len bytes. */
void ipcshare__finding_append(char *text, unsigned len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
