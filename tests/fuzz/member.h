/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A group of two: we, and a member that lies. The other rank is a process of its own, which creates the
 * groups with us, shares some memory, and then only its broker works. What it would write into its part of
 * the board is written here, in each round: first what we have written ourselves, as a rank that makes the
 * same call may say the same; in a share its true blob; then what the input alters of that.
 */
#ifndef FUZZ_MEMBER_H
#define FUZZ_MEMBER_H

#include "fuzz.h"
#include "group/group.h"

#define MEMBER_SHARES ((size_t)1 << 20) /* bytes of the region that each rank has told of */

/* Areas of the edits; the round counts from 0 in each input. */
enum { MEMBER_FRONT, MEMBER_BODY, MEMBER_CONTROL, MEMBER_BLOB };

/* The group in which we are rank 0 or 1. The first call makes all. */
struct ipcshare_group *fuzz_member_group(unsigned our_rank);
struct ipcshare_ctx *fuzz_member_ctx(void);
/* What we share, and what the other's region looks like from here when it is mapped. */
char *fuzz_member_ours(void);
/* The true blob of the other for a share in @g, with @room bytes at least; to be free()d. */
unsigned char *fuzz_member_blob(struct ipcshare_group *g, size_t room, size_t *len);
/* Of the other: a handle of its region, and one of a buffer in it. */
void fuzz_member_packed(struct ipcshare_packed *packed, struct ipcshare_handle *handle);

/* From here on the member of @g answers: with @blob in a share or an update, if it is not NULL. */
void fuzz_member_begin(struct ipcshare_group *g, const struct fuzz_edits *edits, const void *blob,
		       uint64_t blob_len);
/* Whatever became of it: the group is as it was. */
void fuzz_member_end(struct ipcshare_group *g);

/* All that users may do with the buffer, but for writing to it. */
void fuzz_member_read(const void *ptr, size_t len);

#endif
