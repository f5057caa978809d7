/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The node as a picture: boxes in boxes, each with its name. A part is measured from what is in it, children
 * in rows, and then drawn at its place.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/ranks_svg.h"
#include "tools/svg.h"
#include "tools/topo.h"

enum {
	GAP = 8,
	PAD = 10,
	LABEL = 22, /* height of a box's own name */
	LETTER = 8, /* width of one, at 12 px and bold */
	CELL_W = 30,
	CELL_H = 22,
	DEVICE_W = 112, /* at least */
	DEVICE_H = 40,
	MARK_W = 54, /* of a rank; at a core as wide as that */
	MARK_H = 16,
	MARK_GAP = 4,
	NOT_BOUND = 80, /* width of these words */
	MARGIN = 24,
	TITLE = 44,
	LEGEND = 22, /* a line of it */
	LEGEND_LEAST = 760, /* how far its lines go */
	ROW_CELLS = 8 * (CELL_W + GAP), /* cores beside each other */
	ROW_PARTS = 2 * (ROW_CELLS + 2 * PAD) + GAP, /* caches, devices */
	ROW_NODES = 1500, /* NUMA nodes, packages */
};

struct drawing {
	const struct topo *topo;
	const struct ipcshare__machine *m;
	struct box *boxes; /* by part; x, y: in the box around it, then of the picture */
	int nranks;
	int *homes, *npus; /* by rank: the parts that it is marked at */
	FILE *out;
};

static bool is_device(const struct ipcshare__machine *m, int part)
{
	return m->parts[part].kind >= IPCSHARE__PART_NPU;
}

static bool is_leaf(const struct ipcshare__machine *m, int part)
{
	return is_device(m, part) || m->parts[part].kind == IPCSHARE__PART_CPU;
}

/* Has it a border and a name? */
static bool is_framed(const struct ipcshare__machine *m, int part)
{
	return part && !is_leaf(m, part) && !topo_is_plain(m, part);
}

/* ---- Ranks ---- */

static bool is_at(const struct drawing *d, int rank, int part)
{
	return d->homes[rank] == part || d->npus[rank] == part;
}

static int mark_width(const struct drawing *d, int part)
{
	return d->m->parts[part].kind == IPCSHARE__PART_CPU ? CELL_W : MARK_W;
}

static int marks_in_row(const struct drawing *d, int part, int width)
{
	int n = (width - (part ? 0 : NOT_BOUND) + MARK_GAP) / (mark_width(d, part) + MARK_GAP);

	return n > 1 ? n : 1;
}

/* Of the rows that the marks at a part take, and the gap beside them. */
static int marks_height(const struct drawing *d, int part, int width)
{
	int n = 0, in_row = marks_in_row(d, part, width);

	for (int r = 0; r < d->nranks; r++)
		n += is_at(d, r, part);
	return (n + in_row - 1) / in_row * (MARK_H + MARK_GAP);
}

static void draw_mark(struct drawing *d, const struct box *b, int rank)
{
	char name[24];

	snprintf(name, sizeof(name), b->w < MARK_W ? "r%d" : "rank %d", rank);
	svg_rect(d->out, b, PURPLE, PURPLE, "");
	svg_text(d->out, b->x + b->w / 2, b->y + 12, MIDDLE SMALL "fill='" WHITE "'", name);
}

/* From @x, @y on. */
static void draw_marks(struct drawing *d, int part, int x, int y, int width)
{
	struct box b = { .w = mark_width(d, part), .h = MARK_H };
	int n = 0, in_row = marks_in_row(d, part, width);

	for (int r = 0; r < d->nranks; r++) {
		if (!is_at(d, r, part))
			continue;
		if (!n && !part)
			svg_text(d->out, x, y + 12, BOLD, "Not bound:");
		b.x = x + (part ? 0 : NOT_BOUND) + n % in_row * (b.w + MARK_GAP);
		b.y = y + n / in_row * (MARK_H + MARK_GAP);
		draw_mark(d, &b, r);
		n++;
	}
}

static int place_marks(struct drawing *d)
{
	const struct ranks *r = d->topo->ranks;

	d->nranks = r ? r->n : 0;
	d->homes = calloc((size_t)d->nranks + 1, sizeof(*d->homes));
	d->npus = calloc((size_t)d->nranks + 1, sizeof(*d->npus));
	for (int i = 0; d->homes && d->npus && i < d->nranks; i++) {
		d->homes[i] = ranks_home(d->m, &r->rank[i]);
		d->npus[i] = ranks_npu(d->m, &r->rank[i]);
	}
	return d->homes && d->npus ? 0 : -1;
}

/* ---- Measured ---- */

static int row_of(enum ipcshare__machine_kind kind)
{
	switch (kind) {
	case IPCSHARE__PART_CORE:
	case IPCSHARE__PART_CACHE:
		return ROW_CELLS;
	case IPCSHARE__PART_NUMA:
	case IPCSHARE__PART_BRIDGE:
		return ROW_PARTS;
	default:
		return ROW_NODES;
	}
}

static int device_width(const struct ipcshare__machine *m, int part)
{
	char name[96];

	topo_name(m, part, name, sizeof(name));
	return (int)strlen(name) * LETTER + 2 * PAD;
}

static int gap_beside(const struct ipcshare__machine *m, int part)
{
	return is_leaf(m, part) && !is_device(m, part) ? GAP / 2 : GAP;
}

/* Children in rows: on a new one if there is no room, and where devices begin. */
static void measure_children(struct drawing *d, int part, struct box *inside)
{
	const struct ipcshare__machine *m = d->m;
	int x = 0, y = 0, high = 0, last = -1, row = row_of(m->parts[part].kind);

	for (int i = part + 1; i < ipcshare__machine_end(m, part);
	     i = ipcshare__machine_end(m, i)) {
		struct box *b = &d->boxes[i];
		bool devices = m->parts[i].kind >= IPCSHARE__PART_BRIDGE;

		if (!b->w)
			continue;
		if (x && (x + b->w > row ||
			  (last >= 0 && devices && m->parts[last].kind < IPCSHARE__PART_BRIDGE))) {
			y += high + gap_beside(m, last);
			x = high = 0;
		}
		b->x = x;
		b->y = y;
		x += b->w + gap_beside(m, i);
		high = b->h > high ? b->h : high;
		if (b->x + b->w > inside->w)
			inside->w = b->x + b->w;
		inside->h = y + high;
		last = i;
	}
}

static void measure(struct drawing *d, int part)
{
	const struct ipcshare__machine *m = d->m;
	struct box inside = { 0 }, *b = &d->boxes[part];
	char name[64];
	int label;

	if (topo_is_second(m, part))
		return;
	if (m->parts[part].kind == IPCSHARE__PART_CPU) {
		b->w = CELL_W;
		b->h = CELL_H + marks_height(d, part, CELL_W);
		return;
	}
	if (is_device(m, part)) {
		b->w = device_width(m, part) > DEVICE_W ? device_width(m, part) : DEVICE_W;
		b->h = DEVICE_H + marks_height(d, part, b->w);
		return;
	}
	measure_children(d, part, &inside);
	if (!part && d->nranks && inside.w < NOT_BOUND + 4 * (MARK_W + MARK_GAP))
		inside.w = NOT_BOUND + 4 * (MARK_W + MARK_GAP);
	inside.h += marks_height(d, part, inside.w);
	*b = inside;
	if (!is_framed(m, part))
		return;
	topo_name(m, part, name, sizeof(name));
	label = m->parts[part].kind == IPCSHARE__PART_CORE ? 0 : LABEL;
	if (label && b->w < (int)strlen(name) * LETTER)
		b->w = (int)strlen(name) * LETTER;
	b->w += label ? 2 * PAD : 4;
	b->h += label ? label + PAD + (inside.h ? 0 : -4) : 4;
}

/* ---- Drawn ---- */

static void draw_cpu(struct drawing *d, int part)
{
	const struct box b = { d->boxes[part].x, d->boxes[part].y, CELL_W, CELL_H };
	bool usable = topo_has(d->topo->usable, d->m->parts[part].number);
	char name[64];

	topo_name(d->m, part, name, sizeof(name));
	svg_rect(d->out, &b, usable ? BLUE : WHITE, usable ? BLUE : PALE, "");
	svg_text(d->out, b.x + b.w / 2, b.y + 15,
		 usable ? MIDDLE "font-size='11' fill='" WHITE "'" : MIDDLE NOTE, name);
	draw_marks(d, part, b.x, b.y + CELL_H + MARK_GAP, CELL_W);
}

static void draw_device(struct drawing *d, int part)
{
	const struct ipcshare__machine_part *p = &d->m->parts[part];
	const struct box b = { d->boxes[part].x, d->boxes[part].y, d->boxes[part].w, DEVICE_H };
	int nic = p->kind == IPCSHARE__PART_NPU ? ipcshare__machine_nic(d->m, part) : -1;
	const char *colour = p->kind == IPCSHARE__PART_NPU   ? GREEN
			     : p->kind == IPCSHARE__PART_NIC ? ORANGE
							     : GREY;
	char name[96], second[80];

	topo_name(d->m, part, name, sizeof(name));
	if (nic >= 0)
		snprintf(second, sizeof(second), "NIC %s", d->m->parts[nic].name);
	else
		snprintf(second, sizeof(second), "%s", p->address);
	svg_rect(d->out, &b, WHITE, colour, " stroke-width='1.5'");
	svg_text(d->out, b.x + b.w / 2, b.y + 17, MIDDLE BOLD, name);
	svg_text(d->out, b.x + b.w / 2, b.y + 32, MIDDLE SMALL "fill='" GREY "'", second);
	draw_marks(d, part, b.x, b.y + DEVICE_H + MARK_GAP, b.w);
}

static void draw_frame(struct drawing *d, int part)
{
	enum ipcshare__machine_kind kind = d->m->parts[part].kind;
	const struct box *b = &d->boxes[part];
	char name[64];

	svg_rect(d->out, b,
		 kind == IPCSHARE__PART_NUMA || kind == IPCSHARE__PART_CORE ? WHITE : LIGHT,
		 kind == IPCSHARE__PART_CORE || kind == IPCSHARE__PART_CACHE ? PALE : GREY,
		 kind == IPCSHARE__PART_BRIDGE ? " stroke-dasharray='4 3'" : "");
	if (kind == IPCSHARE__PART_CORE)
		return;
	topo_name(d->m, part, name, sizeof(name));
	svg_text(d->out, b->x + PAD, b->y + 16, kind <= IPCSHARE__PART_NUMA ? BOLD : "", name);
}

/* @x, @y: of what holds it. */
static void draw(struct drawing *d, int part, int x, int y)
{
	const struct ipcshare__machine *m = d->m;
	struct box *b = &d->boxes[part];
	int dx = 0, dy = 0, width;

	if (!b->w)
		return;
	b->x += x;
	b->y += y;
	if (is_leaf(m, part)) {
		if (is_device(m, part))
			draw_device(d, part);
		else
			draw_cpu(d, part);
		return;
	}
	if (is_framed(m, part)) {
		draw_frame(d, part);
		dx = m->parts[part].kind == IPCSHARE__PART_CORE ? 2 : PAD;
		dy = m->parts[part].kind == IPCSHARE__PART_CORE ? 2 : LABEL;
	}
	width = b->w - 2 * dx;
	draw_marks(d, part, b->x + dx, b->y + dy, width);
	dy += marks_height(d, part, width);
	for (int i = part + 1; i < ipcshare__machine_end(m, part); i = ipcshare__machine_end(m, i))
		draw(d, i, b->x + dx, b->y + dy);
}

/* ---- What the colours mean ---- */

struct entry {
	const char *fill, *line, *words;
	bool shown;
};

static int entry_width(const struct entry *e)
{
	return 22 + (int)strlen(e->words) * 6 + 3 * GAP;
}

/* Of what there is, from @y on: its height. Without @drawn only that is worked out. */
static int legend(struct drawing *d, int y, int width, bool drawn)
{
	const struct ipcshare__machine *m = d->m;
	const bool has_npu = ipcshare__machine_count(m, 0, IPCSHARE__PART_NPU) > 0,
		   has_nic = ipcshare__machine_count(m, 0, IPCSHARE__PART_NIC) > 0,
		   ranks = d->nranks > 0;
	const struct entry entries[] = {
		{ PURPLE, PURPLE, "rank, at the cores that it may use", ranks && !has_npu },
		{ PURPLE, PURPLE, "rank, at the cores that it may use and below its NPU",
		  ranks && has_npu },
		{ BLUE, BLUE, "core a rank may use", ranks },
		{ BLUE, BLUE, "core this process may use", !ranks },
		{ WHITE, PALE, "other core", true },
		{ WHITE, GREEN, "NPU, and the NIC nearest to it", has_npu && has_nic },
		{ WHITE, GREEN, "NPU, and its PCI address", has_npu && !has_nic },
		{ WHITE, ORANGE, "NIC (verbs device), and its PCI address", has_nic },
		{ WHITE, GREY, "network interface",
		  ipcshare__machine_count(m, 0, IPCSHARE__PART_NET) > 0 },
	};
	int x = 0, line = 0;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const struct entry *e = &entries[i];
		struct box b = { .w = 16, .h = 14 };

		if (!e->shown)
			continue;
		if (x && x + entry_width(e) > width) {
			x = 0;
			line++;
		}
		b.x = MARGIN + x;
		b.y = y + line * LEGEND;
		if (drawn) {
			svg_rect(d->out, &b, e->fill, e->line, "");
			svg_text(d->out, b.x + 22, b.y + 11, NOTE, e->words);
		}
		x += entry_width(e);
	}
	return (line + 1) * LEGEND;
}

/* ---- All of it ---- */

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* The node, what its colours mean, and what the ranks have found out. */
static int draw_all(struct drawing *d)
{
	const struct box *node = &d->boxes[0];
	const struct ranks *ranks = d->topo->ranks;
	struct box matrices = { 0 };
	int width, y = TITLE + node->h + 18, high;
	char summary[128];

	topo_summary(d->m, summary, sizeof(summary));
	width = larger(larger(node->w, (int)strlen(summary) * 9), LEGEND_LEAST);
	high = legend(d, y, width, false);
	if (ranks && ranks_svg(ranks, NULL, &matrices))
		return -1;
	svg_begin(d->out, larger(width, matrices.w) + 2 * MARGIN, y + high + matrices.h + MARGIN);
	svg_text(d->out, MARGIN, 28, "font-size='16'", summary);
	draw(d, 0, MARGIN, TITLE);
	legend(d, y, width, true);
	matrices.x = MARGIN;
	matrices.y = y + high;
	if (ranks && ranks_svg(ranks, d->out, &matrices))
		return -1;
	return svg_end(d->out);
}

int topo_svg(const struct topo *t, FILE *out)
{
	struct drawing d = { .topo = t, .m = t->machine, .out = out };
	int bad = place_marks(&d);

	d.boxes = calloc((size_t)d.m->nparts, sizeof(*d.boxes));
	if (!bad && d.boxes) {
		for (int i = d.m->nparts - 1; i >= 0; i--) /* children first */
			measure(&d, i);
		bad = draw_all(&d);
	}
	bad |= !d.boxes;
	free(d.boxes);
	free(d.homes);
	free(d.npus);
	return bad ? -1 : 0;
}
