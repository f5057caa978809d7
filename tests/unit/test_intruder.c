/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a bit and wants more: a key, a socket's name, a descriptor for reading. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/socket.h"
#include "nobody.h"
#include "offered.h"
#include "program.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

/* ---- Another program ---- */

static void becomes_another_program(int channel, void *arg)
{
	char words[3][20];

	(void)channel;
	(void)arg;
	snprintf(words[0], sizeof(words[0]), "%jx", (uintmax_t)endpoint);
	snprintf(words[1], sizeof(words[1]), "%jx", (uintmax_t)secret[0]);
	snprintf(words[2], sizeof(words[2]), "%jx", (uintmax_t)secret[1]);
	execl("/proc/self/exe", "run-unit", PROGRAM_ASKS, words[0], words[1], words[2], NULL);
	FAIL("execl: errno %d", errno);
}

static void a_program_that_a_listed_process_starts_gets_and_inherits_nothing(void)
{
	int line = raw_connect(endpoint); /* the broker's end of it must not be inherited either */
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	int status;

	offered_allow(&me, RW);
	raw_call(line, &r, &reply);
	CHECK_STATUS(reply.got[0].status, 0);
	status = test_child_wait(test_child(becomes_another_program, NULL));
	CHECK_INT(status, -IPCSHARE_ERR_NOT_ALLOWED << 8);
	raw_close_fds(&reply);
	close(line);
}

/* ---- Another user ---- */

static void connects_as_nobody(int channel, void *arg)
{
	struct sockaddr_un *addr = arg;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)channel;
	REQUIRE(!test_become_nobody(), "errno %d", errno);
	CHECK(connect(sock, (struct sockaddr *)addr, sizeof(*addr)) && errno == EACCES,
	      "errno %d", errno);
	CHECK(unlink(addr->sun_path) && (errno == EACCES || errno == EPERM), "errno %d", errno);
	close(sock);
}

/* As in /tmp, everybody may see and make files in the folder. */
static void another_user_reaches_no_broker_in_a_folder(void)
{
	struct ipcshare__config in_dir = config;
	struct ipcshare__broker *b;
	struct sockaddr_un addr;
	mode_t mask;

	if (geteuid()) {
		test_skip("not root: there is no other user to be");
		return;
	}
	strcpy(in_dir.socket_dir, "/tmp/ipcshare-test-XXXXXX");
	REQUIRE(mkdtemp(in_dir.socket_dir) && !chmod(in_dir.socket_dir, 01777), "errno %d", errno);
	mask = umask(0); /* else it would be this that helps */
	REQUIRE_OK(ipcshare__broker_start(&in_dir, offered_retire, NULL, &b));
	umask(mask);
	ipcshare__socket_address(in_dir.socket_dir, ipcshare__broker_endpoint(b), &addr);
	test_child_join(test_child(connects_as_nobody, &addr));
	ipcshare__broker_stop(b, 0);
	CHECK(!rmdir(in_dir.socket_dir), "errno %d", errno);
}

/* ---- An importer that may only read ---- */

/* A file that is the memory, from the broker or by a way around it: no byte and no length may change. */
static void try_to_change(int fd, const char *how)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char byte = 'x';
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p == MAP_FAILED, "%s: it can be mapped writable", how);
	CHECK(pwrite(fd, &byte, 1, 0) < 0, "%s: pwrite()", how);
	CHECK(ftruncate(fd, 0), "%s: it can be emptied", how);
	CHECK(ftruncate(fd, 1 << 20), "%s: it can be made longer", how);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)page),
	      "%s: a hole can be punched", how);
	p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	if (!CHECK(p != MAP_FAILED, "%s: it can't be read: errno %d", how, errno))
		return;
	CHECK(mprotect(p, page, PROT_READ | PROT_WRITE), "%s: mprotect()", how);
	CHECK(madvise(p, page, MADV_REMOVE), "%s: MADV_REMOVE", how);
	munmap(p, page);
}

static void try_path(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) /* refused, as it may be */
		return;
	try_to_change(fd, path);
	close(fd);
	fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

/* As a debugger would, of which the kernel lets pass what mprotect() could have allowed. */
static void try_own_mem(void *mapped)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0, "errno %d", errno);
	CHECK(pwrite(fd, "x", 1, (off_t)(uintptr_t)mapped) < 0, "/proc/self/mem writes");
	close(fd);
}

static void wants_to_write(int channel, void *arg)
{
	pid_t owner = getppid();
	struct ipcshare__identity id;
	struct raw_reply reply;
	char path[128];
	void *p;

	(void)arg;
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, 0, &id));
	test_send(channel, &id, sizeof(id));
	test_await(channel);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(raw_get(endpoint, secret, RO, &reply), 0);
	REQUIRE_INT(reply.nfds, 1);
	try_to_change(reply.fds[0], "the descriptor");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", reply.fds[0]);
	try_path(path);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", owner, memfd.fd);
	try_path(path);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", owner,
		 (unsigned long)memfd.map, (unsigned long)memfd.map + memfd.map_length);
	try_path(path);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reply.fds[0], 0);
	REQUIRE(p != MAP_FAILED, "errno %d", errno);
	try_own_mem(p);
	munmap(p, 4096);
	CHECK(fcntl(reply.fds[0], F_GET_SEALS) & F_SEAL_FUTURE_WRITE, "the seal is gone");
	raw_close_fds(&reply);
}

static void who_may_only_read_changes_nothing_by_any_way(void)
{
	struct test_child *c = test_child(wants_to_write, NULL);
	struct ipcshare__identity id;
	struct stat st;

	memset(memfd.map, 'a', memfd.map_length);
	REQUIRE_OK(ipcshare__memfd_protect(&memfd));
	test_recv(c->channel, &id, sizeof(id));
	offered_allow(&id, RO);
	test_signal(c->channel);
	test_child_join(c);
	CHECK_BYTES(memfd.map, 'a', memfd.map_length);
	REQUIRE(!fstat(memfd.fd, &st), "errno %d", errno);
	CHECK_INT(st.st_size, memfd.map_length);
}

TEST_SUITE(intruder, offered_start, offered_stop,
	TEST(a_program_that_a_listed_process_starts_gets_and_inherits_nothing),
	TEST(another_user_reaches_no_broker_in_a_folder),
	TEST(who_may_only_read_changes_nothing_by_any_way));
