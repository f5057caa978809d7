/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.6 (aclrtIpcMemImportByKey), row by row. */
#include "ranks.h"

static char key[KEY];

static void arguments(struct rank *r)
{
	char bad[KEY], endless[KEY];
	void *p;

	(void)r;
	up(0);
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 1));
	/* row 2.6: devPtr or key NULL */
	CODE(100000, aclrtIpcMemImportByKey(NULL, key, 0));
	CODE(100000, aclrtIpcMemImportByKey(&p, NULL, 0));
	/* row 2.6: flags > 1 */
	CODE(107000, aclrtIpcMemImportByKey(&p, key, 2));
	/* row 2.6: key empty, too long or not parsable */
	CODE(107000, aclrtIpcMemImportByKey(&p, "", 0));
	memset(endless, '0', sizeof(endless));
	CODE(107000, aclrtIpcMemImportByKey(&p, endless, 0));	/* no NUL within 65 */
	memcpy(bad, key, KEY);
	bad[10] = 'x';
	CODE(107000, aclrtIpcMemImportByKey(&p, bad, 0));	/* not parsable */
	memcpy(bad, key, KEY);
	bad[21] ^= 1;
	CODE(507899, aclrtIpcMemImportByKey(&p, bad, 0));	/* unknown */
	memcpy(bad, key, KEY);
	bad[60] = '1';
	CODE(507899, aclrtIpcMemImportByKey(&p, bad, 0));	/* all of a key counts */
}

static void null_flags_and_the_keys_shape(void)
{
	RANKS_OK(1, "", arguments);
}

/* row 2.6: unknown key, destroyed key, source freed, pid not listed or listed before the process
 * started */
static void refusals(struct rank *r)
{
	char closed[KEY], freed[KEY], unlisted[KEY], own[KEY];
	int32_t pid = up(0);
	void *p;

	if (r->id == 0) {
		rank_recv(r, 1, &pid, 4);
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, closed, KEY, 0));
		OK(aclrtIpcMemSetImportPid(closed, &pid, 1));
		OK(aclrtIpcMemClose(closed));
		p = alloc(4096);
		OK(aclrtIpcMemGetExportKey(p, 4096, freed, KEY, 0));
		OK(aclrtIpcMemSetImportPid(freed, &pid, 1));
		OK(aclrtFree(p));
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, unlisted, KEY, 0));
		rank_send(r, 1, closed, KEY);
		rank_send(r, 1, freed, KEY);
		rank_send(r, 1, unlisted, KEY);
		rank_barrier(r);
		OK(aclrtIpcMemClose(freed));	/* the record stayed until now */
	} else {
		rank_send(r, 0, &pid, 4);
		rank_recv(r, 0, closed, KEY);
		rank_recv(r, 0, freed, KEY);
		rank_recv(r, 0, unlisted, KEY);
		CODE(507899, aclrtIpcMemImportByKey(&p, closed, 0));	/* destroyed */
		CODE(507899, aclrtIpcMemImportByKey(&p, freed, 0));	/* source freed */
		CODE(507899, aclrtIpcMemImportByKey(&p, unlisted, 0));	/* not listed */
		/* row 2.6: own key with a whitelist */
		OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, own, KEY, 0));
		CODE(507899, aclrtIpcMemImportByKey(&p, own, 0));	/* own key, whitelist on */
		rank_barrier(r);
	}
}

static void destroyed_freed_unlisted_and_own_key(void)
{
	RANKS_OK(2, "", refusals);
}

static void own_open(struct rank *r)
{
	void *p, *q;

	(void)r;
	up(0);
	p = alloc(4096);
	put(p, 7, 4096);
	OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 1));
	OK(aclrtIpcMemImportByKey(&q, key, 0));
	EXPECT(p != q && holds(q, 7, 4096));
	OK(aclrtIpcMemClose(key));	/* the import ... */
	EXPECT(ascendclEmuPeek(q, &p, 1) == -1);
	OK(aclrtIpcMemClose(key));	/* ... then the export */
	CODE(507899, aclrtIpcMemClose(key));
}

static void own_key_without_whitelist_gives_a_second_address(void)
{
	RANKS_OK(1, "", own_open);
}

/* row 2.6: same key on a second device of the process */
static void two_devices(struct rank *r)
{
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
	} else {
		import_granted(r, 0, key, &p, 0);
		OK(aclrtSetDevice(1));
		CODE(507899, aclrtIpcMemImportByKey(&p, key, 0));
	}
	rank_barrier(r);
}

static void same_key_on_a_second_device(void)
{
	RANKS_OK(2, "", two_devices);
}

static void repeated(struct rank *r)
{
	void *p, *q = NULL;
	uint64_t ioctls;

	up(r->id);
	if (r->id == 0) {
		p = alloc(2 * MIB);
		export_granted(r, 1, p, 2 * MIB, key);
		rank_send(r, 1, &p, sizeof(p));
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		rank_barrier(r);
		rank_barrier(r);
	} else {
		import_granted(r, 0, key, &p, 0);
		ioctls = counter("ioctl_import");
		OK(aclrtIpcMemImportByKey(&q, key, 0));
		EXPECT(p == q && counter("ioctl_import") == ioctls);
		rank_recv(r, 0, &q, sizeof(q));
		EXPECT(p != q && (uintptr_t)p % (2 * MIB) == 0);	/* another VA, as aligned */
		rank_barrier(r);
		rank_barrier(r);	/* the exporter closed */
		q = NULL;
		OK(aclrtIpcMemImportByKey(&q, key, 0));
		EXPECT(p == q);		/* a stale success */
		EXPECT(ascendclEmuPeek(q, key, 1) == -1);
		rank_barrier(r);
	}
}

static void same_key_again_gives_the_same_address(void)
{
	RANKS_OK(2, "", repeated);
}

/* row 2.6: flag 1, the peer's device is not visible in the container */
static void peer_hidden(struct rank *r)
{
	int32_t pid;
	void *p;

	if (r->id == 1)
		setenv("ASCENDCL_EMU_PHYSICAL", "1", 1);
	pid = up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
	} else {
		rank_send(r, 0, &pid, 4);
		rank_recv(r, 0, key, KEY);
		CODE(107001, aclrtIpcMemImportByKey(&p, key, 1));
		OK(aclrtIpcMemImportByKey(&p, key, 0));
	}
	rank_barrier(r);
}

static void flag_1_and_the_peer_is_not_visible(void)
{
	RANKS_OK(2, "", peer_hidden);
}

/* row 2.6: flag 1 with a driver without halShmemInfoGet; virtual instance */
static void not_supported(struct rank *r)
{
	void *p;

	(void)r;
	up(0);
	memset(key, '0', 64);
	CODE(207000, aclrtIpcMemImportByKey(&p, key, 1));
}

static void flag_1_on_an_old_driver_and_virtual_instances(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_NO_FLAGS=1", not_supported);
	RANKS_OK(1, "ASCENDCL_EMU_VIRTUAL=1", not_supported);
}

/* Flag 1 enables both directions, so that copies work at once; 33 processes are one too many. */
/* row 2.6: flag 1, 33rd process on an ordered device pair */
static void crowd(struct rank *r)
{
	int32_t can;
	void *p;

	if (r->id == 0) {
		up(0);
		p = alloc(4096);
		OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 1));
		for (int i = 1; i < r->n; i++)
			rank_send(r, i, key, KEY);
		rank_barrier(r);
		return;
	}
	up(1);
	rank_recv(r, 0, key, KEY);
	if (r->id > 1)
		rank_recv(r, r->id - 1, &can, 4);	/* one after the other */
	if (r->id < 33) {
		OK(aclrtIpcMemImportByKey(&p, key, 1));
		OK(aclrtDevicePeerAccessStatus(1, 0, &can));
		EXPECT(can == 1);
	} else {
		CODE(207001, aclrtIpcMemImportByKey(&p, key, 1));
		OK(aclrtIpcMemImportByKey(&p, key, 0));		/* nothing is lost by flag 0 */
	}
	if (r->id + 1 < r->n)
		rank_send(r, r->id + 1, &can, 4);
	rank_barrier(r);
}

static void a_33rd_process_on_a_device_pair(void)
{
	RANKS_OK(34, "", crowd);
}

static void dies(struct rank *r)
{
	aclrtStream s;
	void *p, *local;

	up(r->id);
	if (r->id == 0) {
		p = alloc(4096);
		put(p, 5, 4096);
		OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 1));
		rank_send(r, 1, key, KEY);
	} else {
		rank_recv(r, 0, key, KEY);
		CODE(507899, aclrtIpcMemImportByKey(&p, key, 1));	/* the enable is refused */
		OK(aclrtIpcMemImportByKey(&p, key, 0));
		OK(aclrtCreateStream(&s));
		local = alloc(4096);
		OK(aclrtMemcpyAsync(local, 4096, p, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE, s));
		OK(aclrtSynchronizeStream(s));
		EXPECT(holds(local, 5, 4096));
	}
	rank_barrier(r);
}

static void two_dies_of_a_chip_share_with_flag_0(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_SOC=Ascend910_9391", dies);
}

static void too_many(struct rank *r)
{
	void *p;

	if (r->id == 1)
		setenv("ASCENDCL_EMU_MAX_KEYS", "3", 1);
	up(0);
	for (int i = 0; i < 4; i++) {
		if (r->id == 0) {
			OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 1));
			rank_send(r, 1, key, KEY);
		} else {
			rank_recv(r, 0, key, KEY);
			CODE(i < 3 ? 0 : 107017, aclrtIpcMemImportByKey(&p, key, 0));
		}
	}
	rank_barrier(r);
}

static void imports_count_against_the_limit(void)
{
	RANKS_OK(2, "", too_many);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(null_flags_and_the_keys_shape), TEST(destroyed_freed_unlisted_and_own_key),
		TEST(own_key_without_whitelist_gives_a_second_address),
		TEST(same_key_on_a_second_device), TEST(same_key_again_gives_the_same_address),
		TEST(flag_1_and_the_peer_is_not_visible),
		TEST(flag_1_on_an_old_driver_and_virtual_instances),
		TEST(a_33rd_process_on_a_device_pair), TEST(two_dies_of_a_chip_share_with_flag_0),
		TEST(imports_count_against_the_limit), { NULL, NULL },
	};

	return tests_main("2.6 aclrtIpcMemImportByKey", tests);
}
