/* SPDX-License-Identifier: BSD-3-Clause */
#include "pattern.h"

#include <string.h>

#define STEP 0x9e3779b97f4a7c15u	/* odd: seed + j * STEP takes 2^64 steps to repeat */
#define CHUNK ((size_t)512)		/* words compared before the first look at the outcome */
#define WORD sizeof(uint64_t)

/* A bijection of (rank, index) for each run: different buffers start at different seeds. */
static uint64_t seed_of(const struct pattern *p)
{
	return pattern_mix(pattern_mix(p->run) +
			   ((uint64_t)p->names[p->owner] << 40 | p->index));
}

/* Cheap, since memory should be the limit: an add, a shift, an xor; a bijection of s. */
static inline uint64_t word_at(uint64_t s)
{
	return s ^ (s >> 29);
}

static uint64_t mark_of(const struct pattern *p, int writer)
{
	return pattern_mix(seed_of(p) ^ ~pattern_mix((uint64_t)p->names[writer]));
}

static uint64_t load(const unsigned char *at, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, at, len);
	return word;
}

/* The first @len bytes of a word, as load() gives them. */
static uint64_t cut(uint64_t word, size_t len)
{
	return load((const unsigned char *)&word, len);
}

static size_t slots(const struct pattern *p, size_t len)
{
	return len / WORD < (size_t)p->n ? len / WORD : (size_t)p->n;
}

void pattern_fill(const struct pattern *p, void *buf, size_t len)
{
	unsigned char *at = buf;
	uint64_t s = seed_of(p), word;

	for (size_t j = len / WORD; j; j--, at += WORD, s += STEP) {
		word = word_at(s);
		memcpy(at, &word, WORD);
	}
	word = word_at(s);
	memcpy(at, &word, len % WORD);
}

static int differ(struct pattern_diff *diff, size_t offset, size_t len, uint64_t saw,
		  uint64_t expected, int writer)
{
	*diff = (struct pattern_diff){ offset, len, saw, expected, writer };
	return -1;
}

/* The word in slot @s: the writer's mark, or the pattern if it is the owner or none came yet. */
static int check_slot(const struct pattern *p, const unsigned char *buf, size_t s,
		      struct pattern_diff *diff)
{
	int writer = (int)((s + p->index) % (size_t)p->n);
	uint64_t saw = load(buf + s * WORD, WORD), expected;

	if (writer == p->owner || !p->marked)
		writer = -1;
	expected = writer < 0 ? word_at(seed_of(p) + s * STEP) : mark_of(p, writer);
	return saw == expected ? 0 : differ(diff, s * WORD, WORD, saw, expected, writer);
}

/* The first wrong one of the @n words from word @j on, at @at, where some word was wrong. */
static int find_word(uint64_t seed, const unsigned char *at, size_t j, size_t n,
		     struct pattern_diff *diff)
{
	for (size_t k = 0; k < n; k++) {
		const uint64_t saw = load(at + k * WORD, WORD), expected = word_at(seed + k * STEP);

		if (saw != expected)
			return differ(diff, (j + k) * WORD, WORD, saw, expected, -1);
	}
	/* Wrong a moment ago and right now: somebody is writing there. */
	return differ(diff, j * WORD, WORD, word_at(seed), word_at(seed), -1);
}

/* Words [from, to): one look at the outcome for each chunk, then word by word to find it. */
static int check_words(uint64_t seed, const unsigned char *buf, size_t from, size_t to,
		       struct pattern_diff *diff)
{
	for (size_t j = from; j < to; j += CHUNK) {
		const size_t n = to - j < CHUNK ? to - j : CHUNK;
		const unsigned char *at = buf + j * WORD;
		uint64_t s = seed + j * STEP, wrong = 0;

		for (size_t k = 0; k < n; k++)
			wrong |= load(at + k * WORD, WORD) ^ word_at(s + k * STEP);
		if (wrong)
			return find_word(s, at, j, n, diff);
	}
	return 0;
}

int pattern_check(const struct pattern *p, const void *buf, size_t len, struct pattern_diff *diff)
{
	const unsigned char *at = buf;
	const size_t nslots = slots(p, len), words = len / WORD, tail = len % WORD;
	const uint64_t seed = seed_of(p);
	uint64_t saw, expected;

	for (size_t s = 0; s < nslots; s++)
		if (check_slot(p, at, s, diff))
			return -1;
	if (check_words(seed, at, nslots, words, diff))
		return -1;
	saw = load(at + words * WORD, tail);
	expected = cut(word_at(seed + words * STEP), tail);
	return saw == expected ? 0 : differ(diff, words * WORD, tail, saw, expected, -1);
}

int pattern_probe(const struct pattern *p, const void *buf, size_t len, struct pattern_diff *diff)
{
	return pattern_check(p, buf, len < WORD ? len : WORD, diff);
}

int pattern_mark(const struct pattern *p, int writer, size_t len, size_t *offset, uint64_t *mark)
{
	const size_t n = (size_t)p->n;
	const size_t slot = ((size_t)writer + n - p->index % n) % n;

	if (slot >= slots(p, len))
		return 0;
	*offset = slot * WORD;
	*mark = mark_of(p, writer);
	return 1;
}
