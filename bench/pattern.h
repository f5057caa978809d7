/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pattern.h - what every byte of every buffer must be
 *
 * A buffer is a row of 64-bit words in the byte order of the machine; a tail shorter than a word
 * has the first bytes of its word. The word at offset 8 * j follows from (run, rank, index, j):
 * within a buffer no two words are alike, and no two buffers have the same word at one offset.
 *
 * Marks are words that the peers write over it. With n ranks, the first n words of a buffer (as
 * many as it has) are slots, and each slot has one writer: slot s of buffer i is for rank
 * (s + i) % n. So in a buffer of n words or more each rank has a slot, and in shorter ones the
 * ranks take turns. The owner's own slot keeps the pattern.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* A buffer, as far as its content goes. Ranks in the order of the group, whose size is n. */
struct pattern {
	unsigned run;		/* a serial: what an earlier run left behind does not pass */
	int owner;
	int n;
	const int *names;	/* of each rank: a number that no other rank of the job has */
	size_t index;
	int marked;		/* the peers have been here */
};

struct pattern_diff {
	size_t offset;
	size_t len;		/* of the word: 8, or less in the tail */
	uint64_t saw, expected;	/* equal if it was wrong once, and right when looked at again */
	int writer;		/* whose mark was expected, -1 if the pattern was */
};

/* The finalizer of splitmix64: a bijection, and every input bit changes half of the output. */
static inline uint64_t pattern_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/** pattern_fill - write the pattern, without marks, to all @len bytes */
void pattern_fill(const struct pattern *p, void *buf, size_t len);

/**
 * pattern_check - compare all @len bytes
 * @diff: filled in if there is a difference: the first one
 *
 * Return: 0 all bytes are as they must be, -1 they are not
 */
int pattern_check(const struct pattern *p, const void *buf, size_t len, struct pattern_diff *diff);

/** pattern_probe - compare the first word only; errors as for pattern_check() */
int pattern_probe(const struct pattern *p, const void *buf, size_t len, struct pattern_diff *diff);

/**
 * pattern_mark - the mark that @writer has to write into a buffer of @len bytes
 * @offset: set to where
 * @mark: set to what
 *
 * Return: the number of marks to be written, 0 if it has no slot here
 */
int pattern_mark(const struct pattern *p, int writer, size_t len, size_t *offset, uint64_t *mark);

#endif
