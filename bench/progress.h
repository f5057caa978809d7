/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * progress.h - one line on the user's terminal while a run takes long
 *
 * Only rank 0 has it, and only if there is a terminal; else all of these do nothing. It first shows
 * after a moment, and is erased before anything else is printed.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stdint.h>

/** progress_open - look for a terminal; without this call there is no progress line */
void progress_open(void);
void progress_close(void);

/**
 * progress_stage - what is going on from now on
 * @what: the workload, for example; must live until the next call
 * @stage: its stage, so too
 * @total: bytes that will be reported to progress_add(), 0 if none
 */
void progress_stage(const char *what, const char *stage, uint64_t total);

/** progress_add - so many bytes more are done; cheap enough for each buffer */
void progress_add(uint64_t bytes);

/** progress_wait - done here, and waiting for other ranks */
void progress_wait(void);

/** progress_clear - erase the line, as other output is to come; it comes back by itself */
void progress_clear(void);

#endif
