/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/identity.h"

/* A turn begins to be waited for long before it comes: behind all that the program has queued before. */
#define TURN_S 3600

struct keys { /* of the notifies for one rank */
	char of[IPCSHARE__LINKED][IPCSHARE__KEY_SIZE];
};

/* What goes round while a mesh is made. */
struct making {
	struct ipcshare_group *group;
	struct keys *ours, *theirs; /* by rank */
	uint64_t *lens, *seen; /* bytes of each rank: all, and those that have come */
};

/* ---- Notifies of our own, and their keys ---- */

static int key_make(struct ipcshare_group *g, int rank, struct ipcshare__notify **out, char *key)
{
	struct ipcshare__backend *be = g->ctx->backend;
	int err = be->ops->notify_create(be, out);

	if (!err)
		err = be->ops->notify_export(be, *out, key);
	return err ? err : be->ops->notify_allow(be, *out, &g->members[rank].identity, 1);
}

/* A process can't import its own. */
static int link_make(struct ipcshare_group *g, int rank, struct keys *keys)
{
	int err = 0;

	if (ipcshare__identity_same(&g->members[rank].identity, &g->ctx->identity))
		err = ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "notify",
				     "run each rank in a process of its own",
				     "ranks of one process can't order their streams");
	for (int k = 0; k < IPCSHARE__LINKED && !err; k++)
		err = key_make(g, rank, &g->mesh->links[rank].ours[k], keys->of[k]);
	if (err)
		ipcshare__fail_at(rank, -1);
	return err;
}

static int turn_make(struct ipcshare_group *g)
{
	struct ipcshare__backend *be = g->ctx->backend;
	int err = be->ops->stream_create(be, &g->mesh->stream);

	return err ? err : be->ops->notify_create(be, &g->mesh->over);
}

static int own_make(struct making *m)
{
	struct ipcshare_group *g = m->group;
	int err = turn_make(g);

	for (int r = 0; r < g->size && !err; r++)
		if (r != g->rank)
			err = link_make(g, r, &m->ours[r]);
	return err;
}

/* ---- Those of the others ---- */

/* Of all that a rank sends, the keys for us. */
static void keys_take(void *arg, int rank, const void *bytes, size_t n)
{
	struct making *m = arg;
	uint64_t want = (uint64_t)m->group->rank * sizeof(struct keys), from = m->seen[rank];
	uint64_t first = from > want ? from : want, last = want + sizeof(struct keys);

	if (last > from + n)
		last = from + n;
	if (first < last)
		memcpy((char *)&m->theirs[rank] + (first - want),
		       (const char *)bytes + (first - from), (size_t)(last - first));
	m->seen[rank] += n;
}

static int keys_import(const struct making *m)
{
	struct ipcshare_group *g = m->group;
	struct ipcshare__backend *be = g->ctx->backend;

	for (int r = 0; r < g->size; r++)
		for (int k = 0; k < IPCSHARE__LINKED && r != g->rank; k++) {
			int err = be->ops->notify_import(be, m->theirs[r].of[k],
							 g->members[r].identity.device,
							 &g->mesh->links[r].theirs[k]);

			if (err) {
				ipcshare__fail_at(r, -1);
				return err;
			}
		}
	return 0;
}

static int lens_check(const struct making *m)
{
	for (int r = 0; r < m->group->size; r++)
		if (m->lens[r] != (uint64_t)m->group->size * sizeof(struct keys)) {
			ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "notify", "",
				       "the rank sent no key for each rank");
			ipcshare__fail_at(r, -1);
			return ipcshare__exchange_quit(m->group, IPCSHARE_ERR_PROTOCOL);
		}
	return 0;
}

/* Everybody's keys; and can all use them? */
static int meet(struct making *m)
{
	struct ipcshare_group *g = m->group;
	int err = ipcshare__agree_bytes(g, IPCSHARE__COLL_MESH, own_make(m), NULL, m->ours,
					(uint64_t)g->size * sizeof(struct keys), m->lens);

	if (!err)
		err = lens_check(m);
	if (!err)
		err = ipcshare__exchange_bytes(g, m->ours, m->lens, keys_take, m);
	if (err)
		return err;
	return ipcshare__agree(g, IPCSHARE__COLL_MESH, keys_import(m), NULL, 0, NULL);
}

static int make(struct ipcshare_group *g)
{
	struct making m = { .group = g };
	size_t n = (size_t)g->size;
	int err;

	m.ours = calloc(2 * n, sizeof(*m.ours));
	m.lens = calloc(2 * n, sizeof(*m.lens));
	g->mesh = calloc(1, sizeof(*g->mesh) + n * sizeof(g->mesh->links[0]));
	if (m.ours && m.lens && g->mesh) {
		g->mesh->timeout_s = (g->ctx->timeout_ms + 999) / 1000;
		m.theirs = m.ours + n;
		m.seen = m.lens + n;
		err = meet(&m);
	} else { /* the peers wait: leaving is the only way out */
		err = ipcshare__exchange_quit(g, ipcshare__fail_errno(ENOMEM, "notify", "a mesh"));
	}
	free(m.ours);
	free(m.lens);
	return err;
}

int ipcshare__mesh_make(struct ipcshare_group *g)
{
	struct ipcshare_error why;
	int err;

	if (g->mesh)
		return 0;
	ipcshare__group_drain(g);
	err = make(g);
	if (!err)
		return 0;
	why = *ipcshare_last_error();
	ipcshare__mesh_end(g);
	ipcshare__error_restore(&why);
	return err;
}

/* ---- End ---- */

static void notifies_end(struct ipcshare_group *g, bool ours)
{
	struct ipcshare__backend *be = g->ctx->backend;

	for (int r = 0; r < g->size; r++)
		for (int k = 0; k < IPCSHARE__LINKED; k++) {
			struct ipcshare__link *l = &g->mesh->links[r];

			be->ops->notify_destroy(be, ours ? l->ours[k] : l->theirs[k]);
		}
}

static void rest_end(struct ipcshare_group *g)
{
	struct ipcshare__backend *be = g->ctx->backend;

	be->ops->stream_destroy(be, g->mesh->stream);
	be->ops->notify_destroy(be, g->mesh->over);
	for (size_t i = 0; i < IPCSHARE__CALLERS; i++)
		be->ops->notify_destroy(be, g->mesh->callers[i].enter);
	notifies_end(g, true);
	if (g->mesh->scratch.base)
		be->ops->release(be, &g->mesh->scratch);
	free(g->mesh);
	g->mesh = NULL;
}

/* Who has imported a notify ends it first. */
void ipcshare__mesh_end(struct ipcshare_group *g)
{
	if (!g->mesh)
		return;
	notifies_end(g, false);
	if (!g->broken)
		ipcshare__exchange_barrier(g); /* if it fails, the peers have gone */
	rest_end(g);
}

void ipcshare__mesh_drop(struct ipcshare_group *g)
{
	if (!g->mesh)
		return;
	notifies_end(g, false);
	rest_end(g);
}

/* ---- Use ---- */

int ipcshare__mesh_scratch(struct ipcshare_group *g)
{
	struct ipcshare__backend *be = g->ctx->backend;

	return g->mesh->scratch.base ? 0 : be->ops->alloc(be, IPCSHARE__SCRATCH, &g->mesh->scratch);
}

/* The entry of @stream, which may be new. When they run out, all are free as soon as our stream is through. */
static int caller_find(struct ipcshare_group *g, struct ipcshare__stream *stream,
		       struct ipcshare__caller_stream **out)
{
	struct ipcshare__backend *be = g->ctx->backend;
	struct ipcshare__mesh *m = g->mesh;
	struct ipcshare__caller_stream *c = m->callers;
	int err = 0;

	while (c < m->callers + m->ncallers && c->stream != stream)
		c++;
	if (c == m->callers + IPCSHARE__CALLERS) {
		err = be->ops->stream_synchronise(be, m->stream);
		if (err)
			return err;
		m->ncallers = 0;
		c = m->callers;
	}
	if (!c->enter)
		err = be->ops->notify_create(be, &c->enter);
	if (err)
		return err;
	if (c == m->callers + m->ncallers)
		m->ncallers++;
	c->stream = stream;
	*out = c;
	return 0;
}

int ipcshare__mesh_take_turn(struct ipcshare_group *g, struct ipcshare__stream *stream)
{
	struct ipcshare__backend *be = g->ctx->backend;
	struct ipcshare__caller_stream *caller;
	int err;

	if (be->ops->stream_captured(be, stream))
		return 0;
	err = caller_find(g, stream, &caller);
	if (!err)
		err = be->ops->notify_record(be, caller->enter, g->mesh->stream);
	if (err)
		return err;
	err = be->ops->notify_wait(be, caller->enter, stream, TURN_S);
	if (err) /* nobody was let in */
		be->ops->notify_wait(be, caller->enter, g->mesh->stream, TURN_S);
	return err;
}

int ipcshare__mesh_pass_turn(struct ipcshare_group *g, struct ipcshare__stream *stream)
{
	struct ipcshare__backend *be = g->ctx->backend;
	int err;

	if (be->ops->stream_captured(be, stream))
		return 0;
	err = be->ops->notify_record(be, g->mesh->over, stream);
	return err ? err : be->ops->notify_wait(be, g->mesh->over, g->mesh->stream, TURN_S);
}

int ipcshare__mesh_tell(struct ipcshare_group *g, int rank, int nth,
			struct ipcshare__stream *stream)
{
	struct ipcshare__backend *be = g->ctx->backend;

	return be->ops->notify_record(be, g->mesh->links[rank].theirs[nth % IPCSHARE__LINKED],
				      stream);
}

int ipcshare__mesh_wait(struct ipcshare_group *g, int rank, int nth,
			struct ipcshare__stream *stream)
{
	struct ipcshare__backend *be = g->ctx->backend;

	return be->ops->notify_wait(be, g->mesh->links[rank].ours[nth % IPCSHARE__LINKED], stream,
				    g->mesh->timeout_s);
}
