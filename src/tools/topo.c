/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/topo.h"

#include <inttypes.h>
#include <ipcshare.h>
#include <sched.h>
#include <string.h>

void topo_find(const struct ranks *ranks, struct topo *t)
{
	*t = (struct topo){ .machine = ipcshare__machine(true), .ranks = ranks };
	if (sched_getaffinity(0, sizeof(t->usable), (cpu_set_t *)(void *)t->usable))
		memset(t->usable, 0, sizeof(t->usable));
	ipcshare__place_of(t->machine, t->usable, RANKS_CPUS / 64, -1, &t->here);
	for (int r = 0; ranks && r < ranks->n; r++)
		for (int w = 0; w < RANKS_CPUS / 64; w++)
			t->usable[w] |= ranks->rank[r].cores[w];
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

void topo_cores(const uint64_t *cores, char *text, size_t len)
{
	size_t used = 0;
	int from = -1;

	text[0] = '\0';
	for (int c = 0; c <= RANKS_CPUS; c++) {
		char range[32];

		if (topo_has(cores, c))
			from = from < 0 ? c : from;
		if (topo_has(cores, c) || from < 0)
			continue;
		snprintf(range, sizeof(range), from < c - 1 ? "%s%d-%d" : "%s%d", used ? ", " : "",
			 from, c - 1);
		if (used + strlen(range) + sizeof(", ...") > len) {
			snprintf(text + used, len - used, used ? ", ..." : "...");
			return;
		}
		used += (size_t)snprintf(text + used, len - used, "%s", range);
		from = -1;
	}
}

static void cores_of(const struct ipcshare__machine *m, int part, char *text, size_t len)
{
	uint64_t cores[RANKS_CPUS / 64] = { 0 };

	for (int c = 0; c < m->ncpus && c < RANKS_CPUS; c++)
		if (m->cpus[c] >= part && m->cpus[c] < ipcshare__machine_end(m, part))
			cores[c / 64] |= (uint64_t)1 << c % 64;
	topo_cores(cores, text, len);
}

static void show_device(const struct ipcshare__machine *m, int part, int indent, FILE *out)
{
	const struct ipcshare__machine_part *p = &m->parts[part];
	int nic = p->kind == IPCSHARE__PART_NPU ? ipcshare__machine_nic(m, part) : -1;
	const char *kind = p->kind == IPCSHARE__PART_NIC   ? "NIC "
			   : p->kind == IPCSHARE__PART_NET ? "Network "
							   : "";
	char name[96];

	topo_name(m, part, name, sizeof(name));
	fprintf(out, "%*s%s%-*s %s", indent, "", kind, 38 - indent - (int)strlen(kind), name,
		p->address);
	if (nic >= 0)
		fprintf(out, "  nearest NIC %s", m->parts[nic].name);
	fprintf(out, "\n");
}

static void show_part(const struct ipcshare__machine *m, int part, int indent, FILE *out)
{
	char name[64], cores[WIDTH - 45];

	topo_name(m, part, name, sizeof(name));
	cores_of(m, part, cores, sizeof(cores));
	if (m->parts[part].kind == IPCSHARE__PART_BRIDGE)
		fprintf(out, "%*s%s\n", indent, "", name);
	else
		fprintf(out, "%*s%-*s %s%s\n", indent, "", 38 - indent, name,
			cores[0] ? "cores " : "no cores", cores);
}

/* What is in @part; cores are in the line of what holds them. */
static void show_inside(const struct ipcshare__machine *m, int part, int indent, FILE *out)
{
	for (int i = part + 1; i < ipcshare__machine_end(m, part);
	     i = ipcshare__machine_end(m, i)) {
		enum ipcshare__machine_kind kind = m->parts[i].kind;

		if (kind == IPCSHARE__PART_CORE || kind == IPCSHARE__PART_CPU ||
		    topo_is_second(m, i))
			continue;
		if (kind >= IPCSHARE__PART_NPU) {
			show_device(m, i, indent, out);
		} else if (topo_is_plain(m, i)) {
			show_inside(m, i, indent, out);
		} else {
			show_part(m, i, indent, out);
			show_inside(m, i, indent + 2, out);
		}
	}
}

static void show_here(const struct topo *t, FILE *out)
{
	const struct ipcshare__machine *m = t->machine;
	int numa = t->here.numa < 0 ? -1
				    : ipcshare__machine_find(m, IPCSHARE__PART_NUMA, t->here.numa),
	    nic = ipcshare__machine_nic(m, numa < 0 ? 0 : numa);
	char cores[WIDTH - 22];

	fprintf(out, "\nThis process\n");
	if (!t->here.cores) {
		fprintf(out, "  its cores are not known\n");
		return;
	}
	topo_cores(t->usable, cores, sizeof(cores));
	fprintf(out, "  may use %u cores%s%s\n", t->here.cores, cores[0] ? ": " : "", cores);
	if (t->here.package >= 0)
		fprintf(out, "  in package %d\n", t->here.package);
	if (t->here.numa >= 0)
		fprintf(out, "  in NUMA node %d\n", t->here.numa);
	if (t->here.cache >= 0)
		fprintf(out, "  with the cache of core %d\n", t->here.cache);
	if (t->here.package < 0 && m->nparts > 1)
		fprintf(out, "  in no single package: it is not bound to one\n");
	if (nic >= 0 && numa >= 0)
		fprintf(out, "  nearest NIC %s\n", m->parts[nic].name);
}

void topo_text(const struct topo *t, FILE *out)
{
	char summary[128];

	topo_summary(t->machine, summary, sizeof(summary));
	fprintf(out, "libipcshare %s: where things sit\n\n", ipcshare_version());
	if (t->machine->nparts == 1) {
		fprintf(out,
			"  nothing is known of this node: there is no hwloc, or it finds nothing\n");
	} else {
		fprintf(out, "Node: %s\n", summary);
		show_inside(t->machine, 0, 2, out);
	}
	if (t->ranks)
		ranks_text(t->ranks, t->machine, out);
	else
		show_here(t, out);
}
