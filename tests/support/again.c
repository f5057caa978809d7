/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/again.h"

#include <stdio.h>
#include <stdlib.h>

void again_everybodys(struct test_rank *me, int mine, int *all)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(me, AGAIN_TALK, 0);

	REQUIRE_INT(b.allgather(b.arg, NULL, &mine, sizeof(mine), all), 0);
}

/* 1: the step failed as it may, and is to be made again. */
static int told(struct again *a, const char *step, int again, int status)
{
	if (!status)
		return 0;
	if (!CHECK(!again, "%s: %s fails again: %s", a->what, step, ipcshare_explain()))
		exit(1);
	CHECK(ipcshare_last_error()->status == status, "%s: %s gives %d, its detail %d", a->what,
	      step, status, ipcshare_last_error()->status);
	a->told(a, step, status);
	a->failures++;
	return 1;
}

int again_alone(struct again *a, const char *step, int again, int status)
{
	CHECK(!status || a->anyone || a->me->rank == a->victim, "%s: %s fails in rank %d: %s",
	      a->what, step, a->me->rank, ipcshare_explain());
	return told(a, step, again, status);
}

/* By its number, or as who has seen it. */
static int names_victim(const struct again *a, const struct ipcshare_error *e)
{
	char seen[32];

	snprintf(seen, sizeof(seen), "seen by rank %d:", a->victim);
	return e->rank == a->victim || strstr(e->text, seen);
}

int again_all(struct again *a, const char *step, int again, int status)
{
	struct ipcshare_error mine = *ipcshare_last_error();
	int all[TEST_RANKS_MAX];

	again_everybodys(a->me, status, all);
	for (int r = 0; r < a->me->nranks; r++)
		CHECK(all[r] == status, "%s: %s gives %d here, %d in rank %d", a->what, step, status,
		      all[r], r);
	CHECK(!status || a->anyone || names_victim(a, &mine) || mine.index >= 0,
	      "%s: %s names rank %d, buffer %jd: %s", a->what, step, mine.rank, (intmax_t)mine.index,
	      ipcshare_explain());
	return told(a, step, again, status);
}
