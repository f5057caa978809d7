/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rounds of a group in which one rank may die and one may leave (src/group/exchange.c, board.c, wait.c): do all
 * that live have the same verdict on each round, and does nobody wait for ever?
 *
 *	spin -search round.pml			all is well
 *	spin -DLOOK_FIRST -search round.pml	fails: who doubts must say so before it looks once more
 *	spin -DLOOK_ONCE -search round.pml	fails: and it must look once more
 *	spin -DALONE -search round.pml		fails: it must not decide alone
 *
 * A rank may lose patience at any time in which it has seen that not all have posted; that stands for the
 * deadline. The last one may post at that very moment, find all there, and go on (src/group/verdict.h).
 */
#define RANKS 3
#define ROUNDS 2

mtype = { good, bad };

/* What each rank shows the others. */
byte posted[RANKS], doubts[RANKS];
bool gave_up[RANKS], dead[RANKS];
byte decided; /* the word: for which round, */
mtype decision; /* and what */

/* For the properties. */
mtype verdict[RANKS * ROUNDS];
byte deaths = 1, leavers = 1, ended;

#define VERDICT(r, k) verdict[(r) * ROUNDS + (k) - 1]
#define HAS_LEFT(r) (gave_up[r] && posted[r] <= k)

#define MAY_DIE if :: atomic { deaths > 0 -> deaths--; dead[me] = true; goto end_of_rank } :: true fi
#define FAIL atomic { gave_up[me] = true; VERDICT(me, k) = bad; goto end_of_rank }

/* ipcshare__board_wait(): all have posted, or @err: why that will not be. */
inline board_wait()
{
	err = false;
	r = 0;
	do
	:: r == RANKS -> break
	:: r < RANKS && posted[r] >= k -> r++
	:: r < RANKS && posted[r] < k ->
		if
		:: posted[r] >= k
		:: HAS_LEFT(0) || HAS_LEFT(1) || HAS_LEFT(2) -> err = true; break
		:: dead[r] && posted[r] < k -> err = true; break
		:: err = true; break
		fi
	od;
}

/* decide(): compare and swap. */
inline decide(mine)
{
	atomic {
		if
		:: decided < k -> decided = k; decision = mine
		:: else
		fi;
		err = decided == k && decision == bad
	}
}

inline look_again()
{
	all = true;
	r = 0;
	do
	:: r == RANKS -> break
	:: r < RANKS && posted[r] >= k -> r++
	:: r < RANKS && posted[r] < k -> all = false; break
	od
}

/* ipcshare__verdict_doubt(), after a board_wait() that was in vain */
inline doubt()
{
#ifdef LOOK_ONCE
	all = false;
	doubts[me] = k;
#else
#ifdef LOOK_FIRST
	look_again();
	doubts[me] = k;
#else
	doubts[me] = k;
	MAY_DIE;
	look_again();
#endif
#endif
	MAY_DIE;
#ifdef ALONE
	err = !all;
#else
	if
	:: all -> decide(good)
	:: else -> decide(bad)
	fi
#endif
}

/* ipcshare__verdict_accept() */
inline accept()
{
	r = 0;
	do
	:: r == RANKS -> break
	:: r < RANKS && r != me && doubts[r] == k -> MAY_DIE; decide(good); break
	:: r < RANKS && (r == me || doubts[r] != k) -> r++
	od
}

proctype rank(byte me)
{
	byte k = 1, r;
	bool err, all;

	do
	:: k <= ROUNDS ->
		MAY_DIE;
		if
		:: posted[me] = k
		:: atomic { leavers > 0 -> leavers--; gave_up[me] = true; goto end_of_rank } /* exchange_quit() */
		fi;
		board_wait();
		MAY_DIE;
		if
		:: err -> doubt()
		:: else
		fi;
		if
		:: !err -> accept()
		:: else
		fi;
		if
		:: err -> FAIL
		:: else
		fi;
		VERDICT(me, k) = good;
		k++
	:: else -> break
	od;
end_of_rank:
	ended++
}

#define DIFFER(a, b, k) (!dead[a] && !dead[b] && VERDICT(a, k) + VERDICT(b, k) == good + bad)

init {
	atomic { run rank(0); run rank(1); run rank(2) }
	ended == RANKS; /* else it is an invalid end state */
	assert(!DIFFER(0, 1, 1) && !DIFFER(0, 2, 1) && !DIFFER(1, 2, 1));
	assert(!DIFFER(0, 1, 2) && !DIFFER(0, 2, 2) && !DIFFER(1, 2, 2))
}
