/* SPDX-License-Identifier: BSD-3-Clause */
#include "across.h"

#include <sched.h>

#include "base/clock.h"
#include "base/error.h"
#include "bootstrap.h"
#include "fallback.h"
#include "group/group.h"
#include "group/wait.h"

/* MPI is asked so often before the core is offered to others and we look at the clock. */
#define SPIN_TESTS 2000u

static int late(const struct ipcshare_wait *wait, const char *call)
{
	return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "exchange",
			      "do all ranks of all nodes make this call? IPCSHARE_TIMEOUT sets the "
			      "deadline",
			      "%u ms have passed, and %s between the nodes is not over",
			      wait->timeout_ms, call);
}

/*
 * Ranks of the node that are gone are not looked for: other nodes wait for what was begun, and the node's own
 * next step finds out.
 */
static int complete(MPI_Request *request, struct ipcshare_wait *wait, const char *call)
{
	int done = 0, err;

	for (uint32_t tests = 1;; tests++) {
		err = ipcshare__mpi_result(MPI_Test(request, &done, MPI_STATUS_IGNORE), call);
		if (err || done)
			return err;
		if (tests < SPIN_TESTS && !wait->crowded)
			continue;
		sched_yield();
		if (ipcshare__now_ns() >= wait->deadline_ns)
			return late(wait, call);
	}
}

int ipcshare__mpi_across_wait(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			      int which, int result, const char *call)
{
	int err = ipcshare__mpi_result(result, call);
	struct ipcshare_wait wait;

	if (!err) {
		ipcshare__wait_begin(&wait, group);
		wait.timeout_ms -= wait.timeout_ms / 8;
		wait.deadline_ns -= group->ctx->timeout_ms / 8 * (uint64_t)1000000u;
		err = complete(&n->requests[which], &wait, call);
	}
	if (err)
		n->broken = err;
	return err;
}

/* ---- Words ---- */

static int speak(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group)
{
	int err = MPI_Iallreduce(&n->said, &n->heard, 1, n->word, n->merge, n->lane,
				 &n->requests[2]);

	ipcshare__mpi_count_crossed(sizeof(n->said));
	return ipcshare__mpi_across_wait(n, group, 2, err, "MPI_Iallreduce");
}

/* Of the leader: its own status is that of all its node. */
static void lead(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group, int status,
		 struct ipcshare__mpi_word *word)
{
	int err;

	word->status = status;
	word->rank = n->rank;
	word->node = n->mine;
	n->said = *word;
	err = speak(n, group);
	if (!err) {
		*word = n->heard;
		return;
	}
	word->status = err;
	word->over = 1;
}

/* On all ranks of the node, of which only the leader knows why MPI failed. */
static int tell(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group, int status,
		const struct ipcshare__mpi_word *word)
{
	if (word->over && word->rank == n->rank)
		return ipcshare__mpi_node_agree(n, group, word->status);
	if (word->over && n->node_of[word->rank] == n->mine)
		return ipcshare__mpi_node_agree(n, group, 0);
	if (word->status == status)
		return status;
	return ipcshare__fail(word->status, "collective",
			      word->status == IPCSHARE_ERR_MISMATCH
				      ? "all ranks make the same calls, in the same order"
				      : "see that rank's own error",
			      "rank %d of the communicator, on another node: %s", word->rank,
			      ipcshare_strerror(word->status));
}

int ipcshare__mpi_across_agree(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			       int status, struct ipcshare__mpi_word *word)
{
	struct ipcshare_error own = { 0 };
	int err;

	if (status)
		own = *ipcshare_last_error();
	if (n->local == 0)
		lead(n, group, status, word);
	err = ipcshare_bcast(group, word, sizeof(*word), IPCSHARE_UINT8, 0);
	if (err) /* then the group is of no more use, and its own error tells why */
		return err;
	if (status && status == word->status)
		ipcshare__error_restore(&own);
	if (word->over && n->node_of[word->rank] == n->mine)
		n->broken = word->status;
	return word->status ? tell(n, group, status, word) : 0;
}

int ipcshare__mpi_node_agree(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			     int status)
{
	int err = ipcshare__agree(group, IPCSHARE__COLL_BARRIER, status, NULL, 0, NULL);

	if (err)
		n->broken = err;
	return err;
}
