/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <stdlib.h>
#include <string.h>

struct model model_assumed(void)
{
	return (struct model){ .cost = {
		[IPCSHARE_CALL_ALLOC] = 50e-6,
		[IPCSHARE_CALL_FREE] = 50e-6,
		[IPCSHARE_CALL_EXPORT] = 20e-6,
		[IPCSHARE_CALL_ALLOW] = 10e-6,
		[IPCSHARE_CALL_IMPORT] = 50e-6,
		[IPCSHARE_CALL_CLOSE_IMPORT] = 20e-6,
		[IPCSHARE_CALL_CLOSE_EXPORT] = 20e-6,
	} };
}

/* "close-import" is the call "close import". */
static int same_call(const char *text, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++)
		if (!name[i] || (name[i] == ' ' ? '-' : name[i]) != text[i])
			return 0;
	return !name[len];
}

static double unit(const char *text)
{
	return !strcmp(text, "ns") ? 1e-9 : !strcmp(text, "us") ? 1e-6 : !strcmp(text, "ms") ? 1e-3 : 0;
}

int model_set(struct model *m, const char *text)
{
	const size_t len = strcspn(text, "=");
	int call = 0;
	double number;
	char *end;

	while (call < IPCSHARE_CALLS && !same_call(text, len, ipcshare_call_name(call)))
		call++;
	if (call == IPCSHARE_CALLS || text[len] != '=' || text[len + 1] < '0' || text[len + 1] > '9')
		return -1;
	number = strtod(text + len + 1, &end);
	if (unit(end) == 0 || !(number < 1e9))
		return -1;
	m->cost[call] = number * unit(end);
	return 0;
}

double model_time(const struct model *m, const double calls[IPCSHARE_CALLS])
{
	double sum = 0;

	for (int k = 0; k < IPCSHARE_CALLS; k++)
		sum += calls[k] * m->cost[k];
	return sum;
}
