/* SPDX-License-Identifier: BSD-3-Clause */
/* What every part of the emulator may use: refusing, entering a call, counting, handles. */
#ifndef EMU_EMU_H
#define EMU_EMU_H

#include <stdbool.h>
#include <stdint.h>

#include "acl_abi.h"
#include "calls.h"
#include "settings.h"

/* error.c: notes why, for aclGetRecentErrMsg() of this thread, and returns @code */
int emu_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* fault.c: counts the call, delays it, and says whether it fails by injection */
int emu_enter(enum emu_call call);
bool emu_fault_due(enum emu_call call, int *code);
int emu_fault_parse(const char *rules);
void emu_hostfunc_mark(bool inside);

/* Opens each exported function; it returns the injected code, if there is one. */
#define ENTER(name) \
	do { \
		int entered_ = emu_enter(EMU_##name); \
		if (entered_) \
			return entered_; \
	} while (0)

/* counter.c */
const char *emu_call_name(enum emu_call call);
int emu_call_find(const char *name, size_t len);	/* an index, or -1 */
void emu_count(enum emu_call what, uint64_t by);
#define COUNT(name, by) emu_count(EMU_COUNT_##name, by)

/* process.c */
bool emu_initialised(void);

/*
 * handle.c: what the application holds are numbers, not pointers, so that a stale or foreign
 * handle is refused and a dereference faults. A returned object is borrowed: destroying it while
 * another thread passes its handle to a call is the application's error, as on the real runtime.
 */
enum emu_kind { EMU_CONTEXT = 1, EMU_STREAM, EMU_EVENT, EMU_NOTIFY, EMU_MODEL, EMU_GROUP };
void *emu_handle_new(enum emu_kind kind, void *object);	/* NULL: no memory */
void *emu_handle_get(enum emu_kind kind, const void *handle);
void *emu_handle_drop(enum emu_kind kind, const void *handle);	/* the object, once */

uint64_t emu_now_ns(void);	/* CLOCK_BOOTTIME: comparable with process start times */
void emu_sleep_us(uint64_t us);

#endif
