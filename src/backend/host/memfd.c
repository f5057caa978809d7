/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u /* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10 /* Linux 5.1 */
#endif
/*
 * Bytes reserved by one call. A signal makes fallocate() undo all that it did, so one call for many
 * GiB might never end under a timer.
 */
#define RESERVE_STEP ((size_t)64 << 20)
/* Below this a full machine shows in fallocate() itself soon enough. */
#define CHECK_FROM ((size_t)1 << 20)

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * The kernel does not refuse to reserve more than there is: it calls the OOM killer. So look first.
 * UINT64_MAX if /proc doesn't tell.
 */
static uint64_t memory_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t total = 0, kib;
	int seen = 0;
	char line[128];

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %ju", &kib) == 1 ||
		    sscanf(line, "SwapFree: %ju", &kib) == 1) {
			total += kib << 10;
			seen++;
		}
	fclose(f);
	return seen ? total : UINT64_MAX;
}

static int reserve(int fd, uint64_t offset, size_t length)
{
	uint64_t available = length < CHECK_FROM ? UINT64_MAX : memory_available();
	size_t step;

	if (length > available)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "alloc",
				      "free memory, or allocate less on each rank",
				      "%zu bytes are asked for, the machine has %ju left", length,
				      (uintmax_t)available);
	for (; length; offset += step, length -= step) {
		step = length < RESERVE_STEP ? length : RESERVE_STEP;
		while (fallocate(fd, 0, (off_t)offset, (off_t)step))
			if (errno != EINTR)
				return ipcshare__fail_errno(errno, "alloc",
							    "reserving %zu bytes of a memfd", step);
	}
	return 0;
}

static int create(void)
{
	int fd = memfd_create("ipcshare", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create("ipcshare", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
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
	m.fd = create();
	if (m.fd < 0)
		return ipcshare__fail_errno(errno, "alloc", "memfd_create");
	m.map = mmap(NULL, m.map_length, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (m.map == MAP_FAILED) {
		err = ipcshare__fail_errno(errno, "alloc", "mapping %zu bytes", m.map_length);
		goto close_fd;
	}
	/* Huge pages where the machine gives them for shared memory; only a hint. */
	madvise(m.map, m.map_length, MADV_HUGEPAGE);
	err = reserve(m.fd, 0, m.map_length);
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
 * Where in the file @fd the range is mapped: walks the lines of /proc/self/maps that cover it.
 * Returns 0, or -1 if a byte of it is not mapped shared from that file, in one piece.
 */
static int find_offset(uintptr_t base, size_t length, const struct stat *st, uint64_t *offset)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uintptr_t at = base, from, to;
	unsigned major_nr, minor_nr;
	uint64_t file_offset, inode;
	char line[512], perms[5];

	if (!f)
		return -1;
	while (at < base + length && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%zx-%zx %4s %jx %x:%x %ju", &from, &to, perms, &file_offset,
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
	return at >= base + length ? 0 : -1;
}

static int adopt_seal(int fd, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);

	*why = "the descriptor is no memfd";
	if (seals < 0)
		return -1;
	if (seals & F_SEAL_SHRINK)
		return 0;
	*why = "the memfd can't be sealed against shrinking";
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
}

int ipcshare__memfd_adopt(void *base, size_t length, int fd, struct ipcshare__memfd *out)
{
	static const char hint[] = "pass a page aligned MAP_SHARED mapping and its memfd, made "
				   "with MFD_ALLOW_SEALING; or use ipcshare_alloc()";
	struct ipcshare__memfd m = { .map = NULL };
	const char *why;
	struct stat st;
	int err;

	if ((uintptr_t)base % page_size())
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", hint,
				      "%p is not the start of a page", base);
	if (fstat(fd, &st) || find_offset((uintptr_t)base, length, &st, &m.offset))
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", hint,
				      "%zu bytes at %p are not mapped shared from descriptor %d",
				      length, base, fd);
	m.map_length = ipcshare__round_up(length, page_size());
	if (adopt_seal(fd, &why))
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", hint, "%s", why);
	if (m.offset + length > (uint64_t)st.st_size)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register", hint,
				      "the range ends behind the end of the memfd");
	m.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m.fd < 0)
		return ipcshare__fail_errno(errno, "register", "duplicating descriptor %d", fd);
	if ((uint64_t)st.st_size < m.offset + m.map_length) /* not whole pages: the last one */
		err = reserve(m.fd, m.offset, (size_t)(st.st_size - (off_t)m.offset));
	else
		err = reserve(m.fd, m.offset, m.map_length);
	if (err) {
		close(m.fd);
		return err;
	}
	m.inode = st.st_ino;
	*out = m;
	return 0;
}

void ipcshare__memfd_drop(struct ipcshare__memfd *m)
{
	if (m->map)
		munmap(m->map, m->map_length);
	close(m->fd);
}

int ipcshare__memfd_protect(const struct ipcshare__memfd *m)
{
	if (!fcntl(m->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
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
	struct stat st;
	void *p;

	if (fstat(fd, &st) || st.st_ino != inode || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    offset % page_size() || offset > (uint64_t)st.st_size || !length ||
	    length > (uint64_t)st.st_size - offset)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				      "the broker sent other memory than the key names");
	if ((size_t)st.st_blksize > page) /* huge pages: what is unmapped must be whole ones */
		page = (size_t)st.st_blksize;
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
