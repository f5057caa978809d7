/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - an allreduce in a ring of NPUs, as a collective library would write it
 *
 * The buffers of all ranks are one set of libipcshare; notifies, streams and the sums are those of the
 * Ascend runtime. Nothing here blocks the host between the first copy and the last.
 *
 *	mpicc ring.c $(pkg-config --cflags --libs ipcshare-mpi) -I$ASCEND_HOME_PATH/include \
 *		-L$ASCEND_HOME_PATH/lib64 -lascendcl -o ring
 *	mpirun -n 4 ./ring
 *
 * An array of n parts, one for each of n ranks, goes round twice. First each rank adds a part of the
 * rank before it to its own, in turn: after n - 1 steps it has the sum of one part. Then the sums go
 * round, and n - 1 steps later all have all of them.
 *
 * In each step a rank is told "ready" by the rank before it, which has done the step before, and tells it
 * "read" when it has its part, which is written over later on. A notify is one bit: each is waited for
 * before it is recorded again.
 */
#include <acl/acl.h>
#include <ipcshare_coll.h>
#include <ipcshare_mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define PART 100000 /* floats */
#define TIMES 3 /* allreduces that are queued, one behind the other */
#define PATIENCE_S 60

#define TRY(call) do { if (call) return fail(#call, ipcshare_explain()); } while (0)
#define ACL(call) do { int code = (call); if (code) return fail_code(#call, code); } while (0)

/* One direction between two ranks: who waits has made it, the other one has imported it. */
struct notifies {
	aclrtNotify ready, read; /* waited for here: of the rank before, of the next one */
	aclrtNotify tell_ready, tell_read; /* recorded here: of the next one, of the rank before */
};

struct ring {
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	aclrtStream stream;
	struct notifies notifies;
	int rank, n, before, next;
	int device;
	float *array, *scratch; /* on the device: n parts, and one */
};

static int fail(const char *call, const char *why)
{
	fprintf(stderr, "%s: %s\n", call, why);
	return 1;
}

static int fail_code(const char *call, int code)
{
	fprintf(stderr, "%s returned %d\n", call, code);
	return 1;
}

/* ---- The steps: all of it is only queued ---- */

static int step_begin(struct ring *r)
{
	ACL(aclrtRecordNotify(r->notifies.tell_ready, r->stream));
	ACL(aclrtWaitAndResetNotify(r->notifies.ready, r->stream, PATIENCE_S));
	return 0;
}

static int step_end(struct ring *r)
{
	ACL(aclrtRecordNotify(r->notifies.tell_read, r->stream));
	ACL(aclrtWaitAndResetNotify(r->notifies.read, r->stream, PATIENCE_S));
	return 0;
}

static int part_pull(struct ring *r, int part, float *to)
{
	struct ipcshare_item item = { r->before, 0, (size_t)part * PART * sizeof(float),
				      PART * sizeof(float), to };

	TRY(ipcshare_pull_on(r->set, &item, 1, r->stream));
	return 0;
}

/* Both operands of a sum must be on the stream's device, so a copy comes first; bytes are counted. */
static int part_add(struct ring *r, int part)
{
	ACL(aclrtReduceAsync(r->array + (size_t)part * PART, r->scratch, PART * sizeof(float),
			     ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, r->stream, NULL));
	return 0;
}

static int ring_allreduce(struct ring *r)
{
	int bad = 0;

	for (int s = 0; s < r->n - 1 && !bad; s++) {
		int part = (r->before - s + r->n) % r->n;

		bad = step_begin(r) || part_pull(r, part, r->scratch) || part_add(r, part) || step_end(r);
	}
	for (int s = 0; s < r->n - 1 && !bad; s++) {
		int part = (r->rank - s + r->n) % r->n;

		bad = step_begin(r) || part_pull(r, part, r->array + (size_t)part * PART) || step_end(r);
	}
	return bad;
}

/* ---- The notifies: a key for each goes to the rank that is to record it ---- */

#define KEY 65

static int notify_make(struct ring *r, int peer, aclrtNotify *out, char *key)
{
	struct ipcshare_peer who = { .size = sizeof(who) };
	int32_t tgid;

	TRY(ipcshare_group_peer(r->group, peer, &who));
	tgid = who.tgid; /* as whitelists of the driver want it, also from inside a container */
	ACL(aclrtCreateNotify(out, 0));
	ACL(aclrtNotifyGetExportKey(*out, key, KEY, 0));
	ACL(aclrtNotifySetImportPid(*out, &tgid, 1));
	return 0;
}

static int notifies_make(struct ring *r)
{
	char mine[2][KEY], all[64][2][KEY];

	if (notify_make(r, r->before, &r->notifies.ready, mine[0]) ||
	    notify_make(r, r->next, &r->notifies.read, mine[1]))
		return 1;
	TRY(ipcshare_allgather(r->group, mine, all, sizeof(mine), IPCSHARE_INT8));
	ACL(aclrtNotifyImportByKey(&r->notifies.tell_ready, all[r->next][0], 0));
	ACL(aclrtNotifyImportByKey(&r->notifies.tell_read, all[r->before][1], 0));
	return 0;
}

/* Who imported lets go first. */
static int notifies_end(struct ring *r)
{
	ACL(aclrtDestroyNotify(r->notifies.tell_ready));
	ACL(aclrtDestroyNotify(r->notifies.tell_read));
	TRY(ipcshare_barrier(r->group));
	ACL(aclrtDestroyNotify(r->notifies.ready));
	ACL(aclrtDestroyNotify(r->notifies.read));
	return 0;
}

/* ---- Begin and end ---- */

static int ring_begin(struct ring *r)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	uint32_t devices;
	void *memory;

	ACL(aclInit(NULL));
	ACL(aclrtGetDeviceCount(&devices));
	MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
	r->device = r->rank % (int)devices;
	ACL(aclrtSetDevice(r->device)); /* the library takes the current one */
	options.backend = "ascend";
	ACL(aclrtCreateStream(&r->stream));
	TRY(ipcshare_open(&options, &r->ctx));
	TRY(ipcshare_mpi_group_create(r->ctx, MPI_COMM_WORLD, &r->group));
	r->n = ipcshare_group_size(r->group);
	r->before = (r->rank + r->n - 1) % r->n;
	r->next = (r->rank + 1) % r->n;
	if (r->n > 64)
		return fail("ring", "more than 64 ranks");
	TRY(ipcshare_alloc(r->ctx, (size_t)(r->n + 1) * PART * sizeof(float), &memory));
	r->array = memory;
	r->scratch = r->array + (size_t)r->n * PART;
	return r->n > 1 ? notifies_make(r) : 0;
}

/* The set goes first: then no rank's stream has work in another one's memory. */
static int ring_end(struct ring *r)
{
	TRY(ipcshare_set_free(r->set));
	if (r->n > 1 && notifies_end(r))
		return 1;
	TRY(ipcshare_free(r->ctx, r->array));
	TRY(ipcshare_group_free(r->group));
	TRY(ipcshare_close(r->ctx));
	ACL(aclrtDestroyStream(r->stream));
	ACL(aclrtResetDevice(r->device));
	ACL(aclFinalize());
	return 0;
}

/* ---- The numbers: small enough that a float holds every sum ---- */

static float number(int rank, size_t i)
{
	return (float)((i + (size_t)rank * 7) % 5);
}

/* Later allreduces add as many equal numbers as there are ranks. */
static float sum_of_all(const struct ring *r, size_t i)
{
	float sum = 0;

	for (int k = 0; k < r->n; k++)
		sum += number(k, i);
	for (int t = 1; t < TIMES; t++)
		sum *= (float)r->n;
	return sum;
}

static int check(const struct ring *r, const float *seen, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (seen[i] != sum_of_all(r, i)) {
			fprintf(stderr, "WRONG: rank %d, element %zu is %g, not %g\n", r->rank, i,
				(double)seen[i], (double)sum_of_all(r, i));
			return 1;
		}
	return 0;
}

static int run(struct ring *r)
{
	size_t count = (size_t)r->n * PART;
	struct ipcshare_buf buf = { r->array, count * sizeof(float) };
	float *host = malloc(buf.len);
	int bad = !host;

	for (size_t i = 0; i < count && host; i++)
		host[i] = number(r->rank, i);
	TRY(ipcshare_copy(r->ctx, r->array, host, buf.len));
	TRY(ipcshare_share(r->group, &buf, 1, 0, &r->set)); /* on return all ranks' arrays are there */
	for (int t = 0; t < TIMES && !bad; t++)
		bad = ring_allreduce(r);
	ACL(aclrtSynchronizeStream(r->stream));
	TRY(ipcshare_copy(r->ctx, host, r->array, buf.len));
	bad = bad || check(r, host, count);
	free(host);
	return bad;
}

int main(int argc, char **argv)
{
	struct ring r = { 0 };

	MPI_Init(&argc, &argv);
	if (ring_begin(&r) || run(&r) || ring_end(&r))
		MPI_Abort(MPI_COMM_WORLD, 1);
	if (r.rank == 0)
		printf("verified: %d allreduces of %d floats, %d ranks\n", TIMES, r.n * PART, r.n);
	return MPI_Finalize();
}
