/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPCSHARE_CHECK: every rank shows its arguments, every rank looks at those of all. As all see the
 * same they find the same, in the same order, and no round is needed to agree.
 */
#include <string.h>

#include "base/error.h"
#include "coll/call.h"

/* Bytes that this rank wants of @rank. */
static uint64_t wants(const struct ipcshare__layout *in, int rank)
{
	if (in->only != IPCSHARE__EVERY && in->only != rank)
		return UINT64_MAX;
	return ipcshare__layout_len(in, rank);
}

static void show(const struct ipcshare__call *c)
{
	struct ipcshare__wire_args args = { (uint32_t)c->type, ipcshare__op_kind(c->fold.op),
					    c->root, 0 };
	unsigned char *slot = ipcshare__board_slot(c->group)->body;

	memcpy(slot, &args, sizeof(args));
	slot += sizeof(args);
	for (int r = 0; r < c->group->size; r++) {
		struct ipcshare__wire_lens lens = {
			ipcshare__layout_len(&c->out, c->to_each ? r : c->group->rank),
			wants(&c->in, r),
		};

		memcpy(slot + (size_t)r * sizeof(lens), &lens, sizeof(lens));
	}
}

static struct ipcshare__wire_args args_of(const struct ipcshare__call *c, int rank)
{
	struct ipcshare__wire_args args;

	memcpy(&args, ipcshare__board_read(c->group, rank)->body, sizeof(args));
	return args;
}

static struct ipcshare__wire_lens lens_of(const struct ipcshare__call *c, int rank, int other)
{
	struct ipcshare__wire_lens lens;

	memcpy(&lens,
	       ipcshare__board_read(c->group, rank)->body + sizeof(struct ipcshare__wire_args) +
		       (size_t)other * sizeof(lens),
	       sizeof(lens));
	return lens;
}

#define DIFFERS(...)                                                                               \
	ipcshare__fail(IPCSHARE_ERR_MISMATCH, "collective",                                        \
		       "all ranks must pass arguments that fit together", __VA_ARGS__)

static const char *name_of_op(uint32_t op)
{
	static const struct ipcshare_op own;

	return ipcshare_op_name(op < IPCSHARE_OPS ? (const struct ipcshare_op *)(uintptr_t)op
						  : &own);
}

static int check_args(const struct ipcshare__wire_args *a, const struct ipcshare__wire_args *first)
{
	if (a->type != first->type)
		return DIFFERS("the type is %s, on rank 0 it is %s",
			       ipcshare_type_name((enum ipcshare_type)a->type),
			       ipcshare_type_name((enum ipcshare_type)first->type));
	if (a->op != first->op)
		return DIFFERS("the op is %s, on rank 0 it is %s", name_of_op(a->op),
			       name_of_op(first->op));
	if (a->root != first->root)
		return DIFFERS("the root is %d, on rank 0 it is %d", a->root, first->root);
	return 0;
}

/* What is to be reduced must be as long on all ranks; else what is given must be what is wanted. */
static int check_lens(const struct ipcshare__call *c, int rank, int other)
{
	uint64_t gives = lens_of(c, rank, other).gives, wanted;

	if (c->fold.op) {
		wanted = lens_of(c, 0, other).gives;
		if (gives != wanted)
			return DIFFERS("%ju bytes are to be reduced, on rank 0 %ju",
				       (uintmax_t)gives, (uintmax_t)wanted);
		return 0;
	}
	wanted = lens_of(c, other, rank).wants;
	if (rank != other && wanted != UINT64_MAX && gives != wanted)
		return DIFFERS("it has %ju bytes for rank %d, which wants %ju", (uintmax_t)gives,
			       other, (uintmax_t)wanted);
	return 0;
}

static int compare(const struct ipcshare__call *c)
{
	struct ipcshare__wire_args first = args_of(c, 0);
	int err = 0;

	for (int r = 0; r < c->group->size && !err; r++) {
		struct ipcshare__wire_args args = args_of(c, r);

		err = check_args(&args, &first);
		if (err)
			ipcshare__fail_at(r, -1);
	}
	for (int r = 0; r < c->group->size && !err; r++)
		for (int other = 0; other < c->group->size && !err; other++) {
			err = check_lens(c, r, other);
			if (err)
				ipcshare__fail_at(r, -1);
		}
	return err;
}

static int after_show(struct ipcshare__call *c)
{
	uint64_t most;
	int err = ipcshare__call_hear(c, &most);

	if (!err)
		err = compare(c);
	return err ? err : c->moves(c);
}

int ipcshare__call_check(struct ipcshare__call *c)
{
	size_t room = sizeof(ipcshare__board_slot(c->group)->body) -
		      sizeof(struct ipcshare__wire_args);

	if (!c->status && (size_t)c->group->size * sizeof(struct ipcshare__wire_lens) > room)
		c->status = ipcshare__call_too_many(c);
	ipcshare__call_say(c, 0);
	if (!c->status)
		show(c);
	c->next = after_show;
	return 0;
}
