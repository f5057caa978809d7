/* SPDX-License-Identifier: BSD-3-Clause */
/* The importer's side of keys. */
#include <stdio.h>
#include <string.h>

#include "backend/ascend/ascend.h"
#include "base/error.h"
#include "base/log.h"

/* What tells keys apart: the driver pads them with zeroes. */
static void key_tail(const char *key, char tail[9])
{
	size_t len = strnlen(key, IPCSHARE__KEY_SIZE);

	while (len > 8 && key[len - 1] == '0')
		len--;
	snprintf(tail, 9, "%.8s", len > 8 ? key + len - 8 : key);
}

/* Nearly every refusal is 507899; what can be known was checked before, so name what is left. */
static int import_fail(const struct acl *acl, const char *key, int code, uint64_t flags)
{
	char hint[256], tail[9];

	if (code == ACL_MEMORY_ALLOCATION && flags) {
		ipcshare__acl_fail(
			acl, code, "import", "aclrtIpcMemImportByKey",
			"at most 32 processes may use one ordered pair of devices; or memory "
			"is short");
		return ipcshare__fail_as(IPCSHARE_ERR_LIMIT);
	}
	if (code == ACL_PARAM_INVALID) { /* which it looks at before anything else */
		ipcshare__acl_fail(acl, code, "import", "aclrtIpcMemImportByKey",
				   "the key is malformed: send all its bytes unchanged");
		return ipcshare__fail_as(IPCSHARE_ERR_PROTOCOL);
	}
	if (code == ACL_INVALID_DEVICEID)
		return ipcshare__ascend_invisible(acl, code, "import", "aclrtIpcMemImportByKey");
	key_tail(key, tail);
	snprintf(
		hint, sizeof(hint),
		"key ..%s; causes that are left: the owner has freed it or ended, this process is not "
		"on its whitelist or was put there before it started%s",
		tail, flags ? ", no link between the devices" : "");
	return ipcshare__acl_fail(acl, code, "import", "aclrtIpcMemImportByKey", hint);
}

/*
 * The import enables both directions of peer access where the owner has not done its own; then it
 * may fail for that alone: on old drivers, and between the two dies of a chip, which need none.
 */
static int import_key(struct ascend *a, const struct ipcshare__import *im, bool complete,
		      struct ascend_imported **out)
{
	const struct acl *acl = a->device.acl;
	uint64_t flags = complete ? 0 : ACL_IPC_IMPORT_PEER_ACCESS;
	int code, err;

	err = ipcshare__imported_hold(acl, a->device.id, im->key, im->length, flags, &code, out);
	if (!err && flags)
		ipcshare__ascend_completed(&a->device, im->device);
	if (flags && (code == ACL_FEATURE_NOT_SUPPORT ||
		      (code == ACL_DRV_INTERNAL && im->device < 0 &&
		       ipcshare__ascend_soc(acl->aclrtGetSocName()) == ASCEND_SOC_910C)))
		err = ipcshare__imported_hold(acl, a->device.id, im->key, im->length, 0, &code,
					      out);
	return code ? import_fail(acl, im->key, code, flags) : err;
}

static int import_one(struct ascend *a, struct ipcshare__import *im)
{
	struct ascend_imported *imported;
	bool complete;
	int err;

	if (!memchr(im->key, '\0', sizeof(im->key)))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import",
				      "send all its bytes unchanged", "a key is malformed");
	err = ipcshare__ascend_reach(&a->device, im->device, &complete);
	if (!err)
		err = import_key(a, im, complete, &imported);
	if (!err)
		im->out = (struct ipcshare__imported){ imported->base, im->length, imported };
	return err;
}

int ipcshare__ascend_import(struct ipcshare__backend *be, uint64_t endpoint,
			    struct ipcshare__import *imports, size_t n)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ipcshare_error first = { .status = 0 };
	struct ascend_entry entry;
	int err = ipcshare__ascend_enter(&a->device, "import", &entry);

	(void)endpoint;
	for (size_t i = 0; i < n; i++) {
		imports[i].status = err ? err : import_one(a, &imports[i]);
		if (imports[i].status && !first.status)
			first = *ipcshare_last_error();
	}
	if (!err)
		ipcshare__ascend_leave(&a->device, &entry);
	if (first.status)
		ipcshare__error_restore(&first);
	return first.status;
}

void ipcshare__ascend_close_import(struct ipcshare__backend *be,
				   struct ipcshare__imported *imported)
{
	struct ascend *a = ipcshare__ascend_of(be);
	const struct acl *acl = ipcshare__ascend_acl(a);
	struct ascend_entry entry = { .mode = -1 };
	int code;

	if (ipcshare__ascend_forked(&a->device))
		return;
	if (acl && ipcshare__ascend_enter(&a->device, "close", &entry))
		acl = NULL; /* the context is gone, and its mappings with it */
	code = ipcshare__imported_drop(acl, imported->priv);
	if (acl)
		ipcshare__ascend_leave(&a->device, &entry);
	if (code)
		ipcshare__log(IPCSHARE__LOG_WARN, "close: aclrtIpcMemClose returned %d (%s)", code,
			      ipcshare__acl_name(code));
}
