/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rounds of a group in which one rank may die and one may leave (src/group/exchange.c, board.c, wait.c): do all
 * that live have the same verdict on each round, and does nobody wait for ever?
 *
 *	spin -search round.pml				all is well as long as no deadline passes: 68,000 states
 *	spin -DLOOK_ONCE -search round.pml		fails: who sees a rank leave must look at the posts again
 *	spin -DDEADLINE -search round.pml		fails, see below
 *	spin -DDEADLINE -DDECIDE -search round.pml	all is well: 3,200,000 states
 *
 * With a deadline: a rank has waited long enough and has seen that not all have posted. Before it can say so
 * in its page, the last one posts, finds that all have and that nobody says otherwise, and goes on. So one
 * has an error and the other has none; the next round fails on both.
 *
 * DECIDE is a remedy, not in the library: who is content says so in a word of its own (past) before it looks
 * for doubts of others, and who doubts says so before it looks who is content. So at least one of two sees
 * the other. Whoever sees that they differ lets one word that all may change decide, once for each round.
 */
#define RANKS 3
#define ROUNDS 2

mtype = { good, bad };

/* What each rank shows the others. */
byte posted[RANKS], unfinished[RANKS];
bool gave_up[RANKS], dead[RANKS];
#ifdef DECIDE
byte past[RANKS], decided;
mtype decision;
#endif

/* For the properties. */
mtype verdict[RANKS * ROUNDS];
byte deaths = 1, leavers = 1, ended;

#define VERDICT(r, k) verdict[(r) * ROUNDS + (k) - 1]
#define ALL_POSTED (posted[0] >= k && posted[1] >= k && posted[2] >= k)
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
#ifdef DEADLINE
		:: err = true; break
#endif
		fi
	od;
#ifndef LOOK_ONCE
	/* unless_all_posted() */
	if
	:: err && ALL_POSTED -> err = false
	:: else
	fi
#endif
}

#ifndef DECIDE
/* round_end() */
inline round_end()
{
	if
	:: err -> unfinished[me] = k; FAIL
	:: else
	fi;
	r = 0;
	do
	:: r == RANKS -> break
	:: r < RANKS && gave_up[r] && unfinished[r] == k -> FAIL
	:: r < RANKS && !(gave_up[r] && unfinished[r] == k) -> r++
	od
}
#else
inline round_end()
{
	if
	:: err -> unfinished[me] = k
	:: else -> past[me] = k
	fi;
	MAY_DIE;
	doubt = err;
	r = 0;
	do
	:: r == RANKS -> break
	:: r < RANKS && !err && unfinished[r] == k -> doubt = true; break
	:: r < RANKS && err && past[r] >= k -> err = false; break
	:: r < RANKS && !(!err && unfinished[r] == k) && !(err && past[r] >= k) -> r++
	od;
	if
	:: doubt -> atomic { /* compare and swap */
			if
			:: decided < k -> decided = k; decision = (err -> bad : good)
			:: else
			fi;
			err = decided == k && decision == bad
		}
	:: else
	fi;
	if
	:: err -> FAIL
	:: else
	fi
}
#endif

proctype rank(byte me)
{
	byte k = 1, r;
	bool err, doubt;

	do
	:: k <= ROUNDS ->
		MAY_DIE;
		if
		:: posted[me] = k
		:: atomic { leavers > 0 -> leavers--; gave_up[me] = true; goto end_of_rank } /* exchange_quit() */
		fi;
		board_wait();
		MAY_DIE;
		round_end();
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
