/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of the ACL runtime's C ABI that this emulator exports: own prototypes, constants and
 * layouts, written from the contract's sections 1.1-1.6 and 1.9. No vendor header is used, so a
 * program compiled with the vendor's headers meets exactly these integers.
 */
#ifndef EMU_ACL_ABI_H
#define EMU_ACL_ABI_H

#include <stddef.h>
#include <stdint.h>

#define ACL_API __attribute__((visibility("default")))

typedef int aclError;
typedef void *aclrtStream;
typedef void *aclrtEvent;
typedef void *aclrtContext;
typedef void *aclrtNotify;
typedef void *aclrtCntNotify;
typedef void *aclmdlRI;
typedef void *aclrtTaskGrp;
typedef void (*aclrtHostFunc)(void *args);

/* Error codes of contract section 3. */
enum {
	ACL_SUCCESS = 0,
	ACL_ERROR_INVALID_PARAM = 100000,
	ACL_ERROR_UNINITIALIZE = 100001,
	ACL_ERROR_REPEAT_INITIALIZE = 100002,
	ACL_ERROR_REPEAT_FINALIZE = 100037,
	ACL_ERROR_RT_PARAM_INVALID = 107000,
	ACL_ERROR_RT_INVALID_DEVICEID = 107001,
	ACL_ERROR_RT_CONTEXT_NULL = 107002,
	ACL_ERROR_RT_STREAM_CONTEXT = 107003,
	ACL_ERROR_RT_MODEL_CONTEXT = 107004,
	ACL_ERROR_RT_INVALID_HANDLE = 107017,
	ACL_ERROR_RT_WAIT_TIMEOUT = 107019,
	ACL_ERROR_RT_CAPTURE_DEPENDENCY = 107024,
	ACL_ERROR_RT_STREAM_UNJOINED = 107025,
	ACL_ERROR_RT_MODEL_CAPTURED = 107026,
	ACL_ERROR_RT_STREAM_CAPTURED = 107027,
	ACL_ERROR_RT_EVENT_CAPTURED = 107028,
	ACL_ERROR_RT_STREAM_NOT_CAPTURED = 107029,
	ACL_ERROR_RT_CAPTURE_MODE = 107030,
	ACL_ERROR_RT_CAPTURE_IMPLICIT = 107031,
	ACL_ERROR_RT_CAPTURE_UNMATCHED = 107036,
	ACL_ERROR_RT_MODEL_RUNNING = 107037,
	ACL_ERROR_RT_CAPTURE_WRONG_THREAD = 107038,
	ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC = 107041,
	ACL_ERROR_FEATURE_UNSUPPORTED = 200006,
	ACL_ERROR_RT_FEATURE_NOT_SUPPORT = 207000,
	ACL_ERROR_RT_MEMORY_ALLOCATION = 207001,
	ACL_ERROR_RT_NO_PERMISSION = 207006,
	ACL_ERROR_RT_NO_EVENT_RESOURCE = 207007,
	ACL_ERROR_RT_NO_STREAM_RESOURCE = 207008,
	ACL_ERROR_RT_NO_NOTIFY_RESOURCE = 207009,
	ACL_ERROR_RT_LINK_TYPE_NOT_SUPPORTED = 207021,
	ACL_ERROR_INTERNAL = 500000,
	ACL_ERROR_RT_INTERNAL_ERROR = 507000,
	ACL_ERROR_RT_STREAM_TASK_FULL = 507002,
	ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT = 507009,
	ACL_ERROR_RT_MODEL_EXECUTE = 507011,
	ACL_ERROR_RT_SYS_DMA = 507013,
	ACL_ERROR_RT_STREAM_SYNC_TIMEOUT = 507046,
	ACL_ERROR_RT_EVENT_SYNC_TIMEOUT = 507047,
	ACL_ERROR_RT_DRV_INTERNAL_ERROR = 507899,
	ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED = 507903,
};

typedef enum { ACL_DEVICE = 0, ACL_HOST = 1 } aclrtRunMode;

typedef enum {
	ACL_PKG_NAME_CANN = 0,
	ACL_PKG_NAME_RUNTIME = 1,
	ACL_PKG_NAME_COMPILER = 2,
	ACL_PKG_NAME_HCCL = 3,
	ACL_PKG_NAME_TOOLKIT = 4,
	ACL_PKG_NAME_OPP = 5,
	ACL_PKG_NAME_OPP_KERNEL = 6,
	ACL_PKG_NAME_DRIVER = 7,
} aclCANNPackageName;

typedef struct {
	char version[128];
	char majorVersion[64];
	char minorVersion[64];
	char releaseVersion[64];
	char patchVersion[64];
	char reserved[128];
} aclCANNPackageVersion;
_Static_assert(sizeof(aclCANNPackageVersion) == 512, "ABI");

typedef enum {
	ACL_DEV_ATTR_AICORE_CORE_NUM = 101,
	ACL_DEV_ATTR_CUBE_CORE_NUM = 102,
	ACL_DEV_ATTR_VECTOR_CORE_NUM = 201,
	ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE = 301,
	ACL_DEV_ATTR_L2_CACHE_SIZE = 302,
	ACL_DEV_ATTR_SMP_ID = 401,
	ACL_DEV_ATTR_PHY_CHIP_ID = 402,
	ACL_DEV_ATTR_SUPER_POD_DEVICE_ID = 403,
	ACL_DEV_ATTR_SUPER_POD_SERVER_ID = 404,
	ACL_DEV_ATTR_SUPER_POD_ID = 405,
	ACL_DEV_ATTR_MAINBOARD_ID = 407,
	ACL_DEV_ATTR_IS_VIRTUAL = 501,
	ACL_DEV_ATTR_NPU_ARCH = 601,
} aclrtDevAttr;

typedef enum {
	ACL_MEM_MALLOC_HUGE_FIRST = 0,
	ACL_MEM_MALLOC_HUGE_ONLY = 1,
	ACL_MEM_MALLOC_NORMAL_ONLY = 2,
	ACL_MEM_MALLOC_HUGE_FIRST_P2P = 3,
	ACL_MEM_MALLOC_HUGE_ONLY_P2P = 4,
	ACL_MEM_MALLOC_NORMAL_ONLY_P2P = 5,
	ACL_MEM_MALLOC_HUGE1G_ONLY = 6,
	ACL_MEM_MALLOC_HUGE1G_ONLY_P2P = 7,
	ACL_MEM_TYPE_LOW_BAND_WIDTH = 0x100,
	ACL_MEM_TYPE_HIGH_BAND_WIDTH = 0x1000,
	ACL_MEM_ACCESS_USER_SPACE_READONLY = 0x100000,
} aclrtMemMallocPolicy;

typedef enum {
	ACL_MEMCPY_HOST_TO_HOST = 0,
	ACL_MEMCPY_HOST_TO_DEVICE = 1,
	ACL_MEMCPY_DEVICE_TO_HOST = 2,
	ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
	ACL_MEMCPY_DEFAULT = 4,
	ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE = 5,
	ACL_MEMCPY_INNER_DEVICE_TO_DEVICE = 6,
	ACL_MEMCPY_INTER_DEVICE_TO_DEVICE = 7,
} aclrtMemcpyKind;

typedef enum {
	ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM = 10,
	ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX = 11,
	ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN = 12,
	ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL = 13,
} aclrtReduceKind;

typedef enum {
	ACL_FLOAT = 0,
	ACL_FLOAT16 = 1,
	ACL_INT8 = 2,
	ACL_INT32 = 3,
	ACL_UINT8 = 4,
	ACL_INT16 = 6,
	ACL_UINT16 = 7,
	ACL_UINT32 = 8,
	ACL_INT64 = 9,
	ACL_UINT64 = 10,
	ACL_DOUBLE = 11,
	ACL_BOOL = 12,
	ACL_BF16 = 27,
} aclDataType;

typedef enum {
	ACL_MEM_LOCATION_TYPE_HOST = 0,
	ACL_MEM_LOCATION_TYPE_DEVICE = 1,
	ACL_MEM_LOCATION_TYPE_UNREGISTERED = 2,
	ACL_MEM_LOCATION_TYPE_MANAGED = 3,
	ACL_MEM_LOCATION_TYPE_HOST_NUMA = 4,
} aclrtMemLocationType;

typedef struct {
	uint32_t id;
	aclrtMemLocationType type;
} aclrtMemLocation;
_Static_assert(sizeof(aclrtMemLocation) == 8, "ABI");
_Static_assert(offsetof(aclrtMemLocation, type) == 4, "ABI");

typedef struct {
	aclrtMemLocation location;
	uint32_t pageSize;
	uint32_t rsv[4];
} aclrtPtrAttributes;
_Static_assert(sizeof(aclrtPtrAttributes) == 28, "ABI");
_Static_assert(offsetof(aclrtPtrAttributes, pageSize) == 8, "ABI");

typedef struct {
	aclrtMemLocation dstLoc;
	aclrtMemLocation srcLoc;
	uint8_t rsv[16];
} aclrtMemcpyBatchAttr;
_Static_assert(sizeof(aclrtMemcpyBatchAttr) == 32, "ABI");
_Static_assert(offsetof(aclrtMemcpyBatchAttr, rsv) == 16, "ABI");

typedef enum {
	ACL_STREAM_STATUS_COMPLETE = 0,
	ACL_STREAM_STATUS_NOT_READY = 1,
} aclrtStreamStatus;

/* The opposite order to the stream status. */
typedef enum {
	ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
	ACL_EVENT_RECORDED_STATUS_COMPLETE = 1,
} aclrtEventRecordedStatus;

enum {
	ACL_STREAM_FAST_LAUNCH = 0x1,
	ACL_STREAM_FAST_SYNC = 0x2,
	ACL_STREAM_PERSISTENT = 0x4,
	ACL_STREAM_HUGE = 0x8,
	ACL_STREAM_CPU_SCHEDULE = 0x10,
	ACL_STREAM_DEVICE_USE_ONLY = 0x20,
	ACL_EVENT_SYNC = 0x1,
	ACL_EVENT_CAPTURE_STREAM_PROGRESS = 0x2,
	ACL_EVENT_TIME_LINE = 0x8,
	ACL_EVENT_DEVICE_USE_ONLY = 0x10,
	ACL_EVENT_EXTERNAL = 0x20,
	ACL_EVENT_IPC = 0x40,
	ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION = 0x1,
	ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS = 0x1,
	ACL_RT_NOTIFY_EXPORT_FLAG_DISABLE_PID_VALIDATION = 0x2,
	ACL_RT_NOTIFY_IMPORT_FLAG_ENABLE_PEER_ACCESS = 0x2,
	ACL_RT_DEVS_TOPOLOGY_HCCS = 0x1,
	ACL_RT_DEVS_TOPOLOGY_PIX = 0x2,
	ACL_RT_DEVS_TOPOLOGY_PIB = 0x4,
	ACL_RT_DEVS_TOPOLOGY_PHB = 0x8,
	ACL_RT_DEVS_TOPOLOGY_SYS = 0x10,
	ACL_RT_DEVS_TOPOLOGY_SIO = 0x20,
	ACL_RT_DEVS_TOPOLOGY_HCCS_SW = 0x40,
	ACL_STREAM_WAIT_VALUE_GEQ = 0,
	ACL_STREAM_WAIT_VALUE_EQ = 1,
	ACL_STREAM_WAIT_VALUE_AND = 2,
	ACL_STREAM_WAIT_VALUE_NOR = 3,
};

#define ACL_IPC_KEY_LEN 65	/* 64 characters and NUL */
#define ACL_IPC_EVENT_HANDLE_SIZE 64

typedef struct {
	char reserved[ACL_IPC_EVENT_HANDLE_SIZE];
} aclrtIpcEventHandle;
_Static_assert(sizeof(aclrtIpcEventHandle) == 64, "ABI: passed by value");

typedef struct {
	uint32_t sdid;
	int32_t *pid;
	size_t num;
} aclrtServerPid;
_Static_assert(sizeof(aclrtServerPid) == 24 && offsetof(aclrtServerPid, pid) == 8, "ABI");

typedef enum { ACL_RT_IPC_MEM_ATTR_ACCESS_LINK = 0 } aclrtIpcMemAttrType;
enum {
	ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_SIO = 0,
	ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_HCCS = 1,
	ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_UB_ONE_PORT = 2,
	ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_UB_MULTI_PORT = 3,
};

typedef enum {
	ACL_MODEL_RI_CAPTURE_MODE_GLOBAL = 0,
	ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL = 1,
	ACL_MODEL_RI_CAPTURE_MODE_RELAXED = 2,
} aclmdlRICaptureMode;

typedef enum {
	ACL_MODEL_RI_CAPTURE_STATUS_NONE = 0,
	ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE = 1,
	ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED = 2,
} aclmdlRICaptureStatus;

_Static_assert(sizeof(aclrtMemcpyKind) == 4 && sizeof(aclrtDevAttr) == 4 &&
	       sizeof(aclmdlRICaptureMode) == 4, "enums are ints in the ABI");

/* 1.1 process, device, identity */
ACL_API aclError aclInit(const char *config);
ACL_API aclError aclFinalize(void);
ACL_API aclError aclFinalizeReference(uint64_t *count);
ACL_API const char *aclGetRecentErrMsg(void);
ACL_API aclError aclrtGetVersion(int32_t *major, int32_t *minor, int32_t *patch);
ACL_API aclError aclsysGetVersionStr(char *pkg, char *version);
ACL_API aclError aclsysGetVersionNum(char *pkg, int32_t *num);
ACL_API aclError aclsysGetCANNVersion(aclCANNPackageName name, aclCANNPackageVersion *version);
ACL_API aclError aclrtSetDevice(int32_t device);
ACL_API aclError aclrtResetDevice(int32_t device);
ACL_API aclError aclrtResetDeviceForce(int32_t device);
ACL_API aclError aclrtGetDevice(int32_t *device);
ACL_API aclError aclrtGetDeviceCount(uint32_t *count);
ACL_API const char *aclrtGetSocName(void);
ACL_API aclError aclrtGetRunMode(aclrtRunMode *mode);
ACL_API aclError aclrtGetDeviceInfo(uint32_t device, aclrtDevAttr attr, int64_t *value);
ACL_API aclError aclrtCreateContext(aclrtContext *ctx, int32_t device);
ACL_API aclError aclrtDestroyContext(aclrtContext ctx);
ACL_API aclError aclrtSetCurrentContext(aclrtContext ctx);
ACL_API aclError aclrtGetCurrentContext(aclrtContext *ctx);
ACL_API aclError aclrtDeviceGetBareTgid(int32_t *pid);
ACL_API aclError aclrtGetLogicDevIdByPhyDevId(int32_t phy, int32_t *logic);
ACL_API aclError aclrtGetPhyDevIdByLogicDevId(int32_t logic, int32_t *phy);
ACL_API aclError aclrtGetLogicDevIdByUserDevId(int32_t user, int32_t *logic);
ACL_API aclError aclrtGetUserDevIdByLogicDevId(int32_t logic, int32_t *user);
ACL_API aclError aclrtGetUserDevIdByPhyDevId(int32_t phy, int32_t *user);
ACL_API aclError aclrtGetPhyDevIdByUserDevId(int32_t user, int32_t *phy);

/* 1.2 memory and copies */
ACL_API aclError aclrtMalloc(void **p, size_t size, aclrtMemMallocPolicy policy);
ACL_API aclError aclrtMallocAlign32(void **p, size_t size, aclrtMemMallocPolicy policy);
ACL_API aclError aclrtFree(void *p);
ACL_API aclError aclrtMallocHost(void **p, size_t size);
ACL_API aclError aclrtFreeHost(void *p);
ACL_API aclError aclrtMemcpy(void *dst, size_t max, const void *src, size_t n,
			     aclrtMemcpyKind kind);
ACL_API aclError aclrtMemcpyAsync(void *dst, size_t max, const void *src, size_t n,
				  aclrtMemcpyKind kind, aclrtStream stream);
ACL_API aclError aclrtMemset(void *p, size_t max, int32_t value, size_t n);
ACL_API aclError aclrtMemsetAsync(void *p, size_t max, int32_t value, size_t n,
				  aclrtStream stream);
ACL_API aclError aclrtPointerGetAttributes(const void *p, aclrtPtrAttributes *attr);
ACL_API aclError aclrtMemGetAddressRange(void *p, void **base, size_t *size);
ACL_API aclError aclrtReduceAsync(void *dst, const void *src, uint64_t count,
				  aclrtReduceKind kind, aclDataType type, aclrtStream stream,
				  void *reserve);

/* 1.3 streams and events */
ACL_API aclError aclrtCreateStream(aclrtStream *stream);
ACL_API aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t prio, uint32_t flag);
ACL_API aclError aclrtDestroyStream(aclrtStream stream);
ACL_API aclError aclrtDestroyStreamForce(aclrtStream stream);
ACL_API aclError aclrtSynchronizeStream(aclrtStream stream);
ACL_API aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t ms);
ACL_API aclError aclrtSynchronizeDevice(void);
ACL_API aclError aclrtSynchronizeDeviceWithTimeout(int32_t ms);
ACL_API aclError aclrtStreamQuery(aclrtStream stream, aclrtStreamStatus *status);
ACL_API aclError aclrtCreateEvent(aclrtEvent *event);
ACL_API aclError aclrtCreateEventWithFlag(aclrtEvent *event, uint32_t flag);
ACL_API aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flag);
ACL_API aclError aclrtDestroyEvent(aclrtEvent event);
ACL_API aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream);
ACL_API aclError aclrtResetEvent(aclrtEvent event, aclrtStream stream);
ACL_API aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus *status);
ACL_API aclError aclrtSynchronizeEvent(aclrtEvent event);
ACL_API aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t ms);
ACL_API aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event);
ACL_API aclError aclrtStreamWaitEventWithTimeout(aclrtStream stream, aclrtEvent event,
						 int32_t ms);
ACL_API aclError aclrtEventElapsedTime(float *ms, aclrtEvent start, aclrtEvent end);
ACL_API aclError aclrtIpcGetEventHandle(aclrtEvent event, aclrtIpcEventHandle *handle);
ACL_API aclError aclrtIpcOpenEventHandle(aclrtIpcEventHandle handle, aclrtEvent *event);

/* 1.4 peer access */
ACL_API aclError aclrtDeviceCanAccessPeer(int32_t *can, int32_t device, int32_t peer);
ACL_API aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t flags);
ACL_API aclError aclrtDeviceDisablePeerAccess(int32_t peer);
ACL_API aclError aclrtDevicePeerAccessStatus(int32_t device, int32_t peer, int32_t *status);
ACL_API aclError aclrtGetDevicesTopo(uint32_t device, uint32_t other, uint64_t *value);

/* 1.5 IPC memory */
ACL_API aclError aclrtIpcMemGetExportKey(void *p, size_t size, char *key, size_t len,
					 uint64_t flags);
ACL_API aclError aclrtIpcMemSetImportPid(const char *key, int32_t *pid, size_t num);
ACL_API aclError aclrtIpcMemImportPidInterServer(const char *key, aclrtServerPid *pids,
						 size_t num);
ACL_API aclError aclrtIpcMemImportByKey(void **p, const char *key, uint64_t flags);
ACL_API aclError aclrtIpcMemClose(const char *key);
ACL_API aclError aclrtIpcMemSetAttr(const char *key, aclrtIpcMemAttrType type, uint64_t attr);

/* 1.6 notify */
ACL_API aclError aclrtCreateNotify(aclrtNotify *notify, uint64_t flag);
ACL_API aclError aclrtDestroyNotify(aclrtNotify notify);
ACL_API aclError aclrtRecordNotify(aclrtNotify notify, aclrtStream stream);
ACL_API aclError aclrtWaitAndResetNotify(aclrtNotify notify, aclrtStream stream,
					 uint32_t timeout_s);
ACL_API aclError aclrtGetNotifyId(aclrtNotify notify, uint32_t *id);
ACL_API aclError aclrtNotifyBatchReset(aclrtNotify *notifies, size_t num);
ACL_API aclError aclrtNotifyGetExportKey(aclrtNotify notify, char *key, size_t len,
					 uint64_t flags);
ACL_API aclError aclrtNotifyImportByKey(aclrtNotify *notify, const char *key, uint64_t flags);
ACL_API aclError aclrtNotifySetImportPid(aclrtNotify notify, int32_t *pid, size_t num);
ACL_API aclError aclrtNotifySetImportPidInterServer(aclrtNotify notify, aclrtServerPid *pids,
						    size_t num);

/* 1.9 many small pieces */
ACL_API aclError aclrtMemcpy2d(void *dst, size_t dpitch, const void *src, size_t spitch,
			       size_t width, size_t height, aclrtMemcpyKind kind);
ACL_API aclError aclrtMemcpy2dAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
				    size_t width, size_t height, aclrtMemcpyKind kind,
				    aclrtStream stream);
ACL_API aclError aclrtMemcpyBatch(void **dsts, size_t *maxs, void **srcs, size_t *sizes,
				  size_t n, aclrtMemcpyBatchAttr *attrs, size_t *indexes,
				  size_t nattrs, size_t *fail);
ACL_API aclError aclrtMemcpyBatchV2(void **dsts, size_t *maxs, void **srcs, size_t *sizes,
				    size_t n, aclrtMemcpyBatchAttr *attrs, size_t *indexes,
				    size_t nattrs);
ACL_API aclError aclrtMemcpyBatchAsync(void **dsts, size_t *maxs, void **srcs, size_t *sizes,
				       size_t n, aclrtMemcpyBatchAttr *attrs, size_t *indexes,
				       size_t nattrs, size_t *fail, aclrtStream stream);
ACL_API aclError aclrtMemcpyBatchAsyncV2(void **dsts, size_t *maxs, void **srcs, size_t *sizes,
					 size_t n, aclrtMemcpyBatchAttr *attrs, size_t *indexes,
					 size_t nattrs, aclrtStream stream);
ACL_API aclError aclrtGetMemcpyDescSize(aclrtMemcpyKind kind, size_t *size);
ACL_API aclError aclrtSetMemcpyDesc(void *desc, aclrtMemcpyKind kind, void *src, void *dst,
				    size_t count, void *config);
ACL_API aclError aclrtMemcpyAsyncWithDesc(void *desc, aclrtMemcpyKind kind, aclrtStream stream);
ACL_API aclError aclmdlRICaptureBegin(aclrtStream stream, aclmdlRICaptureMode mode);
ACL_API aclError aclmdlRICaptureEnd(aclrtStream stream, aclmdlRI *model);
ACL_API aclError aclmdlRICaptureGetInfo(aclrtStream stream, aclmdlRICaptureStatus *status,
					aclmdlRI *model);
ACL_API aclError aclmdlRICaptureThreadExchangeMode(aclmdlRICaptureMode *mode);
ACL_API aclError aclmdlRIExecuteAsync(aclmdlRI model, aclrtStream stream);
ACL_API aclError aclmdlRIExecute(aclmdlRI model, int32_t ms);
ACL_API aclError aclmdlRIDestroy(aclmdlRI model);
ACL_API aclError aclmdlRICaptureTaskGrpBegin(aclrtStream stream);
ACL_API aclError aclmdlRICaptureTaskGrpEnd(aclrtStream stream, aclrtTaskGrp *group);
ACL_API aclError aclmdlRICaptureTaskUpdateBegin(aclrtStream stream, aclrtTaskGrp group);
ACL_API aclError aclmdlRICaptureTaskUpdateEnd(aclrtStream stream);
ACL_API aclError aclrtValueWrite(void *addr, uint64_t value, uint32_t flag, aclrtStream stream);
ACL_API aclError aclrtValueWait(void *addr, uint64_t value, uint32_t flag, aclrtStream stream);
ACL_API aclError aclrtLaunchHostFunc(aclrtStream stream, aclrtHostFunc fn, void *args);

/* Not supported on 910B and 910C: exported, always refused (1.9.6). */
ACL_API aclError aclrtCntNotifyCreate(aclrtCntNotify *notify, uint64_t flag);
ACL_API aclError aclrtCntNotifyDestroy(aclrtCntNotify notify);
ACL_API aclError aclrtCntNotifyRecord(aclrtCntNotify notify, aclrtStream stream, void *info);
ACL_API aclError aclrtCntNotifyWaitWithTimeout(aclrtCntNotify notify, aclrtStream stream,
					       void *info);
ACL_API aclError aclrtCntNotifyReset(aclrtCntNotify notify, aclrtStream stream);
ACL_API aclError aclrtCntNotifyGetId(aclrtCntNotify notify, uint32_t *id);

#endif
