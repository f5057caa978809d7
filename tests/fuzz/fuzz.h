/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets are written with. Each target is a file NAME.c with LLVMFuzzerTestOneInput(), and
 * a program of its own: with libFuzzer, which makes up inputs (make fuzz, fuzz-quick), or with main.c,
 * which replays the files of corpus/NAME (make test). What is wrong ends the program, as a crash does.
 *
 * Bytes out of nowhere would never get past the first magic number. So most targets begin with bytes that
 * are right, and an input says which of them to alter: a list of edits.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <ipcshare.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What must hold for every input. */
#define FUZZ_REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *what, const char *file, int line);

/* 0, or a status that there is, with its detail as the last error if @detail. Gives it back. */
int fuzz_status(int status, int detail);

/* The lowest one that is free: the same after an input as before it, if none was left open. */
int fuzz_lowest_descriptor(void);

/* A message, with @nfds copies of @sock, at most FUZZ_FDS; it must be taken as a whole, and at once. */
#define FUZZ_FDS 253
void fuzz_send(int sock, const void *bytes, size_t len, size_t nfds);

/* ---- The input, from its beginning; zeroes behind its end ---- */

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

uint64_t fuzz_take(struct fuzz_input *in, size_t nbytes);
/* A number below @n > 0. */
static inline size_t fuzz_below(struct fuzz_input *in, size_t n)
{
	return (size_t)fuzz_take(in, 2) % n;
}

/* ---- Edits: 12 bytes each, up to the end of the input ---- */

#define FUZZ_EDITS 32

struct fuzz_edit {
	uint8_t round; /* the target says what it means */
	uint8_t what; /* upper half: as @round; lower: 1, 2, 4 or 8 bytes, added or put */
	uint16_t at;
	uint64_t value;
};

struct fuzz_edits {
	struct fuzz_edit list[FUZZ_EDITS];
	size_t n;
};

void fuzz_edits(struct fuzz_input *in, struct fuzz_edits *out);
/* All edits of @round whose upper half is @area, to @len bytes. */
void fuzz_alter(const struct fuzz_edits *edits, unsigned round, unsigned area, void *bytes, size_t len);

#endif
