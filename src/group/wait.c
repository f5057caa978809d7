/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/wait.h"

#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "group/board.h"

/* In a bootstrap: looks without giving way; then with sched_yield(); then sleeps, ever longer. */
#define SPIN_TICKS 200u
#define YIELD_TICKS 200u
#define SLEEP_MIN_NS 20000u
#define SLEEP_MAX_NS 1000000u
#define LOOK_EVERY_NS 10000000u
#define GRACE_NS 500000000u
/* For a post: as long as a round of ranks that work may take, and then asleep until it comes. */
#define SPIN_LOOKS 2000u
#define YIELD_LOOKS 1000u

void ipcshare__wait_cores(void *cores, size_t bytes)
{
	memset(cores, 0, bytes);
	if (sched_getaffinity(0, bytes, cores))
		memset(cores, 0xff, bytes);
}

/* More than this rank alone may use: what all may use together is not known yet. */
static bool crowded_here(int nranks)
{
	cpu_set_t cores;

	return sched_getaffinity(0, sizeof(cores), &cores) == 0 && nranks > CPU_COUNT(&cores);
}

static void begin(struct ipcshare_wait *wait, unsigned timeout_ms, bool crowded)
{
	uint64_t now = ipcshare__now_ns();

	*wait = (struct ipcshare_wait){
		.timeout_ms = timeout_ms,
		.deadline_ns = now + timeout_ms * (uint64_t)1000000u,
		.look_ns = now + LOOK_EVERY_NS,
		.crowded = crowded,
	};
}

void ipcshare__wait_begin_early(struct ipcshare_wait *wait, unsigned timeout_ms, int nranks)
{
	begin(wait, timeout_ms, crowded_here(nranks));
}

void ipcshare__wait_begin(struct ipcshare_wait *wait, struct ipcshare_group *group)
{
	begin(wait, group->ctx->timeout_ms, group->crowded);
	wait->group = group;
}

static struct ipcshare__control *control_of(const struct ipcshare_group *group, int rank)
{
	return rank == group->rank ? NULL : group->members[rank].control;
}

/* They pair with the stores in ipcshare__board_post() and exchange_begin(). */
static uint64_t entered(const uint64_t *round)
{
	return __atomic_load_n(round, __ATOMIC_ACQUIRE);
}

bool ipcshare__wait_has_entered(const struct ipcshare_group *group, int rank)
{
	struct ipcshare__control *c = control_of(group, rank);

	if (!c)
		return rank == group->rank;
	return entered(group->met ? &ipcshare__board_slot_in(c, group->round)->round : &c->round) >=
	       group->round;
}

/* Over the bootstrap or, as soon as it knows that all have met, on the board. */
static bool has_left(const struct ipcshare_group *group, int rank)
{
	struct ipcshare__control *c = control_of(group, rank);

	return c && (entered(&c->round) > group->round ||
		     entered(&ipcshare__board_slot_in(c, group->round + 1)->round) > group->round);
}

/*
 * A peer is gone that had done its part. On the board it is there to be read; of a bootstrap, its bytes
 * may still be on their way to us.
 */
static bool still_heard(struct ipcshare_wait *wait, uint64_t now)
{
	if (!wait->grace_ns)
		wait->grace_ns = now + GRACE_NS;
	return wait->group->met || now < wait->grace_ns;
}

/*
 * The rank that made rank @r give up: itself, if it doesn't say another. It may be ours. Whoever hears of it
 * passes it on, so all name the same one, in whichever order they come.
 */
static int cause_of(const struct ipcshare_group *group, const struct ipcshare__control *c, int r)
{
	int64_t rank = c->because_of;

	return rank >= 0 && rank < group->size ? (int)rank : r;
}

int ipcshare__wait_quitter(const struct ipcshare_group *group, int r, int64_t status)
{
	const struct ipcshare__control *c = control_of(group, r);

	if (status >= 0 || status < IPCSHARE_ERR_SYSTEM)
		status = IPCSHARE_ERR_PROTOCOL;
	ipcshare__fail((int)status, "exchange", "see that rank's own error",
		       "rank %d left the exchange: %s", r, ipcshare_strerror((int)status));
	ipcshare__fail_at(cause_of(group, c, r), -1);
	return (int)status;
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
		/* Pairs with the release store in give_up(). */
		int64_t status = c ? __atomic_load_n(&c->gave_up, __ATOMIC_ACQUIRE) : 0;

		if (status && !(has_left(group, r) && still_heard(wait, now)))
			return ipcshare__wait_quitter(group, r, status);
	}
	return 0;
}

/* While the group is created there may be no peer yet. */
static bool has_ended(const struct ipcshare__member *m)
{
	return m->ended || ipcshare__pidfd_ended(m->peer ? m->peer->owner.pidfd : m->pidfd);
}

static int look_for_dead(struct ipcshare_wait *wait, uint64_t now)
{
	const struct ipcshare_group *group = wait->group;

	for (int r = 0; r < group->size; r++) {
		if (!has_ended(&group->members[r]))
			continue;
		if (ipcshare__wait_has_entered(group, r) && still_heard(wait, now))
			continue;
		ipcshare__fail(IPCSHARE_ERR_PEER_DEAD, "exchange",
			       "free or abandon the group, and make a smaller one",
			       "process %u has ended", group->members[r].identity.tgid);
		ipcshare__fail_at(r, -1);
		return IPCSHARE_ERR_PEER_DEAD;
	}
	return 0;
}

/* Whoever stands is what the others wait for, also those that come late; -1: nobody that we see. */
static int find_stopped(const struct ipcshare_group *group)
{
	for (int r = 0; r < group->size; r++)
		if (r != group->rank && ipcshare__identity_stopped(&group->members[r].identity))
			return r;
	return -1;
}

/* Who has not even entered the exchange that we wait in? */
static int find_late(const struct ipcshare_group *group)
{
	for (int r = 0; r < group->size; r++)
		if (control_of(group, r) && !ipcshare__wait_has_entered(group, r))
			return r;
	return group->unmet;
}

static int timed_out(const struct ipcshare_wait *wait)
{
	int stopped = wait->group ? find_stopped(wait->group) : -1;
	int late = wait->group ? find_late(wait->group) : -1;

	if (stopped >= 0)
		ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "exchange",
			       "let it go on (SIGCONT), or leave the group",
			       "%u ms have passed, and process %u is stopped", wait->timeout_ms,
			       wait->group->members[stopped].identity.tgid);
	else
		ipcshare__fail(
			IPCSHARE_ERR_TIMEOUT, "exchange",
			"does every rank make the same collective calls? IPCSHARE_TIMEOUT sets the "
			"deadline",
			late < 0 ? "%u ms have passed, and no rank is known to be late"
				 : "%u ms have passed, and the rank has not come to this call",
			wait->timeout_ms);
	ipcshare__fail_at(stopped >= 0 ? stopped : late, -1);
	return IPCSHARE_ERR_TIMEOUT;
}

static int look_at_peers(struct ipcshare_wait *wait, uint64_t now)
{
	int err = wait->group ? look_for_quitters(wait, now) : 0;

	if (!err && wait->group && now >= wait->look_ns) {
		wait->look_ns = now + LOOK_EVERY_NS;
		err = look_for_dead(wait, now);
	}
	return err;
}

static int look_around(struct ipcshare_wait *wait, uint64_t now)
{
	int err = look_at_peers(wait, now);

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

/* ---- For a post on the board ---- */

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory"); /* yield does nothing on most cores */
#endif
}

/* Until @rank posts, but not for longer than it may take to notice that it died. */
static void sleep_until_posted(const struct ipcshare_group *group, int rank)
{
	struct timespec most = { .tv_nsec = LOOK_EVERY_NS };
	uint64_t *word = &ipcshare__board_slot_in(group->members[rank].control, group->round)
				  ->round,
		 seen;

	/* Pairs with ipcshare__board_call(): it sees that we sleep, or we that it has posted. */
	__atomic_store_n(&group->page->asleep, 1, __ATOMIC_SEQ_CST);
	seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	if (seen < group->round)
		syscall(SYS_futex, word, FUTEX_WAIT, (uint32_t)seen, &most, NULL, 0);
	__atomic_store_n(&group->page->asleep, 0, __ATOMIC_RELAXED);
}

int ipcshare__wait_spin(const struct ipcshare_group *group)
{
	uint32_t looks = group->crowded ? 0 : SPIN_LOOKS;
	int late = ipcshare__board_late(group, 0);

	for (; late < group->size && looks; looks--) {
		relax();
		late = ipcshare__board_late(group, late);
	}
	return late;
}

int ipcshare__wait_for_post(struct ipcshare_wait *wait, int rank)
{
	const struct ipcshare_group *group = wait->group;
	bool busy = group->meanwhile && group->meanwhile(group->meanwhile_arg);
	uint32_t look = wait->ticks;
	int err;

	wait->ticks += look < UINT32_MAX;
	if (look < YIELD_LOOKS) {
		sched_yield();
		return 0;
	}
	err = look_around(wait, ipcshare__now_ns());
	if (!err && busy)
		sched_yield();
	else if (!err)
		sleep_until_posted(group, rank);
	return err;
}

int ipcshare__wait_glance(struct ipcshare_wait *wait)
{
	if (wait->crowded)
		sched_yield(); /* who is waited for may need the core */
	return look_at_peers(wait, ipcshare__now_ns());
}
