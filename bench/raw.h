/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw.h - buffers shared one by one, as the runtime's own calls would have it: for each an allocation,
 * an export, a whitelist call for each peer, an exchange, and an import from each peer
 *
 * It goes through the one-sided calls, so through the same backend, and what is timed is all that it
 * takes to have a pointer to each buffer of each peer. Giving it all back is not.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include "team.h"

/* X(id, name) */
#define RAW_STEPS(X)                                                                               \
	X(ALLOC, "alloc")                                                                          \
	X(EXPORT, "export")                                                                        \
	X(ALLOW, "whitelist")                                                                      \
	X(EXCHANGE, "exchange")                                                                    \
	X(IMPORT, "import")

enum raw_step {
#define RAW_STEP_ENUM(id, name) RAW_STEP_##id,
	RAW_STEPS(RAW_STEP_ENUM)
#undef RAW_STEP_ENUM
	RAW_NSTEPS
};

/**
 * raw_share - @n buffers of @len bytes of each rank, verified and given back; collective
 * @node: the ranks of the group, in its order
 * @serial: another one each time
 * @seconds: what each step took this rank
 *
 * Return: 0; -1 on every rank, and what failed where is printed
 */
int raw_share(const struct team *team, MPI_Comm node, size_t n, size_t len, unsigned serial,
	      double seconds[RAW_NSTEPS]);

#endif
