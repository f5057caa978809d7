/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles and arguments that are no good: altered, forged or wrong. */
#include "base/bytes.h"
#include "base/wire.h"
#include "importer.h"

static void *const untouched = IMPORTER_UNTOUCHED;

/* ---- Bytes ---- */

static void check_bytes_refused(const struct ipcshare_packed *packed, int status)
{
	struct ipcshare_handle handle;
	void *p = untouched;
	size_t len = 16;

	CHECK_FAILS(ipcshare_map(owner, packed, &p), status);
	CHECK_FAILS(ipcshare_lookup(owner, packed, &p), status);
	CHECK_PTR(p, untouched);
	memcpy(&handle, packed, sizeof(handle));
	CHECK_FAILS(ipcshare_map_handle(owner, &handle, &p, &len), status);
	CHECK_PTR(p, untouched);
	CHECK_INT(len, 16);
}

static void every_altered_byte_is_seen(void)
{
	struct ipcshare_packed packed, altered;
	void *p = untouched, *mapped;

	owner_open();
	packed = owner_pack(owned + 5, 100, 0);
	REQUIRE_OK(ipcshare_map(owner, &packed, &mapped)); /* the true one is there */
	for (size_t i = 0; i < sizeof(packed); i++)
		for (int bit = 0; bit < 8; bit++) {
			altered = packed;
			altered.bytes[i] ^= (unsigned char)(1 << bit);
			if (i < sizeof(struct ipcshare_handle))
				check_bytes_refused(&altered, i == 1 ? IPCSHARE_ERR_VERSION
								     : IPCSHARE_ERR_PROTOCOL);
			else
				CHECK(ipcshare_map(owner, &altered, &p) == IPCSHARE_ERR_PROTOCOL &&
					      ipcshare_lookup(owner, &altered, &p) ==
						      IPCSHARE_ERR_PROTOCOL,
				      "byte %zu, bit %d", i, bit);
		}
	memset(&altered, 0, sizeof(altered));
	check_bytes_refused(&altered, IPCSHARE_ERR_PROTOCOL);
	memset(&altered, 0xff, sizeof(altered));
	check_bytes_refused(&altered, IPCSHARE_ERR_PROTOCOL);
	CHECK_PTR(p, untouched);
	CHECK_STATUS(ipcshare_unmap(owner, mapped), 0);
}

/* Checksums that are right over words that are wrong: by a peer that means harm. */
static struct ipcshare_packed sign(struct ipcshare__wire_packed p)
{
	struct ipcshare_packed packed;
	uint64_t sum;

	sum = ipcshare__checksum(0, &p.handle, offsetof(struct ipcshare__wire_handle, check));
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

	CHECK_FAILS(ipcshare_map(owner, &packed, &p), status);
	CHECK_PTR(p, untouched);
}

/* What is mapped is found by its true descriptors alone, and never beyond its end. */
static void check_lookup_of_lies(struct ipcshare__wire_packed good)
{
	struct ipcshare__wire_packed lies[5] = { good, good, good, good, good };
	void *p = untouched;

	lies[0].handle.length = OWNED + 1;
	lies[1].handle.generation++;
	lies[2].handle.region++;
	lies[3].handle.endpoint++;
	lies[4].handle.endpoint = 0;
	for (size_t i = 0; i < 5; i++) {
		struct ipcshare_packed packed = sign(lies[i]);

		CHECK_FAILS(ipcshare_lookup(owner, &packed, &p), IPCSHARE_ERR_NOT_SHAREABLE);
	}
	lies[0] = good;
	lies[0].offset_lo = OWNED - 99;
	for (size_t i = 0; i < 2; i++) {
		struct ipcshare_packed packed = sign(lies[0]);

		CHECK_FAILS(ipcshare_lookup(owner, &packed, &p), IPCSHARE_ERR_PROTOCOL);
		lies[0].offset_hi = 0xffff;
	}
	CHECK_PTR(p, untouched);
}

static void forged_bytes_are_refused_too(void)
{
	struct ipcshare__wire_packed good, lie;
	struct ipcshare_packed packed;
	void *p;

	owner_open();
	packed = owner_pack(owned, 100, 0);
	memcpy(&good, &packed, sizeof(good));
	packed = sign(good);
	CHECK_STATUS(ipcshare_map(owner, &packed, &p), 0);
	check_lookup_of_lies(good);
	CHECK_STATUS(ipcshare_unmap(owner, p), 0);
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
	lie.handle.length = OWNED + 1;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.handle.endpoint++;
	check_lie(lie, IPCSHARE_ERR_UNREACHABLE);
	lie = good;
	lie.length_lo = 0;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.offset_lo = OWNED - 99;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie.offset_hi = 0xffff;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	lie = good;
	lie.length_hi = 0xffff;
	check_lie(lie, IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(ipcshare_free(owner, owned), 0); /* no lie has left a hold on it */
}

/* The same lies to another process, where the owner's broker and the kernel have a say. */
static void a_forged_length_or_key_maps_nothing_elsewhere(void)
{
	struct importer im = importer_start();
	struct ipcshare__wire_packed good, lie;
	struct ipcshare_packed packed;
	char *p;

	owner_open();
	packed = owner_pack(owned, 100, 0);
	owner_allow(&im, 0);
	memcpy(&good, &packed, sizeof(good));
	for (int mapped = 0; mapped < 2; mapped++) { /* also when the true one is there already */
		lie = good;
		lie.handle.length = 1u << 30;
		packed = sign(lie);
		importer_check_refused(&im, &packed, IPCSHARE_ERR_PROTOCOL);
		if (!mapped) {
			lie = good;
			lie.handle.key[0] ^= 1;
			packed = sign(lie);
			importer_check_refused(&im, &packed, IPCSHARE_ERR_STALE);
			packed = sign(good);
			p = importer_must_map(&im, &packed);
		}
	}
	importer_check_sees(&im, p, OWNED, 0);
	CHECK_INT(importer_unmap(&im, p), 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_dismiss(&im);
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

	owner_open();
	memset(&packed, 7, sizeof(packed));
	keep = packed;
	CHECK_FAILS(ipcshare_self(owner, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_self(NULL, &me), IPCSHARE_ERR_INVALID);
	REQUIRE_OK(ipcshare_self(owner, &me));
	CHECK_FAILS(ipcshare_pack(owner, NULL, 1, 0, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(owner, owned, 0, 0, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(owner, owned, 1, 0, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(owner, owned, 1, IPCSHARE_ALL_OR_NOTHING, &packed),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(owner, owned, 1, 0x80000000u, &packed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack(owner, owned, OWNED + 1, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(owner, owned + OWNED - 1, 2, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(owner, owned + 1, SIZE_MAX, 0, &packed), IPCSHARE_ERR_RANGE);
	CHECK_FAILS(ipcshare_pack(owner, owned + OWNED, 1, 0, &packed), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_pack(owner, foreign, 1, 0, &packed), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_MEM(&packed, &keep, sizeof(packed));
	CHECK_FAILS(ipcshare_pack_handle(owner, NULL, 0, &handle, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(owner, owned, 0, NULL, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(owner, owned, 8, &handle, &offset), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_pack_handle(owner, foreign, 0, &handle, &offset),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(offset, 5);
	CHECK_FAILS(ipcshare_allow(owner, NULL, &me, 1, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(owner, owned, NULL, 1, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(owner, owned, &me, SIZE_MAX / 8, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(owner, owned, &me, 1, IPCSHARE_SHARE_OPEN), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allow(owner, foreign, &me, 1, 0), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_allow(owner, owned, NULL, 0, 0), 0);
	CHECK_FAILS(ipcshare_map(owner, NULL, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map(owner, &packed, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map_handle(owner, NULL, &p, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_map_handle(owner, &handle, NULL, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_unmap(owner, foreign), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_unmap(owner, owned), IPCSHARE_ERR_NOT_SHAREABLE); /* never mapped */
	for (size_t i = 0; i < sizeof(bad); i++) {
		bad = me;
		bad.bytes[i] ^= 0x10;
		list[0] = me;
		list[1] = bad;
		CHECK_FAILS(ipcshare_allow(owner, owned, list, 2, 0), IPCSHARE_ERR_PROTOCOL);
		CHECK_INT(ipcshare_last_error()->index, 1);
	}
	memcpy(&far, &me, sizeof(far));
	far.boot[0] ^= 1;
	far.check = ipcshare__checksum32(&far, offsetof(struct ipcshare__identity, check));
	memcpy(&bad, &far, sizeof(bad));
	CHECK_FAILS(ipcshare_allow(owner, owned, &bad, 1, 0), IPCSHARE_ERR_OTHER_NODE);
	CHECK_INT(team_counters(owner).calls[IPCSHARE_CALL_ALLOW], 0);
	CHECK_PTR(p, untouched);
}

TEST_SUITE(onesided_bytes, owner_begin, owner_end,
	TEST(every_altered_byte_is_seen),
	TEST(forged_bytes_are_refused_too),
	TEST(a_forged_length_or_key_maps_nothing_elsewhere),
	TEST(bad_arguments_are_named));
