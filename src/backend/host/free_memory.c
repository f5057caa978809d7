/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/free_memory.h"

#include "backend/host/sysfile.h"

#define NO_LIMIT (UINT64_C(1) << 60) /* cgroup 1 says "unlimited" with a number beyond that */

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The sum of the lines of @path that begin with @one or @other; -1 if there is none. */
static int sum_lines(const char *path, const char *one, const char *other, uint64_t *sum)
{
	FILE *f = fopen(path, "re");
	char line[128], name[64];
	uint64_t value;
	int seen = 0;

	*sum = 0;
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %" SCNu64, name, &value) == 2 &&
		    (!strcmp(name, one) || !strcmp(name, other))) {
			*sum = add(*sum, value);
			seen = 1;
		}
	fclose(f);
	return seen ? 0 : -1;
}

/* ---- The machine ---- */

uint64_t ipcshare__machine_available(void)
{
	uint64_t kib;

	return sum_lines("/proc/meminfo", "MemAvailable:", "SwapFree:", &kib) ? UINT64_MAX
									      : kib << 10;
}

static uint64_t swap_free(void)
{
	uint64_t kib;

	return sum_lines("/proc/meminfo", "SwapFree:", "", &kib) ? 0 : kib << 10;
}

/* ---- Cgroups ---- */

/* What the two versions call their files. */
static const struct version {
	const char *folder; /* below the root */
	const char *limit, *usage;
	const char *swap_limit, *swap_usage;
	int swap_has_both; /* its swap files count memory and swap together */
	const char *cache[2]; /* in memory.stat: what makes room when room is needed */
} versions[] = {
	{ "/memory",
	  "memory.limit_in_bytes",
	  "memory.usage_in_bytes",
	  "memory.memsw.limit_in_bytes",
	  "memory.memsw.usage_in_bytes",
	  1,
	  { "total_inactive_file", "total_active_file" } },
	{ "",
	  "memory.max",
	  "memory.current",
	  "memory.swap.max",
	  "memory.swap.current",
	  0,
	  { "inactive_file", "active_file" } },
};

/* A number in a file of the cgroup; UINT64_MAX if it isn't there, or "max". */
static uint64_t number(const char *dir, const char *name)
{
	char path[700];
	uint64_t value;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return ipcshare__sysfile_number(path, &value) || value >= NO_LIMIT ? UINT64_MAX : value;
}

static uint64_t known(uint64_t value)
{
	return value == UINT64_MAX ? 0 : value;
}

/* The limit of one cgroup, and what is left below it. */
static void look_at(const char *dir, const struct version *v, struct ipcshare__cgroup_memory *out)
{
	uint64_t limit = number(dir, v->limit), used = known(number(dir, v->usage));
	uint64_t swap_limit = number(dir, v->swap_limit);
	uint64_t swap_used = known(number(dir, v->swap_usage));
	uint64_t cache, left, swap_left;
	char path[700];

	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	if (sum_lines(path, v->cache[0], v->cache[1], &cache))
		cache = 0;
	used = minus(used, cache);
	left = limit == UINT64_MAX ? UINT64_MAX : minus(limit, used);
	swap_left = swap_limit == UINT64_MAX ? UINT64_MAX : minus(swap_limit, swap_used);
	if (v->swap_has_both) /* it bounds the sum */
		left = least(add(left, swap_free()), add(swap_left, cache));
	else
		left = add(left, least(swap_left, swap_free()));
	out->limit = least(out->limit, limit);
	out->available = least(out->available, left);
}

/* The cgroup at @path, which is cut, and those above it. */
static void look_upward(const char *root, const struct version *v, char *path,
			struct ipcshare__cgroup_memory *out)
{
	char dir[600], *slash;

	if (!strcmp(path, "/"))
		*path = '\0';
	do {
		snprintf(dir, sizeof(dir), "%s%s%s", root, v->folder, path);
		look_at(dir, v, out);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
}

/* "0::/path" is cgroup 2, "4:memory:/path" is cgroup 1. */
static void take_line(const char *root, char *line, struct ipcshare__cgroup_memory *out)
{
	char *controllers = strchr(line, ':'), *path;

	line[strcspn(line, "\n")] = '\0';
	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return;
	*path++ = '\0';
	if (!controllers[1])
		look_upward(root, &versions[1], path, out);
	else if (strstr(controllers, "memory"))
		look_upward(root, &versions[0], path, out);
}

int ipcshare__cgroup_memory(const char *list, const char *root, struct ipcshare__cgroup_memory *out)
{
	FILE *f = fopen(list, "re");
	char line[512];

	*out = (struct ipcshare__cgroup_memory){ UINT64_MAX, UINT64_MAX };
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		take_line(root, line, out);
	fclose(f);
	return 0;
}

uint64_t ipcshare__memory_left(const char **whose)
{
	uint64_t machine = ipcshare__machine_available();
	struct ipcshare__cgroup_memory cgroup;

	ipcshare__cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup", &cgroup);
	*whose = cgroup.available < machine ? "the memory cgroup of the process" : "the machine";
	return cgroup.available < machine ? cgroup.available : machine;
}
