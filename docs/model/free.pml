/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One region, its owner that frees it, and a process that maps, keeps, looks up and trims it meanwhile
 * (src/memory/mapping.c, maps.c, retire.c, region.c). What is between two locks in C is one atomic step
 * here; what is done without a lock is a step of its own.
 *
 *	spin -search free.pml			all is well: 188,000 states
 *	spin -DDO_NOT_WAIT -search free.pml	fails: the broker forgets who closes just then
 *	spin -DNO_PAUSE -search free.pml	fails: it is mapped again before it is freed
 *	spin -DLOOK_ONLY -search free.pml	fails: a look without a hold is none
 */
#define THREADS 2 /* of the importer, that map; one more trims */
#define TIMES 2 /* each maps, and how often the owner tries */
#define MAPPINGS 4 /* of the region, one after the other: being closed, and in use */
#define NONE MAPPINGS

/* The importer, under its context's lock. */
byte listed = NONE; /* the mapping that a search finds */
bool pending, named; /* it is being imported; a look without lock finds it */
byte users, closing; /* of it; mappings that nobody finds any more, and that are still there */

bool there[MAPPINGS]; /* the address can be used */
byte received; /* descriptors that are not mapped yet */

/* The owner. */
bool paused, freed;
chan question = [0] of { bit };
chan answer = [0] of { bool }; /* is it busy? */

inline take(m)
{
	m = listed;
	listed = NONE;
	closing++
}

inline give_back(m)
{
	there[m] = false;
	atomic { closing--; m = NONE }
}

/* A new mapping: an import from the owner's broker, with no lock held. */
inline import(m)
{
	if
	:: atomic { !paused && !freed -> received++ }
		atomic { there[m] = true; received-- }
		atomic { pending = false; named = true }
	:: atomic { paused || freed -> pending = false; listed = NONE; users = 0; m = NONE }
	fi
}

inline map(m)
{
	atomic {
		!pending; /* whoever comes meanwhile waits; what failed is tried anew */
		if
		:: listed != NONE -> m = listed; users++; named = true; mine = false
		:: else ->
			m = 0; mine = true;
			do
			:: m < MAPPINGS && there[m] -> m++
			:: else -> break
			od;
			assert(m < MAPPINGS);
			listed = m; pending = true; users = 1
		fi
	}
	if
	:: mine -> import(m)
	:: else
	fi
}

inline unmap(m)
{
	atomic {
		users--;
		if
		:: users == 0 -> named = false;
			if
			:: m = NONE /* kept for reuse */
			:: take(m) /* too much is kept */
			fi
		:: else -> m = NONE
		fi
	}
	if
	:: m != NONE -> give_back(m)
	:: else
	fi
}

proctype importer()
{
	byte m, n;
	bool mine;

	do
	:: n < TIMES -> n++; map(m);
		if
		:: m != NONE ->
			assert(there[m]); /* it is used */
			assert(named && listed == m); /* a look without a lock, by who has a map */
			assert(there[m]);
			unmap(m)
		:: else
		fi
	:: else -> break
	od
}

proctype trimmer()
{
	byte m = NONE;

	atomic {
		if
		:: listed != NONE && users == 0 && !pending -> take(m)
		:: else
		fi
	}
	if
	:: m != NONE -> give_back(m)
	:: else
	fi
}

#ifdef LOOK_ONLY
proctype looker()
{
	byte m;

	atomic {
		if
		:: named -> m = listed
		:: else -> m = NONE
		fi
	}
	if
	:: m != NONE -> assert(there[m])
	:: else
	fi
}
#endif

/* The importer's broker: ipcshare__imports_retire(). */
proctype broker()
{
	byte m = NONE;
	bool busy;

end:	do
	:: question ? _ ->
		atomic {
			busy = listed != NONE && (users || pending);
			if
			:: listed != NONE && !busy -> take(m)
			:: else
			fi
		}
		if
		:: m != NONE -> give_back(m)
		:: else
		fi;
#ifndef DO_NOT_WAIT
		closing == 0;
#endif
		answer ! busy
	od
}

proctype owner()
{
	byte n;
	bool busy;

	do
	:: n < TIMES && !freed -> n++;
#ifndef NO_PAUSE
		paused = true;
#endif
		question ! 0;
		answer ? busy;
		if
		:: busy -> paused = false
		:: else ->
			/* Importers close before the owner does. */
			assert(!there[0] && !there[1] && !there[2] && !there[3] && !received);
			freed = true
		fi
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		do
		:: i < THREADS -> i++; run importer()
		:: else -> break
		od;
		run trimmer(); run broker(); run owner();
#ifdef LOOK_ONLY
		run looker()
#endif
	}
}
