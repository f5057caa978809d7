/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/ranks.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ascend/ascend.h"
#include "base/error.h"
#include "memory/context.h"

/* ---- Agreement ---- */

struct verdict {
	int status;
	char why[RANKS_WHY];
};

static void say(const struct verdict *all, int n)
{
	int first = -1, more = -1;

	for (int r = 0; r < n; r++) {
		if (!all[r].status)
			continue;
		first = first < 0 ? r : first;
		more++;
	}
	if (more > 0)
		fprintf(stderr, "ipcshare-info: rank %d, and %d more: %s\n", first, more,
			all[first].why);
	else
		fprintf(stderr, "ipcshare-info: rank %d: %s\n", first, all[first].why);
}

int ranks_agree(struct job *job, int err)
{
	struct verdict mine = { .status = err }, *all = calloc((size_t)job->size, sizeof(*all));
	int failed = 0, lost;

	if (!all)
		return ipcshare__fail_errno(ENOMEM, "job", "verdicts of %d ranks", job->size);
	if (err)
		snprintf(mine.why, sizeof(mine.why), "%s", ipcshare_explain());
	lost = job_allgather(job, NULL, &mine, sizeof(mine), all);
	for (int r = 0; r < job->size && !lost; r++)
		failed |= all[r].status != 0;
	if (failed && !job->rank)
		say(all, job->size);
	free(all);
	return lost ? lost : failed ? RANKS_SAID : 0;
}

/* ---- Where they are ---- */

/* What a group does not know: which cores these are. */
static int gather_cores(struct job *job, struct ranks *r)
{
	uint64_t ours[RANKS_CPUS / 64] = { 0 }, (*all)[RANKS_CPUS / 64];
	int err;

	all = calloc((size_t)r->n, sizeof(*all));
	if (!all)
		return ipcshare__fail_errno(ENOMEM, "topology", "cores of %d ranks", r->n);
	if (sched_getaffinity(0, sizeof(ours), (cpu_set_t *)(void *)ours))
		memset(ours, 0, sizeof(ours)); /* then they are not known */
	err = job_allgather(job, NULL, ours, sizeof(ours), all);
	for (int i = 0; i < r->n && !err; i++)
		memcpy(r->rank[i].cores, all[i], sizeof(all[i]));
	free(all);
	return err;
}

static int look_at_places(struct ipcshare_group *group, struct ranks *r)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	int err = ipcshare_group_order(group, r->order);

	for (int i = 0; i < r->n && !err; i++) {
		r->rank[i].place.size = sizeof(r->rank[i].place);
		err = ipcshare_group_place(group, i, &r->rank[i].place);
		if (!err)
			err = ipcshare_group_peer(group, i, &peer);
		r->rank[i].device = peer.device;
	}
	return err;
}

int ranks_home(const struct ipcshare__machine *m, const struct rank *rank)
{
	int home = -1;

	for (int c = 0; c < RANKS_CPUS; c++) {
		int cpu = c < m->ncpus ? m->cpus[c] : -1;

		if (!(rank->cores[c / 64] >> c % 64 & 1) || cpu < 0)
			continue;
		if (home < 0)
			home = cpu;
		while (cpu < home || cpu >= ipcshare__machine_end(m, home))
			home = m->parts[home].parent;
	}
	return home < 0 ? 0 : home;
}

int ranks_npu(const struct ipcshare__machine *m, const struct rank *rank)
{
	return rank->device < 0 ? -1 : ipcshare__machine_find(m, IPCSHARE__PART_NPU, rank->device);
}

/* ---- What they can do with each other ---- */

/* Each asks for the links of its own NPU. */
static int look_at_links(struct job *job, struct ipcshare_ctx *ctx, struct ranks *r)
{
	const size_t n = (size_t)r->n;
	const struct ascend *a = ipcshare__ascend_of(ctx->backend);
	char(*row)[RANKS_LINK];
	int err;

	if (ctx->backend->ops->id != IPCSHARE__BACKEND_ASCEND)
		return 0;
	row = calloc(n, sizeof(*row));
	r->links = calloc(n * n, sizeof(*r->links));
	if (!row || !r->links) {
		free(row);
		return ipcshare__fail_errno(ENOMEM, "topology", "links of %d ranks", r->n);
	}
	r->emulated = ipcshare__acl_emulator(a->device.acl) != NULL;
	for (int i = 0; i < r->n; i++)
		snprintf(row[i], sizeof(row[i]), "%s",
			 ipcshare__ascend_link_to(&a->device, r->rank[i].device));
	err = job_allgather(job, NULL, row, n * sizeof(*row), r->links);
	free(row);
	return err;
}

/* ---- All of it ---- */

static int make_room(struct ranks *r, int n)
{
	*r = (struct ranks){
		.n = n,
		.rank = calloc((size_t)n, sizeof(*r->rank)),
		.order = calloc((size_t)n, sizeof(*r->order)),
	};
	return r->rank && r->order ? 0 : ipcshare__fail_errno(ENOMEM, "topology", "%d ranks", n);
}

/* With the NPU of its number, as ipcshare-bench has it. */
static int begin(struct job *job, struct ipcshare_ctx **ctx, struct ipcshare_group **group)
{
	const struct ipcshare_bootstrap bootstrap = {
		.size = sizeof(bootstrap),
		.arg = job,
		.rank = job->rank,
		.nranks = job->size,
		.allgather = job_allgather,
	};
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	int err;

	options.device = job->rank;
	options.timeout_ms = (unsigned)job->patience_ms;
	err = ranks_agree(job, ipcshare_open(&options, ctx));
	if (err)
		return err;
	err = ipcshare_group_create(*ctx, &bootstrap, group);
	/* Without an exchange nobody knows where the others are. */
	return err == IPCSHARE_ERR_PEER_DEAD || err == IPCSHARE_ERR_TIMEOUT ? err
									    : ranks_agree(job, err);
}

static int look(struct job *job, bool matrix, struct ipcshare_ctx *ctx,
		struct ipcshare_group *group, struct ranks *r)
{
	int err = make_room(r, job->size);

	snprintf(r->backend, sizeof(r->backend), "%s", ipcshare_backend(ctx));
	if (!err)
		err = look_at_places(group, r);
	err = ranks_agree(job, err);
	if (!err)
		err = gather_cores(job, r);
	if (!err)
		err = look_at_links(job, ctx, r);
	return err || !matrix ? err : matrix_measure(job, ctx, group, r);
}

int ranks_look(struct job *job, bool matrix, struct ranks *r)
{
	struct ipcshare_ctx *ctx = NULL;
	struct ipcshare_group *group;
	int err = begin(job, &ctx, &group);

	if (!err)
		err = look(job, matrix, ctx, group, r);
	if (!err)
		err = ranks_agree(job, ipcshare_group_free(group));
	if (!err)
		err = ranks_agree(job, ipcshare_close(ctx));
	if (err)
		ipcshare_abandon(ctx);
	return err;
}

void ranks_free(struct ranks *r)
{
	free(r->rank);
	free(r->order);
	free(r->links);
	free(r->pairs);
	free(r->whys);
	*r = (struct ranks){ .n = 0 };
}
