/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Matrices as pictures. Ranks stand in the order in which neighbours are near each other, so what shares a
 * cache, a NUMA node or a package is a block.
 */
#include "tools/ranks_svg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The faster a pair, the darker its field. */
#define SLOW                                                                                       \
	{                                                                                          \
		0xee, 0xf4, 0xfd                                                                   \
	}
#define FAST                                                                                       \
	{                                                                                          \
		0x1f, 0x6f, 0xeb                                                                   \
	}

enum {
	TITLE = 44, /* and the gap above it */
	LABELS = 230, /* at the left: where a rank runs */
	LABELS_NPU = 120, /* the same: which NPU it has */
	TOP = 40, /* above the columns: numbers */
	LEGEND = 20, /* a line of it */
	LEGEND_W = 320,
	FIELD = 46, /* smaller where there are many */
	FIELD_LEAST = 16,
	FIELD_TEXT = 36, /* with its words in it, from this size on */
	BORDER = 8, /* between parts */
	MATRIX = 1100,
	BESIDE = 40, /* gap between the two matrices */
	BESIDE_MOST = 1200, /* how wide both may be */
};

static const struct link {
	const char *name, *fill, *words;
	bool dark;
} links[] = {
	{ "SIO", "#0b4a1f", "SIO: the two dies of one chip", true },
	{ "HCCS", "#4ac26b", "HCCS: from NPU to NPU", false },
	{ "PCIe", "#ddf4e4", "PCIe: by PCI switches", false },
	{ "none", ORANGE, "none: no link, so no sharing", true },
	{ "?", PALE, "not known", false },
};

/* One of the matrices: of all ranks, or of the first rank of each NPU. */
struct matrix {
	const struct ranks *r;
	bool is_links;
	int n, field, labels;
	int *rank, *at; /* in their order; where each one's fields begin */
	double fastest;
	FILE *out;
	struct box box; /* all of it */
};

/* ---- Measured ---- */

static bool is_listed(const struct matrix *m, int rank)
{
	for (int i = 0; m->is_links && i < m->n; i++)
		if (m->r->rank[m->rank[i]].device == m->r->rank[rank].device)
			return true;
	return false;
}

/* Does the i-th rank run in another part than the one before it? */
static bool is_border(const struct matrix *m, int i)
{
	const struct ipcshare_place *a = &m->r->rank[m->rank[i - 1]].place,
				    *b = &m->r->rank[m->rank[i]].place;

	return a->package != b->package || a->numa != b->numa || a->cache != b->cache;
}

static void line_up(struct matrix *m)
{
	int at = 0;

	for (int i = 0; i < m->r->n; i++)
		if (!is_listed(m, m->r->order[i]))
			m->rank[m->n++] = m->r->order[i];
	assert(m->n > 0);
	m->field = MATRIX / m->n < FIELD ? MATRIX / m->n : FIELD;
	if (m->field < FIELD_LEAST)
		m->field = FIELD_LEAST;
	for (int i = 0; i < m->n; i++) {
		at += i && !m->is_links && is_border(m, i) ? BORDER : 0;
		m->at[i] = at;
		at += m->field;
	}
	m->labels = m->is_links ? LABELS_NPU : LABELS;
	m->box.w = m->labels + (at > LEGEND_W ? at : LEGEND_W);
	m->box.h = TITLE + TOP + at + 5 * LEGEND;
}

static void find_fastest(struct matrix *m)
{
	for (int i = 0; !m->is_links && i < m->r->n * m->r->n; i++)
		if (!m->r->pairs[i].status && m->r->pairs[i].rate > m->fastest)
			m->fastest = m->r->pairs[i].rate;
}

/* ---- Drawn ---- */

/* From 0 on, so that small differences look small; squared, so that large ones look large. */
static void colour_of(double share, char out[8])
{
	const int slow[] = SLOW, fast[] = FAST;
	int c[3];

	for (int i = 0; i < 3; i++)
		c[i] = slow[i] + (int)((fast[i] - slow[i]) * share * share);
	snprintf(out, 8, "#%02x%02x%02x", c[0] & 0xff, c[1] & 0xff, c[2] & 0xff);
}

/* What a field looks like. */
struct look {
	char fill[8], words[16];
	bool dark, dashed;
};

static struct look look_of_link(const char *name)
{
	struct look look = { .fill = WHITE, .words = "-", .dashed = true };

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (strcmp(links[i].name, name))
			continue;
		look = (struct look){ .dark = links[i].dark };
		snprintf(look.fill, sizeof(look.fill), "%s", links[i].fill);
		snprintf(look.words, sizeof(look.words), "%s", name);
	}
	return look;
}

static struct look look_of_pair(const struct matrix *m, const struct rank_pair *pair)
{
	struct look look = { .fill = ORANGE, .words = "no", .dark = true };

	if (pair->status)
		return look;
	look.dark = pair->rate * 4 > m->fastest * 3;
	colour_of(pair->rate / m->fastest, look.fill);
	snprintf(look.words, sizeof(look.words), "%.*f", pair->rate < 99.5e9 ? 1 : 0,
		 pair->rate / 1e9);
	return look;
}

static void draw_field(const struct matrix *m, int row, int column, int x, int y)
{
	struct look look = m->is_links
				   ? look_of_link(ranks_link(m->r, m->rank[row], m->rank[column]))
				   : look_of_pair(m,
						  ranks_pair(m->r, m->rank[row], m->rank[column]));
	bool dashed = look.dashed || row == column;

	fprintf(m->out, "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'%s/>\n", x + 1, y + 1,
		m->field - 2, m->field - 2, look.fill,
		dashed ? " stroke='" GREY "' stroke-dasharray='3 2'" : "");
	if (m->field >= FIELD_TEXT)
		svg_text(m->out, x + m->field / 2, y + m->field / 2 + 4,
			 look.dark ? MIDDLE "font-size='11' fill='" WHITE "'"
				   : MIDDLE "font-size='11'",
			 look.words);
}

/* "rank 3: package 0, node 1, core 8" */
static void label_of(const struct matrix *m, int i, char *out, size_t size)
{
	const struct rank *rank = &m->r->rank[m->rank[i]];
	const struct ipcshare_place *p = &rank->place;
	size_t used;

	if (m->is_links) {
		snprintf(out, size, "NPU %d (rank %d)", rank->device, m->rank[i]);
		return;
	}
	used = (size_t)snprintf(out, size, "rank %d: ", m->rank[i]);
	if (p->package >= 0)
		used += (size_t)snprintf(out + used, size - used, "package %d, ", p->package);
	if (p->numa >= 0)
		used += (size_t)snprintf(out + used, size - used, "node %d, ", p->numa);
	if (p->cores == 1)
		snprintf(out + used, size - used, "core %d", p->first_core);
	else
		snprintf(out + used, size - used, "%d cores", p->cores);
}

static void draw_labels(const struct matrix *m, int i, int x, int y)
{
	const char *style = m->field < 18 ? END SMALL : END;
	const struct rank *rank = &m->r->rank[m->rank[i]];
	char label[96], number[16];

	label_of(m, i, label, sizeof(label));
	svg_text(m->out, x - 8, y + m->at[i] + m->field / 2 + 4, style, label);
	snprintf(number, sizeof(number), "%d", m->is_links ? rank->device : m->rank[i]);
	svg_text(m->out, x + m->at[i] + m->field / 2, y - 8, m->field < 18 ? MIDDLE SMALL : MIDDLE,
		 number);
}

static bool has_failure(const struct matrix *m)
{
	for (int i = 0; i < m->r->n * m->r->n; i++)
		if (m->r->pairs[i].status)
			return true;
	return false;
}

static void draw_scale(const struct matrix *m, int x, int y)
{
	char colour[8], words[64];

	for (int i = 0; i <= 10; i++) {
		colour_of(i / 10.0, colour);
		fprintf(m->out, "<rect x='%d' y='%d' width='14' height='12' fill='%s'/>\n",
			x + 14 * i, y, colour);
	}
	snprintf(words, sizeof(words), "0 to %.1f GB/s", m->fastest / 1e9);
	svg_text(m->out, x + 14 * 11 + 8, y + 11, NOTE, words);
	svg_text(m->out, x, y + LEGEND + 11, NOTE,
		 has_failure(m) ? "Dashed: own memory. Orange: no sharing, see the text."
				: "Dashed: own memory.");
	svg_text(m->out, x, y + 2 * LEGEND + 11, NOTE,
		 "Gaps: between caches, NUMA nodes, packages.");
	if (m->r->emulated)
		svg_text(m->out, x, y + 3 * LEGEND + 11, NOTE,
			 "The NPUs are emulated: these speeds are no NPU's.");
}

/* Those kinds that there are. */
static void draw_kinds(const struct matrix *m, int x, int y)
{
	for (size_t i = 0, line = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		struct box b = { x, y + (int)line * LEGEND, 16, 14 };
		bool is_there = false;

		for (int j = 0; j < m->n * m->n && !is_there; j++)
			is_there = !strcmp(ranks_link(m->r, m->rank[j / m->n], m->rank[j % m->n]),
					   links[i].name);
		if (!is_there)
			continue;
		svg_rect(m->out, &b, links[i].fill, links[i].fill, "");
		svg_text(m->out, x + 22, b.y + 11, NOTE, links[i].words);
		line++;
	}
}

static void draw(const struct matrix *m)
{
	const int x = m->box.x + m->labels, y = m->box.y + TITLE + TOP,
		  end = m->at[m->n - 1] + m->field;

	svg_text(m->out, m->box.x, m->box.y + TITLE - 8, "font-size='14' ",
		 m->is_links ? "How the NPUs of the ranks are linked"
			     : "How fast a rank reads the memory of another, GB/s");
	svg_text(m->out, x - 8, y - 24, END NOTE, m->is_links ? "from" : "this rank reads");
	svg_text(m->out, x, y - 24, NOTE, m->is_links ? "to NPU" : "the memory of rank");
	for (int i = 0; i < m->n; i++) {
		draw_labels(m, i, x, y);
		for (int j = 0; j < m->n; j++)
			draw_field(m, i, j, x + m->at[j], y + m->at[i]);
	}
	if (m->is_links)
		draw_kinds(m, x, y + end + 12);
	else
		draw_scale(m, x, y + end + 12);
}

/* ---- Both ---- */

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* Beside what is in @at, or below; which grows. */
static void place(struct matrix *m, struct box *at)
{
	m->box.x = at->x;
	m->box.y = at->y;
	if (at->w && at->w + BESIDE + m->box.w <= BESIDE_MOST) {
		m->box.x += at->w + BESIDE;
		at->w += BESIDE + m->box.w;
		at->h = larger(at->h, m->box.h);
	} else {
		m->box.y += at->h;
		at->w = larger(at->w, m->box.w);
		at->h += m->box.h;
	}
}

static int add(const struct ranks *r, bool is_links, FILE *out, struct box *at)
{
	struct matrix m = { .r = r, .is_links = is_links, .out = out };
	int ok;

	m.rank = calloc((size_t)r->n, sizeof(*m.rank));
	m.at = calloc((size_t)r->n, sizeof(*m.at));
	ok = m.rank && m.at;
	if (ok) {
		line_up(&m);
		find_fastest(&m);
		place(&m, at);
	}
	if (ok && out)
		draw(&m);
	free(m.rank);
	free(m.at);
	return ok ? 0 : -1;
}

int ranks_svg(const struct ranks *r, FILE *out, struct box *at)
{
	int bad = 0;

	at->w = at->h = 0;
	if (r->pairs)
		bad = add(r, false, out, at);
	if (!bad && r->links)
		bad = add(r, true, out, at);
	return bad;
}
