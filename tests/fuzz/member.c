/* SPDX-License-Identifier: BSD-3-Clause */
#include "member.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "group/blob.h"
#include "group/board.h"

#define PIECE sizeof(((struct ipcshare__slot *)NULL)->body)
#define NBUFS 12 /* that the other shares */
#define BLOB_MOST 4096
#define ROUNDS_MOST 40 /* then it leaves: a liar can keep a call going for as long as it takes part */

static struct {
	int open;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *groups[2];
	char *ours;

	unsigned char blob[BLOB_MOST];
	size_t blob_len;
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	struct ipcshare__catalog known[2]; /* what the other has truly told in each group */
} pair;

static struct { /* of the input */
	struct ipcshare_group *group;
	const struct fuzz_edits *edits;
	const unsigned char *blob;
	uint64_t blob_len;
	unsigned round;
} now;

/* ---- Two processes and their groups ---- */

static void transfer(int sock, void *bytes, size_t len, int out)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = out ? write(sock, (char *)bytes + done, len - done)
				: read(sock, (char *)bytes + done, len - done);

		if (n <= 0)
			_exit(99); /* the other process is gone */
		done += (size_t)n;
	}
}

struct end {
	int sock, rank;
};

static int allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	struct end *e = arg;

	(void)wait;
	memcpy((char *)all + (size_t)e->rank * len, mine, len);
	transfer(e->sock, (void *)mine, len, 1);
	transfer(e->sock, (char *)all + (size_t)!e->rank * len, len, 0);
	return 0;
}

static struct ipcshare_ctx *context(char **memory)
{
	struct ipcshare_options options = { .size = sizeof(options), .backend = "host" };
	struct ipcshare_ctx *ctx;

	FUZZ_REQUIRE(!ipcshare_open(&options, &ctx));
	FUZZ_REQUIRE(!ipcshare_alloc(ctx, MEMBER_SHARES, (void **)memory));
	return ctx;
}

/* A group in which both tell of their region. */
static struct ipcshare_group *group(struct ipcshare_ctx *ctx, char *memory, int sock, int rank)
{
	struct end e = { sock, rank };
	struct ipcshare_bootstrap b = {
		.size = sizeof(b), .arg = &e, .rank = rank, .nranks = 2, .allgather = allgather,
	};
	struct ipcshare_buf buf = { memory, MEMBER_SHARES };
	struct ipcshare_group *g;
	struct ipcshare_set *set;

	FUZZ_REQUIRE(!ipcshare_group_create(ctx, &b, &g));
	FUZZ_REQUIRE(!ipcshare_share(g, &buf, 1, 0, &set));
	FUZZ_REQUIRE(!ipcshare_set_free(set));
	return g;
}

/* Some single buffers, a run, one that is empty, and one in another region. */
static void bufs_fill(struct ipcshare_buf *bufs, char *memory, char *more)
{
	for (size_t i = 0; i < NBUFS; i++)
		bufs[i] = (struct ipcshare_buf){ memory + (i < 6 ? 256 * i : 5000 * i + i * i), 100 + i / 7 };
	bufs[7].len = 0;
	bufs[9] = (struct ipcshare_buf){ more, 8192 };
}

_Noreturn static void other_main(int sock)
{
	struct ipcshare_identity first;
	struct ipcshare_buf bufs[NBUFS];
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	struct ipcshare_group *g[2];
	struct ipcshare_share *share;
	struct ipcshare_ctx *ctx;
	char *memory, *more;
	const void *blob;
	size_t len;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ctx = context(&memory);
	g[0] = group(ctx, memory, sock, 1);
	g[1] = group(ctx, memory, sock, 0);
	FUZZ_REQUIRE(!ipcshare_alloc(ctx, 8192, (void **)&more));
	bufs_fill(bufs, memory, more);
	FUZZ_REQUIRE(!ipcshare_share_begin(g[0], bufs, NBUFS, 0, &share, &blob, &len));
	transfer(sock, &len, sizeof(len), 1);
	transfer(sock, (void *)blob, len, 1);
	transfer(sock, &first, sizeof(first), 0); /* who may map what is packed */
	FUZZ_REQUIRE(!ipcshare_pack(ctx, memory + 100, 1000, 0, &packed));
	FUZZ_REQUIRE(!ipcshare_pack_handle(ctx, memory, 0, &handle, NULL));
	FUZZ_REQUIRE(!ipcshare_allow(ctx, memory, &first, 1, 0));
	transfer(sock, &packed, sizeof(packed), 1);
	transfer(sock, &handle, sizeof(handle), 1);
	for (;;)
		pause();
}

static void catalog_copy(struct ipcshare__catalog *to, const struct ipcshare__catalog *from)
{
	ipcshare__catalog_clear(to);
	for (uint32_t i = 0; i < from->by_id.capacity; i++) {
		struct ipcshare__idmap_entry e = from->by_id.entries[i];
		struct ipcshare__wire_region r = { .region = e.key };

		if (e.key == IPCSHARE__IDMAP_FREE)
			continue;
		r.generation = from->known[e.value].generation;
		r.length = from->known[e.value].length;
		memcpy(r.key, from->known[e.value].key, sizeof(r.key));
		FUZZ_REQUIRE(!ipcshare__catalog_add(to, &r));
	}
}

static struct ipcshare__member *other(struct ipcshare_group *g)
{
	return &g->members[!g->rank];
}

static void pair_open(void)
{
	struct ipcshare_identity self;
	int socks[2];

	pair.open = 1;
	FUZZ_REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	if (!fork())
		other_main(socks[1]);
	close(socks[1]);
	pair.ctx = context(&pair.ours);
	for (int r = 0; r < 2; r++) {
		pair.groups[r] = group(pair.ctx, pair.ours, socks[0], r);
		catalog_copy(&pair.known[r], &other(pair.groups[r])->catalog);
		/* Where tools see who reads behind its end. */
		other(pair.groups[r])->control = calloc(1, IPCSHARE__CONTROL_SIZE);
	}
	transfer(socks[0], &pair.blob_len, sizeof(pair.blob_len), 0);
	FUZZ_REQUIRE(pair.blob_len <= sizeof(pair.blob));
	transfer(socks[0], pair.blob, pair.blob_len, 0);
	FUZZ_REQUIRE(!ipcshare_self(pair.ctx, &self));
	transfer(socks[0], &self, sizeof(self), 1);
	transfer(socks[0], &pair.packed, sizeof(pair.packed), 0);
	transfer(socks[0], &pair.handle, sizeof(pair.handle), 0);
}

struct ipcshare_group *fuzz_member_group(unsigned our_rank)
{
	if (!pair.open)
		pair_open();
	return pair.groups[our_rank & 1];
}

struct ipcshare_ctx *fuzz_member_ctx(void)
{
	fuzz_member_group(0);
	return pair.ctx;
}

char *fuzz_member_ours(void)
{
	fuzz_member_group(0);
	return pair.ours;
}

unsigned char *fuzz_member_blob(struct ipcshare_group *g, size_t room, size_t *len)
{
	unsigned char *blob = calloc(1, room > pair.blob_len ? room : pair.blob_len);
	struct ipcshare__wire_blob head;

	memcpy(blob, pair.blob, pair.blob_len);
	memcpy(&head, blob, sizeof(head));
	head.rank = (uint32_t)!g->rank;
	memcpy(blob, &head, sizeof(head));
	*len = pair.blob_len;
	return blob;
}

void fuzz_member_packed(struct ipcshare_packed *packed, struct ipcshare_handle *handle)
{
	fuzz_member_group(0);
	*packed = pair.packed;
	*handle = pair.handle;
}

/* ---- What it says ---- */

void fuzz_member_begin(struct ipcshare_group *g, const struct fuzz_edits *edits, const void *blob,
		       uint64_t blob_len)
{
	now.group = g;
	now.edits = edits;
	now.blob = blob;
	now.blob_len = blob_len;
	now.round = 0;
}

void fuzz_member_end(struct ipcshare_group *g)
{
	now.group = NULL;
	g->broken = 0;
	g->page->gave_up = 0;
	g->page->doubts = 0;
	g->page->verdict = 0;
	memset(other(g)->control, 0, sizeof(struct ipcshare__control));
	catalog_copy(&other(g)->catalog, &pair.known[g->rank]);
}

static void blob_say(struct ipcshare__slot *slot)
{
	uint64_t done = (uint64_t)now.round * PIECE;

	if (!now.round)
		slot->front.header.value = now.blob_len;
	if (done < now.blob_len)
		memcpy(slot->body, now.blob + done,
		       now.blob_len - done < PIECE ? (size_t)(now.blob_len - done) : PIECE);
}

/* The sums of headers are no secret. */
static void header_mend(struct ipcshare__wire_header *h)
{
	if (h->check)
		h->check = ipcshare__checksum32(h, offsetof(struct ipcshare__wire_header, check));
}

static void say(struct ipcshare_group *g)
{
	struct ipcshare__control *control = other(g)->control;
	struct ipcshare__slot *slot = ipcshare__board_slot_in(control, g->round);
	int blob = now.blob && (uint64_t)now.round * PIECE < now.blob_len;

	memcpy(slot, ipcshare__board_slot_in(g->page, g->round), sizeof(*slot));
	if (blob)
		blob_say(slot);
	fuzz_alter(now.edits, now.round, MEMBER_FRONT, &slot->front, sizeof(slot->front));
	fuzz_alter(now.edits, now.round, MEMBER_BODY, slot->body, sizeof(slot->body));
	fuzz_alter(now.edits, now.round, MEMBER_CONTROL, control, sizeof(*control));
	if (!now.blob || !now.round || !blob)
		header_mend(&slot->front.header);
	now.round++;
	slot->round = g->round; /* it has posted in any case, for nobody is to wait */
}

int __real_ipcshare__board_wait(struct ipcshare_group *g);
int __wrap_ipcshare__board_wait(struct ipcshare_group *g);

int __wrap_ipcshare__board_wait(struct ipcshare_group *g)
{
	if (now.group == g && now.round < ROUNDS_MOST)
		say(g);
	else if (now.group == g) /* and does not pretend that it is further: we would wait until the deadline */
		*other(g)->control = (struct ipcshare__control){ .gave_up = IPCSHARE_ERR_TIMEOUT };
	return __real_ipcshare__board_wait(g);
}

/* As on a small machine: what a liar names must not fill ours. */
uint64_t __wrap_ipcshare__memory_left(const char **whose);
uint64_t __wrap_ipcshare__memory_left(const char **whose)
{
	*whose = "the fuzzer";
	return (uint64_t)100 << 20;
}

/* Read by the compiler's leave, which sees no use. */
void fuzz_member_read(const void *ptr, size_t len)
{
	volatile const unsigned char *at = ptr;

	if (ptr && len) {
		(void)at[0];
		(void)at[len - 1];
	}
}
