/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/listener.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/host/socket.h"
#include "base/error.h"

/* ---- Files that killed processes left ---- */

/* The endpoint in the name of a broker's socket file; 0 if it is none. */
static int name_read(const char *name, uint64_t *endpoint)
{
	char again[32], *end;

	if (strncmp(name, IPCSHARE__SOCKET_NAME, strlen(IPCSHARE__SOCKET_NAME)))
		return 0;
	*endpoint = strtoull(name + strlen(IPCSHARE__SOCKET_NAME), &end, 16);
	snprintf(again, sizeof(again), IPCSHARE__SOCKET_NAME "%016jx", (uintmax_t)*endpoint);
	return !strcmp(name, again);
}

/*
 * Only a listener that is gone for good refuses: each file gets its name after listen(). So it does
 * not matter whose process it was, or in which pid namespace.
 */
static int is_refused(const struct sockaddr_un *addr, socklen_t len)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int refused;

	if (sock < 0)
		return 0;
	refused = connect(sock, (const struct sockaddr *)addr, len) && errno == ECONNREFUSED;
	close(sock);
	return refused;
}

static void remove_if_dead(const char *dir, uint64_t endpoint)
{
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address(dir, endpoint, &addr);
	struct stat st;

	if (!lstat(addr.sun_path, &st) && S_ISSOCK(st.st_mode) && st.st_uid == geteuid() &&
	    is_refused(&addr, len))
		unlink(addr.sun_path);
}

static void sweep(const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;
	uint64_t endpoint;

	while (entries && (entry = readdir(entries)))
		if (name_read(entry->d_name, &endpoint))
			remove_if_dead(dir, endpoint);
	if (entries)
		closedir(entries);
}

/* ---- Open and end ---- */

/* In a folder: listen under another name first, so that no sweep takes us for dead. */
static int begin(const char *dir, int sock, const struct sockaddr_un *addr, socklen_t len)
{
	struct sockaddr_un early = *addr;
	int err = 0;

	if (dir[0]) {
		strcat(early.sun_path, ".new");
		len += (socklen_t)strlen(".new");
	}
	if (bind(sock, (struct sockaddr *)&early, len))
		return errno;
	if (listen(sock, 1024) || (dir[0] && rename(early.sun_path, addr->sun_path)))
		err = errno;
	if (err && dir[0])
		unlink(early.sun_path);
	return err;
}

static int no_place(int err, const char *dir, const char *name)
{
	if (!dir[0])
		return ipcshare__fail_errno(err, "open", "listening at @%s", name);
	ipcshare__fail(IPCSHARE_ERR_SYSTEM, "open",
		       "IPCSHARE_SOCKET_DIR must name a folder in which this user can make files",
		       "listening at %s: %s", name, strerrordesc_np(err));
	ipcshare__fail_code(err);
	return IPCSHARE_ERR_SYSTEM;
}

int ipcshare__listener_open(const char *dir, uint64_t endpoint, int *out)
{
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address(dir, endpoint, &addr);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (sock < 0)
		return ipcshare__fail_errno(errno, "open", "socket");
	if (dir[0])
		sweep(dir);
	fchmod(sock, 0600); /* the socket file, if there will be one, is ours alone */
	err = begin(dir, sock, &addr, len);
	if (err) {
		close(sock);
		return no_place(err, dir, addr.sun_path + !dir[0]);
	}
	*out = sock;
	return 0;
}

void ipcshare__listener_end(const char *dir, uint64_t endpoint, int listener)
{
	struct sockaddr_un addr;

	ipcshare__socket_address(dir, endpoint, &addr);
	if (dir[0])
		unlink(addr.sun_path);
	shutdown(listener, SHUT_RDWR); /* also if a fork of ours still holds it */
}
