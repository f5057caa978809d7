/* SPDX-License-Identifier: BSD-3-Clause */
/* Arrays are filled as a plain loop would, whatever their length and place. */
#include "base/fill.h"
#include "support/test.h"

#define MOST 70

static void every_word_is_as_a_loop_would_have_it(void)
{
	uint64_t long_words[MOST + 2];
	uint32_t words[MOST + 2];

	for (size_t n = 0; n <= MOST; n++) {
		memset(long_words, 0x5a, sizeof(long_words));
		memset(words, 0x5a, sizeof(words));
		ipcshare__fill64(long_words + 1, 1000, (uint64_t)-3, n); /* at 8 bytes, not at 64 */
		ipcshare__fill32(words + 1, 0xabcdef01u + (uint32_t)n, n);
		for (size_t i = 0; i < n; i++) {
			CHECK_INT(long_words[1 + i], 1000 - 3 * (int64_t)i);
			CHECK_INT(words[1 + i], 0xabcdef01u + (uint32_t)n);
		}
		CHECK_BYTES(&long_words[0], 0x5a, 8);
		CHECK_BYTES(&long_words[1 + n], 0x5a, 8);
		CHECK_BYTES(&words[0], 0x5a, 4);
		CHECK_BYTES(&words[1 + n], 0x5a, 4);
	}
}

TEST_SUITE(fill, NULL, NULL,
	TEST(every_word_is_as_a_loop_would_have_it));
