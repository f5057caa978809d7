/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/features.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/host/socket.h"
#include "backend/host/sysfile.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define PIDFS_MAGIC 0x50494446
#define THP "/sys/kernel/mm/transparent_hugepage"
#define HUGETLB "/sys/kernel/mm/hugepages"

typedef enum ipcshare__found probe_fn(struct ipcshare__feature *f);

/* What an error of the call that was tried says about the feature. */
static enum ipcshare__found verdict(int err)
{
	if (err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOSPC || err == ENOBUFS)
		return IPCSHARE__FOUND_UNKNOWN;
	return IPCSHARE__FOUND_NO;
}

static enum ipcshare__found refused(struct ipcshare__feature *f, int err)
{
	snprintf(f->detail, sizeof(f->detail), "%s", strerrordesc_np(err) ?: "?");
	return verdict(err);
}

/* The same for a file that was tried. */
static enum ipcshare__found unreadable(struct ipcshare__feature *f, const char *path)
{
	int err = errno;

	snprintf(f->detail, sizeof(f->detail), "can't read %s: %s", path,
		 strerrordesc_np(err) ?: "?");
	return verdict(err);
}

/* The attempt failed before it came to the feature. */
static enum ipcshare__found not_tried(struct ipcshare__feature *f, const char *call)
{
	snprintf(f->detail, sizeof(f->detail), "not tried: %s: %s", call,
		 strerrordesc_np(errno) ?: "?");
	return IPCSHARE__FOUND_UNKNOWN;
}

/* ---- Memory ---- */

/* Flags as the backend has them: where vm.memfd_noexec is 2, no others are accepted. */
static int make_memfd(void)
{
	int fd = memfd_create("ipcshare-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("ipcshare-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static enum ipcshare__found probe_memfd(struct ipcshare__feature *f)
{
	int fd = make_memfd();

	if (fd < 0)
		return refused(f, errno);
	close(fd);
	return IPCSHARE__FOUND_YES;
}

static enum ipcshare__found probe_reserve(struct ipcshare__feature *f)
{
	int fd = make_memfd(), err;

	if (fd < 0)
		return not_tried(f, "memfd_create");
	err = fallocate(fd, 0, 0, 1) ? errno : 0;
	close(fd);
	return err ? refused(f, err) : IPCSHARE__FOUND_YES;
}

static enum ipcshare__found try_size_seals(struct ipcshare__feature *f, int fd)
{
	if (ftruncate(fd, 2))
		return not_tried(f, "ftruncate");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		return refused(f, errno);
	if (ftruncate(fd, 1) && ftruncate(fd, 3))
		return IPCSHARE__FOUND_YES;
	snprintf(f->detail, sizeof(f->detail), "taken, but not held");
	return IPCSHARE__FOUND_NO;
}

static enum ipcshare__found try_write_seal(struct ipcshare__feature *f, int fd)
{
	void *p;

	if (ftruncate(fd, 1))
		return not_tried(f, "ftruncate");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		return refused(f, errno);
	p = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return IPCSHARE__FOUND_YES;
	munmap(p, 1);
	snprintf(f->detail, sizeof(f->detail), "taken, but not held");
	return IPCSHARE__FOUND_NO;
}

/* Run @attempt on a fresh memfd. */
static enum ipcshare__found on_memfd(struct ipcshare__feature *f,
				     enum ipcshare__found (*attempt)(struct ipcshare__feature *,
								     int))
{
	int fd = make_memfd();
	enum ipcshare__found found;

	if (fd < 0)
		return not_tried(f, "memfd_create");
	found = attempt(f, fd);
	close(fd);
	return found;
}

static enum ipcshare__found probe_size_seals(struct ipcshare__feature *f)
{
	return on_memfd(f, try_size_seals);
}

static enum ipcshare__found probe_write_seal(struct ipcshare__feature *f)
{
	return on_memfd(f, try_write_seal);
}

static enum ipcshare__found probe_noexec(struct ipcshare__feature *f)
{
	int fd = memfd_create("ipcshare-probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0)
		return refused(f, errno);
	close(fd);
	return IPCSHARE__FOUND_YES;
}

/* The word in brackets: "always within_size advise [never]". */
static int chosen_word(const char *path, char *word, size_t len)
{
	char line[128], *from, *to;

	if (ipcshare__sysfile_line(path, line, sizeof(line)))
		return -1;
	from = strchr(line, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return -1;
	snprintf(word, len, "%.*s", (int)(to - from - 1), from + 1);
	return 0;
}

/* A file of /sys that can't be read: is it the feature that is missing, or all of /sys? */
static enum ipcshare__found missing_in_sys(struct ipcshare__feature *f, const char *path)
{
	enum ipcshare__found found = unreadable(f, path);

	return access("/sys/kernel", X_OK) ? IPCSHARE__FOUND_UNKNOWN : found;
}

/* Since Linux 6.10 each size has its own file, which may defer to the one for all. */
static enum ipcshare__found probe_huge_pages(struct ipcshare__feature *f)
{
	char path[128], word[32] = "inherit";
	uint64_t size;

	if (ipcshare__sysfile_number(THP "/hpage_pmd_size", &size) == 0) {
		snprintf(path, sizeof(path), THP "/hugepages-%" PRIu64 "kB/shmem_enabled",
			 size >> 10);
		chosen_word(path, word, sizeof(word));
	}
	if (!strcmp(word, "inherit") && chosen_word(THP "/shmem_enabled", word, sizeof(word)))
		return missing_in_sys(f, THP "/shmem_enabled");
	snprintf(f->detail, sizeof(f->detail), "transparent_hugepage/shmem_enabled: %s", word);
	return strcmp(word, "never") && strcmp(word, "deny") ? IPCSHARE__FOUND_YES
							     : IPCSHARE__FOUND_NO;
}

static enum ipcshare__found probe_hugetlb(struct ipcshare__feature *f)
{
	DIR *dir = opendir(HUGETLB);
	uint64_t kib, pages, found = 0;
	struct dirent *entry;
	char path[300];
	size_t used = 0;

	if (!dir)
		return missing_in_sys(f, HUGETLB);
	while ((entry = readdir(dir)) && used < sizeof(f->detail)) {
		snprintf(path, sizeof(path), HUGETLB "/%s/free_hugepages", entry->d_name);
		if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &kib) != 1 ||
		    ipcshare__sysfile_number(path, &pages) || !pages)
			continue;
		used += (size_t)snprintf(f->detail + used, sizeof(f->detail) - used,
					 "%s%" PRIu64 " free of %" PRIu64 " KiB", used ? ", " : "",
					 pages, kib);
		found += pages;
	}
	closedir(dir);
	if (!found)
		snprintf(f->detail, sizeof(f->detail), "none is free");
	return found ? IPCSHARE__FOUND_YES : IPCSHARE__FOUND_NO;
}

/* ---- Sockets ---- */

static enum ipcshare__found try_abstract(struct ipcshare__feature *f, int listener, int client)
{
	struct sockaddr_un addr;
	uint64_t endpoint = 0;
	socklen_t len;

	if (getrandom(&endpoint, sizeof(endpoint), 0) != sizeof(endpoint))
		return not_tried(f, "getrandom");
	len = ipcshare__socket_address("", endpoint, &addr);
	if (bind(listener, (struct sockaddr *)&addr, len) || listen(listener, 1) ||
	    connect(client, (struct sockaddr *)&addr, len))
		return refused(f, errno);
	return IPCSHARE__FOUND_YES;
}

static enum ipcshare__found probe_abstract(struct ipcshare__feature *f)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum ipcshare__found found;

	if (listener < 0 || client < 0)
		found = refused(f, errno);
	else
		found = try_abstract(f, listener, client);
	if (listener >= 0)
		close(listener);
	if (client >= 0)
		close(client);
	return found;
}

union fd_message {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_fd(int sock, int fd)
{
	union fd_message control = { .head = { .cmsg_len = CMSG_LEN(sizeof(fd)),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* The descriptor, or -1 with errno. */
static int receive_fd(int sock)
{
	union fd_message control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cm;
	int fd;

	if (recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -1;
	cm = CMSG_FIRSTHDR(&msg);
	if (!cm || cm->cmsg_type != SCM_RIGHTS) {
		errno = msg.msg_flags & MSG_CTRUNC ? EMFILE : EBADMSG;
		return -1;
	}
	memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

static enum ipcshare__found try_pass_fd(struct ipcshare__feature *f, const int pair[2])
{
	int fd = send_fd(pair[0], pair[0]) ? -1 : receive_fd(pair[1]);

	if (fd < 0)
		return refused(f, errno);
	close(fd);
	return IPCSHARE__FOUND_YES;
}

static enum ipcshare__found try_peer_pidfd(struct ipcshare__feature *f, const int pair[2])
{
	int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return refused(f, errno);
	close(pidfd);
	return IPCSHARE__FOUND_YES;
}

/* Run @attempt on two sockets that are connected to each other. */
static enum ipcshare__found on_pair(struct ipcshare__feature *f,
				    enum ipcshare__found (*attempt)(struct ipcshare__feature *,
								    const int *))
{
	enum ipcshare__found found;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return not_tried(f, "socketpair");
	found = attempt(f, pair);
	close(pair[0]);
	close(pair[1]);
	return found;
}

static enum ipcshare__found probe_pass_fd(struct ipcshare__feature *f)
{
	return on_pair(f, try_pass_fd);
}

static enum ipcshare__found probe_peer_pidfd(struct ipcshare__feature *f)
{
	return on_pair(f, try_peer_pidfd);
}

/* ---- Processes ---- */

static enum ipcshare__found probe_pidfd(struct ipcshare__feature *f)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return refused(f, errno);
	close(fd);
	return IPCSHARE__FOUND_YES;
}

static enum ipcshare__found probe_pidfs(struct ipcshare__feature *f)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), err;
	struct statfs fs;

	if (fd < 0)
		return not_tried(f, "pidfd_open");
	err = fstatfs(fd, &fs) ? errno : 0;
	close(fd);
	if (err)
		return refused(f, err);
	if (fs.f_type == PIDFS_MAGIC)
		return IPCSHARE__FOUND_YES;
	snprintf(f->detail, sizeof(f->detail), "all pidfds share one inode");
	return IPCSHARE__FOUND_NO;
}

/* What identity.c and memfd.c read. */
static enum ipcshare__found probe_proc(struct ipcshare__feature *f)
{
	static const char *const files[] = { "/proc/self/stat", "/proc/self/status",
					     "/proc/self/maps", "/proc/meminfo" };
	char line[64];
	struct stat st;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (ipcshare__sysfile_line(files[i], line, sizeof(line)))
			return unreadable(f, files[i]);
	if (stat("/proc/self/ns/pid", &st))
		return unreadable(f, "/proc/self/ns/pid");
	return IPCSHARE__FOUND_YES;
}

static enum ipcshare__found probe_boot_id(struct ipcshare__feature *f)
{
	static const char file[] = "/proc/sys/kernel/random/boot_id";

	if (ipcshare__sysfile_line(file, f->detail, sizeof(f->detail)))
		return unreadable(f, file);
	return IPCSHARE__FOUND_YES;
}

/* ---- The table; versions are those of the man pages and the kernel's release notes ---- */

static const struct {
	struct ipcshare__feature about;
	probe_fn *probe;
} features[IPCSHARE__FEATURES] = {
	/* clang-format off */
	[IPCSHARE__FEATURE_MEMFD] = {
		{ .name = "memfd_create", .since = "3.17",
		  .use = "holds the memory; nothing is in /dev/shm",
		  .without = "the host backend can't be used" }, probe_memfd },
	[IPCSHARE__FEATURE_RESERVE] = {
		{ .name = "fallocate on memfds", .since = "3.5",
		  .use = "reserves memory, so using it can't fail",
		  .without = "ipcshare_alloc() fails" }, probe_reserve },
	[IPCSHARE__FEATURE_SIZE_SEALS] = {
		{ .name = "F_SEAL_SHRINK, GROW", .since = "3.17",
		  .use = "nobody can shrink memory that others use",
		  .without = "ipcshare_alloc() and ipcshare_register() fail" }, probe_size_seals },
	[IPCSHARE__FEATURE_WRITE_SEAL] = {
		{ .name = "F_SEAL_FUTURE_WRITE", .since = "5.1",
		  .use = "read-only shares that the kernel holds",
		  .without = "IPCSHARE_READ_ONLY fails; all else works" }, probe_write_seal },
	[IPCSHARE__FEATURE_NOEXEC] = {
		{ .name = "MFD_NOEXEC_SEAL", .since = "6.3",
		  .use = "the memory can't be run as a program",
		  .without = "it can be; all else works" }, probe_noexec },
	[IPCSHARE__FEATURE_ABSTRACT] = {
		{ .name = "abstract sockets", .since = "2.2",
		  .use = "how peers reach the owner, without a file",
		  .without = "set IPCSHARE_SOCKET_DIR to a folder that all ranks see" },
		probe_abstract },
	[IPCSHARE__FEATURE_PASS_FD] = {
		{ .name = "SCM_RIGHTS", .since = "2.2",
		  .use = "hands memory from its owner to a peer",
		  .without = "nothing can be shared between processes" }, probe_pass_fd },
	[IPCSHARE__FEATURE_PIDFD] = {
		{ .name = "pidfd_open", .since = "5.3",
		  .use = "a peer that dies is noticed at once",
		  .without = "a peer that dies may be noticed at the deadline only" },
		probe_pidfd },
	[IPCSHARE__FEATURE_PEER_PIDFD] = {
		{ .name = "SO_PEERPIDFD", .since = "6.5",
		  .use = "the kernel names who asks for memory",
		  .without = "ranks must be in one pid namespace" }, probe_peer_pidfd },
	[IPCSHARE__FEATURE_PIDFS] = {
		{ .name = "unique pidfd inodes", .since = "6.9",
		  .use = "a recycled pid is somebody else",
		  .without = "start times tell them apart; ranks must be in one pid namespace" },
		probe_pidfs },
	[IPCSHARE__FEATURE_PROC] = {
		{ .name = "/proc", .since = "2.2",
		  .use = "who a process is, what it has mapped",
		  .without = "ipcshare_open() or ipcshare_register() fails" }, probe_proc },
	[IPCSHARE__FEATURE_BOOT_ID] = {
		{ .name = "boot id", .since = "2.4",
		  .use = "tells whether two ranks are on one node",
		  .without = "ipcshare_open() fails" }, probe_boot_id },
	[IPCSHARE__FEATURE_HUGE_PAGES] = {
		{ .name = "huge pages", .since = "4.8",
		  .use = "fewer page table entries and TLB misses",
		  .without = "small pages are used; as root, write \"advise\" to that file" },
		probe_huge_pages },
	[IPCSHARE__FEATURE_HUGETLB] = {
		{ .name = "free hugetlb pages", .since = "4.16",
		  .use = "allocations of whole 2 MiB, as arenas make them",
		  .without = "other pages do; as root, write a number to /proc/sys/vm/nr_hugepages" },
		probe_hugetlb },
	/* clang-format on */
};

void ipcshare__feature_probe(enum ipcshare__feature_id id, struct ipcshare__feature *out)
{
	*out = features[id].about;
	out->found = features[id].probe(out);
}

const char *ipcshare__found_name(enum ipcshare__found found)
{
	static const char *const names[] = { "no", "yes", "unknown" };

	return names[found];
}
