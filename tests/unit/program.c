/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <ipcshare.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/host/line.h"
#include "backend/host/socket.h"

static int is_ours(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr) - 1;
	char path[32], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "memfd:ipcshare"))
		return 1;
	return !getsockname(fd, (struct sockaddr *)&addr, &len) &&
	       !strncmp(addr.sun_path + 1, IPCSHARE__SOCKET_NAME, strlen(IPCSHARE__SOCKET_NAME));
}

static int asks(char **words)
{
	struct ipcshare__broker_get get = { .access = IPCSHARE__READ_ONLY };
	struct ipcshare__broker_got got;
	struct ipcshare__line line;
	int fd, err;

	for (fd = 3; fd < 1024; fd++)
		if (is_ours(fd))
			return PROGRAM_HOLDS;
	get.secret[0] = strtoull(words[1], NULL, 16);
	get.secret[1] = strtoull(words[2], NULL, 16);
	err = ipcshare__line_open("", strtoull(words[0], NULL, 16), 10000, "import", &line);
	if (!err)
		err = ipcshare__line_get(&line, &get, 1, &got, &fd);
	return -(err ?: got.status);
}

static int opens(void)
{
	struct ipcshare_ctx *ctx;
	int err = ipcshare_open(NULL, &ctx);

	if (!err)
		return -ipcshare_close(ctx);
	return ipcshare_last_error()->hint[0] ? -err : PROGRAM_HELPLESS;
}

static int finds_nic(size_t room)
{
	char name[64] = "untouched";
	struct ipcshare_ctx *ctx;
	void *memory;
	int err = ipcshare_open(NULL, &ctx);

	if (err)
		return -err;
	err = ipcshare_alloc(ctx, 1 << 20, &memory);
	if (!err)
		err = ipcshare_nearest_nic(ctx, memory, 1 << 20, name, room);
	printf("%s\n%s\n", name, err ? ipcshare_explain() : "");
	ipcshare_close(ctx);
	return -err;
}

int program_main(char **argv, int *code)
{
	int words = 0;

	while (argv[words])
		words++;
	if (words == 5 && !strcmp(argv[1], PROGRAM_ASKS))
		*code = asks(argv + 2);
	else if (words == 2 && !strcmp(argv[1], PROGRAM_OPENS))
		*code = opens();
	else if (words == 3 && !strcmp(argv[1], PROGRAM_NIC))
		*code = finds_nic(strtoul(argv[2], NULL, 10));
	else
		return 0;
	return 1;
}
