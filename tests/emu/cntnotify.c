/* SPDX-License-Identifier: BSD-3-Clause */
/* The counting notifies: exported, and refused, as on 910B and 910C (contract 1.9.6). */
#include "emu.h"

static int unsupported(void)
{
	return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "no CntNotify on this chip");
}

aclError aclrtCntNotifyCreate(aclrtCntNotify *notify, uint64_t flag)
{
	(void)notify, (void)flag;
	ENTER(aclrtCntNotifyCreate);
	return unsupported();
}

aclError aclrtCntNotifyDestroy(aclrtCntNotify notify)
{
	(void)notify;
	ENTER(aclrtCntNotifyDestroy);
	return unsupported();
}

aclError aclrtCntNotifyRecord(aclrtCntNotify notify, aclrtStream stream, void *info)
{
	(void)notify, (void)stream, (void)info;
	ENTER(aclrtCntNotifyRecord);
	return unsupported();
}

aclError aclrtCntNotifyWaitWithTimeout(aclrtCntNotify notify, aclrtStream stream, void *info)
{
	(void)notify, (void)stream, (void)info;
	ENTER(aclrtCntNotifyWaitWithTimeout);
	return unsupported();
}

aclError aclrtCntNotifyReset(aclrtCntNotify notify, aclrtStream stream)
{
	(void)notify, (void)stream;
	ENTER(aclrtCntNotifyReset);
	return unsupported();
}

aclError aclrtCntNotifyGetId(aclrtCntNotify notify, uint32_t *id)
{
	(void)notify, (void)id;
	ENTER(aclrtCntNotifyGetId);
	return unsupported();
}
