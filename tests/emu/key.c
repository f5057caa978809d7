/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys: their text, and the way from a text to its node. */
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "ipc.h"

#define FIELDS (8 + 16 + 2 + 2)

void emu_key_format(char *key, const struct emu_node *n)
{
	char text[ACL_IPC_KEY_LEN];
	int len;

	len = snprintf(text, sizeof(text), "%08x%016llx%02x%02x", (unsigned)n->creator,
		       (unsigned long long)n->counter, n->device & 0xff, 0);
	if (emu_soc_is_pod())
		len += snprintf(text + len, sizeof(text) - len, "%08x",
				emu_device_sdid((int)n->device));
	memset(text + len, '0', ACL_IPC_KEY_LEN - 1 - len);
	text[ACL_IPC_KEY_LEN - 1] = 0;
	memcpy(key, text, ACL_IPC_KEY_LEN);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int emu_key_parse(const char *key, uint64_t *counter)
{
	if (strnlen(key, ACL_IPC_KEY_LEN) != ACL_IPC_KEY_LEN - 1)
		return -1;
	for (int i = 0; i < ACL_IPC_KEY_LEN - 1; i++)
		if (hex(key[i]) < 0)
			return -1;
	*counter = 0;
	for (int i = 8; i < 24; i++)
		*counter = *counter << 4 | (uint64_t)hex(key[i]);
	_Static_assert(FIELDS == 28 && FIELDS + 8 <= ACL_IPC_KEY_LEN - 1, "the fields fit");
	return 0;
}

uint32_t emu_key_find(const char *key)
{
	char text[ACL_IPC_KEY_LEN];
	uint64_t counter;
	uint32_t i;

	if (emu_key_parse(key, &counter))
		return EMU_NONE;
	for (i = emu_table->buckets[counter % EMU_BUCKETS]; i != EMU_NONE;
	     i = emu_table->nodes[i].next) {
		const struct emu_node *n = &emu_table->nodes[i];

		if (n->counter != counter || n->state == EMU_FREE)
			continue;
		emu_key_format(text, n);
		return memcmp(text, key, sizeof(text)) ? EMU_NONE : i;
	}
	return EMU_NONE;
}
