/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two slots of each rank, and sleeping until a peer posts (src/group/board.c, wait.c), on a machine whose
 * stores reach the others late: each rank has a queue of them, and a second one for what no release orders
 * with the rest. Nobody reads another round's bytes, and nobody sleeps for ever, also if no sleep ends by
 * itself.
 *
 *	spin -search slots.pml			all is well: 67,000 states
 *	spin -DONE_SLOT -search slots.pml	fails: it is written while a slower rank reads
 *	spin -DFLAG_FIRST -search slots.pml	fails: a post without release order
 *	spin -DNO_FENCE -search slots.pml	fails: who posts does not see who sleeps
 *	spin -DLOOK_FIRST -search slots.pml	fails: who sleeps looks, and then says that it will
 *
 * With -DRANKS=3 -DROUNDS=3 there are 12,000,000 states: 2 GiB, or 700 MiB with -collapse behind -search.
 */
#ifndef RANKS
#define RANKS 2
#endif
#ifndef ROUNDS
#define ROUNDS 4
#endif
#ifdef ONE_SLOT
#define SLOT(r, k) (r)
#else
#define SLOT(r, k) (2 * (r) + (k) % 2)
#endif

/* As all see them. */
byte payload[2 * RANKS], flag[2 * RANKS];
bit asleep[RANKS];
byte sleeps_on[RANKS]; /* in the kernel: a flag's number and 1 */

mtype = { pay, post };
chan stores[RANKS] = [4] of { mtype, byte, byte }; /* on their way: what, which, value */
chan naps[RANKS] = [2] of { bit };

#define FENCE (empty(stores[me]) && empty(naps[me]))

proctype memory(byte me)
{
	byte at, value;
	bit nap;

end:	do
	:: atomic { stores[me] ? pay(at, value) -> payload[at] = value }
	:: atomic { stores[me] ? post(at, value) -> flag[at] = value }
#ifdef FLAG_FIRST
	:: atomic { stores[me] ?? post(at, value) -> flag[at] = value }
#endif
	:: atomic { naps[me] ? nap -> asleep[me] = nap }
	od
}

/* ipcshare__board_call() */
inline call()
{
#ifndef NO_FENCE
	FENCE;
#endif
	r = 0;
	do
	:: r < RANKS && r != me && asleep[r] ->
		d_step { /* FUTEX_WAKE */
			r = 0;
			do
			:: r < RANKS ->
				if
				:: sleeps_on[r] == SLOT(me, k) + 1 -> sleeps_on[r] = 0
				:: else
				fi;
				r++
			:: else -> break
			od
		}
		break
	:: r < RANKS && !(r != me && asleep[r]) -> r++
	:: r == RANKS -> break
	od
}

/* sleep_until_posted() */
inline sleep_until_posted()
{
#ifdef LOOK_FIRST
	seen = flag[SLOT(r, k)];
#endif
	naps[me] ! 1;
	FENCE;
#ifndef LOOK_FIRST
	seen = flag[SLOT(r, k)];
#endif
	if
	:: seen < k ->
#ifdef LOOK_FIRST
		sleeps_on[me] = SLOT(r, k) + 1;
#else
		atomic { /* FUTEX_WAIT looks again */
			if
			:: flag[SLOT(r, k)] == seen -> sleeps_on[me] = SLOT(r, k) + 1
			:: else
			fi
		}
#endif
		sleeps_on[me] == 0
	:: else
	fi;
	naps[me] ! 0
}

proctype rank(byte me)
{
	byte k = 1, r, seen;

	do
	:: k <= ROUNDS ->
		stores[me] ! pay(SLOT(me, k), k);
		stores[me] ! post(SLOT(me, k), k);
		call(); /* before it spins, or after that: others can't tell */
		r = 0;
		do
		:: r < RANKS && (r == me || flag[SLOT(r, k)] >= k) -> r++
		:: r < RANKS && !(r == me || flag[SLOT(r, k)] >= k) -> sleep_until_posted()
		:: r == RANKS -> break
		od;
		r = 0;
		do
		:: r < RANKS ->
			assert(r == me || payload[SLOT(r, k)] == k);
			r++
		:: r == RANKS -> break
		od;
		k++
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		do
		:: i < RANKS -> run rank(i); run memory(i); i++
		:: else -> break
		od
	}
}
