/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Noreturn void fuzz_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\nlast error: %s\n", file, line, what, ipcshare_explain());
	abort();
}

int fuzz_status(int status, int detail)
{
	FUZZ_REQUIRE(status <= 0 && status >= IPCSHARE_ERR_SYSTEM);
	if (status && detail) {
		FUZZ_REQUIRE(ipcshare_last_error()->status == status);
		FUZZ_REQUIRE(ipcshare_last_error()->text[0]);
		FUZZ_REQUIRE(memchr(ipcshare_last_error()->text, 0, sizeof(ipcshare_last_error()->text)));
		FUZZ_REQUIRE(memchr(ipcshare_last_error()->hint, 0, sizeof(ipcshare_last_error()->hint)));
	}
	return status;
}

int fuzz_lowest_descriptor(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	FUZZ_REQUIRE(fd >= 0);
	close(fd);
	return fd;
}

void fuzz_send(int sock, const void *bytes, size_t len, size_t nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FUZZ_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (size_t i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &sock, sizeof(sock));
	}
	FUZZ_REQUIRE(sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
}

uint64_t fuzz_take(struct fuzz_input *in, size_t nbytes)
{
	size_t n = nbytes < in->left ? nbytes : in->left;
	uint64_t out = 0;

	if (n)
		memcpy(&out, in->at, n);
	in->at += n;
	in->left -= n;
	return out;
}

void fuzz_edits(struct fuzz_input *in, struct fuzz_edits *out)
{
	out->n = 0;
	while (in->left && out->n < FUZZ_EDITS) {
		struct fuzz_edit *e = &out->list[out->n++];

		e->round = (uint8_t)fuzz_take(in, 1);
		e->what = (uint8_t)fuzz_take(in, 1);
		e->at = (uint16_t)fuzz_take(in, 2);
		e->value = fuzz_take(in, 8);
	}
}

static void alter(const struct fuzz_edit *e, unsigned char *bytes, size_t len)
{
	size_t width = (size_t)1 << (e->what & 3), at = e->at;
	uint64_t value = 0;

	if (!len)
		return;
	at %= len;
	if (width > len - at)
		width = len - at;
	memcpy(&value, bytes + at, width);
	value = e->what & 4 ? value + e->value : e->value;
	memcpy(bytes + at, &value, width);
}

void fuzz_alter(const struct fuzz_edits *edits, unsigned round, unsigned area, void *bytes, size_t len)
{
	for (size_t i = 0; i < edits->n; i++)
		if (edits->list[i].round == round && edits->list[i].what >> 4 == area)
			alter(&edits->list[i], bytes, len);
}
