/* SPDX-License-Identifier: BSD-3-Clause */
/* share_run.h - one workload shared, verified, marked and freed, and what each stage cost */
#ifndef BENCH_SHARE_RUN_H
#define BENCH_SHARE_RUN_H

#include "buffers.h"
#include "team.h"
#include "view.h"
#include "workload.h"

/* The rows of the table: X(id, name, indent); an indented row is part of the share above it. */
#define STAGE_LIST(X)                                                                              \
	X(ALLOC, "alloc", 0)                                                                       \
	X(FILL, "fill", 0)                                                                         \
	X(SHARE, "share", 0)                                                                       \
	X(EXPORT, "export", 1)                                                                     \
	X(ALLOW, "whitelist", 1)                                                                   \
	X(EXCHANGE, "exchange", 1)                                                                 \
	X(IMPORT, "import", 1)                                                                     \
	X(VERIFY, "verify", 0)                                                                     \
	X(MARK, "mark", 0)                                                                         \
	X(CHECK, "check", 0)                                                                       \
	X(REREAD, "re-read", 0)                                                                    \
	X(OWN, "read own", 0)                                                                      \
	X(RESHARE, "re-share", 0)                                                                  \
	X(SET_FREE, "set free", 0)                                                                 \
	X(FREE, "free", 0)

enum stage {
#define STAGE_ENUM(id, name, indent) STAGE_##id,
	STAGE_LIST(STAGE_ENUM)
#undef STAGE_ENUM
	STAGES,
	STAGE_NONE = STAGES	/* a step that is not measured */
};

struct share_options {
	enum layout layout;
	uint64_t slab;
	uint64_t repeat;
	int read_only;
	uint64_t spoil;		/* index of a buffer, OPTION_NONE for none */
};

/* What one rank measured of a stage. */
struct measure {
	double seconds;
	unsigned times;		/* @seconds and @calls are the sum of so many; 0: there was none */
	uint64_t calls;
	uint64_t buffers, bytes;	/* each time */
};

struct share_run {
	const struct share_options *options;
	const struct team *team;
	const struct workload *w;
	unsigned serial;	/* another one for each run: part of the content */
	struct buffers b;
	struct view view;
	struct ipcshare_set *set;
	int marked;		/* by now the buffers hold their marks */
	uint64_t marks, marks_wanted;	/* written here; had every buffer been long enough */
	struct measure measure[STAGES];
	struct ipcshare_counters start;	/* before anything was allocated */
	uint64_t calls[IPCSHARE_CALLS];	/* that the first share made here */
	double own_seconds;	/* of the re-reading, for the own buffers */
	char why[TEAM_TEXT];
};

/**
 * share_run_do - one run, from the allocations to their end; collective over the job
 * @r: zeroed but for options, team, w and serial
 *
 * Return: 0; -1 on every rank, and what failed where is printed: abandon the context then
 */
int share_run_do(struct share_run *r);

/** share_run_end - drop what the run remembers, when its outcome has been read */
void share_run_end(struct share_run *r);

#endif
