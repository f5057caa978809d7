/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of a slab, without its memory. */
#include <stdlib.h>

#include "memory/region.h"
#include "memory/sizes.h"
#include "memory/slab.h"
#include "support/test.h"

#define BYTES ((size_t)1 << 30) /* the largest slab */
#define LENGTHS 3000

/* Of whole cells and of what is beside them, up to the end. */
static void check_offsets(struct ipcshare__slab *slab, size_t cell, uint32_t ncells)
{
	for (uint32_t k = 0; k < 1000; k++) {
		uint32_t i = k < 10 ? k % ncells : (uint32_t)((uint64_t)ncells * k / 1000);
		const char *p = slab->base + i * cell;

		if (ipcshare__slab_live(slab, p) != &slab->live[i] ||
		    ipcshare__slab_live(slab, p + 1) || ipcshare__slab_live(slab, p + cell / 2) ||
		    ipcshare__slab_live(slab, p + cell - 1))
			FAIL("cell %u of %zu bytes", i, cell);
	}
	CHECK_PTR(ipcshare__slab_live(slab, slab->base + ncells * cell), NULL);
	CHECK_PTR(ipcshare__slab_live(slab, slab->base + (ncells - 1) * cell),
		  &slab->live[ncells - 1]);
}

static void an_address_leads_to_its_cell_in_slabs_of_every_size(void)
{
	struct ipcshare__region region = { .mem.base = (void *)((uintptr_t)1 << 40) };

	for (unsigned shift = 4; shift <= 12; shift++)
		for (uint32_t size = 0; size <= ipcshare__size_for(shift, BYTES / 4); size++) {
			size_t cell = ipcshare__size_bytes(shift, size);
			uint32_t ncells = (uint32_t)(BYTES / cell);
			struct ipcshare__slab *slab = ipcshare__slab_new(ncells);

			REQUIRE(slab != NULL, "no memory");
			ipcshare__slab_set(slab, &region, size, cell, ncells);
			check_offsets(slab, cell, ncells);
			free(slab);
		}
}

static void a_single_cell_may_be_longer_than_any_slab(void)
{
	struct ipcshare__region region = { .mem.base = (void *)((uintptr_t)1 << 40) };
	struct ipcshare__slab *slab = ipcshare__slab_new(1);

	ipcshare__slab_set(slab, &region, IPCSHARE__SIZE_OWN, (size_t)1 << 36, 1);
	CHECK_PTR(ipcshare__slab_live(slab, slab->base), slab->live);
	for (int bit = 0; bit < 36; bit++)
		CHECK_PTR(ipcshare__slab_live(slab, slab->base + ((size_t)1 << bit)), NULL);
	free(slab);
}

/* No smaller size would do, and no length gets a quarter more than it is. */
static void a_length_gets_the_least_size_that_holds_it(void)
{
	for (unsigned shift = 4; shift <= 12; shift++)
		for (size_t k = 1; k < LENGTHS; k++) {
			size_t len = k < LENGTHS / 2 ? k << shift : k * k * 97 % (BYTES / 4) + 1;
			uint32_t size = ipcshare__size_for(shift, len);
			size_t bytes = ipcshare__size_bytes(shift, size);
			size_t whole = ((len - 1) >> shift << shift) + ((size_t)1 << shift);

			if (bytes < len || bytes >= whole + (whole + 3) / 4 ||
			    (size && ipcshare__size_bytes(shift, size - 1) >= len))
				FAIL("%zu bytes get %zu", len, bytes);
		}
}

TEST_SUITE(slab, NULL, NULL,
	TEST(an_address_leads_to_its_cell_in_slabs_of_every_size),
	TEST(a_single_cell_may_be_longer_than_any_slab),
	TEST(a_length_gets_the_least_size_that_holds_it));
