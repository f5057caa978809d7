/* SPDX-License-Identifier: BSD-3-Clause */
/* Small helpers on bytes and numbers. */
#ifndef IPCSHARE_BASE_BYTES_H
#define IPCSHARE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Checksum against altered bytes; no defence against an attacker, who can compute it too. Eight
 * bytes a step, so that it stays a small part of an exchange of 10^6 descriptors.
 */
static inline uint64_t ipcshare__checksum(uint64_t sum, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t word;

	sum ^= 0x9e3779b97f4a7c15u + len;
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		sum = (sum ^ word) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 32;
	}
	word = 0;
	memcpy(&word, p, len);
	sum = (sum ^ word) * 0xc4ceb9fe1a85ec53u;
	return sum ^ sum >> 29;
}

static inline uint32_t ipcshare__checksum32(const void *bytes, size_t len)
{
	uint64_t sum = ipcshare__checksum(0, bytes, len);

	return (uint32_t)(sum ^ sum >> 32);
}

/* @align is a power of two; the caller has checked that nothing overflows. */
static inline size_t ipcshare__round_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* "0a1b" <-> bytes. unhex() gives 0, or -1 on anything but 2 * @len hexadecimal digits. */
static inline void ipcshare__hex(const void *bytes, size_t len, char *text)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digit[p[i] >> 4];
		text[2 * i + 1] = digit[p[i] & 15];
	}
	text[2 * len] = '\0';
}

static inline int ipcshare__hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static inline int ipcshare__unhex(const char *text, void *bytes, size_t len)
{
	unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		int hi = ipcshare__hex_value(text[2 * i]);
		int lo = hi < 0 ? -1 : ipcshare__hex_value(text[2 * i + 1]);

		if (lo < 0)
			return -1;
		p[i] = (unsigned char)(hi << 4 | lo);
	}
	return text[2 * len] == '\0' ? 0 : -1;
}

#endif
