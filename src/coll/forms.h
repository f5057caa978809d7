/* SPDX-License-Identifier: BSD-3-Clause */
/* The forms that every collective is called in. */
#ifndef IPCSHARE_COLL_FORMS_H
#define IPCSHARE_COLL_FORMS_H

#include "coll/call.h"
#include "coll/request.h"
#include "coll/stream.h"

#define IPCSHARE__PARAMETERS(...) __VA_ARGS__

/*
 * The public functions of collective @name: to its end, started, and queued on a stream. A static function of
 * that name gets the call, the group, and what is named behind @parameters; it gives 0, or the fault of the
 * handle.
 */
#define IPCSHARE__FORMS(name, parameters, ...)                                                     \
	int ipcshare_##name(IPCSHARE__PARAMETERS parameters)                                       \
	{                                                                                          \
		struct ipcshare__call call;                                                        \
		int err = name(&call, __VA_ARGS__);                                                \
                                                                                                   \
		return err ? err : ipcshare__call_run(&call);                                      \
	}                                                                                          \
                                                                                                   \
	int ipcshare_##name##_start(IPCSHARE__PARAMETERS parameters,                               \
				    struct ipcshare_request **request)                             \
	{                                                                                          \
		struct ipcshare__call call;                                                        \
		int err = name(&call, __VA_ARGS__);                                                \
                                                                                                   \
		return err ? err : ipcshare__request_start(&call, request);                        \
	}                                                                                          \
                                                                                                   \
	int ipcshare_##name##_async(IPCSHARE__PARAMETERS parameters, void *stream)                 \
	{                                                                                          \
		struct ipcshare__call call;                                                        \
		int err = name(&call, __VA_ARGS__);                                                \
                                                                                                   \
		return err ? err : ipcshare__stream_run(&call, stream);                            \
	}

#endif
