/* SPDX-License-Identifier: BSD-3-Clause */
#include "offered.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct test_resources before;
struct ipcshare__config config;
struct ipcshare__broker *broker;
uint64_t endpoint;
struct ipcshare__memfd memfd;
struct ipcshare__offer *offer;
uint64_t secret[2];
struct ipcshare__identity me;

struct retired retired;

int offered_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
		   uint32_t region, uint32_t generation)
{
	int n = atomic_fetch_add(&retired.calls, 1);

	CHECK_PTR(arg, &retired);
	retired.pid = caller->pid;
	retired.owner = owner;
	if (n < 4) {
		retired.region[n] = region;
		retired.generation[n] = generation;
	}
	return region == 1 ? IPCSHARE_ERR_BUSY : region == 2 ? IPCSHARE_ERR_NOT_ALLOWED : 0;
}

struct ipcshare__offer *offered_memfd(int open)
{
	struct ipcshare__offer *o;

	REQUIRE_OK(ipcshare__broker_offer(broker, memfd.fd, 0, memfd.map_length, open, &o));
	return o;
}

void offered_nothing(void)
{
	config = (struct ipcshare__config){ .backend = "host", .timeout_s = 10 };
	memset(&retired, 0, sizeof(retired));
	test_resources(&before);
	REQUIRE_OK(ipcshare__memfd_make(8192, &memfd));
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, 0, &me));
}

void offered_start(void)
{
	offered_nothing();
	REQUIRE_OK(ipcshare__broker_start(&config, offered_retire, &retired, &broker));
	endpoint = ipcshare__broker_endpoint(broker);
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, endpoint, &me));
	offer = offered_memfd(0);
	memcpy(secret, ipcshare__offer_secret(offer), sizeof(secret));
}

void offered_stop(void)
{
	if (broker)
		ipcshare__broker_stop(broker, 0);
	broker = NULL;
	ipcshare__memfd_drop(&memfd);
	CHECK_NOTHING_LEAKED(&before);
}

void offered_allow(const struct ipcshare__identity *id, enum ipcshare__access access)
{
	REQUIRE_OK(ipcshare__broker_allow(broker, offer, id, 1, access));
}

/* One GET of ours; the descriptor, if there is one, must be the memory. */
int offered_get(enum ipcshare__access access)
{
	struct raw_reply reply;
	struct stat st;
	int status = raw_get(endpoint, secret, access, &reply);

	if (!status && !fstat(reply.fds[0], &st)) {
		CHECK_INT(st.st_ino, memfd.inode);
		CHECK_INT(reply.got[0].offset, 0);
		CHECK_INT(reply.got[0].length, memfd.map_length);
		CHECK_INT(fcntl(reply.fds[0], F_GETFD), FD_CLOEXEC);
	}
	raw_close_fds(&reply);
	return status;
}

struct raw_request offered_request(uint16_t count)
{
	struct raw_request r;

	memset(&r, 0, sizeof(r));
	r.head = raw_head(GET, count);
	for (size_t i = 0; i < count && i <= IPCSHARE__BROKER_BATCH; i++)
		r.get[i] = (struct ipcshare__broker_get){ { secret[0], secret[1] }, RW, 0 };
	return r;
}
