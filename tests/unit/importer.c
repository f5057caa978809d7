/* SPDX-License-Identifier: BSD-3-Clause */
#include "importer.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/wire.h"
#include "raw.h"

/* ---- The owner ---- */

struct ipcshare_ctx *owner;
char *owned;
static struct test_resources before;

void owner_begin(void)
{
	test_resources(&before);
	owner = NULL;
}

void owner_open(void)
{
	owner = team_open(0);
	owned = team_alloc(owner, OWNED);
	team_fill(owned, OWNED, 0, 0);
}

void owner_end(void)
{
	if (owner)
		CHECK_STATUS(ipcshare_close(owner), 0);
	owner = NULL;
	CHECK_NOTHING_LEAKED(&before);
}

/* ---- An importer ---- */

static void writes_to(int channel, void *arg)
{
	(void)channel;
	signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
	*(volatile char *)arg = 1;
}

static void maps_as_a_fork(int channel, void *arg)
{
	struct ipcshare_ctx *own_ctx = team_open(0);
	void *p = IMPORTER_UNTOUCHED;

	(void)channel;
	CHECK_FAILS(ipcshare_map(own_ctx, arg, &p), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_PTR(p, IMPORTER_UNTOUCHED);
	CHECK_STATUS(ipcshare_close(own_ctx), 0);
}

int importer_retires(uint64_t endpoint, const struct ipcshare_packed *packed)
{
	struct raw_request request = { .head = raw_head(IPCSHARE__BROKER_RETIRE, 1) };
	struct ipcshare__wire_packed wire;
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	memcpy(&wire, packed, sizeof(wire));
	request.retire[0] = (struct ipcshare__broker_retire){
		wire.handle.endpoint, wire.handle.region, wire.handle.generation,
	};
	raw_call(sock, &request, &reply);
	close(sock);
	return reply.retired[0].status;
}

static void obey(struct ipcshare_ctx *mine, struct order *o, struct result *r)
{
	struct test_resources now;
	int status;

	r->ptr = IMPORTER_UNTOUCHED;
	r->len = 16;
	switch (o->op) {
	case MAP:
		r->status = ipcshare_map(mine, &o->packed, (void **)&r->ptr);
		break;
	case MAP_HANDLE:
		r->status = ipcshare_map_handle(mine, &o->handle, (void **)&r->ptr, &r->len);
		break;
	case UNMAP:
		r->status = ipcshare_unmap(mine, o->ptr);
		break;
	case CHECK_CONTENT:
		r->status = !team_check(o->ptr, o->len, 0, o->index);
		break;
	case FILL:
		team_fill(o->ptr, o->len, 0, o->index);
		break;
	case MPROTECT:
		r->status = mprotect(o->ptr, o->len, PROT_READ | PROT_WRITE) ? errno : 0;
		break;
	case WRITE:
		status = test_child_wait(test_child(writes_to, o->ptr));
		r->status = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		break;
	case COUNT:
		r->counters = team_counters(mine);
		test_resources(&now);
		r->memfd_maps = now.memfd_maps;
		break;
	case CLOSE:
		r->status = ipcshare_close(mine);
		break;
	case FORK:
		r->status = !test_child_join(test_child(maps_as_a_fork, &o->packed));
		break;
	case RETIRE:
		r->status = importer_retires(o->len, &o->packed);
		break;
	}
	r->detail = ipcshare_last_error()->status;
	memcpy(r->text, ipcshare_last_error()->text, sizeof(r->text));
}

/* Send who we are, then do what is asked, until the other side hangs up. */
void importer_main(int channel, void *arg)
{
	struct ipcshare_identity me;
	struct ipcshare_ctx *mine;
	struct order order;

	(void)arg;
	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(channel, &me, sizeof(me));
	while (recv(channel, &order, sizeof(order), 0) == sizeof(order)) {
		struct result r = { .status = 0 };

		obey(mine, &order, &r);
		test_send(channel, &r, sizeof(r));
	}
}

struct importer importer_meet(struct test_child *child)
{
	struct importer im = { .child = child };

	test_recv(child->channel, &im.id, sizeof(im.id));
	return im;
}

struct importer importer_start(void)
{
	return importer_meet(test_child(importer_main, NULL));
}

struct result importer_tell(struct importer *im, const struct order *o)
{
	struct result r;

	test_send(im->child->channel, o, sizeof(*o));
	test_recv(im->child->channel, &r, sizeof(r));
	return r;
}

struct result importer_map(struct importer *im, const struct ipcshare_packed *packed)
{
	return importer_tell(im, &(struct order){ .op = MAP, .packed = *packed });
}

void importer_check_refused(struct importer *im, const struct ipcshare_packed *packed, int status)
{
	struct result r = importer_map(im, packed);

	CHECK(r.status == status && r.detail == status && r.text[0], "%s, %s: %s",
	      ipcshare_status_name(r.status), ipcshare_status_name(r.detail), r.text);
	CHECK_PTR(r.ptr, IMPORTER_UNTOUCHED);
}

char *importer_must_map(struct importer *im, const struct ipcshare_packed *packed)
{
	struct result r = importer_map(im, packed);

	REQUIRE(r.status == 0, "%s: %s", ipcshare_status_name(r.status), r.text);
	return r.ptr;
}

int importer_unmap(struct importer *im, char *ptr)
{
	return importer_tell(im, &(struct order){ .op = UNMAP, .ptr = ptr }).status;
}

void importer_check_sees(struct importer *im, char *ptr, size_t len, size_t index)
{
	struct order o = { .op = CHECK_CONTENT, .ptr = ptr, .len = len, .index = index };

	CHECK_INT(importer_tell(im, &o).status, 0);
}

struct result importer_count(struct importer *im)
{
	return importer_tell(im, &(struct order){ .op = COUNT });
}

struct ipcshare_packed owner_pack(const void *ptr, size_t len, unsigned flags)
{
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_pack(owner, ptr, len, flags, &packed));
	return packed;
}

void owner_allow(struct importer *im, unsigned flags)
{
	REQUIRE_OK(ipcshare_allow(owner, owned, &im->id, 1, flags));
}

/* Ends when its channel does; its checks count. */
void importer_dismiss(struct importer *im)
{
	shutdown(im->child->channel, SHUT_RDWR);
	test_child_join(im->child);
}
