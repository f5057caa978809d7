/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/point.h"
#include "group/board.h"
#include "group/verdict.h"
#include "group/wait.h"

static const char *const collective_name[] = {
	[IPCSHARE__COLL_SHARE] = "ipcshare_share",
	[IPCSHARE__COLL_VERDICT] = "the end of a share, of an update or of ipcshare_rdma_share",
	[IPCSHARE__COLL_SET_FREE] = "ipcshare_set_free",
	[IPCSHARE__COLL_GROUP_CREATE] = "ipcshare_group_create",
	[IPCSHARE__COLL_GROUP_FREE] = "ipcshare_group_free",
	[IPCSHARE__COLL_SET_UPDATE] = "ipcshare_set_update",
	[IPCSHARE__COLL_BARRIER] = "ipcshare_barrier",
	[IPCSHARE__COLL_BCAST] = "ipcshare_bcast",
	[IPCSHARE__COLL_ALLGATHER] = "ipcshare_allgather(v)",
	[IPCSHARE__COLL_GATHER] = "ipcshare_gather(v)",
	[IPCSHARE__COLL_SCATTER] = "ipcshare_scatter(v)",
	[IPCSHARE__COLL_ALLTOALL] = "ipcshare_alltoall(v)",
	[IPCSHARE__COLL_REDUCE] = "ipcshare_reduce",
	[IPCSHARE__COLL_ALLREDUCE] = "ipcshare_allreduce",
	[IPCSHARE__COLL_REDUCE_SCATTER] = "ipcshare_reduce_scatter(_block)",
	[IPCSHARE__COLL_SCAN] = "ipcshare_scan",
	[IPCSHARE__COLL_EXSCAN] = "ipcshare_exscan",
	[IPCSHARE__COLL_BCAST_VIEW] = "ipcshare_bcast_view",
	[IPCSHARE__COLL_ALLGATHER_VIEW] = "ipcshare_allgather_view",
	[IPCSHARE__COLL_ALLTOALL_VIEW] = "ipcshare_alltoall_view",
	[IPCSHARE__COLL_VIEW_FREE] = "ipcshare_view_free",
	[IPCSHARE__COLL_MESH] = "a collective on a stream",
	[IPCSHARE__COLL_RDMA_SHARE] = "ipcshare_rdma_share",
};

static const char *name_of(unsigned collective)
{
	if (collective < 1 || collective >= IPCSHARE__COLLECTIVES)
		return "an unknown collective";
	return collective_name[collective];
}

/* ---- Before the ranks have met: over the bootstrap ---- */

struct attempt {
	struct ipcshare_wait wait;
	struct ipcshare_error before; /* the callback's own failures are told apart from it */
};

static void exchange_begin(struct ipcshare_group *g, struct attempt *a)
{
	static const struct ipcshare_error none = { .rank = -1, .index = -1, .stage = "" };

	g->round++;
	/* Pairs with the acquire load in entered(). */
	__atomic_store_n(&g->page->round, g->round, __ATOMIC_RELEASE);
	a->before = *ipcshare_last_error();
	ipcshare__error_restore(&none);
	ipcshare__wait_begin(&a->wait, g);
}

/* The peers may wait for what we will never send: tell them, and never try again. */
static int give_up(struct ipcshare_group *g, int status)
{
	g->broken = status;
	g->broken_by = ipcshare_last_error()->rank;
	g->page->because_of = g->broken_by;
	/* Pairs with the acquire load in look_for_quitters(). */
	__atomic_store_n(&g->page->gave_up, status, __ATOMIC_RELEASE);
	ipcshare__board_wake(g);
	return status;
}

static int exchange_end(struct ipcshare_group *g, struct attempt *a, int result)
{
	if (!result) {
		ipcshare__error_restore(&a->before); /* a detail to be sent, for example */
		return 0;
	}
	/* A status of ours, from ipcshare_wait_tick() or the callback itself, has its detail. */
	if (result == ipcshare_last_error()->status && result < 0)
		return give_up(g, result);
	ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "exchange", "see the bootstrap's own messages",
		       "the bootstrap's allgather failed and returned %d", result);
	return give_up(g, IPCSHARE_ERR_BOOTSTRAP);
}

static int bootstrap_exchange(struct ipcshare_group *g, const void *mine, size_t len, void *all)
{
	struct attempt a;
	int result;

	exchange_begin(g, &a);
	IPCSHARE__POINT("bootstrap.entered");
	result = g->bootstrap.allgather(g->bootstrap.arg, &a.wait, mine, len, all);
	IPCSHARE__POINT("bootstrap.left");
	return exchange_end(g, &a, result);
}

/* ---- One exchange ---- */

/* Between two exchanges: whoever is still in the last one will find there what we have found. */
int ipcshare__exchange_quit(struct ipcshare_group *g, int status)
{
	if (!g->met) /* on the board it is seen that all have posted the last one */
		__atomic_store_n(&g->page->round, ++g->round, __ATOMIC_RELEASE);
	return give_up(g, status);
}

static int exchange_refuse(const struct ipcshare_group *g)
{
	ipcshare__fail(g->broken, "exchange", "free or abandon the group, and make a new one",
		       "an exchange of this group failed before: %s", ipcshare_strerror(g->broken));
	ipcshare__fail_at(g->broken_by, -1);
	return g->broken;
}

int ipcshare__exchange_post(struct ipcshare_group *g)
{
	if (g->broken)
		return exchange_refuse(g);
	ipcshare__board_post(g);
	ipcshare__board_call(g);
	return 0;
}

/* All have posted, or why that will not be. */
static int round_end(struct ipcshare_group *g, int err)
{
	IPCSHARE__POINT("round.over");
	if (!err)
		err = ipcshare__verdict_accept(g);
	return err ? give_up(g, err) : 0;
}

int ipcshare__exchange_wait(struct ipcshare_group *g)
{
	return g->broken ? exchange_refuse(g) : round_end(g, ipcshare__board_wait(g));
}

int ipcshare__exchange_test(struct ipcshare_wait *wait, bool *over)
{
	int err = 0;

	if (wait->group->broken)
		return exchange_refuse(wait->group);
	*over = ipcshare__board_late(wait->group, 0) == wait->group->size;
	if (!*over)
		err = ipcshare__board_glance(wait);
	return err || *over ? round_end(wait->group, err) : 0;
}

int ipcshare__exchange_barrier(struct ipcshare_group *g)
{
	if (g->broken)
		return exchange_refuse(g);
	ipcshare__board_post(g);
	return round_end(g, ipcshare__board_wait(g));
}

int ipcshare__exchange(struct ipcshare_group *g, const void *mine, size_t len, void *all)
{
	int err;

	if (g->broken)
		return exchange_refuse(g);
	if (!g->met)
		return bootstrap_exchange(g, mine, len, all);
	assert(len <= IPCSHARE__SLOT_MOST);
	memcpy(&ipcshare__board_slot(g)->front, mine, len);
	err = ipcshare__exchange_barrier(g);
	for (int r = 0; r < g->size && !err; r++)
		memcpy((char *)all + (size_t)r * len, &ipcshare__board_read(g, r)->front, len);
	return err;
}

/* ---- Bytes of any number: the first with the headers, more in rounds of their own ---- */

#define PIECE sizeof(((struct ipcshare__slot *)NULL)->body)

static size_t piece(uint64_t len, uint64_t done)
{
	return len <= done ? 0 : len - done < PIECE ? (size_t)(len - done) : PIECE;
}

static void pieces_take(const struct ipcshare_group *g, const uint64_t *lens, uint64_t done,
			ipcshare__take_fn *take, void *arg)
{
	for (int r = 0; r < g->size; r++) {
		size_t n = piece(lens[r], done);

		if (n)
			take(arg, r, ipcshare__board_read(g, r)->body, n);
	}
}

int ipcshare__exchange_bytes(struct ipcshare_group *g, const void *mine, const uint64_t *lens,
			     ipcshare__take_fn *take, void *arg)
{
	uint64_t most = 0;
	int err = 0;

	for (int r = 0; r < g->size; r++)
		most = lens[r] > most ? lens[r] : most;
	pieces_take(g, lens, 0, take, arg);
	for (uint64_t done = PIECE; done < most && !err; done += PIECE) {
		memcpy(ipcshare__board_slot(g)->body, (const char *)mine + done,
		       piece(lens[g->rank], done));
		err = ipcshare__exchange_barrier(g);
		if (!err)
			pieces_take(g, lens, done, take, arg);
	}
	return err;
}

/* ---- Agreement ---- */

static void detail_fill(struct ipcshare__wire_detail *d, int status)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	*d = (struct ipcshare__wire_detail){ .status = status, .rank = -1, .index = -1 };
	if (!status)
		return;
	d->rank = e->rank;
	d->index = e->index;
	d->code = e->code;
	snprintf(d->stage, sizeof(d->stage), "%s", e->stage);
	memcpy(d->text, e->text, sizeof(d->text));
	memcpy(d->hint, e->hint, sizeof(d->hint));
}

/* The stage of a foreign error: constant text, as all stages are. */
static const char *stage_named(const char *name)
{
	static const char *const known[] = {
		"open",	  "alloc", "identity", "export", "whitelist", "exchange",   "import",
		"share",  "group", "free",     "map",	 "set",	      "collective", "notify",
		"stream", "copy",  "reduce",   "view",	 "register",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i], name))
			return known[i];
	return "peer";
}

/* @from is who sent it; the failure may concern another rank. */
static int detail_take(const struct ipcshare_group *g, struct ipcshare__wire_detail *d, int from)
{
	struct ipcshare_error e = { .status = d->status, .index = d->index, .code = d->code };

	if (d->status < IPCSHARE_ERR_SYSTEM) /* no status that there is */
		e.status = IPCSHARE_ERR_PROTOCOL;
	d->stage[sizeof(d->stage) - 1] = '\0';
	d->text[sizeof(d->text) - 1] = '\0';
	d->hint[sizeof(d->hint) - 1] = '\0';
	if (!d->text[0]) /* a rank that says nothing of it */
		snprintf(d->text, sizeof(d->text), "%s", ipcshare_strerror(e.status));
	e.rank = d->rank >= 0 && d->rank < g->size ? d->rank : from;
	e.stage = stage_named(d->stage);
	if (e.rank == from)
		memcpy(e.text, d->text, sizeof(e.text));
	else
		snprintf(e.text, sizeof(e.text), "seen by rank %d: %.200s", from, d->text);
	memcpy(e.hint, d->hint, sizeof(e.hint));
	ipcshare__error_restore(&e);
	return e.status;
}

static int nobody_says_why(void)
{
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "exchange", "",
			      "a rank failed, but none says why");
}

void ipcshare__detail_say(struct ipcshare_group *g, int status)
{
	struct ipcshare__wire_detail mine;

	detail_fill(&mine, status);
	memcpy(&ipcshare__board_slot(g)->front, &mine, sizeof(mine));
	IPCSHARE__POINT("detail.said");
}

int ipcshare__details_hear(struct ipcshare_group *g)
{
	struct ipcshare__wire_detail d;

	for (int r = 0; r < g->size; r++) {
		memcpy(&d, &ipcshare__board_read(g, r)->front, sizeof(d));
		if (d.status < 0)
			return detail_take(g, &d, r);
	}
	return nobody_says_why();
}

static int agree_over_bootstrap(struct ipcshare_group *g, int status)
{
	struct ipcshare__wire_detail mine, *all = g->details;
	int err;

	detail_fill(&mine, status);
	err = bootstrap_exchange(g, &mine, sizeof(mine), all);
	for (int r = 0; r < g->size && !err; r++)
		if (all[r].status < 0)
			err = detail_take(g, &all[r], r);
	return err ? err : nobody_says_why();
}

int ipcshare__agree_on_failure(struct ipcshare_group *g, int status)
{
	int err;

	if (!g->met)
		return g->broken ? exchange_refuse(g) : agree_over_bootstrap(g, status);
	ipcshare__detail_say(g, status);
	err = ipcshare__exchange_barrier(g);
	return err ? err : ipcshare__details_hear(g);
}

static uint32_t header_sum(const struct ipcshare__wire_header *h)
{
	return ipcshare__checksum32(h, offsetof(struct ipcshare__wire_header, check));
}

static void put_word(struct ipcshare__wire_header *out, size_t at, uint64_t word)
{
	_Static_assert(sizeof(*out) == 5 * sizeof(word), "there are five");
	memcpy((char *)out + at * sizeof(word), &word, sizeof(word));
}

void ipcshare__header_fill(const struct ipcshare_group *g, enum ipcshare__collective which,
			   int status, uint32_t flags, uint64_t value,
			   struct ipcshare__wire_header *out)
{
	/* Word by word, as ipcshare__board_post() reads it at once: after other stores that takes longer. */
	put_word(out, 0,
		 IPCSHARE__MAGIC_HEADER | (uint64_t)IPCSHARE__LAYOUT << 32 | (uint64_t)which << 48);
	put_word(out, 1, g->round + 1);
	put_word(out, 2, (uint32_t)status | (uint64_t)flags << 32);
	put_word(out, 3, value);
	put_word(out, 4, 0);
}

static int header_fault(const struct ipcshare_group *g, const struct ipcshare__wire_header *mine,
			const struct ipcshare__wire_header *h, int rank)
{
	if (h->magic != IPCSHARE__MAGIC_HEADER || h->layout != IPCSHARE__LAYOUT ||
	    (mine->check && h->check && h->check != header_sum(h)))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "exchange", "",
				      "the rank's header is malformed or was altered");
	if (rank == g->rank && memcmp(h, mine, sizeof(*h)))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "exchange",
				      "does the bootstrap put every rank's bytes in place?",
				      "in this rank's place is not what it sent");
	if (h->collective != mine->collective)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "exchange",
				      "every rank must make the same collective calls",
				      "the rank is in %s, this rank in %s", name_of(h->collective),
				      name_of(mine->collective));
	if (h->round != mine->round)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "exchange", "",
				      "the rank is in exchange %ju, this rank in %ju",
				      (uintmax_t)h->round, (uintmax_t)mine->round);
	return 0;
}

/* Do all ranks make the same call? Every rank sees the same headers, so all find the same. */
int ipcshare__header_check(struct ipcshare_group *g, const struct ipcshare__wire_header *mine,
			   const struct ipcshare__wire_header *h, int rank)
{
	int err = header_fault(g, mine, h, rank);

	if (!err)
		return 0;
	ipcshare__fail_at(rank, -1);
	return ipcshare__exchange_quit(g, err);
}

static int headers_check(struct ipcshare_group *g, const struct ipcshare__wire_header *mine,
			 const struct ipcshare__wire_header *all)
{
	int err = 0;

	for (int r = 0; r < g->size && !err; r++)
		err = ipcshare__header_check(g, mine, &all[r], r);
	return err;
}

/* Headers, and on the board the first bytes that go with them. */
static int headers_exchange(struct ipcshare_group *g, const struct ipcshare__wire_header *mine,
			    const void *bytes, struct ipcshare__wire_header *all)
{
	if (bytes && g->met)
		memcpy(ipcshare__board_slot(g)->body, bytes, piece(mine->value, 0));
	return ipcshare__exchange(g, mine, sizeof(*mine), all);
}

static int agree(struct ipcshare_group *g, enum ipcshare__collective which, int status,
		 uint32_t *flags, const void *bytes, uint64_t value, uint64_t *values)
{
	struct ipcshare__wire_header mine, *all = g->headers;
	bool failed = false;
	int err;

	ipcshare__group_drain(g);
	ipcshare__header_fill(g, which, status, flags ? *flags : 0, value, &mine);
	mine.check = header_sum(&mine);
	err = headers_exchange(g, &mine, bytes, all);
	if (!err)
		err = headers_check(g, &mine, all);
	for (int r = 0; r < g->size && !err; r++) {
		failed |= all[r].status != 0;
		if (flags)
			*flags |= all[r].flags;
		if (values)
			values[r] = all[r].value;
	}
	if (!err && failed)
		err = ipcshare__agree_on_failure(g, status);
	return err;
}

int ipcshare__agree(struct ipcshare_group *g, enum ipcshare__collective which, int status,
		    uint32_t *flags, uint64_t value, uint64_t *values)
{
	return agree(g, which, status, flags, NULL, value, values);
}

int ipcshare__agree_bytes(struct ipcshare_group *g, enum ipcshare__collective which, int status,
			  uint32_t *flags, const void *mine, uint64_t len, uint64_t *lens)
{
	return agree(g, which, status, flags, mine, len, lens);
}

int ipcshare__agree_to_free(struct ipcshare_group *g, enum ipcshare__collective which,
			    uint64_t serial, const char *noun)
{
	uint64_t *serials = g->serials;
	int err = ipcshare__agree(g, which, 0, NULL, serial, serials);

	for (int r = 0; r < g->size && !err; r++)
		if (serials[r] != serial) {
			err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, noun,
					     "free them in the same order on every rank",
					     "the rank freed %s %ju of the group, this rank %ju",
					     noun, (uintmax_t)serials[r], (uintmax_t)serial);
			ipcshare__fail_at(r, -1);
		}
	return err;
}
