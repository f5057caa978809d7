/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/crowd.h"

/* Ranks and the cores that they have got so far: a matching, grown by one rank after the other. */
struct seats {
	const uint64_t *const *cores;
	short owner[IPCSHARE__CORES_MOST]; /* rank, -1 free */
	short seat[IPCSHARE__CORES_MOST]; /* of each rank */
	/* While a core is sought: */
	uint64_t seen[IPCSHARE__CORE_WORDS];
	short asked_by[IPCSHARE__CORES_MOST]; /* the rank that would take this core */
	short queue[IPCSHARE__CORES_MOST]; /* ranks that would have to move */
};

/* From the free core @at back to the rank that began: each takes the core that it asked for. */
static void move_up(struct seats *s, int rank, int at)
{
	for (;;) {
		int taker = s->asked_by[at], left = s->seat[taker];

		s->owner[at] = (short)taker;
		s->seat[taker] = (short)at;
		if (taker == rank)
			return;
		at = left;
	}
}

/* Nobody loses a core; some may get another one instead. */
static bool find_seat(struct seats *s, int rank)
{
	int queued = 1;

	for (size_t w = 0; w < IPCSHARE__CORE_WORDS; w++)
		s->seen[w] = 0;
	s->queue[0] = (short)rank;
	for (int i = 0; i < queued; i++) {
		for (size_t w = 0; w < IPCSHARE__CORE_WORDS; w++) {
			uint64_t left = s->cores[s->queue[i]][w] & ~s->seen[w];

			s->seen[w] |= left;
			for (; left; left &= left - 1) {
				int at = (int)(64 * w) + __builtin_ctzll(left);

				s->asked_by[at] = s->queue[i];
				if (s->owner[at] < 0) {
					move_up(s, rank, at);
					return true;
				}
				s->queue[queued++] = s->owner[at];
			}
		}
	}
	return false;
}

bool ipcshare__is_crowd(const uint64_t *const *cores, int nranks)
{
	struct seats s;

	if (nranks > IPCSHARE__CORES_MOST)
		return true;
	s.cores = cores;
	for (int i = 0; i < IPCSHARE__CORES_MOST; i++)
		s.owner[i] = -1;
	for (int r = 0; r < nranks; r++)
		if (!find_seat(&s, r))
			return true;
	return false;
}
