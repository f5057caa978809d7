/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The node as a picture: boxes in boxes, each with its name. A part is measured from what is in it, children
 * in rows, and then drawn at its place.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/topo.h"

/* As the plots of the bench have them. */
#define BLUE "#1f6feb"
#define GREEN "#1a7f37"
#define ORANGE "#bc4c00"
#define BLACK "#24292f"
#define GREY "#57606a"
#define PALE "#c4ccd4"
#define LIGHT "#f6f8fa"

enum {
	GAP = 8,
	PAD = 10,
	LABEL = 22, /* height of a box's own name */
	LETTER = 8, /* width of one, at 12 px and bold */
	CELL_W = 30,
	CELL_H = 22,
	DEVICE_W = 112, /* at least */
	DEVICE_H = 40,
	MARGIN = 24,
	TITLE = 44,
	LEGEND = 36,
	ROW_CELLS = 8 * (CELL_W + GAP), /* cores beside each other */
	ROW_PARTS = 2 * (ROW_CELLS + 2 * PAD) + GAP, /* caches, devices */
	ROW_NODES = 1500, /* NUMA nodes, packages */
};

struct box {
	int x, y, w, h; /* x, y: in the box around it, then of the picture */
};

struct drawing {
	const struct topo *topo;
	const struct ipcshare__machine *m;
	struct box *boxes; /* by part */
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
		b->h = CELL_H;
		return;
	}
	if (is_device(m, part)) {
		b->w = device_width(m, part) > DEVICE_W ? device_width(m, part) : DEVICE_W;
		b->h = DEVICE_H;
		return;
	}
	measure_children(d, part, &inside);
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

static void rect(struct drawing *d, const struct box *b, const char *fill, const char *line,
		 const char *more)
{
	fprintf(d->out,
		"<rect x='%d' y='%d' width='%d' height='%d' rx='4' fill='%s' stroke='%s'%s/>\n",
		b->x, b->y, b->w, b->h, fill, line, more);
}

/* Names come from the system: what XML would take for its own is not passed on. */
static void text(struct drawing *d, int x, int y, const char *style, const char *words)
{
	fprintf(d->out, "<text x='%d' y='%d' %s>", x, y, style);
	for (; *words; words++)
		fputc(strchr("<>&", *words) || (unsigned char)*words < ' ' ? '?' : *words, d->out);
	fprintf(d->out, "</text>\n");
}

#define MIDDLE "text-anchor='middle' "
#define SMALL "font-size='10' "

static void draw_cpu(struct drawing *d, int part)
{
	const struct box *b = &d->boxes[part];
	int number = d->m->parts[part].number;
	bool usable = number >= 0 && number < TOPO_CPUS && d->topo->usable[number];
	char name[64];

	topo_name(d->m, part, name, sizeof(name));
	rect(d, b, usable ? BLUE : "#ffffff", usable ? BLUE : PALE, "");
	text(d, b->x + b->w / 2, b->y + 15,
	     usable ? MIDDLE "font-size='11' fill='#ffffff'"
		    : MIDDLE "font-size='11' fill='" GREY "'",
	     name);
}

static void draw_device(struct drawing *d, int part)
{
	const struct ipcshare__machine_part *p = &d->m->parts[part];
	const struct box *b = &d->boxes[part];
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
	rect(d, b, "#ffffff", colour, " stroke-width='1.5'");
	text(d, b->x + b->w / 2, b->y + 17, MIDDLE "font-weight='bold'", name);
	text(d, b->x + b->w / 2, b->y + 32, MIDDLE SMALL "fill='" GREY "'", second);
}

static void draw_frame(struct drawing *d, int part)
{
	enum ipcshare__machine_kind kind = d->m->parts[part].kind;
	const struct box *b = &d->boxes[part];
	char name[64];

	rect(d, b, kind == IPCSHARE__PART_NUMA || kind == IPCSHARE__PART_CORE ? "#ffffff" : LIGHT,
	     kind == IPCSHARE__PART_CORE || kind == IPCSHARE__PART_CACHE ? PALE : GREY,
	     kind == IPCSHARE__PART_BRIDGE ? " stroke-dasharray='4 3'" : "");
	if (kind == IPCSHARE__PART_CORE)
		return;
	topo_name(d->m, part, name, sizeof(name));
	text(d, b->x + PAD, b->y + 16, kind <= IPCSHARE__PART_NUMA ? "font-weight='bold'" : "",
	     name);
}

/* @x, @y: of what holds it. */
static void draw(struct drawing *d, int part, int x, int y)
{
	const struct ipcshare__machine *m = d->m;
	struct box *b = &d->boxes[part];
	int dx = 0, dy = 0;

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

/* Of what there is. Without a place only its width is worked out, which is returned. */
static int legend(struct drawing *d, const struct box *at)
{
	const struct ipcshare__machine *m = d->m;
	const bool has_npu = ipcshare__machine_count(m, 0, IPCSHARE__PART_NPU) > 0,
		   has_nic = ipcshare__machine_count(m, 0, IPCSHARE__PART_NIC) > 0;
	const struct entry entries[] = {
		{ BLUE, BLUE, "core this process may use", true },
		{ "#ffffff", PALE, "other core", true },
		{ "#ffffff", GREEN, "NPU, and the NIC nearest to it", has_npu && has_nic },
		{ "#ffffff", GREEN, "NPU, and its PCI address", has_npu && !has_nic },
		{ "#ffffff", ORANGE, "NIC (verbs device), and its PCI address", has_nic },
		{ "#ffffff", GREY, "network interface",
		  ipcshare__machine_count(m, 0, IPCSHARE__PART_NET) > 0 },
	};
	int x = 0;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const struct entry *e = &entries[i];

		if (!e->shown)
			continue;
		if (at) {
			rect(d, &(struct box){ at->x + x, at->y, 16, 14 }, e->fill, e->line, "");
			text(d, at->x + x + 22, at->y + 11, "font-size='11' fill='" GREY "'",
			     e->words);
		}
		x += entry_width(e);
	}
	return x;
}

int topo_svg(const struct topo *t, FILE *out)
{
	struct drawing d = { .topo = t, .m = t->machine, .out = out };
	int width, height, wide = legend(&d, NULL);
	char summary[128];

	d.boxes = calloc((size_t)d.m->nparts, sizeof(*d.boxes));
	if (!d.boxes)
		return -1;
	for (int i = d.m->nparts - 1; i >= 0; i--) /* children first */
		measure(&d, i);
	width = (d.boxes[0].w > wide ? d.boxes[0].w : wide) + 2 * MARGIN;
	height = TITLE + d.boxes[0].h + LEGEND + MARGIN;
	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"viewBox='0 0 %d %d' font-family='Helvetica, Arial, sans-serif' font-size='12' "
		"fill='" BLACK "'>\n<rect width='%d' height='%d' fill='#ffffff'/>\n",
		width, height, width, height, width, height);
	topo_summary(d.m, summary, sizeof(summary));
	text(&d, MARGIN, 28, "font-size='16'", summary);
	draw(&d, 0, MARGIN, TITLE);
	legend(&d, &(struct box){ .x = MARGIN, .y = TITLE + d.boxes[0].h + 18 });
	fprintf(out, "</svg>\n");
	free(d.boxes);
	return ferror(out) ? -1 : 0;
}
