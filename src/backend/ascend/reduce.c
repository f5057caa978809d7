/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reducing on the device, by its copy engine. It takes what lies on its own device only, so what is
 * imported is copied before it is reduced.
 */
#include "backend/ascend/place.h"
#include "base/error.h"

/* Those that it has, as 910B and 910C are documented. */
static const int32_t *type_find(enum ipcshare_type type)
{
	static const int32_t types[][2] = {
		{ IPCSHARE_INT8, ACL_INT8 },   { IPCSHARE_INT16, ACL_INT16 },
		{ IPCSHARE_INT32, ACL_INT32 }, { IPCSHARE_FP16, ACL_FLOAT16 },
		{ IPCSHARE_BF16, ACL_BF16 },   { IPCSHARE_FP32, ACL_FLOAT },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i][0] == (int32_t)type)
			return &types[i][1];
	return NULL;
}

static int32_t kind_of(enum ipcshare_op_kind op) /* 0: there is none */
{
	return op == IPCSHARE_OP_SUM   ? ACL_REDUCE_SUM
	       : op == IPCSHARE_OP_MAX ? ACL_REDUCE_MAX
	       : op == IPCSHARE_OP_MIN ? ACL_REDUCE_MIN
				       : 0;
}

bool ipcshare__ascend_reduces(const struct ipcshare__backend *be, enum ipcshare_type type,
			      enum ipcshare_op_kind op)
{
	const struct ascend *a = (const struct ascend *)be;

	return a->device.acl->aclrtReduceAsync && type_find(type) && kind_of(op);
}

/* The runtime's code for it says no more than that an argument is bad. */
static int own_only(const struct ascend *a, const void *p, size_t n)
{
	struct ascend_place place = { 0 };
	int err = ipcshare__ascend_place(a, p, n, &place);

	if (err || place.kind == ASCEND_OWN)
		return err;
	return ipcshare__fail(IPCSHARE_ERR_INVALID, "reduce", "copy it there first",
			      "%zu bytes at %p are not on device %d, which reduces them", n, p,
			      a->device.id);
}

static int reduce_entered(struct ascend *a, char *dst, const char *src, size_t n, int32_t type,
			  int32_t kind, acl_handle stream)
{
	int code = ACL_OK;

	for (size_t now; n && !code; dst += now, src += now, n -= now) {
		now = n < ACL_REDUCE_MOST ? n : ACL_REDUCE_MOST;
		code = a->device.acl->aclrtReduceAsync(dst, src, now, kind, type, stream, NULL);
	}
	return code ? ipcshare__acl_fail(a->device.acl, code, "reduce", "aclrtReduceAsync",
					 "is the stream one of this context, and are the elements "
					 "aligned?")
		    : 0;
}

int ipcshare__ascend_reduce(struct ipcshare__backend *be, void *dst, const void *src, size_t n,
			    enum ipcshare_type type, enum ipcshare_op_kind op,
			    struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err;

	if (!ipcshare__ascend_reduces(be, type, op))
		return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "reduce", "",
				      "the device does not reduce type %d with op %d", (int)type,
				      (int)op);
	err = ipcshare__ascend_enter(&a->device, "reduce", &entry);
	if (err)
		return err;
	err = own_only(a, dst, n);
	if (!err)
		err = own_only(a, src, n);
	if (!err)
		err = reduce_entered(a, dst, src, n, *type_find(type), kind_of(op),
				     ipcshare__ascend_stream(a, stream));
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}
