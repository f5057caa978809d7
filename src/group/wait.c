/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/wait.h"

#include <sched.h>
#include <time.h>

#include "base/error.h"

/* Looks without giving way; then with sched_yield(); then sleeps, each time a little longer. */
#define SPIN_TICKS 200u
#define YIELD_TICKS 200u
#define SLEEP_MIN_NS 20000u
#define SLEEP_MAX_NS 1000000u
#define LOOK_EVERY_NS 10000000u
#define GRACE_NS 500000000u

static bool more_ranks_than_cores(int nranks)
{
	cpu_set_t cores;

	return sched_getaffinity(0, sizeof(cores), &cores) == 0 && nranks > CPU_COUNT(&cores);
}

void ipcshare__wait_begin_early(struct ipcshare_wait *wait, unsigned timeout_ms, int nranks)
{
	uint64_t now = ipcshare__now_ns();

	*wait = (struct ipcshare_wait){
		.timeout_ms = timeout_ms,
		.deadline_ns = now + timeout_ms * (uint64_t)1000000u,
		.look_ns = now + LOOK_EVERY_NS,
		.crowded = more_ranks_than_cores(nranks),
	};
}

void ipcshare__wait_begin(struct ipcshare_wait *wait, struct ipcshare_group *group)
{
	ipcshare__wait_begin_early(wait, group->ctx->timeout_ms, group->size);
	wait->group = group;
}

static struct ipcshare__control *control_of(const struct ipcshare_group *group, int rank)
{
	return rank == group->rank ? NULL : group->members[rank].control;
}

/* Both pair with the release store in exchange_begin(). */
static bool has_entered(const struct ipcshare_group *group, int rank)
{
	const struct ipcshare__control *c = control_of(group, rank);

	return c && __atomic_load_n(&c->round, __ATOMIC_ACQUIRE) >= group->round;
}

static bool has_left(const struct ipcshare_group *group, int rank)
{
	const struct ipcshare__control *c = control_of(group, rank);

	return c && __atomic_load_n(&c->round, __ATOMIC_ACQUIRE) > group->round;
}

/* A peer is gone that may have done its part: its bytes may still be on their way to us. */
static bool grace(struct ipcshare_wait *wait, uint64_t now)
{
	if (!wait->grace_ns)
		wait->grace_ns = now + GRACE_NS;
	return now < wait->grace_ns;
}

/* The rank that made rank @r give up: itself, if it doesn't say another. */
static int cause_of(const struct ipcshare_group *group, const struct ipcshare__control *c, int r)
{
	int64_t rank = c->because_of;

	return rank >= 0 && rank < group->size && rank != group->rank ? (int)rank : r;
}

/*
 * A rank that failed in the middle of a collective says so in its control page. If that was a later
 * one than ours, this exchange is complete: we must not give another verdict than it did.
 */
static int look_for_quitters(struct ipcshare_wait *wait, uint64_t now)
{
	const struct ipcshare_group *group = wait->group;

	for (int r = 0; r < group->size; r++) {
		struct ipcshare__control *c = control_of(group, r);
		/* Pairs with the release store in ipcshare__exchange_quit(). */
		int64_t status = c ? __atomic_load_n(&c->gave_up, __ATOMIC_ACQUIRE) : 0;

		if (!status || (has_left(group, r) && grace(wait, now)))
			continue;
		if (status > 0 || status < IPCSHARE_ERR_SYSTEM)
			status = IPCSHARE_ERR_PROTOCOL;
		ipcshare__fail((int)status, "exchange", "see that rank's own error",
			       "rank %d left the exchange: %s", r, ipcshare_strerror((int)status));
		ipcshare__fail_at(cause_of(group, c, r), -1);
		return (int)status;
	}
	return 0;
}

static int look_for_dead(struct ipcshare_wait *wait, uint64_t now)
{
	const struct ipcshare_group *group = wait->group;

	for (int r = 0; r < group->size; r++) {
		const struct ipcshare__peer *peer = group->members[r].peer;

		if (!peer || !ipcshare__pidfd_ended(peer->owner.pidfd))
			continue;
		if (has_entered(group, r) && grace(wait, now))
			continue;
		ipcshare__fail(IPCSHARE_ERR_PEER_DEAD, "exchange",
			       "free or abandon the group, and make a smaller one",
			       "process %u has ended", group->members[r].identity.tgid);
		ipcshare__fail_at(r, -1);
		return IPCSHARE_ERR_PEER_DEAD;
	}
	return 0;
}

/* Who has not even entered the exchange that we wait in? */
static int timed_out(const struct ipcshare_wait *wait)
{
	const struct ipcshare_group *group = wait->group;
	int late = -1;

	for (int r = 0; group && r < group->size && late < 0; r++) {
		if (control_of(group, r) && !has_entered(group, r))
			late = r;
	}
	ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "exchange",
		       "does every rank make the same collective calls? IPCSHARE_TIMEOUT sets the "
		       "deadline",
		       late < 0 ? "%u ms have passed, and no rank is known to be late"
				: "%u ms have passed, and the rank has not come to this call",
		       wait->timeout_ms);
	ipcshare__fail_at(late, -1);
	return IPCSHARE_ERR_TIMEOUT;
}

static int look_around(struct ipcshare_wait *wait, uint64_t now)
{
	int err = wait->group ? look_for_quitters(wait, now) : 0;

	if (!err && wait->group && now >= wait->look_ns) {
		wait->look_ns = now + LOOK_EVERY_NS;
		err = look_for_dead(wait, now);
	}
	if (!err && now >= wait->deadline_ns)
		err = timed_out(wait);
	return err;
}

/* A little longer each time; a signal may shorten it. */
static void nap(uint32_t naps)
{
	uint64_t ns = naps / 8 > 5 ? SLEEP_MAX_NS : (uint64_t)SLEEP_MIN_NS << naps / 8;
	struct timespec t = { .tv_nsec = (long)(ns < SLEEP_MAX_NS ? ns : SLEEP_MAX_NS) };

	nanosleep(&t, NULL);
}

int ipcshare_wait_tick(struct ipcshare_wait *wait)
{
	uint32_t tick;
	uint64_t now;
	int err;

	if (!wait)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "wait", "", "wait is NULL");
	tick = wait->ticks;
	wait->ticks += tick < UINT32_MAX;
	now = ipcshare__now_ns();
	/* A caller whose ticks are far apart looks around no later than others. */
	if (tick >= SPIN_TICKS + YIELD_TICKS || now >= wait->look_ns) {
		err = look_around(wait, now);
		if (err)
			return err;
	}
	if (tick >= SPIN_TICKS + YIELD_TICKS)
		nap(tick - SPIN_TICKS - YIELD_TICKS);
	else if (wait->crowded || tick >= SPIN_TICKS)
		sched_yield();
	return 0;
}
