/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma/verbs.h"

#include <errno.h>
#include <infiniband/verbs.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/log.h"

#define REMOTE_WRITES (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)
#define WRITES (IBV_ACCESS_LOCAL_WRITE | REMOTE_WRITES)

int ipcshare__mr_check(int access, enum ipcshare__access allowed)
{
	if (access < 0 || (access & REMOTE_WRITES && !(access & IBV_ACCESS_LOCAL_WRITE)))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register",
				      "IBV_ACCESS_LOCAL_WRITE goes with remote writes and atomics",
				      "access 0x%x is none", (unsigned)access);
	if (access & WRITES && allowed == IPCSHARE__READ_ONLY)
		return ipcshare__fail(IPCSHARE_ERR_READ_ONLY, "register",
				      "its owner shares it with IPCSHARE_READ_ONLY: share it "
				      "writable, or register it for reading",
				      "access 0x%x writes to memory that is shared read-only",
				      (unsigned)access);
	return 0;
}

int ipcshare__mr_check_remote(int access, enum ipcshare__access allowed)
{
	if (access >= 0 && !(access & (IBV_ACCESS_REMOTE_READ | REMOTE_WRITES)))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register",
				      "IBV_ACCESS_REMOTE_READ for example",
				      "access 0x%x lets no other node in", (unsigned)access);
	return ipcshare__mr_check(access, allowed);
}

int ipcshare__mr_make(struct ibv_pd *pd, const struct ipcshare__span *span, int access,
		      struct ibv_mr **out)
{
	errno = 0;
	*out = ibv_reg_mr(pd, span->base, span->length, access);
	if (*out)
		return 0;
	return errno ? errno : EIO; /* not every driver sets it */
}

/* RLIMIT_MEMLOCK counts what is pinned by all of a process, or of the user; it says so with ENOMEM. */
static int fail_no_room(size_t length)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "register",
				      "release regions, or free memory",
				      "the kernel or the device has no room to pin %zu bytes",
				      length);
	return ipcshare__fail(
		IPCSHARE_ERR_LIMIT, "register",
		"raise the limit on locked memory (ulimit -l unlimited, LimitMEMLOCK= "
		"of the batch system's daemon), or release regions",
		"%zu bytes can't be pinned; RLIMIT_MEMLOCK is %ju bytes", length,
		(uintmax_t)limit.rlim_cur);
}

static int fail_fault(const struct ipcshare__span *span)
{
	if (span->access == IPCSHARE__READ_ONLY)
		return ipcshare__fail(
			IPCSHARE_ERR_READ_ONLY, "register",
			"share it writable, or copy what is to be sent; Linux 6.1 and "
			"older pin no read-only mapping",
			"this kernel can't register the read-only mapping at %p", span->base);
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "register",
			      "only ordinary memory of the machine can be registered",
			      "the kernel can't pin the %zu bytes at %p", span->length, span->base);
}

static int fail(int error, const struct ipcshare__span *span, int access)
{
	switch (error) {
	case ENOMEM:
		return fail_no_room(span->length);
	case EFAULT:
		return fail_fault(span);
	case EINVAL:
	case EOPNOTSUPP:
		return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "register",
				      "ask for less: ibv_devinfo -v shows what it can do",
				      "the device refuses access 0x%x to %zu bytes",
				      (unsigned)access, span->length);
	case EIO:
	case ENODEV:
		return ipcshare__fail(
			IPCSHARE_ERR_UNREACHABLE, "register",
			"free the domain, close the device and open it anew, as after "
			"IBV_EVENT_DEVICE_FATAL",
			"the RDMA device is lost");
	}
	return ipcshare__fail_errno(error, "register", "ibv_reg_mr() of %zu bytes at %p",
				    span->length, span->base);
}

int ipcshare__mr_fail(int error, const struct ipcshare__span *span, int access)
{
	int status = fail(error, span, access);

	ipcshare__fail_code(error);
	return status;
}

void ipcshare__mr_keys(const struct ibv_mr *mr, uint32_t *lkey, uint32_t *rkey)
{
	*lkey = mr->lkey;
	*rkey = mr->rkey;
}

bool ipcshare__mr_end(struct ibv_mr *mr)
{
	size_t length = mr->length;
	int error = ibv_dereg_mr(mr);

	if (!error || error == EIO || error == ENODEV) /* with the device all of it is gone */
		return true;
	ipcshare__log(IPCSHARE__LOG_WARN,
		      "rdma: ibv_dereg_mr() fails with %d: the device keeps %zu bytes pinned",
		      error, length);
	return false;
}
