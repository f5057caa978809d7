/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of the Ascend runtime's C ABI that we call: own prototypes and constants, so that no CANN
 * header is needed. The library is opened at run time, every symbol is resolved on its own, and those
 * that older releases lack are optional. Facts are from the open runtime and driver sources
 * (releases 8.5.0 to 9.2.0-beta.1) and the vendor's documents; none was measured on a device.
 */
#ifndef IPCSHARE_BACKEND_ASCEND_ACL_H
#define IPCSHARE_BACKEND_ASCEND_ACL_H

#include <stddef.h>
#include <stdint.h>

#define ACL_KEY_SIZE 65 /* 64 characters and NUL */
#define ACL_IPC_PIDS_PER_CALL 31 /* a 32-entry array of the driver, less one */
#define ACL_PAGE ((size_t)4096)
#define ACL_HUGE_PAGE ((size_t)2 << 20)
#define ACL_HUGE_FROM ((size_t)1 << 20) /* above it HUGE_FIRST takes huge pages */

enum acl_malloc_policy {
	ACL_MEM_MALLOC_HUGE_FIRST = 0
};
enum acl_memcpy_kind {
	ACL_MEMCPY_HOST_TO_DEVICE = 1,
	ACL_MEMCPY_DEVICE_TO_HOST = 2,
	ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
};
enum acl_ipc_flag {
	ACL_IPC_EXPORT_NO_WHITELIST = 1, /* export: disable the pid validation */
	ACL_IPC_IMPORT_PEER_ACCESS = 1, /* import: enable peer access, both directions */
};
enum acl_topo { /* bits of aclrtGetDevicesTopo */
	ACL_TOPO_HCCS = 0x1,
	ACL_TOPO_PIX = 0x2,
	ACL_TOPO_PIB = 0x4,
	ACL_TOPO_PHB = 0x8,
	ACL_TOPO_SYS = 0x10,
	ACL_TOPO_SIO = 0x20,
	ACL_TOPO_HCCS_SW = 0x40,
};
enum acl_dev_attr {
	ACL_DEV_ATTR_PHY_CHIP_ID = 402
};
enum acl_notify_flag {
	ACL_NOTIFY_IMPORT_PEER_ACCESS = 2
}; /* another value than for memory */
enum acl_reduce {
	ACL_REDUCE_SUM = 10,
	ACL_REDUCE_MAX = 11,
	ACL_REDUCE_MIN = 12
};
enum acl_type {
	ACL_FLOAT = 0,
	ACL_FLOAT16 = 1,
	ACL_INT8 = 2,
	ACL_INT32 = 3,
	ACL_INT16 = 6,
	ACL_BF16 = 27,
};
#define ACL_REDUCE_MOST ((size_t)4 << 30) /* bytes of a sum in one call */
enum acl_capture_mode {
	ACL_CAPTURE_RELAXED = 2
};
enum acl_capture_status {
	ACL_CAPTURE_NONE = 0
};
enum acl_location {
	ACL_LOCATION_DEVICE = 1,
	ACL_LOCATION_MANAGED = 3
};
#define ACL_2D_WIDTH ((size_t)5000000)
#define ACL_2D_HEIGHT ((size_t)5242880)
#define ACL_QUEUE 1500 /* of 2047 entries a stream may hold: more of them slow the sender down */

struct acl_ptr_attributes {
	uint32_t location_id;
	int32_t location_type; /* enum acl_location */
	uint32_t page_size;
	uint32_t reserved[4];
};
_Static_assert(sizeof(struct acl_ptr_attributes) == 28, "ABI");

/* Codes that we act on; the table in acl.c names more. */
enum acl_code {
	ACL_OK = 0,
	ACL_INVALID_PARAM = 100000,
	ACL_REPEAT_INITIALIZE = 100002,
	ACL_PARAM_INVALID = 107000,
	ACL_INVALID_DEVICEID = 107001,
	ACL_CONTEXT_NULL = 107002,
	ACL_INVALID_HANDLE = 107017,
	ACL_CAPTURE_MODE = 107030,
	ACL_FEATURE_NOT_SUPPORT = 207000,
	ACL_MEMORY_ALLOCATION = 207001,
	ACL_DRV_INTERNAL = 507899,
};

typedef void *acl_handle; /* context, stream, notify */

/* X(needed, name, arguments): each returns an int code. */
#define ACL_CALLS(X)                                                                               \
	X(1, aclInit, (const char *config))                                                        \
	X(1, aclFinalize, (void))                                                                  \
	X(0, aclFinalizeReference, (uint64_t * left))                                              \
	X(1, aclrtSetDevice, (int32_t device))                                                     \
	X(1, aclrtResetDevice, (int32_t device))                                                   \
	X(1, aclrtGetDevice, (int32_t * device))                                                   \
	X(1, aclrtGetDeviceCount, (uint32_t * count))                                              \
	X(0, aclrtGetDeviceInfo, (uint32_t device, int32_t attr, int64_t * value))                 \
	X(1, aclrtSetCurrentContext, (acl_handle context))                                         \
	X(1, aclrtGetCurrentContext, (acl_handle * context))                                       \
	X(1, aclrtDeviceGetBareTgid, (int32_t * pid))                                              \
	X(0, aclrtGetPhyDevIdByLogicDevId, (int32_t logic, int32_t * phy))                         \
	X(0, aclrtGetLogicDevIdByPhyDevId, (int32_t phy, int32_t * logic))                         \
	X(0, aclrtGetPhyDevIdByUserDevId, (int32_t user, int32_t * phy))                           \
	X(0, aclrtGetUserDevIdByPhyDevId, (int32_t phy, int32_t * user))                           \
	X(0, aclrtGetVersion, (int32_t * major, int32_t * minor, int32_t * patch))                 \
	X(1, aclrtMallocAlign32, (void **ptr, size_t size, int32_t policy))                        \
	X(1, aclrtFree, (void *ptr))                                                               \
	X(1, aclrtMemset, (void *ptr, size_t max, int32_t value, size_t n))                        \
	X(1, aclrtMemcpy, (void *dst, size_t max, const void *src, size_t n, int32_t kind))        \
	X(1, aclrtMemcpyAsync,                                                                     \
	  (void *dst, size_t max, const void *src, size_t n, int32_t kind, acl_handle stream))     \
	X(0, aclrtMemGetAddressRange, (void *ptr, void **base, size_t *size))                      \
	X(0, aclrtPointerGetAttributes, (const void *ptr, struct acl_ptr_attributes *attributes))  \
	X(0, aclrtMemcpy2dAsync,                                                                   \
	  (void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,  \
	   int32_t kind, acl_handle stream))                                                       \
	X(0, aclrtReduceAsync,                                                                     \
	  (void *dst, const void *src, uint64_t bytes, int32_t kind, int32_t type,                 \
	   acl_handle stream, void *reserved))                                                     \
	X(0, aclmdlRICaptureThreadExchangeMode, (int32_t * mode))                                  \
	X(0, aclmdlRICaptureBegin, (acl_handle stream, int32_t mode))                              \
	X(0, aclmdlRICaptureEnd, (acl_handle stream, acl_handle * model))                          \
	X(0, aclmdlRICaptureGetInfo, (acl_handle stream, int32_t * status, acl_handle * model))    \
	X(0, aclmdlRIExecuteAsync, (acl_handle model, acl_handle stream))                          \
	X(0, aclmdlRIDestroy, (acl_handle model))                                                  \
	X(0, aclrtCreateNotify, (acl_handle * notify, uint64_t flag))                              \
	X(0, aclrtDestroyNotify, (acl_handle notify))                                              \
	X(0, aclrtRecordNotify, (acl_handle notify, acl_handle stream))                            \
	X(0, aclrtWaitAndResetNotify, (acl_handle notify, acl_handle stream, uint32_t timeout_s))  \
	X(0, aclrtNotifyGetExportKey, (acl_handle notify, char *key, size_t len, uint64_t flags))  \
	X(0, aclrtNotifySetImportPid, (acl_handle notify, int32_t * pids, size_t n))               \
	X(0, aclrtNotifyImportByKey, (acl_handle * notify, const char *key, uint64_t flags))       \
	X(1, aclrtCreateStream, (acl_handle * stream))                                             \
	X(1, aclrtDestroyStream, (acl_handle stream))                                              \
	X(1, aclrtSynchronizeStream, (acl_handle stream))                                          \
	X(1, aclrtDeviceCanAccessPeer, (int32_t * can, int32_t device, int32_t peer))              \
	X(1, aclrtDeviceEnablePeerAccess, (int32_t peer, uint32_t flags))                          \
	X(0, aclrtDevicePeerAccessStatus, (int32_t device, int32_t peer, int32_t * status))        \
	X(0, aclrtGetDevicesTopo, (uint32_t device, uint32_t other, uint64_t * value))             \
	X(1, aclrtIpcMemGetExportKey,                                                              \
	  (void *ptr, size_t size, char *key, size_t len, uint64_t flags))                         \
	X(1, aclrtIpcMemSetImportPid, (const char *key, int32_t *pids, size_t n))                  \
	X(1, aclrtIpcMemImportByKey, (void **ptr, const char *key, uint64_t flags))                \
	X(1, aclrtIpcMemClose, (const char *key))

struct acl {
	void *library;
	const char *(*aclGetRecentErrMsg)(void);
	const char *(*aclrtGetSocName)(void);
#define ACL_MEMBER(needed, name, arguments) int(*name) arguments;
	ACL_CALLS(ACL_MEMBER)
#undef ACL_MEMBER
};

/*
 * The runtime, opened once a process and kept: it does not survive being unloaded. NULL with the
 * reason as the last error (IPCSHARE_ERR_NO_BACKEND). @path "" means the usual names.
 */
const struct acl *ipcshare__acl_load(const char *path);

/* The release that an emulator of the runtime plays, "9.1.0"; NULL: it is a real one. */
const char *ipcshare__acl_emulator(const struct acl *acl);

/* "RT_DRV_INTERNAL_ERROR", or "unknown" */
const char *ipcshare__acl_name(int code);

/*
 * Turn the failure of @call into a status: numeric code, name, the runtime's own message. @hint lists
 * the causes that are left.
 */
int ipcshare__acl_fail(const struct acl *acl, int code, const char *stage, const char *call,
		       const char *hint);

#endif
