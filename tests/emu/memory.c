/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocation: page kinds and the padding trap of contract 1.2. Each allocation has its own pages;
 * aclrtMalloc asks for 32 bytes more than the caller, so exactly 2 MiB takes two huge pages.
 */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "ipc.h"
#include "memory.h"
#include "table.h"

#define PADDING 32u
#define SMALL (1u << 20)	/* HUGE_FIRST: 4 KiB pages up to here, padding included */

/* 4 KiB, 2 MiB or 1 GiB pages; *fallback: 4 KiB will do when huge ones have run out. */
static size_t page_of(aclrtMemMallocPolicy policy, size_t padded, bool *fallback)
{
	*fallback = false;
	switch (policy & 0xff) {
	case ACL_MEM_MALLOC_HUGE_FIRST:
	case ACL_MEM_MALLOC_HUGE_FIRST_P2P:
		*fallback = true;
		return padded <= SMALL ? EMU_PAGE : EMU_HUGE;
	case ACL_MEM_MALLOC_HUGE_ONLY:
	case ACL_MEM_MALLOC_HUGE_ONLY_P2P:
		return EMU_HUGE;
	case ACL_MEM_MALLOC_NORMAL_ONLY:
	case ACL_MEM_MALLOC_NORMAL_ONLY_P2P:
		return EMU_PAGE;
	case ACL_MEM_MALLOC_HUGE1G_ONLY:
	case ACL_MEM_MALLOC_HUGE1G_ONLY_P2P:
		return EMU_GIANT;
	default:
		return 0;
	}
}

/* Takes file space and accounts for it, lock held; 0 when the device has not enough. */
static bool alloc_take(struct emu_region *r)
{
	struct emu_table *t = emu_table;
	struct emu_alloc *a;
	uint32_t huge = r->page == EMU_PAGE ? 0 : (uint32_t)(r->len / EMU_HUGE), i;
	uint64_t off = (t->next_off[r->device] + r->page - 1) & ~(uint64_t)(r->page - 1);

	if (r->len > t->machine.hbm || t->used[r->device] > t->machine.hbm - r->len)
		return false;
	if (huge && t->machine.huge_pages >= 0 &&
	    t->huge[r->device] + huge > t->machine.huge_pages)
		return false;
	if (off + r->len > EMU_TABLE_SIZE + (uint64_t)(r->device + 1) * EMU_POOL)
		return false;
	i = emu_record_take(t->allocs, sizeof(*t->allocs), &t->allocs_top, &t->allocs_hint,
			    EMU_ALLOCS);
	if (i == EMU_NONE)
		return false;
	a = &t->allocs[i];
	a->slot = emu_me;
	a->device = (uint32_t)r->device;
	a->huge = huge;
	a->off = off;
	a->len = r->len;
	t->next_off[r->device] = off + r->len;
	t->used[r->device] += r->len;
	t->huge[r->device] += huge;
	emu_state_set(&a->state, EMU_LIVE);
	r->off = off;
	r->alloc = i;
	return true;
}

static bool place(struct emu_region *r, size_t padded, size_t page)
{
	bool ok;

	r->page = page;
	r->len = (padded + r->base + page - 1) & ~(page - 1);
	emu_table_lock();
	ok = alloc_take(r);
	emu_table_unlock();
	return ok;
}

/* Fresh device memory holds anything but zeros. */
static void poison(const struct emu_region *r)
{
	size_t n = (size_t)emu_settings()->poison;

	memset(r->alias, 0xa5, n < r->len ? n : r->len);
}

static int allocate(void **p, size_t size, aclrtMemMallocPolicy policy, size_t padding)
{
	size_t padded = ((size + 31) & ~(size_t)31) + padding, page;
	struct emu_context *c;
	struct emu_region *r;
	bool fallback, ok;

	if (!p || !size)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL or no bytes");
	NEED_CONTEXT(c);
	page = page_of(policy, padded, &fallback);
	if (!page)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "policy %#x", (unsigned)policy);
	if (padded < size || padded > EMU_POOL)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "%zu bytes", size);
	r = calloc(1, sizeof(*r));
	if (!r)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
	r->kind = EMU_REGION_DEVICE;
	r->device = r->map_device = c->device;
	r->readonly = policy & ACL_MEM_ACCESS_USER_SPACE_READONLY;
	r->base = (uintptr_t)emu_settings()->base_offset;
	ok = place(r, padded, page) || (fallback && place(r, padded, EMU_PAGE));
	if (!ok) {
		free(r);
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "device %d has no %zu bytes left",
				c->device, size);
	}
	if (emu_region_enter(r)) {
		emu_table_lock();
		emu_alloc_release(r->alloc);
		emu_table_unlock();
		free(r);
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no address space");
	}
	poison(r);
	*p = (void *)r->base;
	return 0;
}

aclError aclrtMalloc(void **p, size_t size, aclrtMemMallocPolicy policy)
{
	ENTER(aclrtMalloc);
	return allocate(p, size, policy, PADDING);
}

aclError aclrtMallocAlign32(void **p, size_t size, aclrtMemMallocPolicy policy)
{
	ENTER(aclrtMallocAlign32);
	return allocate(p, size, policy, 0);
}

void emu_memory_release(struct emu_region *r)
{
	emu_ipc_source_freed(r);	/* importers lose it before its pages go */
	emu_table_lock();
	emu_alloc_release(r->alloc);
	emu_table_unlock();
	emu_region_leave(r);
}

/* The region of @kind that starts at @p, not borrowed, or NULL. */
static struct emu_region *region_at(void *p, enum emu_region_kind kind)
{
	struct emu_region *r = emu_region_get(p, 0);

	if (!r)
		return NULL;
	emu_region_put(r);
	return r->kind == kind && r->base == (uintptr_t)p ? r : NULL;
}

aclError aclrtFree(void *p)
{
	struct emu_context *c;
	struct emu_region *r;

	ENTER(aclrtFree);
	if (!p)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	r = region_at(p, EMU_REGION_DEVICE);
	if (!r)		/* an imported pointer is no allocation either */
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%p is no allocation's start", p);
	emu_memory_release(r);
	return 0;
}

aclError aclrtMallocHost(void **p, size_t size)
{
	struct emu_context *c;
	struct emu_region *r;
	void *mem;

	ENTER(aclrtMallocHost);
	if (!p || !size)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL or no bytes");
	NEED_CONTEXT(c);
	size = (size + EMU_PAGE - 1) & ~(size_t)(EMU_PAGE - 1);
	r = size ? calloc(1, sizeof(*r)) : NULL;
	if (!r || posix_memalign(&mem, EMU_PAGE, size)) {
		free(r);
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
	}
	r->kind = EMU_REGION_HOST;
	r->va = (uintptr_t)mem;
	r->len = size;
	r->page = EMU_PAGE;
	r->device = r->map_device = -1;
	if (emu_region_enter(r)) {
		free(mem);
		free(r);
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
	}
	*p = mem;
	return 0;
}

aclError aclrtFreeHost(void *p)
{
	struct emu_region *r;

	ENTER(aclrtFreeHost);
	if (!p)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	r = region_at(p, EMU_REGION_HOST);
	if (!r)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%p is not pinned memory's start", p);
	emu_region_leave(r);
	return 0;
}

aclError aclrtPointerGetAttributes(const void *p, aclrtPtrAttributes *attr)
{
	struct emu_context *c;
	struct emu_region *r;

	ENTER(aclrtPointerGetAttributes);
	if (!p || !attr)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	memset(attr, 0, sizeof(*attr));
	attr->location.type = ACL_MEM_LOCATION_TYPE_UNREGISTERED;
	r = emu_region_get(p, 0);
	if (!r)
		return 0;
	attr->pageSize = (uint32_t)r->page;
	if (r->kind == EMU_REGION_HOST)
		attr->location.type = ACL_MEM_LOCATION_TYPE_HOST;
	if (r->kind == EMU_REGION_DEVICE)
		attr->location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
	if (r->kind == EMU_REGION_IMPORT)	/* 1 or 3: depends on the release (1.9.4) */
		attr->location.type = (aclrtMemLocationType)emu_settings()->import_type;
	if (r->map_device >= 0)
		attr->location.id = (uint32_t)emu_device_to_user(r->map_device);
	emu_region_put(r);
	return 0;
}

aclError aclrtMemGetAddressRange(void *p, void **base, size_t *size)
{
	struct emu_context *c;
	struct emu_region *r;

	ENTER(aclrtMemGetAddressRange);
	if (!p || (!base && !size))
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	r = emu_region_get(p, 0);
	if (!r || r->kind == EMU_REGION_IMPORT) {
		if (r)
			emu_region_put(r);
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%p is not an allocation's", p);
	}
	if (base)
		*base = (void *)r->base;
	if (size)
		*size = r->va + r->len - r->base;
	emu_region_put(r);
	return 0;
}
