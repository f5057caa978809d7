/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject.h - one call of the library fails, as often as it is told to
 *
 * The objects of the library that this program links make the calls of INJECT_CALLS here; the tests'
 * own, and those inside the C library, go where they always went.
 */
#ifndef TEST_FAULT_INJECT_H
#define TEST_FAULT_INJECT_H

#include <stdint.h>

#include "inject_calls.h"

enum inject_call {
#define INJECT_ENUM(name) INJECT_##name,
	INJECT_CALLS(INJECT_ENUM)
#undef INJECT_ENUM
	INJECT_futex, /* both are syscall() */
	INJECT_pidfd_open,
	INJECT_COUNT
};

const char *inject_name(enum inject_call call);

/* Whose calls count: those of the thread that arms, or all others (the broker's). */
enum inject_where { INJECT_HERE, INJECT_ELSEWHERE };

/* Use number @use of @call, from now on, fails with @err. One failure at a time. */
void inject_arm(enum inject_call call, int err, int use, enum inject_where where);
/* No more. Not 0: it has failed; then @place is where in the library. */
int inject_disarm(uintptr_t *place);

/* What the library holds: blocks of malloc() and so on, bytes of mmap(), open FILEs and DIRs. */
struct inject_held {
	int64_t blocks, mapped, files;
};
struct inject_held inject_held(void);
/* What munmap() was to fail for is unmapped now. */
void inject_settle(void);

#endif
