/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The group of a communicator: made at its first call, kept as an attribute, freed with it.
 *
 * Made: it takes all ranks, so they agree by MPI, before and after. If one of them can't, or a group
 * is not all of them, the communicator's calls are left to MPI on every rank, for ever.
 *
 * Freed: when MPI deletes the attribute, each rank ends the group alone. MPI_Comm_free() is collective,
 * but a rank with messages on their way may delete later than others (MPICH), and those must not wait for
 * it without letting MPI work. MPI_Comm_dup() copies nothing: the copy gets a group of its own, for its
 * calls may be made while calls on the first one are.
 *
 * MPI_Finalize() begins with the attributes of MPI_COMM_SELF, when all of MPI still works. What is
 * alive of ours ends there, so that nothing of it is left to touch a driver afterwards.
 */
#include "comm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "bootstrap.h"
#include "fallback.h"
#include "group/group.h"
#include "memory/context.h"

/* MPI itself waits for ever: a rank may compute for hours before it comes. Death is noticed at once. */
#define DEADLINE_MS (86400u * 1000u)

static struct {
	pthread_mutex_t lock; /* for all but reading the key */
	atomic_int key; /* the attribute of communicators */
	struct ipcshare_ctx *ctx;
	struct ipcshare__mpi_comm *first;
	bool ended; /* MPI is being finalized */
} layer = { .lock = PTHREAD_MUTEX_INITIALIZER, .key = MPI_KEYVAL_INVALID };

/* Attributes of communicators without a group: to remember that can't fail. */
static struct ipcshare__mpi_comm without[IPCSHARE_MPI_REASONS] = {
#define WITHOUT(name, text) [IPCSHARE_MPI_##name] = { .why = IPCSHARE_MPI_##name },
	IPCSHARE_MPI_REASON_LIST(WITHOUT)
#undef WITHOUT
};

/* ---- The end ---- */

static void list_add(struct ipcshare__mpi_comm *c)
{
	pthread_mutex_lock(&layer.lock);
	c->next = layer.first;
	c->link = &layer.first;
	if (c->next)
		c->next->link = &c->next;
	layer.first = c;
	pthread_mutex_unlock(&layer.lock);
}

static void list_remove(struct ipcshare__mpi_comm *c)
{
	pthread_mutex_lock(&layer.lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	pthread_mutex_unlock(&layer.lock);
}

static void nodes_end(struct ipcshare__mpi_comm *c)
{
	if (!c->nodes)
		return;
	c->group->meanwhile = NULL;
	ipcshare__mpi_nodes_end(c->nodes);
	c->nodes = NULL;
}

static void comm_free(struct ipcshare__mpi_comm *c)
{
	free(c->places);
	free(c);
}

/* Of a communicator that is freed, or that gets another group. */
static int comm_delete(MPI_Comm comm, int key, void *value, void *unused)
{
	struct ipcshare__mpi_comm *c = value;

	(void)comm, (void)key, (void)unused;
	if (!c->places)
		return MPI_SUCCESS;
	if (c->ours) {
		list_remove(c);
		nodes_end(c);
		ipcshare__group_end(c->group);
	}
	comm_free(c);
	return MPI_SUCCESS;
}

/* Of MPI_COMM_SELF, first thing in MPI_Finalize(). */
static int layer_end(MPI_Comm self, int key, void *value, void *unused)
{
	struct ipcshare_ctx *ctx;

	(void)self, (void)key, (void)value, (void)unused;
	pthread_mutex_lock(&layer.lock);
	layer.ended = true;
	for (struct ipcshare__mpi_comm *c = layer.first; c; c = c->next) {
		nodes_end(c);
		c->group = NULL;
		c->why = IPCSHARE_MPI_OFF;
	}
	ctx = layer.ctx;
	layer.ctx = NULL;
	pthread_mutex_unlock(&layer.lock);
	ipcshare_abandon(ctx);
	return MPI_SUCCESS;
}

/* ---- The beginning ---- */

static int key_create(int *out)
{
	int end_key;

	if (MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, comm_delete, out, NULL) ||
	    MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, layer_end, &end_key, NULL) ||
	    MPI_Comm_set_attr(MPI_COMM_SELF, end_key, &layer))
		return MPI_KEYVAL_INVALID;
	MPI_Comm_free_keyval(&end_key); /* when the attribute is gone */
	return *out;
}

/* The key, made at the first call of all; MPI_KEYVAL_INVALID: MPI is not up, or has no room. */
static int key_get(void)
{
	int key = atomic_load_explicit(&layer.key, memory_order_acquire);

	if (key != MPI_KEYVAL_INVALID || !ipcshare__mpi_is_up())
		return key;
	pthread_mutex_lock(&layer.lock);
	key = atomic_load_explicit(&layer.key, memory_order_relaxed);
	if (key == MPI_KEYVAL_INVALID)
		atomic_store_explicit(&layer.key, key_create(&key), memory_order_release);
	pthread_mutex_unlock(&layer.lock);
	return key;
}

/* What keeps this rank from having groups; IPCSHARE_MPI_NOTHING: it has a context. */
static enum ipcshare_mpi_reason ctx_open(void)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	enum ipcshare_mpi_reason why = IPCSHARE_MPI_NOTHING;

	options.backend = "host";
	options.timeout_ms = DEADLINE_MS;
	pthread_mutex_lock(&layer.lock);
	if (layer.ended) {
		why = IPCSHARE_MPI_OFF;
	} else if (!layer.ctx && ipcshare_open(&options, &layer.ctx)) {
		why = IPCSHARE_MPI_NO_GROUP;
	} else if (!layer.ctx->config.mpi) {
		why = IPCSHARE_MPI_OFF;
		ipcshare_close(layer.ctx);
		layer.ctx = NULL;
	}
	pthread_mutex_unlock(&layer.lock);
	return why;
}

/* What the ranks have against a group: the same on all of them. */
static enum ipcshare_mpi_reason agree(MPI_Comm comm, enum ipcshare_mpi_reason mine)
{
	int why = (int)mine, worst;

	if (PMPI_Allreduce(&why, &worst, 1, MPI_INT, MPI_MAX, comm))
		return IPCSHARE_MPI_NO_GROUP;
	return (enum ipcshare_mpi_reason)worst;
}

static struct ipcshare__mpi_comm *comm_new(MPI_Comm comm)
{
	struct ipcshare__mpi_comm *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	MPI_Comm_rank(comm, &c->rank);
	MPI_Comm_size(comm, &c->size);
	c->places = calloc(4 * (size_t)c->size, sizeof(*c->places));
	if (c->places)
		return c;
	free(c);
	return NULL;
}

/* All ranks have got here. On failure the ranks of this node have no group, others may have one. */
static enum ipcshare_mpi_reason group_make(MPI_Comm comm, struct ipcshare__mpi_comm *c)
{
	enum ipcshare_mpi_reason why = IPCSHARE_MPI_NOTHING;

	if (ipcshare_mpi_group_create(layer.ctx, comm, &c->group))
		why = IPCSHARE_MPI_NO_GROUP;
	else if (ipcshare_group_size(c->group) != c->size && layer.ctx->config.across == UINT32_MAX)
		why = IPCSHARE_MPI_NODES;
	why = agree(comm, why);
	if (!why && ipcshare_group_size(c->group) != c->size) {
		c->nodes = ipcshare__mpi_nodes_make(comm, c->group);
		why = agree(comm, c->nodes ? IPCSHARE_MPI_NOTHING : IPCSHARE_MPI_NO_GROUP);
	}
	if (why && c->group) {
		nodes_end(c);
		ipcshare_group_free(c->group);
		c->group = NULL;
	}
	return why;
}

static struct ipcshare__mpi_comm *comm_make(MPI_Comm comm)
{
	struct ipcshare__mpi_comm *c;
	enum ipcshare_mpi_reason why;
	int inter = 0;

	MPI_Comm_test_inter(comm, &inter);
	why = ctx_open();
	if (inter)
		return &without[IPCSHARE_MPI_INTER];
	c = comm_new(comm);
	why = agree(comm, c ? why : IPCSHARE_MPI_NO_GROUP);
	if (!why)
		why = group_make(comm, c);
	if (!why) {
		c->ours = true;
		list_add(c);
		return c;
	}
	if (c)
		comm_free(c);
	return &without[why];
}

struct ipcshare__mpi_comm *ipcshare__mpi_comm_find(MPI_Comm comm)
{
	struct ipcshare__mpi_comm *c = NULL;
	int key = comm == MPI_COMM_NULL ? MPI_KEYVAL_INVALID : key_get(), found = 0;

	/* What is wrong here MPI says best, when it gets the call. */
	if (key == MPI_KEYVAL_INVALID || MPI_Comm_get_attr(comm, key, &c, &found))
		return NULL;
	if (!found) {
		c = comm_make(comm);
		MPI_Comm_set_attr(comm, key, c);
	}
	if (c->group)
		return c;
	ipcshare__mpi_fall_back(c->why);
	return NULL;
}

/* ---- A group of the user's ---- */

static int check_comm(MPI_Comm comm)
{
	int inter = 0;

	if (!ipcshare__mpi_is_up())
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "attach", "call it between the two",
				      "MPI is not initialised, or finalized already");
	if (comm == MPI_COMM_NULL || MPI_Comm_test_inter(comm, &inter) || inter)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "attach", "",
				      "comm is MPI_COMM_NULL or an intercommunicator");
	return 0;
}

/* Can this rank do its part? *out: what the attribute is to be. */
static int prepare(struct ipcshare_group *group, MPI_Comm comm, struct ipcshare__mpi_comm **out)
{
	struct ipcshare__mpi_comm *c = comm_new(comm);
	int size = group ? ipcshare_group_size(group) : 0;

	*out = c;
	if (!c || key_get() == MPI_KEYVAL_INVALID)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "attach", "",
				      "no room for an attribute");
	c->group = group;
	if (group && size < 0)
		return size;
	if (group && (size != c->size || ipcshare_group_rank(group) != c->rank))
		return ipcshare__fail(
			IPCSHARE_ERR_INVALID, "attach",
			"ipcshare_mpi_group_create() makes a fitting one on one node",
			"rank %d of %d of the communicator is rank %d of %d of the group", c->rank,
			c->size, ipcshare_group_rank(group), size);
	return 0;
}

/* Of all ranks: the worst status, and if all or none have a group. */
static int verdict(MPI_Comm comm, int status, bool group)
{
	int mine[3] = { status, group, !group }, least[3];

	if (PMPI_Allreduce(mine, least, 3, MPI_INT, MPI_MIN, comm))
		return ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "attach", "see MPI's own messages",
				      "MPI_Allreduce failed");
	if (least[0] && least[0] == status)
		return status;
	if (least[0])
		return ipcshare__fail(least[0], "attach", "see that rank's own error",
				      "another rank can't: %s", ipcshare_strerror(least[0]));
	if (!least[1] && !least[2])
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "attach", "",
				      "some ranks have a group and others NULL");
	return 0;
}

int ipcshare_mpi_group_attach(struct ipcshare_group *group, MPI_Comm comm)
{
	struct ipcshare__mpi_comm *c = NULL, *old;
	int err = check_comm(comm), found = 0;

	if (err)
		return err;
	err = verdict(comm, prepare(group, comm, &c), group != NULL);
	if (!err && group)
		MPI_Comm_set_attr(comm, key_get(), c); /* and the old one is deleted */
	else if (!err && !MPI_Comm_get_attr(comm, key_get(), &old, &found) && found)
		MPI_Comm_delete_attr(comm, key_get());
	if (c && (err || !group))
		comm_free(c);
	return err;
}
