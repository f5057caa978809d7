/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/features.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/identity.h"
#include "support/test.h"
#include "unit/forbid.h"

static const struct ipcshare__config config = { .backend = "host" };

static struct ipcshare__feature probe(enum ipcshare__feature_id id)
{
	struct ipcshare__feature f;

	ipcshare__feature_probe(id, &f);
	return f;
}

static void every_feature_says_what_it_is(void)
{
	for (int i = 0; i < IPCSHARE__FEATURES; i++) {
		struct ipcshare__feature f = probe((enum ipcshare__feature_id)i);

		if (!CHECK(f.name && f.name[0] && f.use && f.use[0] && f.without && f.without[0],
			   "feature %d has an empty text", i))
			continue;
		CHECK(f.since && atof(f.since) > 2, "%s: since \"%s\"", f.name, f.since);
		CHECK(f.found == IPCSHARE__FOUND_YES || f.detail[0], "%s: %s, but not why", f.name,
		      ipcshare__found_name(f.found));
	}
}

static void probes_leave_nothing_behind(void)
{
	struct test_resources before;
	struct ipcshare_error error;

	ipcshare__fail(IPCSHARE_ERR_RANGE, "test", "", "an error from before");
	error = *ipcshare_last_error();
	test_resources(&before);
	for (int round = 0; round < 50; round++)
		for (int i = 0; i < IPCSHARE__FEATURES; i++)
			probe((enum ipcshare__feature_id)i);
	CHECK_NOTHING_LEAKED(&before);
	CHECK_MEM(ipcshare_last_error(), &error, sizeof(error));
}

static void probes_agree_with_what_the_library_does(void)
{
	int by_inode = probe(IPCSHARE__FEATURE_PIDFS).found == IPCSHARE__FOUND_YES &&
		       probe(IPCSHARE__FEATURE_PEER_PIDFD).found == IPCSHARE__FOUND_YES;
	struct ipcshare__identity id;

	CHECK_INT(probe(IPCSHARE__FEATURE_MEMFD).found == IPCSHARE__FOUND_YES,
		  ipcshare__host_ops.probe(&config) == 0);
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, 1, &id));
	CHECK_INT(id.kind == IPCSHARE__BY_PIDFD, by_inode);
	CHECK_INT(probe(IPCSHARE__FEATURE_PROC).found, IPCSHARE__FOUND_YES);
	CHECK_INT(probe(IPCSHARE__FEATURE_BOOT_ID).found, IPCSHARE__FOUND_YES);
}

static void expect(enum ipcshare__feature_id id, enum ipcshare__found found, const char *detail)
{
	struct ipcshare__feature f = probe(id);

	CHECK(f.found == found, "%s: found is \"%s\", not \"%s\" (%s)", f.name,
	      ipcshare__found_name(f.found), ipcshare__found_name(found), f.detail);
	CHECK_HAS(f.detail, detail);
}

static void without_memfd_create(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_memfd_create, ENOSYS), 0);
	expect(IPCSHARE__FEATURE_MEMFD, IPCSHARE__FOUND_NO, "Function not implemented");
	expect(IPCSHARE__FEATURE_NOEXEC, IPCSHARE__FOUND_NO, "Function not implemented");
	expect(IPCSHARE__FEATURE_SIZE_SEALS, IPCSHARE__FOUND_UNKNOWN, "not tried: memfd_create");
	expect(IPCSHARE__FEATURE_WRITE_SEAL, IPCSHARE__FOUND_UNKNOWN, "not tried: memfd_create");
	expect(IPCSHARE__FEATURE_RESERVE, IPCSHARE__FOUND_UNKNOWN, "not tried: memfd_create");
	CHECK_FAILS(ipcshare__host_ops.probe(&config), IPCSHARE_ERR_NO_BACKEND);
}

static void without_pidfd_open(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_pidfd_open, EPERM), 0);
	expect(IPCSHARE__FEATURE_PIDFD, IPCSHARE__FOUND_NO, "Operation not permitted");
	expect(IPCSHARE__FEATURE_PIDFS, IPCSHARE__FOUND_UNKNOWN, "not tried: pidfd_open");
}

static void without_sockets(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_socket, EACCES), 0);
	REQUIRE_INT(test_forbid(SYS_socketpair, EACCES), 0);
	expect(IPCSHARE__FEATURE_ABSTRACT, IPCSHARE__FOUND_NO, "Permission denied");
	expect(IPCSHARE__FEATURE_PASS_FD, IPCSHARE__FOUND_UNKNOWN, "not tried: socketpair");
	expect(IPCSHARE__FEATURE_PEER_PIDFD, IPCSHARE__FOUND_UNKNOWN, "not tried: socketpair");
}

static void a_system_call_that_is_refused_is_a_missing_feature(void)
{
	test_child_join(test_child(without_memfd_create, NULL));
	test_child_join(test_child(without_pidfd_open, NULL));
	test_child_join(test_child(without_sockets, NULL));
}

static void without_descriptors(int channel, void *arg)
{
	struct rlimit before, none;

	(void)channel;
	(void)arg;
	REQUIRE_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < IPCSHARE__FEATURES; i++)
		expect((enum ipcshare__feature_id)i, IPCSHARE__FOUND_UNKNOWN,
		       "Too many open files");
	REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &before), 0); /* for a sanitizer, at the end */
}

/* What could not be tried may well be there. */
static void without_a_descriptor_left_nothing_is_called_missing(void)
{
	test_child_join(test_child(without_descriptors, NULL));
}

TEST_SUITE(features, NULL, NULL,
	TEST(every_feature_says_what_it_is),
	TEST(probes_leave_nothing_behind),
	TEST(probes_agree_with_what_the_library_does),
	TEST(a_system_call_that_is_refused_is_a_missing_feature),
	TEST(without_a_descriptor_left_nothing_is_called_missing));
