/* SPDX-License-Identifier: BSD-3-Clause */
/* driver.h - the runtime of the devices, which the library has opened, as a program may use it itself */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stddef.h>

/** driver_symbol - a function of it; NULL if there is none, or no such runtime is open */
void *driver_symbol(const char *name);

/** driver_is_emulated - is it a stand-in, whose speed says nothing, but which counts its calls? */
int driver_is_emulated(void);

/* What this thread's process has called of it, as the stand-in counts. */
struct driver_calls {
	long copies;	/* copies, and runs of recorded ones */
	long all;	/* with all else on the way: waiting, looking up, naming a device */
};

/** driver_calls_now - until now; zeroes if nobody counts */
struct driver_calls driver_calls_now(void);

/** driver_alloc - @len bytes of @device, without the library; 0, or -1 */
int driver_alloc(int device, size_t len, void **out);

/** driver_free - give them back; the library must know them no more */
int driver_free(void *p);

#endif
