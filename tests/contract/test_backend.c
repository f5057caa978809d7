/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every backend promises. A backend joins by one line in kinds[]; where it can't be used on
 * this machine, its tests say so and pass.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/host/broker.h"
#include "base/identity.h"
#include "pair.h"
#include "peer.h"

/* Device memory is reached by copies alone. */
static int device_read(struct ipcshare__backend *be, const void *at)
{
	unsigned char byte;
	int err = be->ops->copy(be, &byte, at, 1);

	return err ? err : byte;
}

static void device_write(struct ipcshare__backend *be, void *at, int value)
{
	unsigned char byte = (unsigned char)value;

	REQUIRE_OK(be->ops->copy(be, at, &byte, 1));
}

static const struct contract_backend kinds[] = {
	{ .name = "host",
	  .able = CONTRACT_PROTECT | CONTRACT_ADOPT | CONTRACT_FORK | CONTRACT_OUTLIVES |
		  CONTRACT_BROKER },
	{ .name = "ascend",
	  .refused = IPCSHARE_ERR_SYSTEM, /* 507899 of the driver, which says no more */
	  .prepare = runtime_prepare,
	  .read = device_read,
	  .write = device_write },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct test_resources before;

static void look_around(void)
{
	test_resources(&before);
}

static void find_nothing_left(void)
{
	CHECK_NOTHING_LEAKED(&before);
}

struct promise {
	void (*test)(const struct contract_backend *kind);
	const struct contract_backend *kind;
};

/* Before the test forks its peers: they are to be where it is. */
static void test_in_a_child(int channel, void *arg)
{
	const struct promise *p = arg;

	(void)channel;
	if (p->kind->prepare)
		p->kind->prepare();
	p->test(p->kind);
}

/* A process that has opened what knows no fork can have no peers afterwards: one for each test. */
static void on_each(void (*test)(const struct contract_backend *kind))
{
	for (size_t i = 0; i < KINDS; i++) {
		const struct ipcshare__backend_ops *ops = ipcshare__backend_find(kinds[i].name);
		struct promise p = { test, &kinds[i] };

		if (!CHECK(ops, "there is no backend %s", kinds[i].name) || !backend_usable(ops))
			continue;
		if (kinds[i].able & CONTRACT_FORK)
			test(&kinds[i]);
		else
			test_child_join(test_child(test_in_a_child, &p));
	}
}

/* PROMISE(name) { ... } is a test that runs for every backend, as @kind. */
#define PROMISE(name)                                                                              \
	static void name##_on(const struct contract_backend *kind);                                \
	static void name(void)                                                                     \
	{                                                                                          \
		on_each(name##_on);                                                                \
	}                                                                                          \
	static void name##_on(const struct contract_backend *kind)

/* ---- The table ---- */

static void no_slot_of_any_table_is_empty(void)
{
	const size_t first = offsetof(struct ipcshare__backend_ops, probe);
	const size_t n = (sizeof(struct ipcshare__backend_ops) - first) / sizeof(void (*)(void));

	for (size_t i = 0; ipcshare__backends[i]; i++) {
		void (*slot[64])(void);

		REQUIRE(n <= 64, "%zu slots", n);
		memcpy(slot, (const char *)ipcshare__backends[i] + first, n * sizeof(slot[0]));
		for (size_t k = 0; k < n; k++)
			CHECK(slot[k], "slot %zu of %s is NULL", k, ipcshare__backends[i]->name);
	}
}

static void backends_are_found_by_their_names(void)
{
	size_t n = 0;

	for (; ipcshare__backends[n]; n++) {
		CHECK_PTR(ipcshare__backend_find(ipcshare__backends[n]->name),
			  ipcshare__backends[n]);
		CHECK(ipcshare__backends[n]->text[0], "backend %zu has no text", n);
		for (size_t k = 0; k < n; k++)
			CHECK(ipcshare__backends[k]->id != ipcshare__backends[n]->id,
			      "%zu and %zu have one id", k, n);
	}
	CHECK_INT(n, KINDS); /* all of them are tested here */
	CHECK_PTR(ipcshare__backend_find("nonsense"), NULL);
	CHECK_PTR(ipcshare__backend_find(""), NULL);
}

static void probes_all(int channel, void *arg)
{
	struct ipcshare__config config;

	(void)channel;
	runtime_prepare();
	if (arg)
		setenv("IPCSHARE_ACL_LIB", arg, 1);
	REQUIRE_OK(ipcshare__config_load(&config));
	for (size_t i = 0; ipcshare__backends[i]; i++) {
		int status = ipcshare__backends[i]->probe(&config);

		if (status || (arg && ipcshare__backends[i]->id == IPCSHARE__BACKEND_ASCEND))
			CHECK_FAILS(status, IPCSHARE_ERR_NO_BACKEND);
	}
}

static void a_backend_works_or_says_why_not(void)
{
	test_child_join(test_child(probes_all, NULL));
	test_child_join(test_child(probes_all, "/no/such/libascendcl.so"));
}

PROMISE(opening_and_closing_leaves_nothing)
{
	struct test_resources here;
	struct contract c;

	for (int i = 0; i < 50; i++) {
		contract_open(&c, kind, TIMEOUT_MS);
		CHECK_PTR(c.be->ops, c.ops);
		contract_close(&c);
		if (i == 0)
			test_resources(&here); /* with a runtime, which stays */
	}
	CHECK_NOTHING_LEAKED(&here);
}

PROMISE(it_knows_its_own_tgid_and_device)
{
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	CHECK(c.id.tgid > 0, "it is %u", c.id.tgid);
	CHECK(c.id.device >= -1, "it is %d", c.id.device);
	CHECK_STATUS(ipcshare__identity_check(&c.id, "the test"), 0);
	contract_close(&c);
}

/* ---- Memory ---- */

PROMISE(memory_of_any_size_is_zeroed_and_aligned)
{
	static const size_t lengths[] = { 1, 64, 4096, 4097, 3 * 1024 * 1024 + 1 };
	struct ipcshare__memory mem;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		REQUIRE_OK(c.ops->alloc(c.be, lengths[i], &mem));
		CHECK_INT(mem.length, lengths[i]);
		CHECK_INT((uintptr_t)mem.base % 64, 0);
		for (size_t at = 0; at < lengths[i]; at += at + 64 < lengths[i] ? 64 : 1) {
			CHECK_INT(contract_read(&c, mem.base, at), 0);
			contract_write(&c, mem.base, at, 0x5a);
		}
		c.ops->release(c.be, &mem);
	}
	contract_close(&c);
}

PROMISE(memory_that_is_not_there_is_an_error)
{
	struct ipcshare__memory mem, untouched;
	struct test_resources here;
	struct contract c;

	memset(&untouched, 0x5a, sizeof(untouched));
	mem = untouched;
	contract_open(&c, kind, TIMEOUT_MS);
	test_resources(&here);
	CHECK_FAILS(c.ops->alloc(c.be, PTRDIFF_MAX, &mem), IPCSHARE_ERR_NO_MEMORY);
	CHECK_FAILS(c.ops->alloc(c.be, (size_t)1 << 45, &mem), IPCSHARE_ERR_NO_MEMORY);
	CHECK_MEM(&mem, &untouched, sizeof(mem));
	CHECK_NOTHING_LEAKED(&here);
	contract_close(&c);
}

static void allocates_without_descriptors(int channel, void *arg)
{
	struct ipcshare__memory mem;
	struct rlimit limit, none;
	struct contract c;
	int status;

	(void)channel;
	contract_open(&c, arg, TIMEOUT_MS);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	status = c.ops->alloc(c.be, 4096, &mem);
	if (c.kind->able & CONTRACT_BROKER)
		CHECK_FAILS(status, IPCSHARE_ERR_LIMIT);
	else
		CHECK_STATUS(status, 0); /* it needs none */
	setrlimit(RLIMIT_NOFILE, &limit);
	if (!status)
		c.ops->release(c.be, &mem);
	contract_close(&c);
}

PROMISE(no_descriptor_left_for_memory_is_a_limit)
{
	test_child_join(test_child(allocates_without_descriptors, (void *)kind));
}

/* ---- Export and import ---- */

PROMISE(keys_are_64_characters_and_differ)
{
	struct region a, b;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	a = region_make(&c, 4096, 0);
	b = region_make(&c, 4096, 0);
	CHECK_INT(strlen(a.gift.key), IPCSHARE__KEY_SIZE - 1);
	CHECK_INT(strlen(b.gift.key), IPCSHARE__KEY_SIZE - 1);
	for (int i = 0; i < IPCSHARE__KEY_SIZE - 1; i++)
		CHECK(a.gift.key[i] > ' ' && a.gift.key[i] < 127, "character %d is %d", i,
		      a.gift.key[i]);
	CHECK(strcmp(a.gift.key, b.gift.key), "two regions have the key %s", a.gift.key);
	region_drop(&c, &a);
	region_drop(&c, &b);
	contract_close(&c);
}

PROMISE(both_sides_see_the_same_memory)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	const size_t len = 3 * 4096 + 5;
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, len, 0);
	contract_write(&c, r.mem.base, 0, 11);
	contract_write(&c, r.mem.base, len - 1, 12);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	CHECK_INT(peer_read(&p, 0, 0), 11);
	CHECK_INT(peer_read(&p, 0, len - 1), 12);
	peer_write(&p, 0, 4096, 13);
	CHECK_INT(contract_read(&c, r.mem.base, 4096), 13);
	contract_write(&c, r.mem.base, 4096, 14);
	CHECK_INT(peer_read(&p, 0, 4096), 14);
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

PROMISE(a_process_that_is_not_listed_gets_nothing)
{
	struct peer listed = peer_start(kind, TIMEOUT_MS), other = peer_start(kind, TIMEOUT_MS);
	const int not_allowed = contract_refusal(kind, IPCSHARE_ERR_NOT_ALLOWED);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	CHECK_STATUS(peer_import(&listed, 0, &r.gift), not_allowed);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &listed.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import(&listed, 0, &r.gift), 0);
	CHECK_STATUS(peer_import(&other, 0, &r.gift), not_allowed);
	if (kind->able & CONTRACT_FORK)
		CHECK_STATUS(peer_fork_import(&listed, &r.gift), IPCSHARE_ERR_NOT_ALLOWED);
	peer_end(&listed);
	peer_end(&other);
	region_drop(&c, &r);
	contract_close(&c);
}

#define LISTED 500
#define PID_MAX (1 << 22) /* of the kernel */

PROMISE(a_whitelist_grows_and_may_name_a_process_twice)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct ipcshare__identity ids[LISTED];
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	for (int i = 0; i < LISTED; i++) {
		ids[i] = p.id;
		ids[i].proc += (uint64_t)i + 1; /* other processes, */
		ids[i].tgid = PID_MAX + (uint32_t)i; /* whichever of both tells them apart */
	}
	CHECK_STATUS(c.ops->allow(c.be, &r.mem, ids, 0, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(c.ops->allow(c.be, &r.mem, ids, LISTED, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), contract_refusal(kind, IPCSHARE_ERR_NOT_ALLOWED));
	ids[LISTED - 1] = p.id;
	CHECK_STATUS(c.ops->allow(c.be, &r.mem, ids, LISTED, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(c.ops->allow(c.be, &r.mem, ids + LISTED - 1, 1, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

PROMISE(a_key_whose_export_is_closed_is_stale)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	c.ops->close_export(c.be, &r.mem);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), contract_refusal(kind, IPCSHARE_ERR_STALE));
	c.ops->release(c.be, &r.mem);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), contract_refusal(kind, IPCSHARE_ERR_STALE));
	peer_end(&p);
	contract_close(&c);
}

PROMISE(memory_is_exported_anew_under_another_key)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct gift old;
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	old = r.gift;
	c.ops->close_export(c.be, &r.mem);
	REQUIRE_OK(c.ops->export_key(c.be, &r.mem, 0, r.gift.key));
	CHECK(strcmp(old.key, r.gift.key), "the key is the same");
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import(&p, 0, &old), contract_refusal(kind, IPCSHARE_ERR_STALE));
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

PROMISE(what_is_imported_outlives_its_export)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	contract_write(&c, r.mem.base, 9, 77);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	CHECK_INT(peer_read(&p, 0, 9), 77);
	region_drop(&c, &r);
	contract_close(&c);
	if (kind->able & CONTRACT_OUTLIVES) {
		CHECK_INT(peer_read(&p, 0, 9), 77);
		CHECK_INT(peer_write_signal(&p, 0, 0), 0);
	} else { /* an error, never other bytes */
		CHECK_STATUS(peer_read(&p, 0, 9), IPCSHARE_ERR_SYSTEM);
		peer_close_import(&p, 0); /* a driver is not asked for what is mapped */
	}
	CHECK_STATUS(peer_import(&p, 1, &r.gift), contract_refusal(kind, IPCSHARE_ERR_UNREACHABLE));
	peer_end(&p);
}

PROMISE(an_altered_key_opens_nothing)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	const int unknown = contract_refusal(kind, IPCSHARE_ERR_STALE);
	struct region r;
	struct gift bad;
	struct contract c;
	int status;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	for (int i = 0; i < IPCSHARE__KEY_SIZE; i++) {
		bad = r.gift;
		bad.key[i] = bad.key[i] == '0' ? '1' : '0';
		status = peer_import(&p, 0, &bad);
		CHECK(status == IPCSHARE_ERR_PROTOCOL || status == unknown, "character %d: %s", i,
		      ipcshare_status_name(status));
		bad.key[i] = '\xff';
		CHECK_STATUS(peer_import(&p, 0, &bad), IPCSHARE_ERR_PROTOCOL);
	}
	bad = r.gift;
	bad.key[0] = '\0';
	CHECK_STATUS(peer_import(&p, 0, &bad), IPCSHARE_ERR_PROTOCOL);
	/* Without a broker the length is compared only with what is mapped already. */
	if (!(kind->able & CONTRACT_BROKER))
		CHECK_STATUS(peer_import(&p, 1, &r.gift), 0);
	bad = r.gift;
	bad.length++;
	CHECK_STATUS(peer_import(&p, 0, &bad), IPCSHARE_ERR_PROTOCOL);
	bad.length = 1;
	CHECK_STATUS(peer_import(&p, 0, &bad), IPCSHARE_ERR_PROTOCOL);
	bad.length = UINT64_MAX;
	CHECK_STATUS(peer_import(&p, 0, &bad), IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0); /* the true one */
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

PROMISE(a_key_of_another_owner_is_refused)
{
	struct peer p = peer_start(kind, TIMEOUT_MS), owner = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	r.gift.endpoint = owner.id.endpoint;
	CHECK_STATUS(peer_import(&p, 0, &r.gift), kind->able & CONTRACT_BROKER ?
		     IPCSHARE_ERR_PROTOCOL : 0); /* the driver knows the owner by the key */
	peer_end(&p);
	peer_end(&owner);
	region_drop(&c, &r);
	contract_close(&c);
}

#define KEYS 300 /* more than one batch */
#define BAD 270

PROMISE(of_many_keys_only_the_bad_one_fails)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	static struct region r[KEYS];
	static struct gift gifts[KEYS];
	const int not_allowed = contract_refusal(kind, IPCSHARE_ERR_NOT_ALLOWED);
	int statuses[KEYS];
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	for (int i = 0; i < KEYS; i++) {
		r[i] = region_make(&c, 4096, 0);
		REQUIRE_OK(c.ops->allow(c.be, &r[i].mem, &p.id, i != BAD, IPCSHARE__READ_WRITE));
		contract_write(&c, r[i].mem.base, 0, i & 255);
		contract_write(&c, r[i].mem.base, 1, i >> 8);
		gifts[i] = r[i].gift;
	}
	CHECK_STATUS(peer_import_many(&p, gifts, KEYS, statuses), not_allowed);
	for (int i = 0; i < KEYS; i++) {
		CHECK_STATUS(statuses[i], i == BAD ? not_allowed : 0);
		if (statuses[i])
			continue;
		CHECK_INT(peer_read(&p, i, 0), i & 255);
		CHECK_INT(peer_read(&p, i, 1), i >> 8);
	}
	/* The first failure is the call's, whichever comes later. */
	for (int i = 0; i < KEYS; i++)
		peer_close_import(&p, i);
	gifts[3].key[0] = 'x';
	CHECK_STATUS(peer_import_many(&p, gifts, KEYS, statuses), IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(statuses[3], IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(statuses[BAD], not_allowed);
	CHECK_STATUS(statuses[4], 0);
	peer_end(&p);
	for (int i = 0; i < KEYS; i++)
		region_drop(&c, &r[i]);
	contract_close(&c);
}

PROMISE(an_open_export_needs_no_whitelist)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, IPCSHARE__EXPORT_OPEN);
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	if (kind->able & CONTRACT_FORK)
		CHECK_STATUS(peer_fork_import(&p, &r.gift), 0);
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

/* ---- Read-only ---- */

PROMISE(read_only_memory_cannot_be_written_by_a_peer)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	if (!(kind->able & CONTRACT_PROTECT)) {
		CHECK_FAILS(c.ops->protect(c.be, &r.mem), IPCSHARE_ERR_UNSUPPORTED);
		goto out;
	}
	REQUIRE_OK(c.ops->protect(c.be, &r.mem));
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_ONLY));
	CHECK_STATUS(peer_import(&p, 0, &r.gift), IPCSHARE_ERR_READ_ONLY);
	r.gift.access = IPCSHARE__READ_ONLY;
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	contract_write(&c, r.mem.base, 5, 55); /* the owner still writes */
	CHECK_INT(peer_read(&p, 0, 5), 55);
	CHECK_INT(peer_write_signal(&p, 0, 5), SIGSEGV);
	CHECK_INT(contract_read(&c, r.mem.base, 5), 55);
out:
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

PROMISE(protection_comes_too_late_for_who_writes_already)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	if (kind->able & CONTRACT_PROTECT) {
		REQUIRE_OK(c.ops->protect(c.be, &r.mem));
		/* Though it is listed for writing, the memory itself refuses. */
		CHECK_STATUS(peer_import(&p, 1, &r.gift), IPCSHARE_ERR_READ_ONLY);
		CHECK_INT(peer_write_signal(&p, 0, 5), 0);
	}
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

/* ---- Owners that are gone or silent, importers without means ---- */

static void lends_and_waits(int channel, void *arg)
{
	struct region r;
	struct contract c;
	struct ipcshare__identity id;

	contract_open(&c, arg, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	test_recv(channel, &id, sizeof(id));
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &id, 1, IPCSHARE__READ_WRITE));
	contract_write(&c, r.mem.base, 0, 'l');
	test_send(channel, &r.gift, sizeof(r.gift));
	test_await(channel);
}

static struct test_child *lender(const struct contract_backend *kind, const struct peer *p,
				 struct gift *gift)
{
	struct test_child *c = test_child(lends_and_waits, (void *)kind);

	test_send(c->channel, &p->id, sizeof(p->id));
	test_recv(c->channel, gift, sizeof(*gift));
	return c;
}

PROMISE(a_dead_owner_is_unreachable_and_its_memory_stays)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct gift gift;
	struct test_child *owner = lender(kind, &p, &gift);

	CHECK_STATUS(peer_import(&p, 0, &gift), 0);
	CHECK_INT(peer_read(&p, 0, 0), 'l');
	test_child_kill(owner);
	if (kind->able & CONTRACT_OUTLIVES) {
		CHECK_INT(peer_read(&p, 0, 0), 'l');
	} else {
		CHECK_STATUS(peer_read(&p, 0, 0), IPCSHARE_ERR_SYSTEM);
		peer_close_import(&p, 0);
	}
	CHECK_STATUS(peer_import(&p, 1, &gift), contract_refusal(kind, IPCSHARE_ERR_UNREACHABLE));
	peer_end(&p);
}

PROMISE(a_stopped_owner_is_a_timeout)
{
	struct peer p = peer_start(kind, 50);
	struct gift gift;
	struct test_child *owner = lender(kind, &p, &gift);

	test_child_stop(owner);
	CHECK_STATUS(peer_import(&p, 0, &gift), kind->able & CONTRACT_BROKER ?
		     IPCSHARE_ERR_TIMEOUT : 0);
	test_child_kill(owner);
	peer_end(&p);
}

PROMISE(no_descriptor_left_for_an_import_is_a_limit)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct region r;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	r = region_make(&c, 4096, 0);
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	CHECK_STATUS(peer_import_without_descriptors(&p, 0, &r.gift), kind->able & CONTRACT_BROKER ?
		     IPCSHARE_ERR_LIMIT : 0);
	CHECK_STATUS(peer_import(&p, 1, &r.gift), 0);
	peer_end(&p);
	region_drop(&c, &r);
	contract_close(&c);
}

struct forked {
	struct contract c;
	struct region r;
};

/* As ipcshare_abandon() in a fork, but that nobody said forget(). */
static void lets_go(int channel, void *arg)
{
	struct forked *f = arg;

	(void)channel;
	ipcshare__broker_stop(f->c.broker, 1);
	f->c.ops->release(f->c.be, &f->r.mem);
	f->c.ops->close(f->c.be);
}

PROMISE(a_fork_that_lets_go_disturbs_nobody)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct forked f;

	contract_open(&f.c, kind, TIMEOUT_MS);
	f.r = region_make(&f.c, 4096, 0);
	contract_write(&f.c, f.r.mem.base, 1, 31);
	test_child_join(test_child(lets_go, &f));
	CHECK_INT(contract_read(&f.c, f.r.mem.base, 1), 31);
	CHECK_STATUS(f.c.ops->allow(f.c.be, &f.r.mem, &p.id, 1, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(peer_import(&p, 0, &f.r.gift), 0);
	CHECK_INT(peer_read(&p, 0, 1), 31);
	peer_end(&p);
	region_drop(&f.c, &f.r);
	contract_close(&f.c);
}

PROMISE(importing_nothing_is_fine)
{
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	CHECK_STATUS(c.ops->import_keys(c.be, c.endpoint, NULL, 0), 0);
	contract_close(&c);
}

/* ---- Memory the user made ---- */

PROMISE(adopted_memory_is_shared_like_ours)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	int fd = memfd_create("users", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct region r = { .gift = { .length = 4096, .access = IPCSHARE__READ_WRITE } };
	struct contract c;
	char *base;

	REQUIRE(fd >= 0 && !ftruncate(fd, 4 * 4096), "no memfd");
	base = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(base != MAP_FAILED, "not mapped");
	contract_open(&c, kind, TIMEOUT_MS);
	if (!(kind->able & CONTRACT_ADOPT)) {
		CHECK_FAILS(c.ops->adopt(c.be, base, 4096, fd, &r.mem), IPCSHARE_ERR_INVALID);
		goto out;
	}
	REQUIRE_OK(c.ops->adopt(c.be, base + 4096, 4096, fd, &r.mem));
	CHECK_PTR(r.mem.base, base + 4096);
	CHECK_INT(r.mem.length, 4096);
	REQUIRE_OK(c.ops->export_key(c.be, &r.mem, 0, r.gift.key));
	r.gift.endpoint = c.endpoint;
	REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
	base[4096] = 21;
	CHECK_STATUS(peer_import(&p, 0, &r.gift), 0);
	CHECK_INT(peer_read(&p, 0, 0), 21); /* the range's first byte, not the file's */
	peer_write(&p, 0, 1, 22);
	CHECK_INT(base[4097], 22);
	region_drop(&c, &r);
	CHECK_INT(base[4096], 21); /* the user's mapping stays */
out:
	peer_end(&p);
	contract_close(&c);
	munmap(base, 4 * 4096);
	close(fd);
}

PROMISE(what_cannot_be_adopted_is_refused)
{
	struct ipcshare__memory mem, untouched;
	struct test_resources here;
	struct contract c;
	char *base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(&untouched, 0x5a, sizeof(untouched));
	mem = untouched;
	contract_open(&c, kind, TIMEOUT_MS);
	test_resources(&here);
	CHECK_FAILS(c.ops->adopt(c.be, base, 4096, -1, &mem), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_MEM(&mem, &untouched, sizeof(mem));
	CHECK_NOTHING_LEAKED(&here);
	contract_close(&c);
	munmap(base, 4096);
}

/* ---- Again and again ---- */

PROMISE(a_thousand_cycles_leave_nothing)
{
	struct peer p = peer_start(kind, TIMEOUT_MS);
	struct test_resources here;
	struct contract c;

	contract_open(&c, kind, TIMEOUT_MS);
	for (int i = 0; i < 1000; i++) {
		struct region r = region_make(&c, 4096, 0);

		REQUIRE_OK(c.ops->allow(c.be, &r.mem, &p.id, 1, IPCSHARE__READ_WRITE));
		if (!CHECK_STATUS(peer_import(&p, 0, &r.gift), 0))
			break;
		peer_close_import(&p, 0);
		region_drop(&c, &r);
		if (i == 20)
			test_resources(&here);
	}
	/* The broker closes the last connection when it sees it closed: let it. */
	CHECK_STATUS(c.ops->import_keys(c.be, c.endpoint, NULL, 0), 0);
	CHECK_RESIDENT(&here, 2 << 20);
	CHECK(here.maps > 0, "not measured");
	peer_end(&p); /* which has nothing left either */
	contract_close(&c);
}

TEST_SUITE(backend, look_around, find_nothing_left,
	TEST(no_slot_of_any_table_is_empty),
	TEST(backends_are_found_by_their_names),
	TEST(a_backend_works_or_says_why_not),
	TEST(opening_and_closing_leaves_nothing),
	TEST(it_knows_its_own_tgid_and_device),
	TEST(memory_of_any_size_is_zeroed_and_aligned),
	TEST(memory_that_is_not_there_is_an_error),
	TEST(no_descriptor_left_for_memory_is_a_limit),
	TEST(keys_are_64_characters_and_differ),
	TEST(both_sides_see_the_same_memory),
	TEST(a_process_that_is_not_listed_gets_nothing),
	TEST(a_whitelist_grows_and_may_name_a_process_twice),
	TEST(a_key_whose_export_is_closed_is_stale),
	TEST(memory_is_exported_anew_under_another_key),
	TEST(what_is_imported_outlives_its_export),
	TEST(an_altered_key_opens_nothing),
	TEST(a_key_of_another_owner_is_refused),
	TEST(of_many_keys_only_the_bad_one_fails),
	TEST(an_open_export_needs_no_whitelist),
	TEST(read_only_memory_cannot_be_written_by_a_peer),
	TEST(protection_comes_too_late_for_who_writes_already),
	TEST(a_dead_owner_is_unreachable_and_its_memory_stays),
	TEST(a_stopped_owner_is_a_timeout),
	TEST(no_descriptor_left_for_an_import_is_a_limit),
	TEST(a_fork_that_lets_go_disturbs_nobody),
	TEST(importing_nothing_is_fine),
	TEST(adopted_memory_is_shared_like_ours),
	TEST(what_cannot_be_adopted_is_refused),
	TEST(a_thousand_cycles_leave_nothing));
