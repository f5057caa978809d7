/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/host/free_memory.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/known.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u /* Linux 6.3 */
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10 /* Linux 5.1 */
#endif
/*
 * Bytes reserved by one call. Before Linux 6.12 a signal makes fallocate() undo all that it did, so under a
 * timer a long call might never end: calls get shorter then.
 */
#define RESERVE_STEP ((size_t)64 << 20)
#define RESERVE_LEAST ((size_t)64 << 10)
/* What may be reserved without a look at how much is left. */
#define CHECK_FROM ((size_t)1 << 20)

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int too_little(size_t length, const char *whose, uint64_t available, const char *hint)
{
	return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "alloc", hint,
			      "%zu bytes are asked for, %s has %ju left", length, whose,
			      (uintmax_t)available);
}

/*
 * The kernel does not refuse to reserve more than there is: it calls the OOM killer. So look first; not
 * for each small piece, but before a MiB of them is reserved unseen, which then must be there too.
 */
static int check_memory(size_t length)
{
	static _Atomic size_t unseen; /* reserved by this process since it looked */
	size_t all = atomic_fetch_add(&unseen, length) + length;
	struct ipcshare__cgroup_memory cgroup;
	uint64_t machine;

	if (all < CHECK_FROM)
		return 0;
	atomic_store(&unseen, CHECK_FROM); /* look again, unless there is enough */
	machine = ipcshare__machine_available();
	if (length > machine)
		return too_little(length, "the machine", machine,
				  "free memory, or allocate less on each rank");
	ipcshare__cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup", &cgroup);
	if (length > cgroup.available || CHECK_FROM > cgroup.available - length)
		return too_little(
			length, "the memory cgroup of the process", cgroup.available,
			"raise the memory limit of the job or container, or allocate less on "
			"each rank");
	atomic_store(&unseen, 0);
	return 0;
}

/* An errno, or 0. */
static int fill(int fd, uint64_t offset, size_t length)
{
	size_t step = RESERVE_STEP;

	while (length) {
		size_t n = length < step ? length : step;

		if (!fallocate(fd, 0, (off_t)offset, (off_t)n)) {
			offset += n;
			length -= n;
		} else if (errno != EINTR) {
			return errno;
		} else if (step > RESERVE_LEAST) {
			step /= 2;
		}
	}
	return 0;
}

/* @has: bytes that the file takes already. */
static int reserve(int fd, uint64_t offset, size_t length, uint64_t has)
{
	int err = has < length ? check_memory(length - (size_t)has) : 0;

	if (err)
		return err;
	err = fill(fd, offset, length);
	return err ? ipcshare__fail_errno(err, "alloc", "reserving %zu bytes of a memfd", length)
		   : 0;
}

static int create(unsigned flags)
{
	int fd = memfd_create("ipcshare",
			      MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | flags);

	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create("ipcshare", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	return fd;
}

int ipcshare__memfd_try(void)
{
	int fd = create(0);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* A memfd is a file: one that outgrows RLIMIT_FSIZE would end the process by SIGXFSZ. */
static int check_file_size(size_t length)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || length <= limit.rlim_cur)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_LIMIT, "alloc",
			      "raise the limit on file sizes (ulimit -f): it holds for memfds too",
			      "%zu bytes are asked for, a file may have %ju", length,
			      (uintmax_t)limit.rlim_cur);
}

int ipcshare__memfd_make(size_t length, struct ipcshare__memfd *out)
{
	struct ipcshare__memfd m = { .offset = 0 };
	struct stat st;
	int err;

	if (length > PTRDIFF_MAX - page_size())
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "alloc", "allocate less",
				      "%zu bytes are more than the address space", length);
	m.map_length = ipcshare__round_up(length, page_size());
	err = check_file_size(m.map_length);
	if (err)
		return err;
	m.fd = create(0);
	if (m.fd < 0)
		return ipcshare__fail_errno(errno, "alloc", "memfd_create");
	m.map = mmap(NULL, m.map_length, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (m.map == MAP_FAILED) {
		err = ipcshare__fail_errno(errno, "alloc", "mapping %zu bytes", m.map_length);
		goto close_fd;
	}
	/* Huge pages where the machine gives them for shared memory; only a hint. */
	/* a smaller one could take a whole one for itself */
	if (m.map_length >= IPCSHARE__HUGE_PAGE)
		madvise(m.map, m.map_length, MADV_HUGEPAGE);
	err = reserve(m.fd, 0, m.map_length, 0);
	if (err)
		goto unmap;
	if (fcntl(m.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) || fstat(m.fd, &st)) {
		err = ipcshare__fail_errno(errno, "alloc", "sealing a memfd");
		goto unmap;
	}
	m.inode = st.st_ino;
	*out = m;
	return 0;

unmap:
	munmap(m.map, m.map_length);
close_fd:
	close(m.fd);
	return err;
}

/*
 * The mapping takes the pages out of those that are free, or fails. They count in no look at the memory
 * that is left: they are set apart already.
 */
int ipcshare__memfd_make_huge(size_t length, struct ipcshare__memfd *out)
{
	struct ipcshare__memfd m = { .map_length = length };
	struct rlimit limit;
	struct stat st;
	int err;

	if (!getrlimit(RLIMIT_FSIZE, &limit) && length > limit.rlim_cur)
		return EFBIG;
	m.fd = create(MFD_HUGETLB | MFD_HUGE_2MB);
	if (m.fd < 0)
		return errno;
	m.map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (m.map == MAP_FAILED) {
		err = errno;
		goto close_fd;
	}
	err = fill(m.fd, 0, length);
	if (!err && (fcntl(m.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) || fstat(m.fd, &st))) {
		err = errno;
		ipcshare__known(err);
	}
	if (err)
		goto unmap;
	m.inode = st.st_ino;
	*out = m;
	return 0;

unmap:
	munmap(m.map, length);
close_fd:
	close(m.fd);
	return err;
}

/* What an adoption that is refused should have been. */
static const char adopt_hint[] = "pass a page aligned MAP_SHARED mapping and its memfd, made with "
				 "MFD_ALLOW_SEALING; or use ipcshare_alloc()";

/*
 * Where in the file of @st the range is mapped: walks the lines of /proc/self/maps that cover it.
 * IPCSHARE_ERR_NOT_SHAREABLE if a byte of it is not mapped shared from that file, in one piece.
 */
static int look_offset(uintptr_t base, size_t length, const struct stat *st, uint64_t *offset)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uintptr_t at = base;
	unsigned long from, to;
	unsigned major_nr, minor_nr;
	uintmax_t file_offset, inode;
	char line[512], perms[5];

	if (!f)
		return ipcshare__fail_errno(errno, "register", "opening /proc/self/maps");
	while (at < base + length && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s %jx %x:%x %ju", &from, &to, perms, &file_offset,
			   &major_nr, &minor_nr, &inode) != 7 ||
		    to <= at)
			continue;
		file_offset += at - from;
		if (from > at || perms[3] != 's' || inode != st->st_ino ||
		    makedev(major_nr, minor_nr) != st->st_dev)
			break;
		if (at == base)
			*offset = file_offset;
		else if (file_offset != *offset + (at - base))
			break;
		at = to;
	}
	fclose(f);
	if (at >= base + length)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
			      "%zu bytes at %p are not mapped shared from that descriptor", length,
			      (void *)base);
}

/* The kernel writes the file in pieces: while other threads map and unmap, one that stays can be missed. */
#define LOOKS 16
static int find_offset(uintptr_t base, size_t length, const struct stat *st, uint64_t *offset)
{
	int err = IPCSHARE_ERR_NOT_SHAREABLE;

	for (int i = 0; i < LOOKS && err == IPCSHARE_ERR_NOT_SHAREABLE; i++)
		err = look_offset(base, length, st, offset);
	return err;
}

/* Everything that can be said without changing the user's memfd. */
static int adopt_check(uintptr_t base, size_t length, int fd, uint64_t *offset)
{
	int seals = fcntl(fd, F_GET_SEALS), err;
	struct stat st;

	if (base % page_size())
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", adopt_hint,
				      "%p is not the start of a page", (void *)base);
	if (seals < 0 || fstat(fd, &st))
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
				      "descriptor %d is no memfd", fd);
	if (!(seals & F_SEAL_SHRINK) && seals & F_SEAL_SEAL)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
				      "the memfd can't be sealed against shrinking");
	if (!length || length > UINTPTR_MAX - base)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
				      "%zu bytes at %p are no range", length, (void *)base);
	err = find_offset(base, length, &st, offset);
	if (!err && *offset + length > (uint64_t)st.st_size)
		err = ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
				     "the range ends behind the end of the memfd");
	return err;
}

/* From here on the file can't get shorter, so look again how long it is. */
static int adopt_seal(int fd, uint64_t end, struct stat *st)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if ((seals >= 0 && seals & F_SEAL_SHRINK) || !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		if (!fstat(fd, st) && end <= (uint64_t)st->st_size)
			return 0;
	}
	return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", adopt_hint,
			      "the memfd can't be sealed against shrinking");
}

int ipcshare__memfd_adopt(void *base, size_t length, int fd, struct ipcshare__memfd *out)
{
	struct ipcshare__memfd m = { .map = NULL };
	uint64_t end;
	struct stat st;
	int err = adopt_check((uintptr_t)base, length, fd, &m.offset);

	if (err)
		return err;
	m.map_length = ipcshare__round_up(length, page_size());
	m.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m.fd < 0)
		return ipcshare__fail_errno(errno, "register", "duplicating descriptor %d", fd);
	err = adopt_seal(m.fd, m.offset + length, &st);
	if (err)
		goto close_fd;
	end = m.offset + m.map_length; /* of the last page, which the file need not fill */
	if (end > (uint64_t)st.st_size)
		end = (uint64_t)st.st_size;
	err = reserve(m.fd, m.offset, (size_t)(end - m.offset), (uint64_t)st.st_blocks * 512);
	if (err)
		goto close_fd;
	m.inode = st.st_ino;
	*out = m;
	return 0;

close_fd:
	close(m.fd);
	return err;
}

void ipcshare__memfd_drop(struct ipcshare__memfd *m)
{
	if (m->map)
		munmap(m->map, m->map_length);
	close(m->fd);
}

/* Linux before 5.13 takes the seal on huge pages, and does not hold it. */
static bool can_map_writable(int fd)
{
	void *p = mmap(NULL, IPCSHARE__HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return errno != EPERM && errno != EACCES;
	munmap(p, IPCSHARE__HUGE_PAGE);
	return true;
}

static bool is_huge(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC;
}

int ipcshare__memfd_protect(const struct ipcshare__memfd *m)
{
	if (!fcntl(m->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) &&
	    !(is_huge(m->fd) && can_map_writable(m->fd)))
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "export",
			      "read-only sharing needs Linux 5.1 and a memfd that takes seals",
			      "the memory can't be sealed against writing (errno %d)", errno);
}

int ipcshare__memfd_map(int fd, uint64_t inode, uint64_t offset, uint64_t length,
			enum ipcshare__access access, void **base, size_t *mapped)
{
	size_t len, page = page_size();
	int prot = access == IPCSHARE__READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	void *p;

	if (fstat(fd, &st) || st.st_ino != inode || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    offset % page_size() || offset > (uint64_t)st.st_size || !length ||
	    length > (uint64_t)st.st_size - offset)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				      "the broker sent other memory than the key names");
	if (!fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC) /* only whole ones can be unmapped */
		page = (size_t)fs.f_bsize;
	len = ipcshare__round_up((size_t)length, page);
	p = mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)offset);
	if (p == MAP_FAILED && errno == EPERM)
		return ipcshare__fail(IPCSHARE_ERR_READ_ONLY, "import",
				      "share it with IPCSHARE_READ_ONLY",
				      "the memory was sealed against writing by a read-only share");
	if (p == MAP_FAILED)
		return ipcshare__fail_errno(errno, "import", "mapping %zu bytes", len);
	*base = p;
	*mapped = len;
	return 0;
}
