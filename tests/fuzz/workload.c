/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: the text of a workload file, as it is.
 * Must hold: -1 with one printable line and the workload untouched, or a workload whose numbers agree with
 * each other and stay in the limits of workload.h.
 */
#include "../../bench/workload.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void check_error(const struct workload_error *e)
{
	size_t len = strnlen(e->text, sizeof(e->text));

	FUZZ_REQUIRE(len && len < sizeof(e->text));
	for (size_t i = 0; i < len; i++)
		FUZZ_REQUIRE(isprint((unsigned char)e->text[i]));
}

static void check_workload(const struct workload *w)
{
	uint64_t bytes = 0;
	size_t n = 0;
	char label[256];

	for (size_t i = 0; i < w->nlines; i++) {
		FUZZ_REQUIRE(w->lines[i].count && w->lines[i].bytes && w->lines[i].name[0]);
		n += w->lines[i].count;
		bytes += (uint64_t)w->lines[i].count * w->lines[i].bytes;
	}
	FUZZ_REQUIRE(n == w->nbuffers && n <= WORKLOAD_BUFFERS && n > 0);
	FUZZ_REQUIRE(bytes == w->bytes && bytes <= PTRDIFF_MAX);
	for (size_t i = 0; i < n; i++) {
		FUZZ_REQUIRE(w->buffers[i].line < w->nlines);
		FUZZ_REQUIRE(w->buffers[i].nth < w->lines[w->buffers[i].line].count);
	}
	FUZZ_REQUIRE(workload_label(w, n - 1, label, sizeof(label)) == label && label[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct workload w, before;
	struct workload_error error;

	memset(&w, 0x5a, sizeof(w));
	before = w;
	memset(&error, 0, sizeof(error));
	if (workload_parse((const char *)bytes, len, "fuzz/some.txt", &w, &error)) {
		FUZZ_REQUIRE(!memcmp(&w, &before, sizeof(w)));
		check_error(&error);
	} else {
		check_workload(&w);
		workload_free(&w);
	}
	return 0;
}
