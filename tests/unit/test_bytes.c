/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "base/bytes.h"
#include "support/test.h"

static void every_altered_bit_changes_the_checksum(void)
{
	unsigned char bytes[45];
	uint64_t sum;
	uint32_t sum32;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 37);
	for (size_t len = 1; len <= sizeof(bytes); len++) {
		sum = ipcshare__checksum(0, bytes, len);
		sum32 = ipcshare__checksum32(bytes, len);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
			CHECK(ipcshare__checksum(0, bytes, len) != sum, "bit %zu of %zu bytes", bit,
			      len);
			CHECK(ipcshare__checksum32(bytes, len) != sum32, "bit %zu of %zu bytes",
			      bit, len);
			bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

static void a_checksum_knows_length_order_and_what_came_before(void)
{
	unsigned char zeroes[64] = { 0 }, bytes[16];
	unsigned char swapped[16];

	for (size_t len = 0; len < 64; len++)
		CHECK(ipcshare__checksum(0, zeroes, len) != ipcshare__checksum(0, zeroes, len + 1),
		      "%zu zeroes", len);
	for (int i = 0; i < 16; i++)
		bytes[i] = (unsigned char)i;
	memcpy(swapped, bytes + 8, 8);
	memcpy(swapped + 8, bytes, 8);
	CHECK(ipcshare__checksum(0, bytes, 16) != ipcshare__checksum(0, swapped, 16),
	      "two words changed places");
	CHECK(ipcshare__checksum(1, bytes, 16) != ipcshare__checksum(2, bytes, 16), "other start");
}

static void a_checksum_needs_no_alignment(void)
{
	unsigned char bytes[64];

	for (size_t i = 0; i < 32; i++)
		bytes[i] = (unsigned char)(i + 1);
	for (size_t shift = 1; shift < 9; shift++) {
		unsigned char moved[64];

		memcpy(moved + shift, bytes, 32);
		CHECK_INT(ipcshare__checksum(0, moved + shift, 32),
			  ipcshare__checksum(0, bytes, 32));
	}
}

static void rounding_up_ends_on_a_multiple(void)
{
	CHECK_INT(ipcshare__round_up(0, 64), 0);
	CHECK_INT(ipcshare__round_up(1, 64), 64);
	CHECK_INT(ipcshare__round_up(64, 64), 64);
	CHECK_INT(ipcshare__round_up(65, 64), 128);
	CHECK_INT(ipcshare__round_up(4097, 4096), 8192);
}

static void hexadecimal_goes_there_and_back(void)
{
	unsigned char bytes[256], back[256];
	char text[513];

	for (int i = 0; i < 256; i++)
		bytes[i] = (unsigned char)i;
	ipcshare__hex(bytes, sizeof(bytes), text);
	CHECK_INT(strlen(text), 512);
	CHECK(!strncmp(text, "000102030405060708090a0b", 24), "%.24s", text);
	CHECK_INT(ipcshare__unhex(text, back, sizeof(back)), 0);
	CHECK_MEM(back, bytes, sizeof(bytes));
	CHECK_INT(ipcshare__unhex("FFaB", back, 2), 0);
	CHECK_INT(back[0], 0xff);
	CHECK_INT(back[1], 0xab);
}

static void what_is_no_hexadecimal_is_refused(void)
{
	static const char *const bad[] = { "", "0", "000", "00000", "00 0", "0g00", "000G", "-100",
					   "0x12", "00\n0", "\xff\xff\xff\xff" };
	unsigned char back[2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *exact = strdup(bad[i]); /* so that ASan sees a byte too far */

		CHECK(ipcshare__unhex(exact, back, 2) == -1, "\"%s\" was taken", bad[i]);
		free(exact);
	}
}

TEST_SUITE(bytes, NULL, NULL,
	TEST(every_altered_bit_changes_the_checksum),
	TEST(a_checksum_knows_length_order_and_what_came_before),
	TEST(a_checksum_needs_no_alignment),
	TEST(rounding_up_ends_on_a_multiple),
	TEST(hexadecimal_goes_there_and_back),
	TEST(what_is_no_hexadecimal_is_refused));
