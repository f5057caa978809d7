/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/host/free_memory.h"
#include "backend/host/sysfile.h"
#include "base/identity.h"

/* The first pid namespace of a machine has this inode on every kernel (PROC_PID_INIT_INO). */
#define FIRST_PIDNS 0xeffffffcu

static void bytes_text(uint64_t bytes, char *text, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes;
	int unit = 0;

	for (; n >= 1024 && unit < 6; unit++)
		n /= 1024;
	snprintf(text, len, n < 10 && n > (int)n ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void value_text(const struct ipcshare__limit *l, uint64_t value, char *text, size_t len)
{
	if (l->unit[0])
		bytes_text(value, text, len);
	else
		snprintf(text, len, "%" PRIu64, value);
}

static void set(struct ipcshare__limit *l, uint64_t value)
{
	l->kind = IPCSHARE__LIMIT_VALUE;
	l->value = value;
	value_text(l, value, l->text, sizeof(l->text));
}

static void set_none(struct ipcshare__limit *l)
{
	l->kind = IPCSHARE__LIMIT_NONE;
	snprintf(l->text, sizeof(l->text), "unlimited");
}

/* ---- Of this process ---- */

static void read_rlimit(struct ipcshare__limit *l, int resource)
{
	char hard[32] = "any value";
	struct rlimit r;
	size_t used;

	if (getrlimit(resource, &r))
		return;
	if (r.rlim_cur == RLIM_INFINITY) {
		set_none(l);
		return;
	}
	set(l, r.rlim_cur);
	if (r.rlim_max == r.rlim_cur)
		return;
	if (r.rlim_max != RLIM_INFINITY)
		value_text(l, r.rlim_max, hard, sizeof(hard));
	used = strlen(l->text);
	snprintf(l->text + used, sizeof(l->text) - used, ", up to %s", hard);
}

static void read_files(struct ipcshare__limit *l)
{
	read_rlimit(l, RLIMIT_NOFILE);
}

static void read_address_space(struct ipcshare__limit *l)
{
	read_rlimit(l, RLIMIT_AS);
}

static void read_locked(struct ipcshare__limit *l)
{
	read_rlimit(l, RLIMIT_MEMLOCK);
}

static void read_threads(struct ipcshare__limit *l)
{
	read_rlimit(l, RLIMIT_NPROC);
}

static void read_mappings(struct ipcshare__limit *l)
{
	uint64_t value;

	if (!ipcshare__sysfile_number("/proc/sys/vm/max_map_count", &value))
		set(l, value);
}

/* ---- Memory ---- */

static void read_free_memory(struct ipcshare__limit *l)
{
	uint64_t total = ipcshare__machine_available();

	if (total != UINT64_MAX)
		set(l, total);
}

static void read_cgroup_memory(struct ipcshare__limit *l)
{
	struct ipcshare__cgroup_memory cgroup;

	if (ipcshare__cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup", &cgroup))
		return;
	if (cgroup.limit == UINT64_MAX)
		set_none(l);
	else
		set(l, cgroup.limit);
}

/* ---- Who sees whom ---- */

static void read_ptrace(struct ipcshare__limit *l)
{
	static const char *const meaning[] = { "same user", "parents only", "root only", "nobody" };
	uint64_t value = 0;
	int absent = ipcshare__sysfile_number("/proc/sys/kernel/yama/ptrace_scope", &value);

	if (absent && (errno != ENOENT || access("/proc/sys/kernel", X_OK)))
		return;
	l->kind = IPCSHARE__LIMIT_VALUE;
	l->value = value;
	if (absent) /* then the rule is that of scope 0 */
		snprintf(l->text, sizeof(l->text), "no yama: %s", meaning[0]);
	else
		snprintf(l->text, sizeof(l->text), "%" PRIu64 ": %s", value,
			 meaning[value < 3 ? value : 3]);
}

static void read_pid_namespace(struct ipcshare__limit *l)
{
	uint32_t outermost = ipcshare__outermost_tgid();
	struct stat st;

	if (stat("/proc/self/ns/pid", &st))
		return;
	l->kind = IPCSHARE__LIMIT_VALUE;
	l->value = outermost;
	if (outermost != (uint32_t)getpid())
		snprintf(l->text, sizeof(l->text), "%d here, %u outside", (int)getpid(), outermost);
	else
		snprintf(l->text, sizeof(l->text),
			 st.st_ino == FIRST_PIDNS ? "the machine's first" : "of a container");
}

/* ---- The table ---- */

static const struct {
	struct ipcshare__limit about;
	void (*read)(struct ipcshare__limit *l);
} limits[IPCSHARE__LIMITS] = {
	/* clang-format off */
	[IPCSHARE__LIMIT_FILES] = {
		{ .name = "RLIMIT_NOFILE", .unit = "",
		  .bounds = "allocations: one descriptor each" },
		read_files },
	[IPCSHARE__LIMIT_MAPPINGS] = {
		{ .name = "vm.max_map_count", .unit = "",
		  .bounds = "own and imported allocations" }, read_mappings },
	[IPCSHARE__LIMIT_ADDRESS_SPACE] = {
		{ .name = "RLIMIT_AS", .unit = "bytes",
		  .bounds = "own and imported memory" },
		read_address_space },
	[IPCSHARE__LIMIT_FREE_MEMORY] = {
		{ .name = "free memory + swap", .unit = "bytes",
		  .bounds = "what all ranks can still allocate" }, read_free_memory },
	[IPCSHARE__LIMIT_CGROUP_MEMORY] = {
		{ .name = "memory cgroup", .unit = "bytes",
		  .bounds = "memory of this job or container" }, read_cgroup_memory },
	[IPCSHARE__LIMIT_LOCKED] = {
		{ .name = "RLIMIT_MEMLOCK", .unit = "bytes",
		  .bounds = "pinned memory; host pins none" },
		read_locked },
	[IPCSHARE__LIMIT_THREADS] = {
		{ .name = "RLIMIT_NPROC", .unit = "",
		  .bounds = "contexts: one thread each" }, read_threads },
	[IPCSHARE__LIMIT_PTRACE] = {
		{ .name = "yama ptrace_scope", .unit = "",
		  .bounds = "who gets past every whitelist" },
		read_ptrace },
	[IPCSHARE__LIMIT_PID_NAMESPACE] = {
		{ .name = "pid namespace", .unit = "",
		  .bounds = "where peers' process ids are valid" },
		read_pid_namespace },
	/* clang-format on */
};

void ipcshare__limit_read(enum ipcshare__limit_id id, struct ipcshare__limit *out)
{
	*out = limits[id].about;
	snprintf(out->text, sizeof(out->text), "unknown");
	limits[id].read(out);
}
