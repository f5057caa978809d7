/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/verdict.h"

#include "base/error.h"
#include "group/board.h"
#include "group/wait.h"

/* In the word: the round above, and below it the rank whose failure counts, from 1; 0 all is well. */
#define RANK_BITS 16
#define GOOD 0u

static struct ipcshare__control *page_of(const struct ipcshare_group *g, int rank)
{
	return rank == g->rank ? g->page : g->members[rank].control;
}

/* All have the answer of the first who asks for this round. A later round there: this one ended well. */
static uint64_t decide(struct ipcshare_group *g, uint64_t mine)
{
	uint64_t *word = &page_of(g, 0)->verdict;
	uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	mine |= g->round << RANK_BITS;
	while (seen >> RANK_BITS < g->round)
		if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return mine & ((1u << RANK_BITS) - 1);
	return seen >> RANK_BITS == g->round ? seen & ((1u << RANK_BITS) - 1) : GOOD;
}

/* What the rank has said before it asked. */
static int failure_of(const struct ipcshare_group *g, uint64_t answer)
{
	int rank = (int)answer - 1;

	if (rank >= g->size || rank == g->rank)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "exchange", "",
				      "the verdict on a round is not what it should be");
	return ipcshare__wait_quitter(g, rank, page_of(g, rank)->doubts_why);
}

#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan" /* it does not follow fences */
#endif

int ipcshare__verdict_doubt(struct ipcshare_group *g, int err, const struct ipcshare_error *before)
{
	uint64_t mine = (uint64_t)g->rank + 1, answer;

	g->page->because_of = ipcshare_last_error()->rank;
	g->page->doubts_why = err;
	__atomic_store_n(&g->page->doubts, g->round, __ATOMIC_RELEASE);
	/*
	 * Who posts has a fence behind it (ipcshare__board_call()) and then looks for doubts: it sees ours, or we
	 * see that it has posted. Who has seen others post before it looked, and saw no doubt, need not post: then
	 * we see those posts too, for on x86-64 and AArch64 a store comes to all others at once.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	answer = decide(g, ipcshare__board_late(g, 0) == g->size ? GOOD : mine);
	if (answer == GOOD) {
		ipcshare__error_restore(before);
		return 0;
	}
	return answer == mine ? err : failure_of(g, answer);
}

int ipcshare__verdict_accept(struct ipcshare_group *g)
{
	uint64_t answer = GOOD;

	for (int r = 0; r < g->size; r++)
		if (r != g->rank &&
		    __atomic_load_n(&page_of(g, r)->doubts, __ATOMIC_ACQUIRE) == g->round) {
			answer = decide(g, GOOD);
			break;
		}
	return answer == GOOD ? 0 : failure_of(g, answer);
}
