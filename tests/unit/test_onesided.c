/* SPDX-License-Identifier: BSD-3-Clause */
/* One-sided sharing between this process, which owns, and children, which import what they are told. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "raw.h"
#include "team.h"

#define LEN 10000

static struct test_resources before;
static struct ipcshare_ctx *ctx;
static char *memory; /* LEN bytes */
static void *const untouched = (void *)16;

static void start(void)
{
	test_resources(&before);
	ctx = NULL;
}

/* Children come first, so that they inherit nothing. */
static void own(void)
{
	ctx = team_open(0);
	memory = team_alloc(ctx, LEN);
	team_fill(memory, LEN, 0, 0);
}

static void stop(void)
{
	if (ctx)
		CHECK_STATUS(ipcshare_close(ctx), 0);
	ctx = NULL;
	CHECK_NOTHING_LEAKED(&before);
}

/* ---- An importer ---- */

enum op { MAP, MAP_HANDLE, UNMAP, CHECK_CONTENT, FILL, MPROTECT, WRITE, COUNT, CLOSE, FORK };

struct order {
	enum op op;
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	char *ptr;
	size_t len, index;
};

struct result {
	int status; /* of the call */
	int detail; /* status of the last error */
	char text[256]; /* of the last error */
	char *ptr;
	size_t len;
	struct ipcshare_counters counters;
	int memfd_maps;
};

static void writes_to(int channel, void *arg)
{
	(void)channel;
	signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
	*(volatile char *)arg = 1;
}

static void maps_as_a_fork(int channel, void *arg)
{
	struct ipcshare_ctx *own_ctx = team_open(0);
	void *p = untouched;

	(void)channel;
	CHECK_FAILS(ipcshare_map(own_ctx, arg, &p), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_PTR(p, untouched);
	CHECK_STATUS(ipcshare_close(own_ctx), 0);
}

static void obey(struct ipcshare_ctx *mine, struct order *o, struct result *r)
{
	struct test_resources now;
	int status;

	r->ptr = untouched;
	r->len = 16;
	switch (o->op) {
	case MAP:
		r->status = ipcshare_map(mine, &o->packed, (void **)&r->ptr);
		break;
	case MAP_HANDLE:
		r->status = ipcshare_map_handle(mine, &o->handle, (void **)&r->ptr, &r->len);
		break;
	case UNMAP:
		r->status = ipcshare_unmap(mine, o->ptr);
		break;
	case CHECK_CONTENT:
		r->status = !team_check(o->ptr, o->len, 0, o->index);
		break;
	case FILL:
		team_fill(o->ptr, o->len, 0, o->index);
		break;
	case MPROTECT:
		r->status = mprotect(o->ptr, o->len, PROT_READ | PROT_WRITE) ? errno : 0;
		break;
	case WRITE:
		status = test_child_wait(test_child(writes_to, o->ptr));
		r->status = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		break;
	case COUNT:
		r->counters = team_counters(mine);
		test_resources(&now);
		r->memfd_maps = now.memfd_maps;
		break;
	case CLOSE:
		r->status = ipcshare_close(mine);
		break;
	case FORK:
		r->status = !test_child_join(test_child(maps_as_a_fork, &o->packed));
		break;
	}
	r->detail = ipcshare_last_error()->status;
	memcpy(r->text, ipcshare_last_error()->text, sizeof(r->text));
}

/* Send who we are, then do what is asked, until the other side hangs up. */
static void imports(int channel, void *arg)
{
	struct ipcshare_identity me;
	struct ipcshare_ctx *mine;
	struct order order;

	(void)arg;
	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(channel, &me, sizeof(me));
	while (recv(channel, &order, sizeof(order), 0) == sizeof(order)) {
		struct result r = { .status = 0 };

		obey(mine, &order, &r);
		test_send(channel, &r, sizeof(r));
	}
}

struct importer {
	struct test_child *child;
	struct ipcshare_identity id;
};

static struct importer importer_meet(struct test_child *child)
{
	struct importer im = { .child = child };

	test_recv(child->channel, &im.id, sizeof(im.id));
	return im;
}

static struct importer importer(void)
{
	return importer_meet(test_child(imports, NULL));
}

static struct result tell(struct importer *im, const struct order *o)
{
	struct result r;

	test_send(im->child->channel, o, sizeof(*o));
	test_recv(im->child->channel, &r, sizeof(r));
	return r;
}

static struct result do_map(struct importer *im, const struct ipcshare_packed *packed)
{
	return tell(im, &(struct order){ .op = MAP, .packed = *packed });
}

static void check_refused(struct importer *im, const struct ipcshare_packed *packed, int status)
{
	struct result r = do_map(im, packed);

	CHECK(r.status == status && r.detail == status && r.text[0], "%s, %s: %s",
	      ipcshare_status_name(r.status), ipcshare_status_name(r.detail), r.text);
	CHECK_PTR(r.ptr, untouched);
}

static char *must_map(struct importer *im, const struct ipcshare_packed *packed)
{
	struct result r = do_map(im, packed);

	REQUIRE(r.status == 0, "%s: %s", ipcshare_status_name(r.status), r.text);
	return r.ptr;
}

static int do_unmap(struct importer *im, char *ptr)
{
	return tell(im, &(struct order){ .op = UNMAP, .ptr = ptr }).status;
}

static void check_sees(struct importer *im, char *ptr, size_t len, size_t index)
{
	struct order o = { .op = CHECK_CONTENT, .ptr = ptr, .len = len, .index = index };

	CHECK_INT(tell(im, &o).status, 0);
}

static struct result count(struct importer *im)
{
	return tell(im, &(struct order){ .op = COUNT });
}

static struct ipcshare_packed pack(const void *ptr, size_t len, unsigned flags)
{
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_pack(ctx, ptr, len, flags, &packed));
	return packed;
}

static void allow(struct importer *im, unsigned flags)
{
	REQUIRE_OK(ipcshare_allow(ctx, memory, &im->id, 1, flags));
}

/* Ends when its channel does; its checks count. */
static void dismiss(struct importer *im)
{
	shutdown(im->child->channel, SHUT_RDWR);
	test_child_join(im->child);
}

/* ---- Map ---- */

static void an_allowed_process_maps_what_was_packed(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;
	char *p;

	own();
	team_fill(memory + 5000, 3000, 0, 1);
	packed = pack(memory + 5000, 3000, 0);
	allow(&im, 0);
	p = must_map(&im, &packed);
	check_sees(&im, p, 3000, 1);
	tell(&im, &(struct order){ .op = FILL, .ptr = p, .len = 3000, .index = 2 });
	team_check(memory + 5000, 3000, 0, 2);
	team_fill(memory + 5000, 3000, 0, 3);
	check_sees(&im, p, 3000, 3);
	CHECK_INT(do_unmap(&im, p), 0);
	CHECK_INT(do_unmap(&im, p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(do_unmap(&im, NULL), 0);
	CHECK_INT(tell(&im, &(struct order){ .op = CLOSE }).status, 0);
	dismiss(&im);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
}

static void a_handle_of_64_bytes_maps_the_whole_allocation(void)
{
	struct importer im = importer();
	struct order o = { .op = MAP_HANDLE };
	size_t offset = 99;
	struct result r;

	own();
	REQUIRE_OK(ipcshare_pack_handle(ctx, memory + 1234, 0, &o.handle, &offset));
	CHECK_INT(offset, 1234);
	CHECK_STATUS(ipcshare_pack_handle(ctx, memory, 0, &o.handle, NULL), 0);
	allow(&im, 0);
	r = tell(&im, &o);
	REQUIRE_INT(r.status, 0);
	CHECK_INT(r.len, LEN);
	check_sees(&im, r.ptr, LEN, 0);
	CHECK_INT(do_unmap(&im, r.ptr), 0);
	dismiss(&im);
}

static void two_maps_of_an_allocation_are_one_import(void)
{
	struct importer im = importer();
	struct ipcshare_packed one, two;
	struct result at_first, now;
	char *p, *q;

	own();
	one = pack(memory, 10, 0);
	two = pack(memory + 100, 10, 0);
	allow(&im, 0);
	allow(&im, 0); /* known already: no call */
	CHECK_INT(team_counters(ctx).calls[IPCSHARE_CALL_EXPORT], 1);
	CHECK_INT(team_counters(ctx).calls[IPCSHARE_CALL_ALLOW], 1);
	at_first = count(&im);
	p = must_map(&im, &one);
	q = must_map(&im, &two);
	CHECK_INT(q - p, 100);
	now = count(&im);
	CHECK_INT(now.counters.calls[IPCSHARE_CALL_IMPORT], 1);
	CHECK_INT(now.counters.cache_misses, 1);
	CHECK_INT(now.counters.cache_hits, 1);
	CHECK_INT(now.counters.bytes_mapped, LEN);
	CHECK_INT(now.memfd_maps, at_first.memfd_maps + 1);
	CHECK_INT(do_unmap(&im, p), 0);
	check_sees(&im, q - 100, LEN, 0); /* the other one holds it */
	CHECK_INT(count(&im).counters.calls[IPCSHARE_CALL_CLOSE_IMPORT], 0);
	CHECK_INT(do_unmap(&im, q), 0);
	now = count(&im);
	CHECK_INT(now.counters.calls[IPCSHARE_CALL_CLOSE_IMPORT], 1);
	CHECK_INT(now.counters.bytes_mapped, 0);
	CHECK_INT(now.memfd_maps, at_first.memfd_maps);
	dismiss(&im);
}

static void the_same_process_gets_the_raw_pointer(void)
{
	struct ipcshare_packed packed;
	struct ipcshare_ctx *other;
	void *p, *q;

	own();
	packed = pack(memory + 7, 10, 0);
	other = team_open(0);
	REQUIRE_OK(ipcshare_map(ctx, &packed, &p));
	REQUIRE_OK(ipcshare_map(other, &packed, &q)); /* nobody was allowed: it can see it anyway */
	CHECK_PTR(p, memory + 7);
	CHECK_PTR(q, memory + 7);
	CHECK_INT(team_counters(other).calls[IPCSHARE_CALL_IMPORT], 0);
	CHECK_STATUS(ipcshare_unmap(ctx, p), 0);
	CHECK_FAILS(ipcshare_free(ctx, memory), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_BUSY);
	team_check(q, 0, 0, 0);
	CHECK_INT(team_counters(ctx).allocations, 1);
	CHECK_FAILS(ipcshare_close(other), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_unmap(other, q), 0);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	CHECK_FAILS(ipcshare_map(other, &packed, &q), IPCSHARE_ERR_STALE);
	CHECK_STATUS(ipcshare_close(other), 0);
}

/* ---- Refusals ---- */

static void key_of(const struct ipcshare_packed *packed, struct ipcshare__host_key *key)
{
	struct ipcshare__wire_packed p;

	memcpy(&p, packed, sizeof(p));
	memcpy(key, p.handle.key, sizeof(*key));
}

/* Same user, with key and socket in hand, by the library and by hand. */
static void a_process_that_was_not_allowed_gets_nothing(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;
	struct ipcshare__host_key key;
	struct raw_reply reply;

	own();
	packed = pack(memory, LEN, 0);
	check_refused(&im, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	key_of(&packed, &key);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_WRITE, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_INT(reply.nfds, 0);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_ONLY, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_INT(reply.nfds, 0);
	allow(&im, 0); /* to see that it was this */
	CHECK_INT(do_unmap(&im, must_map(&im, &packed)), 0);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_WRITE, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED); /* that was another process */
	dismiss(&im);
}

static void a_fork_of_an_allowed_process_gets_nothing(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;

	own();
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	CHECK_INT(do_unmap(&im, must_map(&im, &packed)), 0);
	CHECK_INT(tell(&im, &(struct order){ .op = FORK, .packed = packed }).status, 0);
	dismiss(&im);
}

static void a_process_with_a_recycled_pid_gets_nothing(void)
{
	struct importer old = importer(), new;
	struct ipcshare__identity forged;
	struct ipcshare_packed packed;
	struct test_child *heir;
	pid_t pid = old.child->pid;

	test_child_kill(old.child);
	heir = test_child_as(pid, imports, NULL);
	if (!heir)
		test_note("no right to choose a pid here: an older identity with it is forged");
	new = heir ? importer_meet(heir) : importer();
	own();
	packed = pack(memory, LEN, 0);
	allow(&old, 0);
	check_refused(&new, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	memcpy(&forged, &new.id, sizeof(forged)); /* as the pid's owner before it would have had */
	forged.proc--;
	forged.check = ipcshare__checksum32(&forged, offsetof(struct ipcshare__identity, check));
	memcpy(&old.id, &forged, sizeof(old.id));
	allow(&old, 0);
	check_refused(&new, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	dismiss(&new);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0); /* the dead are no obstacle */
}

static void freed_memory_is_stale(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;

	own();
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	check_refused(&im, &packed, IPCSHARE_ERR_STALE);
	/* Its place in the tables is another's now. */
	memory = team_alloc(ctx, LEN);
	pack(memory, LEN, 0);
	allow(&im, 0);
	check_refused(&im, &packed, IPCSHARE_ERR_STALE);
	packed = pack(memory, LEN, 0);
	CHECK_INT(do_unmap(&im, must_map(&im, &packed)), 0);
	dismiss(&im);
}

static void read_only_is_held_by_the_kernel(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed, writable;
	struct ipcshare__wire_packed forged;
	char *p;

	own();
	packed = pack(memory, LEN, IPCSHARE_READ_ONLY);
	allow(&im, IPCSHARE_READ_ONLY);
	p = must_map(&im, &packed);
	check_sees(&im, p, LEN, 0);
	CHECK_INT(tell(&im, &(struct order){ .op = MPROTECT, .ptr = p, .len = 4096 }).status, EACCES);
	CHECK_INT(tell(&im, &(struct order){ .op = WRITE, .ptr = p }).status, SIGSEGV);
	team_fill(memory, LEN, 0, 9);
	check_sees(&im, p, LEN, 9);
	CHECK_FAILS(ipcshare_pack(ctx, memory, LEN, 0, &writable), IPCSHARE_ERR_READ_ONLY);
	CHECK_FAILS(ipcshare_allow(ctx, memory, &im.id, 1, 0), IPCSHARE_ERR_READ_ONLY);
	/* A handle that was altered to ask for more. */
	memcpy(&forged, &packed, sizeof(forged));
	forged.handle.access = IPCSHARE__READ_WRITE;
	memcpy(&packed, &forged, sizeof(packed));
	check_refused(&im, &packed, IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(do_unmap(&im, p), 0);
	dismiss(&im);
}

static void an_open_allocation_is_for_everybody_and_stays_so(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed, other;

	own();
	packed = pack(memory, LEN, IPCSHARE_SHARE_OPEN);
	check_sees(&im, must_map(&im, &packed), LEN, 0);
	CHECK_INT(team_counters(ctx).open_exports, 1);
	pack(memory, LEN, IPCSHARE_SHARE_OPEN);
	CHECK_INT(team_counters(ctx).open_exports, 1);
	CHECK_FAILS(ipcshare_pack(ctx, memory, LEN, 0, &other), IPCSHARE_ERR_OPEN_EXPORT);
	dismiss(&im);
}

/* ---- Bytes ---- */

static void check_bytes_refused(const struct ipcshare_packed *packed, int status)
{
	struct ipcshare_handle handle;
	void *p = untouched;
	size_t len = 16;

	CHECK_FAILS(ipcshare_map(ctx, packed, &p), status);
	CHECK_PTR(p, untouched);
	memcpy(&handle, packed, sizeof(handle));
	CHECK_FAILS(ipcshare_map_handle(ctx, &handle, &p, &len), status);
	CHECK_PTR(p, untouched);
	CHECK_INT(len, 16);
}

static void every_altered_byte_is_seen(void)
{
	struct ipcshare_packed packed, altered;
	void *p = untouched;

	own();
	packed = pack(memory + 5, 100, 0);
	for (size_t i = 0; i < sizeof(packed); i++)
		for (int bit = 0; bit < 8; bit++) {
			altered = packed;
			altered.bytes[i] ^= (unsigned char)(1 << bit);
			if (i < sizeof(struct ipcshare_handle))
				check_bytes_refused(&altered, i == 1 ? IPCSHARE_ERR_VERSION
								     : IPCSHARE_ERR_PROTOCOL);
			else
				CHECK_FAILS(ipcshare_map(ctx, &altered, &p), IPCSHARE_ERR_PROTOCOL);
		}
	memset(&altered, 0, sizeof(altered));
	check_bytes_refused(&altered, IPCSHARE_ERR_PROTOCOL);
	memset(&altered, 0xff, sizeof(altered));
	check_bytes_refused(&altered, IPCSHARE_ERR_PROTOCOL);
	CHECK_PTR(p, untouched);
}

/* Checksums that are right over words that are wrong: by a peer that means harm. */
static struct ipcshare_packed sign(struct ipcshare__wire_packed p)
{
	struct ipcshare_packed packed;
	uint64_t sum = ipcshare__checksum(0, &p.handle, offsetof(struct ipcshare__wire_handle, check));

	sum = ipcshare__checksum(sum, &p.handle.region,
				 sizeof(p.handle) - offsetof(struct ipcshare__wire_handle, region));
	p.handle.check = (uint32_t)(sum ^ sum >> 32);
	p.check = ipcshare__checksum32(&p, offsetof(struct ipcshare__wire_packed, check));
	memcpy(&packed, &p, sizeof(packed));
	return packed;
}

static void check_lie(struct ipcshare__wire_packed lie, int status)
{
	struct ipcshare_packed packed = sign(lie);
	void *p = untouched;

	CHECK_FAILS(ipcshare_map(ctx, &packed, &p), status);
	CHECK_PTR(p, untouched);
}

static void forged_bytes_are_refused_too(void)
{
	struct ipcshare__wire_packed good, lie;
	struct ipcshare_packed packed;
	void *p;

	own();
	packed = pack(memory, 100, 0);
	memcpy(&good, &packed, sizeof(good));
	packed = sign(good);
	CHECK_STATUS(ipcshare_map(ctx, &packed, &p), 0);
	CHECK_STATUS(ipcshare_unmap(ctx, p), 0);
	lie = good;
	lie.handle.backend++;
	check_lie(lie, IPCSHARE_ERR_MISMATCH);
	lie = good;
	lie.handle.access = 3;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.handle.region = 1u << 20;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.handle.region = (1u << 20) - 1;
	check_lie(lie, IPCSHARE_ERR_STALE);
	lie = good;
	lie.handle.generation = 0;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.handle.generation = good.handle.generation + 1;
	check_lie(lie, IPCSHARE_ERR_STALE);
	lie = good;
	lie.handle.length = 0;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.handle.length = UINT64_MAX;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.handle.length = LEN + 1;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.handle.endpoint++;
	check_lie(lie, IPCSHARE_ERR_UNREACHABLE);
	lie = good;
	lie.length_lo = 0;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.offset_lo = LEN - 99;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.offset_hi = 0xffff;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.length_hi = 0xffff;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0); /* no lie has left a hold on it */
}

/* The same lies to another process, where the owner's broker and the kernel have a say. */
static void a_forged_length_or_key_maps_nothing_elsewhere(void)
{
	struct importer im = importer();
	struct ipcshare__wire_packed good, lie;
	struct ipcshare_packed packed;
	char *p;

	own();
	packed = pack(memory, 100, 0);
	allow(&im, 0);
	memcpy(&good, &packed, sizeof(good));
	for (int mapped = 0; mapped < 2; mapped++) { /* also when the true one is there already */
		lie = good;
		lie.handle.length = 1u << 30;
		packed = sign(lie);
		check_refused(&im, &packed, IPCSHARE_ERR_PROTOCOL);
		if (!mapped) {
			lie = good;
			lie.handle.key[0] ^= 1;
			packed = sign(lie);
			check_refused(&im, &packed, IPCSHARE_ERR_STALE);
			packed = sign(good);
			p = must_map(&im, &packed);
		}
	}
	check_sees(&im, p, LEN, 0);
	CHECK_INT(do_unmap(&im, p), 0);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	dismiss(&im);
}

/* ---- Arguments ---- */

static void bad_arguments_are_named(void)
{
	struct ipcshare_packed packed, keep;
	struct ipcshare_identity me, bad, list[2];
	struct ipcshare_handle handle;
	struct ipcshare__identity far;
	size_t offset = 5;
	char foreign[10];
	void *p = untouched;

	own();
	memset(&packed, 7, sizeof(packed));
	keep = packed;
	CHECK_FAILS(ipcshare_self(ctx, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_self(NULL, &me), IPCSHARE_ERR_INVALID);
	REQUIRE_OK(ipcshare_self(ctx, &me));
	CHECK_FAILS(ipcshare_pack(ctx, NULL, 1, 0, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(ctx, memory, 0, 0, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(ctx, memory, 1, 0, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(ctx, memory, 1, IPCSHARE_ALL_OR_NOTHING, &packed),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(ctx, memory, 1, 0x80000000u, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(ctx, memory, LEN + 1, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(ctx, memory + LEN - 1, 2, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(ctx, memory + 1, SIZE_MAX, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(ctx, memory + LEN, 1, 0, &packed), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_pack(ctx, foreign, 1, 0, &packed), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_MEM(&packed, &keep, sizeof(packed));
	CHECK_FAILS(ipcshare_pack_handle(ctx, NULL, 0, &handle, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(ctx, memory, 0, NULL, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(ctx, memory, 8, &handle, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(ctx, foreign, 0, &handle, &offset),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(offset, 5);
	CHECK_FAILS(ipcshare_allow(ctx, NULL, &me, 1, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(ctx, memory, NULL, 1, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(ctx, memory, &me, SIZE_MAX / 8, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(ctx, memory, &me, 1, IPCSHARE_SHARE_OPEN), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(ctx, foreign, &me, 1, 0), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_allow(ctx, memory, NULL, 0, 0), 0);
	CHECK_FAILS(ipcshare_map(ctx, NULL, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map(ctx, &packed, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map_handle(ctx, NULL, &p, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map_handle(ctx, &handle, NULL, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_unmap(ctx, foreign), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_unmap(ctx, memory), IPCSHARE_ERR_NOT_SHAREABLE); /* never mapped */
	for (size_t i = 0; i < sizeof(bad); i++) {
		bad = me;
		bad.bytes[i] ^= 0x10;
		list[0] = me;
		list[1] = bad;
		CHECK_FAILS(ipcshare_allow(ctx, memory, list, 2, 0), IPCSHARE_ERR_PROTOCOL);
		CHECK_INT(ipcshare_last_error()->index, 1);
	}
	memcpy(&far, &me, sizeof(far));
	far.boot[0] ^= 1;
	far.check = ipcshare__checksum32(&far, offsetof(struct ipcshare__identity, check));
	memcpy(&bad, &far, sizeof(bad));
	CHECK_FAILS(ipcshare_allow(ctx, memory, &bad, 1, 0), IPCSHARE_ERR_OTHER_NODE);
	CHECK_INT(team_counters(ctx).calls[IPCSHARE_CALL_ALLOW], 0);
	CHECK_PTR(p, untouched);
}

/* ---- The end of memory, owners and importers ---- */

static void memory_that_a_peer_maps_is_busy(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;
	char pid[32], *p;

	own();
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	p = must_map(&im, &packed);
	CHECK_FAILS(ipcshare_free(ctx, memory), IPCSHARE_ERR_BUSY);
	snprintf(pid, sizeof(pid), "process %d ", im.child->pid);
	CHECK_HAS(ipcshare_last_error()->text, pid);
	CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_BUSY);
	team_fill(memory, LEN, 0, 4); /* both have left it as it was */
	check_sees(&im, p, LEN, 4);
	packed = pack(memory, LEN, 0);
	CHECK_INT(do_unmap(&im, must_map(&im, &packed)), 0);
	CHECK_INT(do_unmap(&im, p), 0);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	ctx = NULL;
	dismiss(&im);
}

/* A free that fails at one peer must still ask the others the next time. */
static void a_peer_that_maps_again_is_asked_again(void)
{
	struct importer holder = importer(), comer = importer();
	struct ipcshare_packed packed;
	char *p, *q;

	own();
	packed = pack(memory, LEN, 0);
	allow(&holder, 0);
	allow(&comer, 0);
	p = must_map(&holder, &packed);
	CHECK_FAILS(ipcshare_free(ctx, memory), IPCSHARE_ERR_BUSY);
	q = must_map(&comer, &packed);
	CHECK_INT(do_unmap(&holder, p), 0);
	CHECK_FAILS(ipcshare_free(ctx, memory), IPCSHARE_ERR_BUSY);
	CHECK_INT(do_unmap(&comer, q), 0);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	dismiss(&holder);
	dismiss(&comer);
}

static void an_importer_that_ended_holds_nothing(void)
{
	struct importer im = importer(), closed = importer();
	struct ipcshare_packed packed;

	own();
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	allow(&closed, 0);
	must_map(&im, &packed);
	CHECK_INT(do_unmap(&closed, must_map(&closed, &packed)), 0);
	CHECK_INT(tell(&closed, &(struct order){ .op = CLOSE }).status, 0);
	test_child_kill(im.child);
	CHECK_STATUS(ipcshare_free(ctx, memory), 0);
	dismiss(&closed);
}

static void an_importer_that_hangs_is_a_timeout(void)
{
	struct importer im = importer();
	struct ipcshare_packed packed;
	char *p;

	ctx = team_open(200);
	memory = team_alloc(ctx, LEN);
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	p = must_map(&im, &packed);
	test_child_stop(im.child);
	CHECK_FAILS(ipcshare_free(ctx, memory), IPCSHARE_ERR_TIMEOUT);
	CHECK_INT(team_counters(ctx).allocations, 1);
	memset(memory, 1, LEN);
	test_child_continue(im.child);
	CHECK_INT(do_unmap(&im, p), 0);
	ipcshare_close(ctx); /* its answer to the first question may still be on the way */
	ctx = NULL;
	dismiss(&im);
}

/* Only the owner may call its memory back. */
static void a_stranger_cannot_retire_a_mapping(void)
{
	struct raw_request request = { .head = raw_head(IPCSHARE__BROKER_RETIRE, 1) };
	struct importer im = importer(), stranger = importer();
	struct ipcshare__identity owner, holder;
	struct ipcshare__wire_packed wire;
	struct ipcshare_packed packed;
	struct raw_reply reply;
	char *p;
	int sock;

	own();
	packed = pack(memory, LEN, 0);
	allow(&im, 0);
	p = must_map(&im, &packed);
	memcpy(&wire, &packed, sizeof(wire));
	memcpy(&owner, &stranger.id, sizeof(owner));
	memcpy(&holder, &im.id, sizeof(holder));
	sock = raw_connect(holder.endpoint);
	/* For us, who own it, it is busy; in another owner's name nothing of ours is touched. */
	request.retire[0] = (struct ipcshare__broker_retire){
		wire.handle.endpoint, wire.handle.region, wire.handle.generation,
	};
	raw_call(sock, &request, &reply);
	CHECK_STATUS(reply.retired[0].status, IPCSHARE_ERR_BUSY);
	request.retire[0].region = IPCSHARE__REGION_ANY;
	raw_call(sock, &request, &reply);
	CHECK_STATUS(reply.retired[0].status, IPCSHARE_ERR_BUSY);
	request.retire[0].region = 1u << 30; /* never seen */
	raw_call(sock, &request, &reply);
	CHECK_STATUS(reply.retired[0].status, 0);
	request.retire[0].owner = owner.endpoint;
	raw_call(sock, &request, &reply);
	CHECK_STATUS(reply.retired[0].status, 0);
	close(sock);
	check_sees(&im, p, LEN, 0);
	CHECK_INT(do_unmap(&im, p), 0);
	dismiss(&im);
	dismiss(&stranger);
}

/* ---- Owners that go away ---- */

static void owns_and_dies(int channel, void *arg)
{
	struct ipcshare_identity peer;
	struct ipcshare_packed packed;

	own();
	test_recv(channel, &peer, sizeof(peer));
	REQUIRE_OK(ipcshare_allow(ctx, memory, &peer, 1, 0));
	packed = pack(memory, LEN, 0);
	test_send(channel, &packed, sizeof(packed));
	test_await(channel);
	if (arg)
		CHECK_STATUS(ipcshare_abandon(ctx), 0);
	else
		raise(SIGKILL);
	test_signal(channel);
	test_await(channel);
}

/* Maps of an owner that ends by @how: what is mapped stays, nothing new comes. */
static void outlive_an_owner(const char *how)
{
	struct test_child *owner = test_child(owns_and_dies, (void *)how);
	struct ipcshare_packed packed;
	struct ipcshare_ctx *mine;
	struct ipcshare_identity me;
	void *p, *q = untouched;

	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(owner->channel, &me, sizeof(me));
	test_recv(owner->channel, &packed, sizeof(packed));
	REQUIRE_OK(ipcshare_map(mine, &packed, &p));
	test_signal(owner->channel);
	if (how)
		test_await(owner->channel);
	else
		test_child_wait(owner);
	team_check(p, LEN, 0, 0);
	memset(p, 1, LEN);
	CHECK_STATUS(ipcshare_unmap(mine, p), 0);
	CHECK_FAILS(ipcshare_map(mine, &packed, &q), IPCSHARE_ERR_UNREACHABLE);
	CHECK_PTR(q, untouched);
	if (how) {
		test_signal(owner->channel);
		test_child_join(owner);
	}
	CHECK_STATUS(ipcshare_close(mine), 0);
}

static void a_mapping_outlives_its_owner(void)
{
	outlive_an_owner(NULL);
	outlive_an_owner("abandon");
}

/* ---- Threads ---- */

struct mapper {
	struct ipcshare_ctx *mine;
	const struct ipcshare_packed *packed;
	pthread_t thread;
};

static void *maps_and_unmaps(void *arg)
{
	struct mapper *m = arg;
	void *p, *q;

	for (int i = 0; i < 100; i++) {
		REQUIRE_OK(ipcshare_map(m->mine, &m->packed[0], &p));
		REQUIRE_OK(ipcshare_map(m->mine, &m->packed[1], &q));
		team_check(p, 500, 0, 1);
		team_check(q, 500, 0, 2);
		CHECK_STATUS(ipcshare_unmap(m->mine, p), 0);
		CHECK_STATUS(ipcshare_unmap(m->mine, q), 0);
	}
	return NULL;
}

static void maps_in_threads(int channel, void *arg)
{
	struct ipcshare_packed packed[2];
	struct ipcshare_identity me;
	struct ipcshare_ctx *mine;
	struct mapper m[4];

	(void)arg;
	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(channel, &me, sizeof(me));
	test_recv(channel, packed, sizeof(packed));
	for (int i = 0; i < 4; i++) {
		m[i] = (struct mapper){ .mine = mine, .packed = packed };
		REQUIRE_INT(pthread_create(&m[i].thread, NULL, maps_and_unmaps, &m[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(m[i].thread, NULL);
	CHECK_INT(team_counters(mine).bytes_mapped, 0);
	CHECK_INT(team_counters(mine).calls[IPCSHARE_CALL_IMPORT],
		  team_counters(mine).calls[IPCSHARE_CALL_CLOSE_IMPORT]);
	CHECK_STATUS(ipcshare_close(mine), 0);
}

static void threads_map_and_unmap_the_same_memory(void)
{
	struct importer im = importer_meet(test_child(maps_in_threads, NULL));
	struct ipcshare_packed packed[2];
	char *other;

	own();
	other = team_alloc(ctx, 500);
	team_fill(memory, 500, 0, 1);
	team_fill(other, 500, 0, 2);
	packed[0] = pack(memory, 500, 0);
	packed[1] = pack(other, 500, 0);
	allow(&im, 0);
	REQUIRE_OK(ipcshare_allow(ctx, other, &im.id, 1, 0));
	test_send(im.child->channel, packed, sizeof(packed));
	test_child_join(im.child);
}

TEST_SUITE(onesided, start, stop,
	TEST(an_allowed_process_maps_what_was_packed),
	TEST(a_handle_of_64_bytes_maps_the_whole_allocation),
	TEST(two_maps_of_an_allocation_are_one_import),
	TEST(the_same_process_gets_the_raw_pointer),
	TEST(a_process_that_was_not_allowed_gets_nothing),
	TEST(a_fork_of_an_allowed_process_gets_nothing),
	TEST(a_process_with_a_recycled_pid_gets_nothing),
	TEST(freed_memory_is_stale),
	TEST(read_only_is_held_by_the_kernel),
	TEST(an_open_allocation_is_for_everybody_and_stays_so),
	TEST(every_altered_byte_is_seen),
	TEST(forged_bytes_are_refused_too),
	TEST(a_forged_length_or_key_maps_nothing_elsewhere),
	TEST(bad_arguments_are_named),
	TEST(memory_that_a_peer_maps_is_busy),
	TEST(a_peer_that_maps_again_is_asked_again),
	TEST(an_importer_that_ended_holds_nothing),
	TEST(an_importer_that_hangs_is_a_timeout),
	TEST(a_stranger_cannot_retire_a_mapping),
	TEST(a_mapping_outlives_its_owner),
	TEST(threads_map_and_unmap_the_same_memory));
