/* SPDX-License-Identifier: BSD-3-Clause */
#include "content.h"

#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "pattern.h"

#define CHUNK ((size_t)1024)	/* elements that are compared at once */

/* ---- Elements ------------------------------------------------------------------------------- */

static uint32_t key(int rank, uint32_t serial)
{
	return (uint32_t)pattern_mix((uint64_t)rank << 32 ^ serial);
}

/* 12 bits: floats add up those of 4096 ranks without rounding, in any order. */
static float element(uint32_t key, size_t at)
{
	return (float)((key + (uint32_t)at * 2654435761u) >> 20);
}

static float mark(int rank, uint32_t serial)
{
	return element(key(rank, serial), 0);
}

/* ---- A row of calls --------------------------------------------------------------------------- */

static float *room(size_t n)
{
	float *p = calloc(n, sizeof(*p));

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

void content_open(struct content *c, const struct collective *what, struct collective_call *call,
		  unsigned calls)
{
	*c = (struct content){ .what = what, .call = call, .calls = calls,
			       .sent = (size_t)collective_sent(what, call->n) * call->count,
			       .says = room(calls), .hears = room(calls), .expected = room(CHUNK) };
}

void content_close(struct content *c)
{
	free(c->says);
	free(c->hears);
	free(c->expected);
}

/* The root goes around, so that it can't run ahead of those who need nothing from it. */
static void set_root(struct content *c, unsigned k)
{
	c->call->root = (int)(k % (unsigned)c->call->n);
}

/* What must come first in call @k, of all blocks together. */
static float foresee(struct content *c, unsigned k)
{
	float sum = 0;
	int blocks;

	set_root(c, k);
	blocks = collective_blocks(c->what, c->call);
	for (int i = 0; i < blocks; i++) {
		struct collective_block b = collective_block(c->what, c->call, i);

		for (int rank = b.first; rank < b.last; rank++)
			sum += mark(rank, c->serial + k);
	}
	return sum;
}

void content_write(struct content *c, int spoil)
{
	const uint32_t from = key(c->call->rank, c->serial += c->calls);

	for (size_t i = 0; i < c->sent; i++)
		c->call->send[i] = element(from, i);
	if (c->sent && spoil)
		c->call->send[c->sent - 1] += 1;
	for (unsigned k = 0; k < c->calls; k++) {
		c->says[k] = mark(c->call->rank, c->serial + k);
		c->hears[k] = foresee(c, k);
	}
	c->off = 0;
}

void content_begin(struct content *c, unsigned k)
{
	const int n = c->what->sends_parts || c->what->sends_blocks ? c->call->n : 1;

	set_root(c, k);
	for (int i = 0; i < n; i++) {
		size_t at = c->what->sends_parts ? collective_part(c->call, i)
						 : (size_t)i * c->call->count;

		if (at < c->sent)
			c->call->send[at] = c->says[k] + c->off;
	}
}

void content_end(struct content *c, unsigned k)
{
	const int blocks = collective_blocks(c->what, c->call);
	float sum = 0;

	for (int i = 0; i < blocks; i++)
		sum += c->call->recv[(size_t)i * c->call->count];
	if (blocks)
		c->off = sum - c->hears[k];
}

/* ---- What came -------------------------------------------------------------------------------- */

/* What @n elements from @at on must be. */
static void expect(struct content *c, const struct collective_block *b, size_t at, size_t n)
{
	memset(c->expected, 0, n * sizeof(*c->expected));
	for (int rank = b->first; rank < b->last; rank++) {
		const uint32_t from = key(rank, c->serial);

		for (size_t i = 0; i < n; i++)
			c->expected[i] += element(from, b->offset + at + i);
		if (at == 0)
			c->expected[0] += mark(rank, c->serial + c->calls - 1) -
					  element(from, b->offset);
	}
}

static int check_block(struct content *c, int i, struct content_diff *diff)
{
	const struct collective_block b = collective_block(c->what, c->call, i);
	const float *came = c->call->recv + b.at;

	for (size_t at = 0; at < b.count; at += CHUNK) {
		const size_t n = b.count - at < CHUNK ? b.count - at : CHUNK;
		size_t k = 0;

		expect(c, &b, at, n);
		if (!memcmp(came + at, c->expected, n * sizeof(*came)))
			continue;
		while (!memcmp(&came[at + k], &c->expected[k], sizeof(*came)))
			k++;
		*diff = (struct content_diff){ i, (at + k) * sizeof(*came), came[at + k],
					       c->expected[k] };
		return -1;
	}
	return 0;
}

int content_check(struct content *c, struct content_diff *diff)
{
	const int blocks = collective_blocks(c->what, c->call);

	for (int i = 0; i < blocks; i++)
		if (check_block(c, i, diff))
			return -1;
	return 0;
}
