/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/topo.h"

#include <inttypes.h>
#include <ipcshare.h>
#include <sched.h>
#include <string.h>

void topo_find(struct topo *t)
{
	static uint64_t cores[TOPO_CPUS / 64];

	*t = (struct topo){ .machine = ipcshare__machine(true) };
	if (sched_getaffinity(0, sizeof(cores), (cpu_set_t *)(void *)cores))
		memset(cores, 0, sizeof(cores));
	ipcshare__place_of(t->machine, cores, TOPO_CPUS / 64, -1, &t->here);
	for (int c = 0; c < TOPO_CPUS; c++)
		t->usable[c] = cores[c / 64] >> c % 64 & 1;
}

/* ---- Names ---- */

static void size_text(uint64_t bytes, char *text, size_t len)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes;
	int u = 0;

	for (; n >= 1024 && u < 4; u++)
		n /= 1024;
	snprintf(text, len, n < 10 && n != (int)n ? "%.1f %s" : "%.0f %s", n, units[u]);
}

bool topo_is_second(const struct ipcshare__machine *m, int part)
{
	const struct ipcshare__machine_part *p = &m->parts[part];

	return part && p->kind == IPCSHARE__PART_NET && p[-1].kind == IPCSHARE__PART_NIC &&
	       p[-1].parent == p->parent && !strcmp(p[-1].address, p->address);
}

static void name_nic(const struct ipcshare__machine *m, int part, char *text, size_t len)
{
	bool has_net = part + 1 < m->nparts && topo_is_second(m, part + 1);

	snprintf(text, len, "%s%s%s", m->parts[part].name, has_net ? ", " : "",
		 has_net ? m->parts[part + 1].name : "");
}

void topo_name(const struct ipcshare__machine *m, int part, char *text, size_t len)
{
	const struct ipcshare__machine_part *p = &m->parts[part];
	char size[32] = "";

	if (p->bytes)
		size_text(p->bytes, size, sizeof(size));
	switch (p->kind) {
	case IPCSHARE__PART_MACHINE:
		snprintf(text, len, "Node");
		break;
	case IPCSHARE__PART_PACKAGE:
		snprintf(text, len, "Package %d", p->number);
		break;
	case IPCSHARE__PART_NUMA:
		snprintf(text, len, "NUMA node %d%s%s", p->number, size[0] ? ", " : "", size);
		break;
	case IPCSHARE__PART_CACHE:
		snprintf(text, len, "Cache%s%s", size[0] ? " " : "", size);
		break;
	case IPCSHARE__PART_CORE:
	case IPCSHARE__PART_CPU:
		snprintf(text, len, "%d", p->number);
		break;
	case IPCSHARE__PART_BRIDGE:
		snprintf(text, len, "PCI switch");
		break;
	case IPCSHARE__PART_NPU:
		if (p->number < 0)
			snprintf(text, len, "NPU");
		else
			snprintf(text, len, "NPU %d", p->number);
		break;
	case IPCSHARE__PART_NIC:
		name_nic(m, part, text, len);
		break;
	case IPCSHARE__PART_NET:
		snprintf(text, len, "%s", p->name);
		break;
	}
}

void topo_summary(const struct ipcshare__machine *m, char *text, size_t len)
{
	static const struct {
		const char *one, *many;
		enum ipcshare__machine_kind kind;
		bool always;
	} kinds[] = {
		{ "package", "packages", IPCSHARE__PART_PACKAGE, true },
		{ "NUMA node", "NUMA nodes", IPCSHARE__PART_NUMA, true },
		{ "core", "cores", IPCSHARE__PART_CORE, false },
		{ "hardware thread", "hardware threads", IPCSHARE__PART_CPU, true },
		{ "NPU", "NPUs", IPCSHARE__PART_NPU, false },
		{ "NIC", "NICs", IPCSHARE__PART_NIC, false },
	};
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && used < len; i++) {
		int n = ipcshare__machine_count(m, 0, kinds[i].kind);

		if (kinds[i].kind == IPCSHARE__PART_CPU &&
		    n == ipcshare__machine_count(m, 0, IPCSHARE__PART_CORE))
			continue;
		if (n || kinds[i].always)
			used += (size_t)snprintf(text + used, len - used, "%s%d %s",
						 used ? ", " : "", n,
						 n == 1 ? kinds[i].one : kinds[i].many);
	}
}

static int devices_in(const struct ipcshare__machine *m, int part)
{
	int n = 0;

	for (int i = part; i < ipcshare__machine_end(m, part); i++)
		n += m->parts[i].kind >= IPCSHARE__PART_NPU && !topo_is_second(m, i);
	return n;
}

bool topo_is_plain(const struct ipcshare__machine *m, int part)
{
	const struct ipcshare__machine_part *p = &m->parts[part];

	if (p->kind == IPCSHARE__PART_CORE)
		return ipcshare__machine_end(m, part) <=
		       part + 2; /* one thread, which has its number */
	/* What hangs at the processor itself is no nearer to each other than to all else there. */
	return p->kind == IPCSHARE__PART_BRIDGE &&
	       (m->parts[p->parent].kind != IPCSHARE__PART_BRIDGE || devices_in(m, part) < 2);
}

/* ---- Text ---- */

#define WIDTH 80

/* "0-3, 8": cores of @part, or those of them that may be used. Cut where the line ends. */
static void cores_text(const struct topo *t, int part, bool only_usable, char *text, size_t len)
{
	const struct ipcshare__machine *m = t->machine;
	int end = ipcshare__machine_end(m, part), from = -1;
	size_t used = 0;

	text[0] = '\0';
	for (int c = 0; c <= m->ncpus; c++) {
		bool in = c < m->ncpus && m->cpus[c] >= part && m->cpus[c] < end &&
			  (!only_usable || (c < TOPO_CPUS && t->usable[c]));

		if (in && from < 0)
			from = c;
		if (in || from < 0)
			continue;
		if (used + 16 > len) {
			snprintf(text + used, len - used, ", ...");
			return;
		}
		used += (size_t)snprintf(text + used, len - used, "%s%d", used ? ", " : "", from);
		if (c - 1 > from)
			used += (size_t)snprintf(text + used, len - used, "-%d", c - 1);
		from = -1;
	}
}

static void show_device(const struct ipcshare__machine *m, int part, int indent)
{
	const struct ipcshare__machine_part *p = &m->parts[part];
	int nic = p->kind == IPCSHARE__PART_NPU ? ipcshare__machine_nic(m, part) : -1;
	const char *kind = p->kind == IPCSHARE__PART_NIC   ? "NIC "
			   : p->kind == IPCSHARE__PART_NET ? "Network "
							   : "";
	char name[96];

	topo_name(m, part, name, sizeof(name));
	printf("%*s%s%-*s %s", indent, "", kind, 38 - indent - (int)strlen(kind), name, p->address);
	if (nic >= 0)
		printf("  nearest NIC %s", m->parts[nic].name);
	printf("\n");
}

static void show_part(const struct topo *t, int part, int indent)
{
	char name[64], cores[WIDTH - 45];

	topo_name(t->machine, part, name, sizeof(name));
	cores_text(t, part, false, cores, sizeof(cores));
	if (t->machine->parts[part].kind == IPCSHARE__PART_BRIDGE)
		printf("%*s%s\n", indent, "", name);
	else
		printf("%*s%-*s %s%s\n", indent, "", 38 - indent, name,
		       cores[0] ? "cores " : "no cores", cores);
}

/* What is in @part; cores are in the line of what holds them. */
static void show_inside(const struct topo *t, int part, int indent)
{
	const struct ipcshare__machine *m = t->machine;

	for (int i = part + 1; i < ipcshare__machine_end(m, part);
	     i = ipcshare__machine_end(m, i)) {
		enum ipcshare__machine_kind kind = m->parts[i].kind;

		if (kind == IPCSHARE__PART_CORE || kind == IPCSHARE__PART_CPU ||
		    topo_is_second(m, i))
			continue;
		if (kind >= IPCSHARE__PART_NPU) {
			show_device(m, i, indent);
		} else if (topo_is_plain(m, i)) {
			show_inside(t, i, indent);
		} else {
			show_part(t, i, indent);
			show_inside(t, i, indent + 2);
		}
	}
}

static void show_here(const struct topo *t)
{
	const struct ipcshare__machine *m = t->machine;
	int numa = t->here.numa < 0 ? -1
				    : ipcshare__machine_find(m, IPCSHARE__PART_NUMA, t->here.numa),
	    nic = ipcshare__machine_nic(m, numa < 0 ? 0 : numa);
	char cores[WIDTH - 22];

	printf("\nThis process\n");
	if (!t->here.cores) {
		printf("  its cores are not known\n");
		return;
	}
	cores_text(t, 0, true, cores, sizeof(cores));
	printf("  may use %u cores%s%s\n", t->here.cores, cores[0] ? ": " : "", cores);
	if (t->here.package >= 0)
		printf("  in package %d\n", t->here.package);
	if (t->here.numa >= 0)
		printf("  in NUMA node %d\n", t->here.numa);
	if (t->here.cache >= 0)
		printf("  with the cache of core %d\n", t->here.cache);
	if (t->here.package < 0 && m->nparts > 1)
		printf("  in no single package: it is not bound to one\n");
	if (nic >= 0 && numa >= 0)
		printf("  nearest NIC %s\n", m->parts[nic].name);
}

void topo_text(const struct topo *t)
{
	char summary[128];

	topo_summary(t->machine, summary, sizeof(summary));
	printf("libipcshare %s: where things sit\n\n", ipcshare_version());
	if (t->machine->nparts == 1) {
		printf("  nothing is known of this node: there is no hwloc, or it finds nothing\n");
	} else {
		printf("Node: %s\n", summary);
		show_inside(t, 0, 2);
	}
	show_here(t);
}
