/* SPDX-License-Identifier: BSD-3-Clause */
/* What ASCENDCL_EMU_* says: read once a process, at its first call. settings.c has the table. */
#ifndef EMU_SETTINGS_H
#define EMU_SETTINGS_H

#include <stdint.h>

enum emu_release { EMU_8_2, EMU_8_5_0, EMU_9_0_0, EMU_9_1_0, EMU_9_2_0, EMU_HEAD };

struct emu_settings {
	/* the machine: the first process of a job fixes it, later ones must agree */
	int64_t devices;
	const char *soc;
	int64_t dies;
	const char *links;
	int64_t hbm_mib;
	int64_t huge_pages;
	/* this process */
	const char *job;
	const char *release_name;
	int64_t strict;
	int64_t host_access;
	int64_t start_rule;
	int64_t legacy_close;
	int64_t legacy_2d;
	int64_t import_type;
	int64_t lookups;
	int64_t no_flags;
	int64_t is_virtual;
	int64_t sio_peer;
	int64_t bare_tgid;
	int64_t base_offset;
	int64_t poison;
	int64_t max_keys;
	int64_t max_grants;
	int64_t peer_cap;
	int64_t notifies;
	int64_t queue_depth;
	int64_t streams;
	int64_t destroy_ms;
	int64_t task_delay_us;
	int64_t rank;
	int64_t die_in_lock;
	int64_t stop_in_lock;
	const char *physical;
	const char *visible;
	const char *delay;
	const char *fail;
	const char *counters;
	int64_t trace;
	/* derived */
	enum emu_release release;
};

extern const char emu_built_release[];	/* one object per library variant defines it */

const struct emu_settings *emu_settings(void);
int emu_settings_error(void);	/* 0, or an ACL code: a value out of range or unknown */

#endif
