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

static bool more_ranks_than_cores(int nranks)
{
	cpu_set_t cores;

	return sched_getaffinity(0, sizeof(cores), &cores) == 0 && nranks > CPU_COUNT(&cores);
}

void ipcshare__wait_begin(struct ipcshare_wait *wait, struct ipcshare_group *group)
{
	uint64_t now = ipcshare__now_ns();

	*wait = (struct ipcshare_wait){
		.group = group,
		.deadline_ns = now + group->ctx->timeout_ms * (uint64_t)1000000u,
		.look_ns = now + LOOK_EVERY_NS,
		.crowded = more_ranks_than_cores(group->size),
	};
}

static struct ipcshare__control *control_of(const struct ipcshare_group *group, int rank)
{
	return rank == group->rank ? NULL : group->members[rank].control;
}

/* A rank that failed in the middle of a collective says so in its control page. */
static int look_for_quitters(const struct ipcshare_group *group)
{
	for (int r = 0; r < group->size; r++) {
		struct ipcshare__control *c = control_of(group, r);
		/* Pairs with the release store in ipcshare__exchange_quit(). */
		int64_t status = c ? __atomic_load_n(&c->gave_up, __ATOMIC_ACQUIRE) : 0;

		if (!status)
			continue;
		ipcshare__fail(status < 0 && status >= IPCSHARE_ERR_SYSTEM ? (int)status
									    : IPCSHARE_ERR_PROTOCOL,
			       "exchange", "see that rank's own error",
			       "the rank left the exchange: %s", ipcshare_strerror((int)status));
		ipcshare__fail_at(r, -1);
		return ipcshare_last_error()->status;
	}
	return 0;
}

static int look_for_dead(const struct ipcshare_group *group)
{
	for (int r = 0; r < group->size; r++) {
		const struct ipcshare__peer *peer = group->members[r].peer;

		if (!peer || !ipcshare__pidfd_ended(peer->owner.pidfd))
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
static int timed_out(const struct ipcshare_group *group)
{
	int late = -1;

	for (int r = 0; r < group->size && late < 0; r++) {
		struct ipcshare__control *c = control_of(group, r);

		if (c && __atomic_load_n(&c->round, __ATOMIC_ACQUIRE) < group->round)
			late = r;
	}
	ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "exchange",
		       "does every rank make the same collective calls? IPCSHARE_TIMEOUT sets the "
		       "deadline",
		       late < 0 ? "%u ms have passed, and no rank is known to be late"
				: "%u ms have passed, and the rank has not come to this call",
		       group->ctx->timeout_ms);
	ipcshare__fail_at(late, -1);
	return IPCSHARE_ERR_TIMEOUT;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = { .tv_nsec = (long)ns };

	nanosleep(&t, NULL); /* a signal may shorten it */
}

int ipcshare_wait_tick(struct ipcshare_wait *wait)
{
	uint32_t tick, naps;
	uint64_t now, nap;
	int err;

	if (!wait)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "wait", "", "wait is NULL");
	tick = wait->ticks++;
	if (!wait->crowded && tick < SPIN_TICKS)
		return 0;
	if (tick < SPIN_TICKS + YIELD_TICKS) {
		sched_yield();
		return 0;
	}
	err = look_for_quitters(wait->group);
	if (err)
		return err;
	now = ipcshare__now_ns();
	if (now >= wait->look_ns) {
		wait->look_ns = now + LOOK_EVERY_NS;
		err = look_for_dead(wait->group);
		if (err)
			return err;
	}
	if (now >= wait->deadline_ns)
		return timed_out(wait->group);
	naps = tick - SPIN_TICKS - YIELD_TICKS;
	nap = naps / 8 > 5 ? SLEEP_MAX_NS : (uint64_t)SLEEP_MIN_NS << naps / 8;
	sleep_ns(nap < SLEEP_MAX_NS ? nap : SLEEP_MAX_NS);
	return 0;
}
