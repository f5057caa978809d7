/* SPDX-License-Identifier: BSD-3-Clause */
/* One-sided sharing: who may map what, and until when. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "importer.h"
#include "raw.h"

static void *const untouched = IMPORTER_UNTOUCHED;

/* ---- Map ---- */

static void an_allowed_process_maps_what_was_packed(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;
	char *p;

	owner_open();
	team_fill(owned + 5000, 3000, 0, 1);
	packed = owner_pack(owned + 5000, 3000, 0);
	owner_allow(&im, 0);
	p = importer_must_map(&im, &packed);
	importer_check_sees(&im, p, 3000, 1);
	importer_tell(&im, &(struct order){ .op = FILL, .ptr = p, .len = 3000, .index = 2 });
	team_check(owned + 5000, 3000, 0, 2);
	team_fill(owned + 5000, 3000, 0, 3);
	importer_check_sees(&im, p, 3000, 3);
	CHECK_INT(importer_unmap(&im, p), 0);
	CHECK_INT(importer_unmap(&im, p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(importer_unmap(&im, NULL), 0);
	CHECK_INT(importer_tell(&im, &(struct order){ .op = CLOSE }).status, 0);
	importer_dismiss(&im);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
}

static void a_handle_of_64_bytes_maps_the_whole_allocation(void)
{
	struct importer im = importer_start();
	struct order o = { .op = MAP_HANDLE };
	size_t offset = 99;
	struct result r;

	owner_open();
	REQUIRE_OK(ipcshare_pack_handle(owner, owned + 1234, 0, &o.handle, &offset));
	CHECK_INT(offset, 1234);
	CHECK_STATUS(ipcshare_pack_handle(owner, owned, 0, &o.handle, NULL), 0);
	owner_allow(&im, 0);
	r = importer_tell(&im, &o);
	REQUIRE_INT(r.status, 0);
	CHECK_INT(r.len, OWNED);
	importer_check_sees(&im, r.ptr, OWNED, 0);
	CHECK_INT(importer_unmap(&im, r.ptr), 0);
	importer_dismiss(&im);
}

static void two_maps_of_an_allocation_are_one_import(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed one, two;
	struct result at_first, now;
	char *p, *q;

	owner_open();
	one = owner_pack(owned, 10, 0);
	two = owner_pack(owned + 100, 10, 0);
	owner_allow(&im, 0);
	owner_allow(&im, 0); /* known already: no call */
	CHECK_INT(team_counters(owner).calls[IPCSHARE_CALL_EXPORT], 1);
	CHECK_INT(team_counters(owner).calls[IPCSHARE_CALL_ALLOW], 1);
	at_first = importer_count(&im);
	p = importer_must_map(&im, &one);
	q = importer_must_map(&im, &two);
	CHECK_INT(q - p, 100);
	now = importer_count(&im);
	CHECK_INT(now.counters.calls[IPCSHARE_CALL_IMPORT], 1);
	CHECK_INT(now.counters.cache_misses, 1);
	CHECK_INT(now.counters.cache_hits, 1);
	CHECK_INT(now.counters.bytes_mapped, OWNED);
	CHECK_INT(now.memfd_maps, at_first.memfd_maps + 1);
	CHECK_INT(importer_unmap(&im, p), 0);
	importer_check_sees(&im, q - 100, OWNED, 0); /* the other one holds it */
	CHECK_INT(importer_count(&im).counters.calls[IPCSHARE_CALL_CLOSE_IMPORT], 0);
	CHECK_INT(importer_unmap(&im, q), 0);
	now = importer_count(&im);
	CHECK_INT(now.counters.calls[IPCSHARE_CALL_CLOSE_IMPORT], 1);
	CHECK_INT(now.counters.bytes_mapped, 0);
	CHECK_INT(now.memfd_maps, at_first.memfd_maps);
	importer_dismiss(&im);
}

static void the_same_process_gets_the_raw_pointer(void)
{
	struct ipcshare_packed packed;
	struct ipcshare_ctx *other;
	void *p, *q;

	owner_open();
	packed = owner_pack(owned + 7, 10, 0);
	other = team_open(0);
	REQUIRE_OK(ipcshare_map(owner, &packed, &p));
	REQUIRE_OK(ipcshare_map(other, &packed, &q)); /* nobody was allowed: it can see it anyway */
	CHECK_PTR(p, owned + 7);
	CHECK_PTR(q, owned + 7);
	CHECK_INT(team_counters(other).calls[IPCSHARE_CALL_IMPORT], 0);
	CHECK_STATUS(ipcshare_unmap(owner, p), 0);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	REQUIRE(CHECK_FAILS(ipcshare_close(owner), IPCSHARE_ERR_BUSY), "it is gone");
	CHECK_INT(team_counters(owner).allocations, 1);
	CHECK_FAILS(ipcshare_close(other), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_unmap(other, q), 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	CHECK_FAILS(ipcshare_map(other, &packed, &q), IPCSHARE_ERR_STALE);
	owned = team_alloc(owner, OWNED); /* its place in the tables is another's now */
	CHECK_FAILS(ipcshare_map(other, &packed, &q), IPCSHARE_ERR_STALE);
	CHECK_FAILS(ipcshare_map(owner, &packed, &q), IPCSHARE_ERR_STALE);
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
	struct importer im = importer_start();
	struct ipcshare_packed packed;
	struct ipcshare__host_key key;
	struct raw_reply reply;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	importer_check_refused(&im, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	key_of(&packed, &key);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_WRITE, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_INT(reply.nfds, 0);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_ONLY, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_INT(reply.nfds, 0);
	owner_allow(&im, 0); /* to see that it was this */
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &packed)), 0);
	CHECK_STATUS(raw_get(key.endpoint, key.secret, IPCSHARE__READ_WRITE, &reply),
		     IPCSHARE_ERR_NOT_ALLOWED); /* that was another process */
	importer_dismiss(&im);
}

static void a_fork_of_an_allowed_process_gets_nothing(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &packed)), 0);
	CHECK_INT(importer_tell(&im, &(struct order){ .op = FORK, .packed = packed }).status, 0);
	importer_dismiss(&im);
}

static void a_process_with_a_recycled_pid_gets_nothing(void)
{
	struct importer old = importer_start(), new;
	struct ipcshare__identity forged;
	struct ipcshare_packed packed;
	struct test_child *heir;
	pid_t pid = old.child->pid;

	test_child_kill(old.child);
	heir = test_child_as(pid, importer_main, NULL);
	if (!heir)
		test_note("no right to choose a pid here: an older identity with it is forged");
	new = heir ? importer_meet(heir) : importer_start();
	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&old, 0);
	importer_check_refused(&new, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	memcpy(&forged, &new.id, sizeof(forged)); /* as the pid's owner before it would have had */
	forged.proc--;
	forged.check = ipcshare__checksum32(&forged, offsetof(struct ipcshare__identity, check));
	memcpy(&old.id, &forged, sizeof(old.id));
	owner_allow(&old, 0);
	importer_check_refused(&new, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	importer_dismiss(&new);
	CHECK_STATUS(ipcshare_free(owner, owned), 0); /* the dead are no obstacle */
}

static void freed_memory_is_stale(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_check_refused(&im, &packed, IPCSHARE_ERR_STALE);
	/* Its place in the tables is another's now. */
	owned = team_alloc(owner, OWNED);
	owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	importer_check_refused(&im, &packed, IPCSHARE_ERR_STALE);
	packed = owner_pack(owned, OWNED, 0);
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &packed)), 0);
	importer_dismiss(&im);
}

static void read_only_is_held_by_the_kernel(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed, writable;
	struct ipcshare__wire_packed forged;
	struct order o;
	char *p;

	owner_open();
	packed = owner_pack(owned, OWNED, IPCSHARE_READ_ONLY);
	owner_allow(&im, IPCSHARE_READ_ONLY);
	p = importer_must_map(&im, &packed);
	importer_check_sees(&im, p, OWNED, 0);
	o = (struct order){ .op = MPROTECT, .ptr = p, .len = 4096 };
	CHECK_INT(importer_tell(&im, &o).status, EACCES);
	CHECK_INT(importer_tell(&im, &(struct order){ .op = WRITE, .ptr = p }).status, SIGSEGV);
	team_fill(owned, OWNED, 0, 9);
	importer_check_sees(&im, p, OWNED, 9);
	CHECK_FAILS(ipcshare_pack(owner, owned, OWNED, 0, &writable), IPCSHARE_ERR_READ_ONLY);
	CHECK_FAILS(ipcshare_allow(owner, owned, &im.id, 1, 0), IPCSHARE_ERR_READ_ONLY);
	/* A handle that was altered to ask for more. */
	memcpy(&forged, &packed, sizeof(forged));
	forged.handle.access = IPCSHARE__READ_WRITE;
	memcpy(&packed, &forged, sizeof(packed));
	importer_check_refused(&im, &packed, IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(importer_unmap(&im, p), 0);
	importer_dismiss(&im);
}

static void an_open_allocation_is_for_everybody_and_stays_so(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed, other;

	owner_open();
	packed = owner_pack(owned, OWNED, IPCSHARE_SHARE_OPEN);
	importer_check_sees(&im, importer_must_map(&im, &packed), OWNED, 0);
	CHECK_INT(team_counters(owner).open_exports, 1);
	owner_pack(owned, OWNED, IPCSHARE_SHARE_OPEN);
	CHECK_INT(team_counters(owner).open_exports, 1);
	CHECK_FAILS(ipcshare_pack(owner, owned, OWNED, 0, &other), IPCSHARE_ERR_OPEN_EXPORT);
	importer_dismiss(&im);
}

static void a_whitelisted_allocation_stays_so(void)
{
	struct ipcshare_packed packed, other = { { 1 } }, untouched = other;
	struct importer im = importer_start();

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	CHECK_FAILS(ipcshare_pack(owner, owned, OWNED, IPCSHARE_SHARE_OPEN, &other),
		    IPCSHARE_ERR_OPEN_EXPORT);
	CHECK_HAS(ipcshare_last_error()->text, "with a whitelist");
	CHECK_MEM(&other, &untouched, sizeof(other));
	CHECK_INT(team_counters(owner).open_exports, 0);
	importer_check_refused(&im, &packed, IPCSHARE_ERR_NOT_ALLOWED);
	importer_dismiss(&im);
}

/* ---- The end of memory, owners and importers ---- */

static void memory_that_a_peer_maps_is_busy(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;
	char pid[32], *p;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	p = importer_must_map(&im, &packed);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	snprintf(pid, sizeof(pid), "process %d ", im.child->pid);
	CHECK_HAS(ipcshare_last_error()->text, pid);
	REQUIRE(CHECK_FAILS(ipcshare_close(owner), IPCSHARE_ERR_BUSY), "it is gone");
	team_fill(owned, OWNED, 0, 4); /* both have left it as it was */
	importer_check_sees(&im, p, OWNED, 4);
	packed = owner_pack(owned, OWNED, 0);
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &packed)), 0);
	CHECK_INT(importer_unmap(&im, p), 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	CHECK_STATUS(ipcshare_close(owner), 0);
	owner = NULL;
	importer_dismiss(&im);
}

/* A free that fails at one peer must still ask the others the next time. */
static void a_peer_that_maps_again_is_asked_again(void)
{
	struct importer holder = importer_start(), comer = importer_start();
	struct ipcshare_packed packed;
	char *p, *q;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&holder, 0);
	owner_allow(&comer, 0);
	p = importer_must_map(&holder, &packed);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	q = importer_must_map(&comer, &packed);
	CHECK_INT(importer_unmap(&holder, p), 0);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	CHECK_INT(importer_unmap(&comer, q), 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_dismiss(&holder);
	importer_dismiss(&comer);
}

static void an_importer_that_ended_holds_nothing(void)
{
	struct importer im = importer_start(), closed = importer_start();
	struct ipcshare_packed packed;

	owner_open();
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	owner_allow(&closed, 0);
	importer_must_map(&im, &packed);
	CHECK_INT(importer_unmap(&closed, importer_must_map(&closed, &packed)), 0);
	CHECK_INT(importer_tell(&closed, &(struct order){ .op = CLOSE }).status, 0);
	test_child_kill(im.child);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_dismiss(&closed);
}

static void an_importer_that_hangs_is_a_timeout(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;
	char *p;

	owner = team_open(1000);
	owned = team_alloc(owner, OWNED);
	packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	p = importer_must_map(&im, &packed);
	test_child_stop(im.child);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_TIMEOUT), "it is gone");
	CHECK_INT(team_counters(owner).allocations, 1);
	memset(owned, 1, OWNED);
	test_child_continue(im.child);
	CHECK_INT(importer_unmap(&im, p), 0);
	ipcshare_close(owner); /* its answer to the first question may still be on the way */
	owner = NULL;
	importer_dismiss(&im);
}

/* Only the owner may call its memory back. */
static void a_stranger_cannot_retire_a_mapping(void)
{
	struct importer im = importer_start(), stranger = importer_start();
	struct order o = { .op = RETIRE };
	struct ipcshare__identity holder;
	char *p;

	owner_open();
	o.packed = owner_pack(owned, OWNED, 0);
	owner_allow(&im, 0);
	p = importer_must_map(&im, &o.packed);
	memcpy(&holder, &im.id, sizeof(holder));
	o.len = holder.endpoint;
	CHECK_STATUS(importer_tell(&stranger, &o).status, IPCSHARE_ERR_NOT_ALLOWED);
	/* That is for us to do. */
	CHECK_STATUS(importer_retires(holder.endpoint, &o.packed), IPCSHARE_ERR_BUSY);
	importer_check_sees(&im, p, OWNED, 0);
	CHECK_INT(importer_unmap(&im, p), 0);
	CHECK_STATUS(importer_retires(holder.endpoint, &o.packed), 0);
	importer_dismiss(&im);
	importer_dismiss(&stranger);
}

/* ---- Owners that go away ---- */

static void owns_and_dies(int channel, void *arg)
{
	struct ipcshare_identity peer;
	struct ipcshare_packed packed;

	owner_open();
	test_recv(channel, &peer, sizeof(peer));
	REQUIRE_OK(ipcshare_allow(owner, owned, &peer, 1, 0));
	packed = owner_pack(owned, OWNED, 0);
	test_send(channel, &packed, sizeof(packed));
	test_await(channel);
	if (arg)
		CHECK_STATUS(ipcshare_abandon(owner), 0);
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
	team_check(p, OWNED, 0, 0);
	memset(p, 1, OWNED);
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

	owner_open();
	other = team_alloc(owner, 500);
	team_fill(owned, 500, 0, 1);
	team_fill(other, 500, 0, 2);
	packed[0] = owner_pack(owned, 500, 0);
	packed[1] = owner_pack(other, 500, 0);
	owner_allow(&im, 0);
	REQUIRE_OK(ipcshare_allow(owner, other, &im.id, 1, 0));
	test_send(im.child->channel, packed, sizeof(packed));
	test_child_join(im.child);
}

TEST_SUITE(onesided, owner_begin, owner_end,
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
	TEST(a_whitelisted_allocation_stays_so),
	TEST(memory_that_a_peer_maps_is_busy),
	TEST(a_peer_that_maps_again_is_asked_again),
	TEST(an_importer_that_ended_holds_nothing),
	TEST(an_importer_that_hangs_is_a_timeout),
	TEST(a_stranger_cannot_retire_a_mapping),
	TEST(a_mapping_outlives_its_owner),
	TEST(threads_map_and_unmap_the_same_memory));
