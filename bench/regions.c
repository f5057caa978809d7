/* SPDX-License-Identifier: BSD-3-Clause */
#include "regions.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptors.h"
#include "driver.h"

#define ELSEWHERE 256	/* descriptors that this process has for other things */

size_t regions_most(const struct team *team)
{
	const size_t most = descriptors_raise();

	return !team->direct ? SIZE_MAX : most > ELSEWHERE ? most - ELSEWHERE : 0;
}

static int fail(char *why, const char *what)
{
	snprintf(why, TEAM_TEXT, "%s: %s", what, strerror(errno));
	return -1;
}

/* The memory, and on host its memfd; no page of it is ever touched. */
static int take(struct regions *r, int device, int *fd, char *why)
{
	const size_t len = r->n * r->len;

	if (!r->direct) {
		void *base;

		if (driver_alloc(device, len, &base)) {
			snprintf(why, TEAM_TEXT, "the runtime gives no %zu bytes", len);
			return -1;
		}
		r->base = base;
		return 0;
	}
	*fd = memfd_create("ipcshare-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, (off_t)len))
		return fail(why, "memfd");
	r->base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, *fd, 0);
	if (r->base != MAP_FAILED)
		return 0;
	r->base = NULL;
	return fail(why, "mmap");
}

/* In strides that no power of ten has a factor of: every one once, and no two neighbours in a row. */
static int add_all(struct regions *r, int fd, char *why)
{
	for (size_t k = 0; k < r->n; k++)
		if (ipcshare_register(r->ctx, r->base + k * 7919 % r->n * r->len, r->len, fd)) {
			team_explain("register", why);
			return -1;
		}
	return 0;
}

int regions_open(struct regions *r, const struct team *team, size_t n, char *why)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	int fd = -1, err;

	*r = (struct regions){ .n = n, .len = (size_t)sysconf(_SC_PAGESIZE),
			       .direct = team->direct };
	options.device = team->device;
	if (ipcshare_open(&options, &r->ctx)) {
		team_explain("open", why);
		return -1;
	}
	err = take(r, team->device, &fd, why);
	if (!err)
		err = add_all(r, fd, why);
	if (fd >= 0)
		close(fd);
	return err;
}

int regions_close(struct regions *r, char *why)
{
	int err = ipcshare_close(r->ctx);

	if (err) {
		team_explain("close", why);
		return -1;
	}
	if (r->base && r->direct)
		munmap(r->base, r->n * r->len);
	else if (r->base && driver_free(r->base)) {
		snprintf(why, TEAM_TEXT, "the runtime does not take its memory back");
		return -1;
	}
	return 0;
}
