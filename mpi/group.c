/* SPDX-License-Identifier: BSD-3-Clause */
/* Which ranks of a communicator make a group, and how the two kinds of rank translate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bootstrap.h"
#include "fake.h"
#include "group/group.h"
#include "group/wait.h"

#define NO_CTX_TIMEOUT_MS 120000u /* of a rank that fails anyway: the default of IPCSHARE_TIMEOUT */

static int comm_check(MPI_Comm comm)
{
	int inter = 0;

	if (!ipcshare__mpi_is_up())
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "call it between the two",
				      "MPI is not initialised, or finalized already");
	if (comm == MPI_COMM_NULL)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "", "comm is MPI_COMM_NULL");
	if (MPI_Comm_test_inter(comm, &inter) == MPI_SUCCESS && inter)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group",
				      "MPI_Intercomm_merge() makes one of both sides",
				      "comm is an intercommunicator");
	return 0;
}

/*
 * Does every rank come, and stay? MPI can't make a communicator without blocking, so nobody begins to
 * before all are here. Twice: who comes late finds the first barrier complete although the others have
 * given up, and only the second one shows it. A rank whose MPI fails, which nobody else sees, goes on too:
 * the others would wait for it for ever in what blocks. It has @status, to tell them.
 */
static int all_come(MPI_Comm comm, unsigned timeout_ms, int *status)
{
	struct ipcshare_wait wait;
	int size, err = 0;

	MPI_Comm_size(comm, &size);
	for (int i = 0; i < 2 && !err; i++) {
		ipcshare__wait_begin_early(&wait, timeout_ms, size);
		err = ipcshare__mpi_barrier(comm, &wait);
		if (err == IPCSHARE_ERR_BOOTSTRAP) {
			*status = err;
			err = 0;
		}
	}
	return err;
}

/* What ranks of one node have in common. */
struct place {
	uint8_t boot[16];
	int32_t fake; /* of several nodes that are one */
};

static int place_get(const struct ipcshare_ctx *ctx, struct place *out)
{
	int world, fake, err;

	MPI_Comm_rank(MPI_COMM_WORLD, &world);
	err = ipcshare__mpi_fake_node(ctx->config.fake_nodes, world, &fake);
	if (err)
		return err;
	memcpy(out->boot, ctx->identity.boot, sizeof(out->boot));
	out->fake = fake;
	return 0;
}

/* Ranks that MPI takes for local may still be on different machines: containers, renamed hosts. */
static int split_by_place(const struct ipcshare_ctx *ctx, const struct place *mine, MPI_Comm *comm)
{
	int size, rank, color = -1, together = 1, err;
	struct ipcshare_wait wait;
	struct place *places;
	MPI_Comm part;

	MPI_Comm_size(*comm, &size);
	MPI_Comm_rank(*comm, &rank);
	places = calloc((size_t)size, sizeof(*places));
	if (!places) /* the others wait in the allgather until the deadline */
		return ipcshare__fail_errno(ENOMEM, "group", "places of %d ranks", size);
	ipcshare__wait_begin_early(&wait, ctx->timeout_ms, size);
	err = ipcshare__mpi_allgather(*comm, &wait, mine, sizeof(*mine), places);
	for (int r = 0; r < size && !err; r++) {
		together &= !memcmp(&places[r], &places[0], sizeof(places[0]));
		if (color < 0 && !memcmp(&places[r], mine, sizeof(places[0])))
			color = r;
	}
	free(places);
	if (err || together)
		return err;
	err = ipcshare__mpi_result(MPI_Comm_split(*comm, color, rank, &part), "MPI_Comm_split");
	if (err)
		return err;
	MPI_Comm_free(comm);
	MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN);
	*comm = part;
	return 0;
}

/* The ranks of @comm on this node, in @comm's order. */
static int local_comm(MPI_Comm comm, MPI_Comm *out)
{
	int rank, err;

	MPI_Comm_rank(comm, &rank);
	err = ipcshare__mpi_result(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank,
						       MPI_INFO_NULL, out),
				   "MPI_Comm_split_type");
	if (!err)
		MPI_Comm_set_errhandler(*out, MPI_ERRORS_RETURN);
	return err;
}

static int ranks_translate(MPI_Comm comm, struct ipcshare__mpi_bootstrap *b)
{
	MPI_Group user, local;
	int *all, err;

	all = calloc((size_t)b->nranks, sizeof(int));
	b->comm_rank = calloc((size_t)b->nranks, sizeof(int));
	if (!all || !b->comm_rank) {
		free(all);
		return ipcshare__fail_errno(ENOMEM, "group", "%d ranks", b->nranks);
	}
	for (int r = 0; r < b->nranks; r++)
		all[r] = r;
	MPI_Comm_group(comm, &user);
	MPI_Comm_group(b->comm, &local);
	err = ipcshare__mpi_result(MPI_Group_translate_ranks(local, b->nranks, all, user,
							     b->comm_rank),
				   "MPI_Group_translate_ranks");
	MPI_Group_free(&user);
	MPI_Group_free(&local);
	free(all);
	return err;
}

static int bootstrap_prepare(MPI_Comm comm, struct ipcshare__mpi_bootstrap *b)
{
	MPI_Comm_size(b->comm, &b->nranks);
	MPI_Comm_size(comm, &b->comm_size);
	return ranks_translate(comm, b);
}

/* Before the group's own exchanges can tell: does every local rank get that far? */
static int ready(MPI_Comm local, int status, unsigned timeout_ms)
{
	struct ipcshare_wait wait;
	int size, worst = 0, err, *all;

	MPI_Comm_size(local, &size);
	all = calloc((size_t)size, sizeof(*all));
	if (!all) /* as above */
		return ipcshare__fail_errno(ENOMEM, "group", "the states of %d ranks", size);
	ipcshare__wait_begin_early(&wait, timeout_ms, size);
	err = ipcshare__mpi_allgather(local, &wait, &status, sizeof(status), all);
	for (int r = 0; r < size && !err; r++)
		worst = all[r] < worst ? all[r] : worst;
	free(all);
	if (err || status == worst) /* nobody has failed, or we have as much as anybody */
		return err ? err : worst;
	return ipcshare__fail(worst, "group", "see that rank's own error",
			      "another rank of the node could not start: %s",
			      ipcshare_strerror(worst));
}

/* Did the ranks part without an agreement, so that some may be gone? */
static int exchange_failed(int err)
{
	return err == IPCSHARE_ERR_PEER_DEAD || err == IPCSHARE_ERR_TIMEOUT ||
	       err == IPCSHARE_ERR_BOOTSTRAP || err == IPCSHARE_ERR_PROTOCOL;
}

/* From here on all ranks are there. @status: what this rank lacks, for all to hear. */
static int local_begin(struct ipcshare_ctx *ctx, MPI_Comm comm, int status, unsigned timeout_ms,
		       struct ipcshare__mpi_bootstrap *b)
{
	struct place place = { { 0 }, 0 };
	int err = local_comm(comm, &b->comm);

	if (err)
		return err;
	if (!status)
		status = place_get(ctx, &place);
	err = ready(b->comm, status, timeout_ms);
	if (!err)
		err = split_by_place(ctx, &place, &b->comm);
	if (!err)
		err = bootstrap_prepare(comm, b);
	return err;
}

int ipcshare_mpi_group_create(struct ipcshare_ctx *ctx, MPI_Comm comm, struct ipcshare_group **out)
{
	struct ipcshare__mpi_bootstrap *b;
	struct ipcshare_bootstrap bootstrap;
	int err = comm_check(comm), status, rank;
	unsigned timeout_ms;

	if (err)
		return err;
	b = calloc(1, sizeof(*b));
	if (!b)
		return ipcshare__fail_errno(ENOMEM, "group", "a bootstrap");
	b->comm = MPI_COMM_NULL;
	status = ipcshare__ctx_check(ctx, "group");
	timeout_ms = status ? NO_CTX_TIMEOUT_MS : ctx->timeout_ms;
	if (!status && !out)
		status = ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "", "out is NULL");
	err = all_come(comm, timeout_ms, &status);
	if (!err)
		err = local_begin(ctx, comm, status, timeout_ms, b);
	if (err) {
		ipcshare__mpi_bootstrap_end(b, exchange_failed(err));
		return err;
	}
	MPI_Comm_rank(b->comm, &rank);
	ipcshare__mpi_bootstrap_fill(b, rank, &bootstrap);
	err = ipcshare_group_create(ctx, &bootstrap, out);
	if (err)
		bootstrap.release(b, exchange_failed(err));
	else
		MPI_Comm_free(&b->comm); /* while all are here: the group has its board now */
	return err;
}

/* ---- Ranks ---- */

static int bootstrap_of(const struct ipcshare_group *group,
			const struct ipcshare__mpi_bootstrap **out)
{
	int err = ipcshare__group_check(group, "group");

	if (err)
		return err;
	*out = ipcshare__mpi_bootstrap_of(ipcshare__group_bootstrap(group));
	return *out ? 0
		    : ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "",
				     "the group was not made from a communicator");
}

int ipcshare_mpi_comm_rank(const struct ipcshare_group *group, int group_rank)
{
	const struct ipcshare__mpi_bootstrap *b;
	int err = bootstrap_of(group, &b);

	if (err)
		return err;
	if (group_rank < 0 || group_rank >= b->nranks)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "",
				      "%d is no rank of the group", group_rank);
	return b->comm_rank[group_rank];
}

int ipcshare_mpi_group_rank(const struct ipcshare_group *group, int comm_rank)
{
	const struct ipcshare__mpi_bootstrap *b;
	int err = bootstrap_of(group, &b);

	if (err)
		return err;
	if (comm_rank < 0 || comm_rank >= b->comm_size)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "",
				      "%d is no rank of the communicator", comm_rank);
	for (int r = 0; r < b->nranks; r++)
		if (b->comm_rank[r] == comm_rank)
			return r;
	return ipcshare__fail(IPCSHARE_ERR_OTHER_NODE, "group", "",
			      "rank %d of the communicator is on another node", comm_rank);
}
