/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/moved.h"

#include <string.h>

#include "base/bytes.h"

void test_moved(const struct test_exchange *x, void *places)
{
	const struct ipcshare__wire_place *p = places;
	struct ipcshare__wire_hello h;

	if (x->len != sizeof(h))
		return;
	memcpy(&h, x->bytes, sizeof(h));
	if (h.magic != IPCSHARE__MAGIC_HELLO)
		return;
	h.place = p[x->from];
	h.check = ipcshare__checksum32(&h, offsetof(struct ipcshare__wire_hello, check));
	memcpy(x->bytes, &h, sizeof(h));
}
