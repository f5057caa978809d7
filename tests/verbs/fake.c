/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/test.h"

struct fake_verbs fake;
struct ibv_pd fake_pd;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ibv_device devices[2] = { { .name = "fake0" }, { .name = "fake1" } };
static struct ibv_context context;

struct registration {
	struct ibv_mr mr; /* first */
	struct registration *next;
};
static struct registration *all; /* that the device has */

void fake_reset(void)
{
	while (all) {
		struct registration *r = all;

		all = r->next;
		free(r);
	}
	fake = (struct fake_verbs){ .devices = 2 };
}

/* The whole of it is still there. */
static int is_mapped(const void *addr, size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (length + page - 1) / page;
	unsigned char *seen = malloc(pages);
	int mapped = mincore((void *)(uintptr_t)addr, length, seen) == 0;

	free(seen);
	return mapped;
}

static struct ibv_mr *make(struct ibv_pd *pd, void *addr, size_t length)
{
	static uint32_t keys;
	struct registration *r = NULL;

	if (fake.making)
		fake.making();
	pthread_mutex_lock(&lock);
	if (fake.fails) {
		fake.fails--;
		errno = fake.error;
	} else {
		r = calloc(1, sizeof(*r));
		r->mr = (struct ibv_mr){ .pd = pd, .addr = addr, .length = length };
		r->mr.lkey = ++keys;
		r->mr.rkey = keys << 8;
		r->next = all;
		all = r;
		fake.made++;
		fake.lost += !is_mapped(addr, length);
	}
	pthread_mutex_unlock(&lock);
	return r ? &r->mr : NULL;
}

/* ibv_reg_mr() is a macro, and calls either. */
#undef ibv_reg_mr
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	(void)access;
	return make(pd, addr, length);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				unsigned access)
{
	(void)access;
	CHECK_INT(iova, (uintptr_t)addr);
	return make(pd, addr, length);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	struct registration **at = &all, *r = NULL;
	int error;

	if (fake.ending)
		fake.ending(mr->addr);
	pthread_mutex_lock(&lock);
	while (*at && &(*at)->mr != mr)
		at = &(*at)->next;
	error = fake.end_error;
	fake.lost += !is_mapped(mr->addr, mr->length);
	if (!error) {
		fake.ended++;
		r = *at;
		*at = r->next;
	}
	pthread_mutex_unlock(&lock);
	free(r);
	return error;
}

struct ibv_device **ibv_get_device_list(int *n)
{
	struct ibv_device **list;

	errno = ENOSYS;
	if (fake.no_list)
		return NULL;
	list = calloc(3, sizeof(struct ibv_device *));
	for (int i = 0; i < fake.devices; i++)
		list[i] = &devices[i];
	if (n)
		*n = fake.devices;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	errno = fake.open_error;
	context.device = device;
	return fake.open_error ? NULL : &context;
}
