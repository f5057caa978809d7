/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject_life.h - the life of a context in each of some ranks: all that the library does, in steps
 * that are made again if they fail as they may. Bytes are checked on the way.
 */
#ifndef TEST_FAULT_INJECT_LIFE_H
#define TEST_FAULT_INJECT_LIFE_H

#include "support/again.h"

/* From open to close, with @a's rank in a group of all. */
void inject_life(struct again *a);
/* The same for a rank alone, with what needs no group: in a process that never opened one. */
void inject_life_alone(struct again *a);

#endif
