/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run is a row of steps, each between two barriers and settled between all ranks: a stage's time
 * is its own, and a failure ends the run on every rank.
 */
#include "share_run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "pattern.h"
#include "progress.h"

static const char *const stage_names[STAGES + 1] = {
#define STAGE_NAME(id, name, indent) name,
	STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
	"checking",
};

struct step {
	enum stage stage;
	int (*act)(struct share_run *r);	/* 0, or -1 with r->why set */
};

__attribute__((format(printf, 2, 3))) static int fail(struct share_run *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, args);
	va_end(args);
	return -1;
}

static int fail_call(struct share_run *r, const char *what)
{
	team_explain(what, r->why);
	return -1;
}

/* ---- Content ------------------------------------------------------------------------------ */

static struct pattern pattern_of(const struct share_run *r, int owner, size_t i)
{
	return (struct pattern){ .run = r->serial, .owner = owner, .n = r->team->npeers,
				 .names = r->team->names, .index = i, .marked = r->marked };
}

/* "buffer 17 (h.ln_1.weight[3]) of rank 2" */
static const char *buffer_text(const struct share_run *r, int owner, size_t i, char *out,
			       size_t size)
{
	char label[WORKLOAD_NAME + 16];

	snprintf(out, size, "buffer %zu (%s) of rank %d", i,
		 workload_label(r->w, i, label, sizeof(label)), r->team->names[owner]);
	return out;
}

static int fail_content(struct share_run *r, const char *stage, int owner, size_t i,
			const struct pattern_diff *d, uint64_t wrong)
{
	const int digits = 2 * (int)d->len;
	char buffer[160], mark[48] = "", more[64] = "";

	buffer_text(r, owner, i, buffer, sizeof(buffer));
	if (wrong > 1)
		snprintf(more, sizeof(more), "; so are %" PRIu64 " more buffers", wrong - 1);
	if (d->saw == d->expected)
		return fail(r, "%s: %s is wrong near offset %zu, and right when read again%s",
			    stage, buffer, d->offset, more);
	if (d->writer >= 0)
		snprintf(mark, sizeof(mark), "the mark of rank %d, ", r->team->names[d->writer]);
	return fail(r, "%s: %s is wrong at offset %zu: saw 0x%0*" PRIx64 ", expected %s0x%0*"
		    PRIx64 "%s", stage, buffer, d->offset, digits, d->saw, mark, digits,
		    d->expected, more);
}

/* To the last byte, or just the first word: pattern_check() or pattern_probe(). */
typedef int check_fn(const struct pattern *p, const void *buf, size_t len,
		     struct pattern_diff *diff);

/* Bytes from buffer @i to the end of the allocation that it lies in; the same on every rank. */
static size_t rest_of(const struct share_run *r, size_t i)
{
	return r->b.slabs[r->b.slab_of[i]].len - r->b.offset_of[i];
}

/* All buffers of one rank; -1 with the first failure. */
static int check_rank(struct share_run *r, const char *stage, int owner, check_fn *check)
{
	struct pattern_diff first = { 0 }, diff;
	uint64_t wrong = 0;
	size_t at = 0;

	for (size_t i = 0; i < r->b.n; i++) {
		const struct pattern p = pattern_of(r, owner, i);
		void *shared = r->set ? ipcshare_ptr(r->set, owner, i) : r->b.buf[i].ptr;
		const void *ptr = view_read(&r->view, shared, r->b.buf[i].len, rest_of(r, i));

		if (!ptr)
			return fail_call(r, stage);
		if (check(&p, ptr, r->b.buf[i].len, &diff) && !wrong++) {
			first = diff;
			at = i;
		}
		progress_add(r->b.buf[i].len);
	}
	view_flush(&r->view); /* the next look is at what is there then */
	return wrong ? fail_content(r, stage, owner, at, &first, wrong) : 0;
}

/* Peers in the order that follows the own rank: not all ranks read the same one at a time. */
static int check_peers(struct share_run *r, const char *stage, check_fn *check)
{
	const struct team *team = r->team;

	for (int k = 1; k < team->npeers; k++)
		if (check_rank(r, stage, (team->peer + k) % team->npeers, check))
			return -1;
	return 0;
}

/* ---- The steps ---------------------------------------------------------------------------- */

static int act_alloc(struct share_run *r)
{
	return buffers_alloc(&r->b, r->team->ctx) ? fail_call(r, "alloc") : 0;
}

static int act_fill(struct share_run *r)
{
	for (size_t i = 0; i < r->b.n; i++) {
		const struct pattern p = pattern_of(r, r->team->peer, i);

		void *to = view_write(&r->view, r->b.buf[i].ptr, r->b.buf[i].len, rest_of(r, i));

		if (!to)
			return fail_call(r, "fill");
		pattern_fill(&p, to, r->b.buf[i].len);
		progress_add(r->b.buf[i].len);
	}
	return view_flush(&r->view) ? fail_call(r, "fill") : 0;
}

static int spoil_byte(struct share_run *r, unsigned char *at)
{
	const unsigned char *saw = view_read(&r->view, at, 1, 1);
	unsigned char wrong, *to = NULL;

	if (saw) {
		wrong = *saw ^ 1;
		if (!view_flush(&r->view))
			to = view_write(&r->view, at, 1, 1);
	}
	if (!to)
		return fail_call(r, "spoil");
	*to = wrong;
	return view_flush(&r->view) ? fail_call(r, "spoil") : 0;
}

/* One wrong bit in one buffer of the last rank: is it found? */
static int act_spoil(struct share_run *r)
{
	const struct share_options *o = r->options;

	if (o->spoil >= r->b.n || r->team->rank != r->team->size - 1)
		return 0;
	return spoil_byte(r, (unsigned char *)r->b.buf[o->spoil].ptr + r->b.buf[o->spoil].len - 1);
}

static int act_share(struct share_run *r)
{
	const unsigned flags = r->options->read_only ? IPCSHARE_READ_ONLY : 0;

	return ipcshare_share(r->team->group, r->b.buf, r->b.n, flags, &r->set)
		       ? fail_call(r, "share") : 0;
}

static int check_entry(struct share_run *r, int owner, size_t i)
{
	const int status = ipcshare_set_status(r->set, owner, i);
	char buffer[160];

	if (!status && ipcshare_ptr(r->set, owner, i) &&
	    ipcshare_len(r->set, owner, i) == r->b.buf[i].len)
		return 0;
	buffer_text(r, owner, i, buffer, sizeof(buffer));
	if (status)
		return fail(r, "share: %s: %s; failures of all ranks: %" PRIu64, buffer,
			    ipcshare_strerror(status), ipcshare_set_failures(r->set));
	return fail(r, "share: %s is at %p with %zu bytes, expected a pointer and %zu bytes",
		    buffer, ipcshare_ptr(r->set, owner, i), ipcshare_len(r->set, owner, i),
		    r->b.buf[i].len);
}

/* Every buffer of every rank has arrived, with its length. */
static int act_check_set(struct share_run *r)
{
	for (int owner = 0; owner < r->team->npeers; owner++) {
		if (ipcshare_count(r->set, owner) != r->b.n)
			return fail(r, "share: %zu buffers of rank %d, expected %zu",
				    ipcshare_count(r->set, owner), r->team->names[owner], r->b.n);
		for (size_t i = 0; i < r->b.n; i++)
			if (check_entry(r, owner, i))
				return -1;
	}
	if (ipcshare_set_failures(r->set))
		return fail(r, "share: %" PRIu64 " failures of all ranks, expected none",
			    ipcshare_set_failures(r->set));
	return 0;
}

/* On host one takes all peers, on ascend the driver takes 31 at a time. */
static uint64_t whitelist_calls(const struct team *team, uint64_t peers)
{
	if (!strcmp(team->backend, "ascend"))
		return (peers + 30) / 31;
	return peers != 0;
}

/* One export, one whitelist pass, one import per peer for each allocation, not for each buffer; and
 * none of it for a rank that is alone. */
static int act_check_calls(struct share_run *r)
{
	const uint64_t own = r->b.nslabs, peers = (uint64_t)r->team->npeers - 1;
	const struct {
		enum ipcshare_call call;
		uint64_t expected;
	} expected[] = {
		{ IPCSHARE_CALL_EXPORT, peers ? own : 0 },
		{ IPCSHARE_CALL_ALLOW, own * whitelist_calls(r->team, peers) },
		{ IPCSHARE_CALL_IMPORT, peers * own },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (r->calls[expected[i].call] != expected[i].expected)
			return fail(r, "share: %" PRIu64 " %s calls, expected %" PRIu64
				    " as each rank has %" PRIu64 " allocation%s",
				    r->calls[expected[i].call],
				    ipcshare_call_name((int)expected[i].call),
				    expected[i].expected, own, own == 1 ? "" : "s");
	return 0;
}

static int act_verify(struct share_run *r)
{
	return check_peers(r, "verify", pattern_check);
}

static int mark_one(struct share_run *r, int owner, size_t i)
{
	const struct pattern p = pattern_of(r, owner, i);
	size_t offset;
	uint64_t mark;

	r->marks_wanted++;
	if (!pattern_mark(&p, r->team->peer, r->b.buf[i].len, &offset, &mark))
		return 0;
	r->marks++;
	return view_poke(&r->view, (char *)ipcshare_ptr(r->set, owner, i) + offset, mark,
			 rest_of(r, i) - offset);
}

static int mark_rank(struct share_run *r, int owner)
{
	for (size_t i = 0; i < r->b.n; i++)
		if (mark_one(r, owner, i))
			return fail_call(r, "mark");
	return view_flush(&r->view) ? fail_call(r, "mark") : 0;
}

/*
 * Each owner has one writer at a time where more than the marks' own bytes is written back; stores go
 * beside each other at the same time. A rank that fails takes its turns, or the others would wait.
 */
static int act_mark(struct share_run *r)
{
	const struct team *team = r->team;
	int err = 0;

	for (int k = 1; k < team->most_peers; k++) {
		if (!err && k < team->npeers)
			err = mark_rank(r, (team->peer + k) % team->npeers);
		if (!r->view.direct)
			team_wait();
	}
	r->marked = 1;
	return err;
}

static int act_check(struct share_run *r)
{
	return check_rank(r, "check", r->team->peer, pattern_check);
}

/* The own buffers take their turn among the peers': what disturbs the machine, and how long ago
 * they were last touched, is alike for both. When that turn is differs from rank to rank. */
static int act_reread(struct share_run *r)
{
	const struct team *team = r->team;

	for (int k = 0; k < team->npeers; k++) {
		const int owner = (team->npeers - team->peer + k) % team->npeers;
		const double start = now();

		if (check_rank(r, "re-read", owner, pattern_check))
			return -1;
		if (owner == team->peer)
			r->own_seconds = now() - start;
	}
	return 0;
}

static int act_set_free(struct share_run *r)
{
	const int err = ipcshare_set_free(r->set);

	r->set = NULL;
	return err ? fail_call(r, "set free") : 0;
}

/* The new pointers lead to the old buffers, and it took no backend call to make them. */
static int act_check_reshare(struct share_run *r)
{
	if (r->measure[STAGE_RESHARE].calls)
		return fail(r, "re-share: %" PRIu64 " backend calls, expected none",
			    r->measure[STAGE_RESHARE].calls);
	return check_peers(r, "re-share", pattern_probe);
}

static int act_free(struct share_run *r)
{
	return buffers_free(&r->b, r->team->ctx) ? fail_call(r, "free") : 0;
}

static int read_counters(const struct share_run *r, struct ipcshare_counters *out)
{
	out->size = sizeof(*out);
	return ipcshare_counters(r->team->ctx, out);
}

static int act_check_left(struct share_run *r)
{
	struct ipcshare_counters c;

	if (read_counters(r, &c))
		return fail_call(r, "counters");
	if (c.allocations != r->start.allocations || c.sets != r->start.sets ||
	    c.bytes_mapped != r->start.bytes_mapped)
		return fail(r, "free: left behind %" PRIu64 " allocations, %" PRIu64 " sets, %"
			    PRIu64 " bytes of peers", c.allocations - r->start.allocations,
			    c.sets - r->start.sets, c.bytes_mapped - r->start.bytes_mapped);
	return 0;
}

/* ---- The run ------------------------------------------------------------------------------ */

/* How often a stage goes over all buffers of one rank. */
static uint64_t passes(const struct share_run *r, enum stage stage)
{
	const uint64_t peers = (uint64_t)r->team->npeers - 1;

	return stage == STAGE_VERIFY || stage == STAGE_MARK || stage == STAGE_REREAD ? peers : 1;
}

/* Does it read or write all their bytes? */
static int has_rate(enum stage stage)
{
	return stage == STAGE_FILL || stage == STAGE_VERIFY || stage == STAGE_CHECK ||
	       stage == STAGE_REREAD || stage == STAGE_OWN;
}

/* The backend's part of the share came with the counters; the rest is what the ranks told each
 * other, and waited for each other. */
static void split_share(struct share_run *r, const uint64_t *call_ns)
{
	static const struct {
		enum stage stage;
		enum ipcshare_call call;
	} parts[] = {
		{ STAGE_EXPORT, IPCSHARE_CALL_EXPORT },
		{ STAGE_ALLOW, IPCSHARE_CALL_ALLOW },
		{ STAGE_IMPORT, IPCSHARE_CALL_IMPORT },
	};
	double rest = r->measure[STAGE_SHARE].seconds;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct measure *m = &r->measure[parts[i].stage];

		m->seconds = 1e-9 * (double)call_ns[parts[i].call];
		m->calls = r->calls[parts[i].call];
		m->times = 1;
		rest -= m->seconds;
	}
	r->measure[STAGE_EXCHANGE].seconds = rest > 0 ? rest : 0;
	r->measure[STAGE_EXCHANGE].times = 1;
}

static void add_time(struct share_run *r, enum stage stage, double seconds)
{
	struct measure *m = &r->measure[stage];

	m->seconds += seconds;
	m->times++;
	m->buffers = passes(r, stage) * r->b.n;
	m->bytes = has_rate(stage) ? passes(r, stage) * r->b.bytes : 0;
}

static void add_measure(struct share_run *r, enum stage stage, double seconds,
			const struct ipcshare_counters *before,
			const struct ipcshare_counters *after)
{
	struct measure *m = &r->measure[stage];
	uint64_t call_ns[IPCSHARE_CALLS];

	if (stage == STAGE_REREAD) {
		add_time(r, STAGE_OWN, r->own_seconds);
		seconds -= r->own_seconds;
	}
	add_time(r, stage, seconds);
	for (int c = 0; c < IPCSHARE_CALLS; c++) {
		m->calls += after->calls[c] - before->calls[c];
		if (stage == STAGE_SHARE) {
			r->calls[c] = after->calls[c] - before->calls[c];
			call_ns[c] = after->call_ns[c] - before->call_ns[c];
		}
	}
	if (stage == STAGE_SHARE)
		split_share(r, call_ns);
}

/* The counters are read while no rank works: freeing makes calls in the peers, too. */
static int do_step(struct share_run *r, const struct step *step)
{
	struct ipcshare_counters before, after;
	double seconds;
	int err;

	progress_stage(r->w->name, stage_names[step->stage],
		       (passes(r, step->stage) + (step->stage == STAGE_REREAD)) * r->b.bytes);
	team_wait();
	err = read_counters(r, &before);
	MPI_Barrier(MPI_COMM_WORLD);
	seconds = now();
	if (!err)
		err = step->act(r);
	else
		fail_call(r, "counters");
	seconds = now() - seconds;
	if (team_verdict(err ? r->why : NULL))
		return -1;
	if (step->stage == STAGE_NONE)
		return 0;
	if (read_counters(r, &after))
		after = before;
	add_measure(r, step->stage, seconds, &before, &after);
	return 0;
}

static int do_steps(struct share_run *r, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (do_step(r, &steps[i]))
			return -1;
	return 0;
}
#define DO_STEPS(r, steps) do_steps(r, steps, sizeof(steps) / sizeof((steps)[0]))

static int do_run(struct share_run *r)
{
	static const struct step share[] = {
		{ STAGE_ALLOC, act_alloc }, { STAGE_FILL, act_fill }, { STAGE_NONE, act_spoil },
		{ STAGE_SHARE, act_share }, { STAGE_NONE, act_check_set },
		{ STAGE_NONE, act_check_calls }, { STAGE_VERIFY, act_verify },
	};
	static const struct step mark[] = { { STAGE_MARK, act_mark } };
	static const struct step check[] = {
		{ STAGE_CHECK, act_check }, { STAGE_REREAD, act_reread },
		{ STAGE_SET_FREE, act_set_free },
	};
	static const struct step again[] = {
		{ STAGE_RESHARE, act_share }, { STAGE_NONE, act_check_set },
		{ STAGE_NONE, act_check_reshare }, { STAGE_SET_FREE, act_set_free },
	};
	static const struct step end[] = {
		{ STAGE_FREE, act_free }, { STAGE_NONE, act_check_left },
	};

	if (DO_STEPS(r, share))
		return -1;
	if (!r->options->read_only && DO_STEPS(r, mark))
		return -1;
	if (DO_STEPS(r, check))
		return -1;
	for (uint64_t k = 0; k < r->options->repeat; k++)
		if (DO_STEPS(r, again))
			return -1;
	return DO_STEPS(r, end);
}

int share_run_do(struct share_run *r)
{
	const struct share_options *o = r->options;
	int err = buffers_plan(&r->b, r->w, o->layout, (size_t)o->slab);

	if (team_verdict(err ? "out of memory" : NULL))
		return -1;
	err = read_counters(r, &r->start);
	if (team_verdict(err ? team_explain("counters", r->why) : NULL))
		return -1;
	view_open(&r->view, r->team->ctx);
	return do_run(r);
}

void share_run_end(struct share_run *r)
{
	view_close(&r->view);
	buffers_drop(&r->b);
}
