/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: what other ranks say over the bootstrap while a group is created: hellos, headers and details.
 * Must hold: a named status and no group, or a group, which there can only be of one rank; no leak, and
 * nothing is left in the context.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "member.h"

struct talk {
	const struct fuzz_edits *edits;
	int nranks, rank, mend;
	unsigned round;
};

static void mend(void *bytes, size_t len)
{
	struct ipcshare__wire_hello *hello = bytes;
	struct ipcshare__wire_header *header = bytes;

	if (len == sizeof(*hello)) {
		hello->identity.check = ipcshare__checksum32(&hello->identity,
							     offsetof(struct ipcshare__identity, check));
		hello->check = ipcshare__checksum32(hello, offsetof(struct ipcshare__wire_hello, check));
	} else if (len == sizeof(*header)) {
		header->check = ipcshare__checksum32(header, offsetof(struct ipcshare__wire_header, check));
	}
}

/* The others say what we say, but for their rank and what is altered. */
static int allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	struct talk *t = arg;

	(void)wait;
	for (int r = 0; r < t->nranks; r++) {
		char *at = (char *)all + (size_t)r * len;

		memcpy(at, mine, len);
		if (r == t->rank)
			continue;
		if (len == sizeof(struct ipcshare__wire_hello)) {
			((struct ipcshare__wire_hello *)(void *)at)->rank = (uint32_t)r;
			mend(at, len);
		}
		fuzz_alter(t->edits, t->round, (unsigned)r, at, len);
		if (t->mend)
			mend(at, len);
	}
	t->round++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	unsigned how = (unsigned)fuzz_take(&in, 1);
	struct ipcshare_group *const untouched = (struct ipcshare_group *)16, *g = untouched;
	struct fuzz_edits edits;
	struct talk t = { .edits = &edits, .nranks = 1 + (how & 3), .mend = how >> 2 & 1 };
	struct ipcshare_bootstrap b = {
		.size = sizeof(b), .arg = &t, .nranks = t.nranks, .allgather = allgather,
	};
	int err;

	b.rank = t.rank = (int)(how >> 4) % t.nranks;
	fuzz_edits(&in, &edits);
	err = fuzz_status(ipcshare_group_create(fuzz_member_ctx(), &b, &g), 1);
	FUZZ_REQUIRE(!err == (g != untouched));
	if (!err)
		FUZZ_REQUIRE(t.nranks == 1 && !ipcshare_group_free(g));
	return 0;
}
