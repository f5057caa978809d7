/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/memfd.h"
#include "support/test.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static struct test_resources before;
static size_t page;

static void look_around(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	test_resources(&before);
}

static void find_nothing_left(void)
{
	CHECK_NOTHING_LEAKED(&before);
}

/* ---- Make ---- */

static void check_made(size_t length)
{
	size_t whole = (length + page - 1) / page * page;
	struct ipcshare__memfd m;
	struct stat st;

	REQUIRE_OK(ipcshare__memfd_make(length, &m));
	REQUIRE(!fstat(m.fd, &st), "errno %d", errno);
	CHECK_INT((uintptr_t)m.map % page, 0);
	CHECK_INT(m.map_length, whole);
	CHECK_INT(m.offset, 0);
	CHECK_INT(m.inode, st.st_ino);
	CHECK_INT(st.st_size, whole);
	CHECK(st.st_blocks * 512 >= (off_t)whole, "%jd of %zu bytes are reserved",
	      (intmax_t)st.st_blocks * 512, whole);
	CHECK_BYTES(m.map, 0, whole);
	memset(m.map, 0xa5, whole);
	CHECK_INT(fcntl(m.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_INT(fcntl(m.fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
		  F_SEAL_SHRINK | F_SEAL_GROW);
	CHECK(ftruncate(m.fd, 0) && errno == EPERM, "it can be shrunk, errno %d", errno);
	CHECK(ftruncate(m.fd, (off_t)(whole + page)) && errno == EPERM, "it can grow");
	ipcshare__memfd_drop(&m);
}

static void memory_is_zeroed_reserved_and_sealed(void)
{
	check_made(1);
	check_made(page);
	check_made(page + 1);
	check_made(3 * 1024 * 1024 + 5);
}

/* More than one step of reserving, and more than is looked at /proc/meminfo for. */
static void big_memory_too(void)
{
	struct ipcshare__memfd m;
	size_t len = ((size_t)64 << 20) + 3 * page;
	struct stat st;

	REQUIRE_OK(ipcshare__memfd_make(len, &m));
	REQUIRE(!fstat(m.fd, &st), "errno %d", errno);
	CHECK(st.st_blocks * 512 >= (off_t)len, "%jd of %zu bytes are reserved",
	      (intmax_t)st.st_blocks * 512, len);
	ipcshare__memfd_drop(&m);
}

/* The kernel's own does so before 6.12, when a signal comes: it undoes what was done, and says EINTR. */
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);

static off_t longest; /* that a call may be before the next signal; 0: there are none */

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (!longest || len <= longest)
		return __real_fallocate(fd, mode, offset, len);
	errno = EINTR;
	return -1;
}

/* As timers of profilers do, and of the languages above us. */
static void signals_delay_it_only(void)
{
	longest = 100000;
	check_made(((size_t)100 << 20) + 5);
	longest = 0;
}

static void memory_that_is_not_there_is_an_error(void)
{
	static const size_t lengths[] = {
		PTRDIFF_MAX, PTRDIFF_MAX - 4096, (size_t)1 << 62, (size_t)1 << 47, (size_t)1 << 44,
	};
	struct ipcshare__memfd m, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		m = untouched;
		if (!CHECK_FAILS(ipcshare__memfd_make(lengths[i], &m), IPCSHARE_ERR_NO_MEMORY))
			FAIL("%zu bytes", lengths[i]);
		CHECK(ipcshare_last_error()->hint[0], "no hint");
		CHECK_MEM(&m, &untouched, sizeof(m));
		CHECK_NOTHING_LEAKED(&before);
	}
}

static void has_no_descriptor_left(int channel, void *arg)
{
	struct ipcshare__memfd m;
	struct rlimit limit;

	(void)channel;
	(void)arg;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK_FAILS(ipcshare__memfd_make(page, &m), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -n");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK_STATUS(ipcshare__memfd_make(page, &m), 0);
	ipcshare__memfd_drop(&m);
}

static void no_descriptor_left_is_a_limit(void)
{
	test_child_join(test_child(has_no_descriptor_left, NULL));
}

static void has_no_address_space_left(int channel, void *arg)
{
	struct test_resources here;
	struct ipcshare__memfd m;
	struct rlimit limit;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	(void)channel;
	(void)arg;
	REQUIRE(f && fscanf(f, "%lu", &pages) == 1, "no /proc/self/statm");
	fclose(f);
	test_resources(&here);
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = (pages + 8192) * page; /* what is there and 32 MiB */
	setrlimit(RLIMIT_AS, &limit);
	CHECK_FAILS(ipcshare__memfd_make((size_t)64 << 20, &m), IPCSHARE_ERR_NO_MEMORY);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -v");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
	CHECK_NOTHING_LEAKED(&here);
}

static void no_address_space_left_is_no_memory(void)
{
	test_child_join(test_child(has_no_address_space_left, NULL));
}

static void may_not_make_large_files(int channel, void *arg)
{
	struct rlimit limit = { 8192, RLIM_INFINITY };
	struct ipcshare__memfd m;

	(void)channel;
	(void)arg;
	setrlimit(RLIMIT_FSIZE, &limit);
	CHECK_FAILS(ipcshare__memfd_make(16384, &m), IPCSHARE_ERR_LIMIT); /* and no SIGXFSZ */
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -f");
	CHECK_STATUS(ipcshare__memfd_make(8192, &m), 0);
	ipcshare__memfd_drop(&m);
}

static void a_limit_on_file_sizes_does_not_kill(void)
{
	test_child_join(test_child(may_not_make_large_files, NULL));
}

static void a_thousand_makes_and_drops_leave_nothing(void)
{
	struct ipcshare__memfd m;

	for (int i = 0; i < 1000; i++) {
		REQUIRE_OK(ipcshare__memfd_make(page, &m));
		ipcshare__memfd_drop(&m);
	}
	CHECK_RESIDENT(&before, 1 << 20);
}

/* ---- Adopt ---- */

struct user {
	int fd;
	char *base;
	size_t len;
};

static struct user user_memory(size_t len, unsigned flags, int prot_flags)
{
	struct user u = { .fd = memfd_create("users", MFD_CLOEXEC | flags), .len = len };

	REQUIRE(u.fd >= 0 && !ftruncate(u.fd, (off_t)len), "errno %d", errno);
	u.base = mmap(NULL, len, PROT_READ | PROT_WRITE, prot_flags, u.fd, 0);
	REQUIRE(u.base != MAP_FAILED, "errno %d", errno);
	return u;
}

static void user_gone(struct user *u)
{
	munmap(u->base, u->len);
	close(u->fd);
}

static void a_users_memfd_is_adopted(void)
{
	struct user u = user_memory(8 * page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;
	struct stat st;

	strcpy(u.base, "mine");
	REQUIRE_OK(ipcshare__memfd_adopt(u.base, 8 * page, u.fd, &m));

	fstat(u.fd, &st);
	CHECK_INT(m.inode, st.st_ino);
	CHECK_INT(m.offset, 0);
	CHECK(m.fd != u.fd, "the user's own descriptor is kept");
	CHECK(st.st_blocks * 512 >= (off_t)(8 * page), "only %jd bytes are reserved",
	      (intmax_t)st.st_blocks * 512);
	CHECK(ftruncate(u.fd, 0) && errno == EPERM, "it can be shrunk");
	CHECK_STR(u.base, "mine");
	ipcshare__memfd_drop(&m);
	CHECK_STR(u.base, "mine"); /* the user's mapping stays */
	user_gone(&u);
}

static void a_part_of_a_memfd_is_adopted_with_its_offset(void)
{
	struct user u = user_memory(8 * page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;

	REQUIRE_OK(ipcshare__memfd_adopt(u.base + 3 * page, 2 * page, u.fd, &m));
	CHECK_INT(m.offset, 3 * page);
	ipcshare__memfd_drop(&m);
	user_gone(&u);
}

static void a_length_need_not_be_whole_pages(void)
{
	struct user u = user_memory(2 * page + 100, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;

	REQUIRE_OK(ipcshare__memfd_adopt(u.base, 2 * page + 100, u.fd, &m));
	ipcshare__memfd_drop(&m);
	REQUIRE_OK(ipcshare__memfd_adopt(u.base, 10, u.fd, &m));
	ipcshare__memfd_drop(&m);
	user_gone(&u);
}

static void a_mapping_in_pieces_is_adopted_if_it_is_one_range_of_the_file(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;

	REQUIRE(!mprotect(u.base + page, page, PROT_READ), "errno %d", errno); /* splits it in 3 */
	REQUIRE_OK(ipcshare__memfd_adopt(u.base, 4 * page, u.fd, &m));
	CHECK_INT(m.offset, 0);
	ipcshare__memfd_drop(&m);
	user_gone(&u);
}

static void check_refused(void *base, size_t len, int fd, int status)
{
	struct ipcshare__memfd m, untouched;
	struct test_resources here;
	int seals = fcntl(fd, F_GET_SEALS);

	memset(&untouched, 0x5a, sizeof(untouched));
	m = untouched;
	test_resources(&here);
	CHECK_FAILS(ipcshare__memfd_adopt(base, len, fd, &m), status);
	CHECK(ipcshare_last_error()->hint[0], "no hint");
	CHECK_MEM(&m, &untouched, sizeof(m));
	CHECK_NOTHING_LEAKED(&here);
	CHECK_INT(fcntl(fd, F_GET_SEALS), seals);
}

static void what_is_no_page_is_not_adopted(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);

	check_refused(u.base + 64, page, u.fd, IPCSHARE_ERR_INVALID);
	user_gone(&u);
}

static void ranges_that_run_out_of_the_mapping_are_not_adopted(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);

	munmap(u.base + 3 * page, page);
	check_refused(u.base, 4 * page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	check_refused(u.base, PTRDIFF_MAX, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	check_refused(u.base, SIZE_MAX - 10, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	check_refused(u.base + 3 * page, page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	munmap(u.base + page, page);
	check_refused(u.base, 3 * page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	user_gone(&u);
}

static void ranges_that_end_behind_the_file_are_not_adopted(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);

	REQUIRE(!ftruncate(u.fd, (off_t)(2 * page)), "errno %d", errno);
	check_refused(u.base, 3 * page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	user_gone(&u);
}

static void private_or_foreign_mappings_are_not_adopted(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct user private = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_PRIVATE);
	char *anonymous = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       0);

	check_refused(private.base, page, private.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	check_refused(u.base, page, private.fd, IPCSHARE_ERR_NOT_SHAREABLE); /* another memfd */
	check_refused(anonymous, page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	munmap(anonymous, page);
	user_gone(&private);
	user_gone(&u);
}

static void a_mapping_with_its_pages_in_other_order_is_not_adopted(void)
{
	struct user u = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);

	REQUIRE(mmap(u.base + page, page, PROT_READ, MAP_SHARED | MAP_FIXED, u.fd, 0) != MAP_FAILED,
		"errno %d", errno);
	check_refused(u.base, 2 * page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	user_gone(&u);
}

static void descriptors_that_cannot_be_sealed_are_not_adopted(void)
{
	struct user u = user_memory(page, 0, MAP_SHARED);
	char path[] = "/tmp/ipcshare-test-XXXXXX";
	int fd = mkstemp(path);
	char *base;

	check_refused(u.base, page, u.fd, IPCSHARE_ERR_NOT_SHAREABLE);
	user_gone(&u);

	REQUIRE(fd >= 0 && !unlink(path) && !ftruncate(fd, (off_t)page), "errno %d", errno);
	base = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check_refused(base, page, fd, IPCSHARE_ERR_NOT_SHAREABLE);
	munmap(base, page);
	close(fd);
	check_refused(base, page, -1, IPCSHARE_ERR_NOT_SHAREABLE);
	check_refused(base, page, fd, IPCSHARE_ERR_NOT_SHAREABLE); /* closed */
}

static void adopts_without_descriptors(int channel, void *arg)
{
	struct user u = user_memory(page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;
	struct rlimit limit;

	(void)channel;
	(void)arg;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK_FAILS(ipcshare__memfd_adopt(u.base, page, u.fd, &m), IPCSHARE_ERR_LIMIT);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	user_gone(&u);
}

static void without_a_descriptor_left_nothing_is_adopted(void)
{
	test_child_join(test_child(adopts_without_descriptors, NULL));
}

/* ---- Protect ---- */

static void protected_memory_cannot_be_written_any_more(void)
{
	struct ipcshare__memfd m;
	char path[64], byte = 1;
	char *readable;
	int again;

	REQUIRE_OK(ipcshare__memfd_make(2 * page, &m));
	((char *)m.map)[0] = 1;

	CHECK_STATUS(ipcshare__memfd_protect(&m), 0);

	((char *)m.map)[1] = 2; /* the owner's mapping stays as it is */
	CHECK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0) == MAP_FAILED &&
	      errno == EPERM, "a new writable mapping, errno %d", errno);
	readable = mmap(NULL, page, PROT_READ, MAP_SHARED, m.fd, 0);
	REQUIRE(readable != MAP_FAILED, "errno %d", errno);
	CHECK_INT(readable[1], 2);
	CHECK(mprotect(readable, page, PROT_READ | PROT_WRITE) && errno == EACCES,
	      "mprotect() makes it writable, errno %d", errno);
	CHECK(pwrite(m.fd, &byte, 1, 0) == -1 && errno == EPERM, "write(), errno %d", errno);
	CHECK(pwritev(m.fd, &(struct iovec){ &byte, 1 }, 1, 0) == -1 && errno == EPERM,
	      "pwritev(), errno %d", errno);
	CHECK(fallocate(m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)page) &&
	      errno == EPERM, "a hole can be punched, errno %d", errno);
	CHECK(madvise(readable, page, MADV_REMOVE) != 0, "MADV_REMOVE takes the bytes away");

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m.fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) { /* allowed, but of no use */
		CHECK(mmap(NULL, page, PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED,
		      "reopened it can be mapped writable");
		CHECK(pwrite(again, &byte, 1, 0) == -1, "reopened it can be written");
		close(again);
	}
	again = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	CHECK(again < 0 || ((char *)m.map)[0] == 1, "O_TRUNC empties it");
	if (again >= 0)
		close(again);
	CHECK_INT(readable[0], 1);
	CHECK_STATUS(ipcshare__memfd_protect(&m), 0); /* once more does no harm */
	munmap(readable, page);
	ipcshare__memfd_drop(&m);
}

static void what_takes_no_more_seals_is_not_protected(void)
{
	struct user u = user_memory(page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct ipcshare__memfd m;

	REQUIRE(!fcntl(u.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL), "errno %d", errno);
	REQUIRE_OK(ipcshare__memfd_adopt(u.base, page, u.fd, &m));
	CHECK_FAILS(ipcshare__memfd_protect(&m), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "errno 1");
	ipcshare__memfd_drop(&m);
	user_gone(&u);
}

/* ---- Map ---- */

static struct ipcshare__memfd made(size_t len)
{
	struct ipcshare__memfd m;

	REQUIRE_OK(ipcshare__memfd_make(len, &m));
	return m;
}

static void what_a_peer_maps_is_the_same_memory(void)
{
	struct ipcshare__memfd m = made(3 * page);
	size_t mapped;
	void *base;

	strcpy(m.map, "from the owner");
	REQUIRE_OK(ipcshare__memfd_map(m.fd, m.inode, 0, 2 * page + 1, IPCSHARE__READ_WRITE, &base,
				       &mapped));
	CHECK_INT(mapped, 3 * page);
	CHECK_STR((char *)base, "from the owner");
	strcpy(base, "from the peer");
	CHECK_STR((char *)m.map, "from the peer");
	munmap(base, mapped);
	REQUIRE_OK(ipcshare__memfd_map(m.fd, m.inode, page, page, IPCSHARE__READ_ONLY, &base,
				       &mapped));
	((char *)m.map)[page] = 7;
	CHECK_INT(*(char *)base, 7);
	munmap(base, mapped);
	ipcshare__memfd_drop(&m);
}

static void a_writable_mapping_of_protected_memory_is_refused(void)
{
	struct ipcshare__memfd m = made(page);
	size_t mapped = 99;
	void *base = &m;

	REQUIRE_OK(ipcshare__memfd_protect(&m));
	CHECK_FAILS(ipcshare__memfd_map(m.fd, m.inode, 0, page, IPCSHARE__READ_WRITE, &base,
					&mapped), IPCSHARE_ERR_READ_ONLY);
	CHECK_PTR(base, &m);
	CHECK_INT(mapped, 99);
	REQUIRE_OK(ipcshare__memfd_map(m.fd, m.inode, 0, page, IPCSHARE__READ_ONLY, &base,
				       &mapped));
	munmap(base, mapped);
	ipcshare__memfd_drop(&m);
}

static void check_other_memory(int fd, uint64_t inode, uint64_t offset, uint64_t length)
{
	size_t mapped = 99;
	void *base = &mapped;

	CHECK_FAILS(ipcshare__memfd_map(fd, inode, offset, length, IPCSHARE__READ_WRITE, &base,
					&mapped), IPCSHARE_ERR_PROTOCOL);
	CHECK_PTR(base, &mapped);
	CHECK_INT(mapped, 99);
}

static void other_memory_than_was_promised_is_refused(void)
{
	struct ipcshare__memfd m = made(4 * page), other = made(4 * page);
	struct user unsealed = user_memory(4 * page, MFD_ALLOW_SEALING, MAP_SHARED);
	struct stat st;
	int pipes[2];

	check_other_memory(other.fd, m.inode, 0, page); /* another inode */
	check_other_memory(m.fd, m.inode, 0, 4 * page + 1); /* too short */
	check_other_memory(m.fd, m.inode, page, 4 * page);
	check_other_memory(m.fd, m.inode, 5 * page, page);
	check_other_memory(m.fd, m.inode, UINT64_MAX - page + 1, page);
	check_other_memory(m.fd, m.inode, page, UINT64_MAX - page + 1);
	check_other_memory(m.fd, m.inode, 0, UINT64_MAX);
	check_other_memory(m.fd, m.inode, 0, 0);
	check_other_memory(m.fd, m.inode, 1, page);
	fstat(unsealed.fd, &st);
	check_other_memory(unsealed.fd, st.st_ino, 0, page);
	REQUIRE(!pipe2(pipes, O_CLOEXEC), "errno %d", errno);
	fstat(pipes[0], &st);
	check_other_memory(pipes[0], st.st_ino, 0, page);
	check_other_memory(-1, m.inode, 0, page);
	close(pipes[0]);
	close(pipes[1]);
	user_gone(&unsealed);
	ipcshare__memfd_drop(&other);
	ipcshare__memfd_drop(&m);
}

TEST_SUITE(memfd, look_around, find_nothing_left,
	TEST(memory_is_zeroed_reserved_and_sealed),
	TEST(big_memory_too),
	TEST(signals_delay_it_only),
	TEST(memory_that_is_not_there_is_an_error),
	TEST(no_descriptor_left_is_a_limit),
	TEST(no_address_space_left_is_no_memory),
	TEST(a_limit_on_file_sizes_does_not_kill),
	TEST(a_thousand_makes_and_drops_leave_nothing),
	TEST(a_users_memfd_is_adopted),
	TEST(a_part_of_a_memfd_is_adopted_with_its_offset),
	TEST(a_length_need_not_be_whole_pages),
	TEST(a_mapping_in_pieces_is_adopted_if_it_is_one_range_of_the_file),
	TEST(what_is_no_page_is_not_adopted),
	TEST(ranges_that_run_out_of_the_mapping_are_not_adopted),
	TEST(ranges_that_end_behind_the_file_are_not_adopted),
	TEST(private_or_foreign_mappings_are_not_adopted),
	TEST(a_mapping_with_its_pages_in_other_order_is_not_adopted),
	TEST(descriptors_that_cannot_be_sealed_are_not_adopted),
	TEST(without_a_descriptor_left_nothing_is_adopted),
	TEST(protected_memory_cannot_be_written_any_more),
	TEST(what_takes_no_more_seals_is_not_protected),
	TEST(what_a_peer_maps_is_the_same_memory),
	TEST(a_writable_mapping_of_protected_memory_is_refused),
	TEST(other_memory_than_was_promised_is_refused));
