/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One-sided sharing between this process, which owns memory, and children, which import what they
 * are told and say what came of it.
 */
#ifndef TEST_IMPORTER_H
#define TEST_IMPORTER_H

#include "team.h"

/* ---- The owner ---- */

#define OWNED 10000

extern struct ipcshare_ctx *owner;
extern char *owned; /* OWNED bytes */

/* Setup and teardown: at the end nothing may be left. */
void owner_begin(void);
void owner_end(void);
/* Children come first, so that they inherit nothing. */
void owner_open(void);

/* ---- An importer ---- */

#define IMPORTER_UNTOUCHED ((char *)16) /* outputs before a call */

enum op { MAP, MAP_HANDLE, UNMAP, CHECK_CONTENT, FILL, MPROTECT, WRITE, COUNT, CLOSE, FORK, RETIRE };

struct order {
	enum op op;
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	char *ptr;
	size_t len, index;
};

struct result {
	int status; /* of the call */
	int detail; /* status of the last error */
	char text[256]; /* of the last error */
	char *ptr;
	size_t len;
	struct ipcshare_counters counters;
	int memfd_maps;
};

struct importer {
	struct test_child *child;
	struct ipcshare_identity id;
};

struct importer importer_start(void);
/* The same of a child that runs importer_main(). */
struct importer importer_meet(struct test_child *child);
void importer_main(int channel, void *arg);
/* Its channel and the child end; its failed checks are ours. */
void importer_dismiss(struct importer *im);

struct result importer_tell(struct importer *im, const struct order *o);
struct result importer_map(struct importer *im, const struct ipcshare_packed *packed);
/* A map that must work, or fail with @status. */
char *importer_must_map(struct importer *im, const struct ipcshare_packed *packed);
void importer_check_refused(struct importer *im, const struct ipcshare_packed *packed, int status);
int importer_unmap(struct importer *im, char *ptr);
/* It finds team_fill(.., 0, @index) there. */
void importer_check_sees(struct importer *im, char *ptr, size_t len, size_t index);
/* Its counters and mappings. */
struct result importer_count(struct importer *im);

/* What a broker answers to who asks it, in the owner's name, to give up what was packed. */
int importer_retires(uint64_t endpoint, const struct ipcshare_packed *packed);

struct ipcshare_packed owner_pack(const void *ptr, size_t len, unsigned flags);
void owner_allow(struct importer *im, unsigned flags);

#endif
