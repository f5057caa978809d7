/* SPDX-License-Identifier: BSD-3-Clause */
#include "word.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int copy(const struct team *team, void *to, const void *from, char *why)
{
	if (team->direct)
		memcpy(to, from, 8);
	else if (ipcshare_copy(team->ctx, to, from, 8))
		return team_explain("copy", why), -1;
	return 0;
}

int word_write(const struct team *team, void *buf, size_t i, unsigned serial, char *why)
{
	const uint64_t word = word_of(team->peer, i, serial);

	return copy(team, buf, &word, why);
}

int word_wrong(const struct team *team, const void *buf, int owner, size_t i, unsigned serial,
	       char *why)
{
	const uint64_t expected = word_of(owner, i, serial);
	uint64_t saw = 0;

	if (buf && copy(team, &saw, buf, why))
		return -1;
	if (saw == expected)
		return 0;
	snprintf(why, TEAM_TEXT, "buffer %zu of rank %d is wrong: %s 0x%016" PRIx64
		 ", expected 0x%016" PRIx64, i, team->names[owner], buf ? "saw" : "no pointer,", saw,
		 expected);
	return -1;
}
