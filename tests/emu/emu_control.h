/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the emulator offers beyond the ABI, for tests only. A program finds these with dlsym(); on
 * a real runtime they are absent, which is how it tells the two apart.
 */
#ifndef EMU_CONTROL_H
#define EMU_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#define EMU_API __attribute__((visibility("default")))

/* The release this library plays, "8.5.0" .. "head". */
EMU_API const char *ascendclEmuRelease(void);

/*
 * ascendclEmuCounter - what this process did so far
 * @name: the name of a call (aclrtMalloc), or one of the driver-level counters in README.md
 *
 * Return: 0, or -1 for an unknown name. ascendclEmuJobCounter() sums over all processes of the
 * job, dead ones included.
 */
EMU_API int ascendclEmuCounter(const char *name, uint64_t *value);
EMU_API int ascendclEmuJobCounter(const char *name, uint64_t *value);
EMU_API void ascendclEmuResetCounters(void);	/* this process's only */

/* Adds rules as ASCENDCL_EMU_FAIL does; NULL or "" forgets all. 0, or -1 for a bad rule. */
EMU_API int ascendclEmuFail(const char *rules);

/*
 * Debug probes: read or write device memory of this process, imported memory included, past the
 * copy rules but not past revocation. 0, or -1 where a device access would fault.
 */
EMU_API int ascendclEmuPeek(const void *dev, void *host, size_t len);
EMU_API int ascendclEmuPoke(void *dev, const void *host, size_t len);

/* What the job holds now; bytes are of device memory, grants are whitelist entries. */
struct ascendcl_emu_holdings {
	uint64_t exports;
	uint64_t imports;
	uint64_t bytes;
	uint64_t notifies;
	uint64_t processes;
	uint64_t grants;
};
EMU_API int ascendclEmuHoldings(struct ascendcl_emu_holdings *out);

/* 0 when the lists, counts and sums of the shared table fit its records, else -1. */
EMU_API int ascendclEmuSound(void);

#endif
