/* SPDX-License-Identifier: BSD-3-Clause */
/* Every exported call once: the index of counters, delays and injected failures. */
#ifndef EMU_CALLS_H
#define EMU_CALLS_H

#define EMU_CALLS(X) \
	X(aclInit) X(aclFinalize) X(aclFinalizeReference) X(aclGetRecentErrMsg) \
	X(aclrtGetVersion) X(aclsysGetVersionStr) X(aclsysGetVersionNum) \
	X(aclsysGetCANNVersion) X(aclrtSetDevice) \
	X(aclrtResetDevice) X(aclrtResetDeviceForce) X(aclrtGetDevice) X(aclrtGetDeviceCount) \
	X(aclrtGetSocName) X(aclrtGetRunMode) X(aclrtGetDeviceInfo) X(aclrtCreateContext) \
	X(aclrtDestroyContext) X(aclrtSetCurrentContext) X(aclrtGetCurrentContext) \
	X(aclrtDeviceGetBareTgid) X(aclrtGetLogicDevIdByPhyDevId) \
	X(aclrtGetPhyDevIdByLogicDevId) X(aclrtGetLogicDevIdByUserDevId) \
	X(aclrtGetUserDevIdByLogicDevId) X(aclrtGetUserDevIdByPhyDevId) \
	X(aclrtGetPhyDevIdByUserDevId) X(aclrtMalloc) X(aclrtMallocAlign32) X(aclrtFree) \
	X(aclrtMallocHost) X(aclrtFreeHost) X(aclrtMemcpy) X(aclrtMemcpyAsync) X(aclrtMemset) \
	X(aclrtMemsetAsync) X(aclrtPointerGetAttributes) X(aclrtMemGetAddressRange) \
	X(aclrtReduceAsync) X(aclrtCreateStream) X(aclrtCreateStreamWithConfig) \
	X(aclrtDestroyStream) X(aclrtDestroyStreamForce) X(aclrtSynchronizeStream) \
	X(aclrtSynchronizeStreamWithTimeout) X(aclrtSynchronizeDevice) \
	X(aclrtSynchronizeDeviceWithTimeout) X(aclrtStreamQuery) X(aclrtCreateEvent) \
	X(aclrtCreateEventWithFlag) X(aclrtCreateEventExWithFlag) X(aclrtDestroyEvent) \
	X(aclrtRecordEvent) X(aclrtResetEvent) X(aclrtQueryEventStatus) X(aclrtSynchronizeEvent) \
	X(aclrtSynchronizeEventWithTimeout) X(aclrtStreamWaitEvent) \
	X(aclrtStreamWaitEventWithTimeout) X(aclrtEventElapsedTime) X(aclrtIpcGetEventHandle) \
	X(aclrtIpcOpenEventHandle) X(aclrtDeviceCanAccessPeer) X(aclrtDeviceEnablePeerAccess) \
	X(aclrtDeviceDisablePeerAccess) X(aclrtDevicePeerAccessStatus) X(aclrtGetDevicesTopo) \
	X(aclrtIpcMemGetExportKey) X(aclrtIpcMemSetImportPid) \
	X(aclrtIpcMemImportPidInterServer) X(aclrtIpcMemImportByKey) X(aclrtIpcMemClose) \
	X(aclrtIpcMemSetAttr) X(aclrtCreateNotify) X(aclrtDestroyNotify) X(aclrtRecordNotify) \
	X(aclrtWaitAndResetNotify) X(aclrtGetNotifyId) X(aclrtNotifyBatchReset) \
	X(aclrtNotifyGetExportKey) X(aclrtNotifyImportByKey) X(aclrtNotifySetImportPid) \
	X(aclrtNotifySetImportPidInterServer) X(aclrtMemcpy2d) X(aclrtMemcpy2dAsync) \
	X(aclrtMemcpyBatch) X(aclrtMemcpyBatchV2) X(aclrtMemcpyBatchAsync) \
	X(aclrtMemcpyBatchAsyncV2) X(aclrtGetMemcpyDescSize) X(aclrtSetMemcpyDesc) \
	X(aclrtMemcpyAsyncWithDesc) X(aclmdlRICaptureBegin) X(aclmdlRICaptureEnd) \
	X(aclmdlRICaptureGetInfo) X(aclmdlRICaptureThreadExchangeMode) X(aclmdlRIExecuteAsync) \
	X(aclmdlRIExecute) X(aclmdlRIDestroy) X(aclmdlRICaptureTaskGrpBegin) \
	X(aclmdlRICaptureTaskGrpEnd) X(aclmdlRICaptureTaskUpdateBegin) \
	X(aclmdlRICaptureTaskUpdateEnd) X(aclrtValueWrite) X(aclrtValueWait) \
	X(aclrtLaunchHostFunc) X(aclrtCntNotifyCreate) X(aclrtCntNotifyDestroy) \
	X(aclrtCntNotifyRecord) X(aclrtCntNotifyWaitWithTimeout) X(aclrtCntNotifyReset) \
	X(aclrtCntNotifyGetId)

/* Driver-level work behind the calls, as the contract's section 4.2 counts it. */
#define EMU_WORKS(X) \
	X(ioctl_export) X(ioctl_set_pid) X(ioctl_import) X(ioctl_close) X(ioctl_peer) \
	X(ioctl_lookup) X(task) X(queue_entry) X(row) X(replay) X(revoked) \
	X(violation_ipc_race) X(violation_reexport)

enum emu_call {
#define X(name) EMU_##name,
	EMU_CALLS(X)
#undef X
	EMU_NCALLS,
	EMU_COUNT_FIRST = EMU_NCALLS - 1,	/* the next name takes EMU_NCALLS */
#define X(name) EMU_COUNT_##name,
	EMU_WORKS(X)
#undef X
	EMU_TASK_FAULT,		/* "task": a task on a stream, for injected failures */
	EMU_NCOUNTERS,
};

#endif
