/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix of pairs as a picture: the faster a pair, the darker its field. Ranks stand in the order in
 * which neighbours are near each other, so what shares a cache, a NUMA node or a package is a block.
 */
#include "pairs.h"

#include <stdlib.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"

/* As the plots have them. */
#define ORANGE "#bc4c00"
#define BLACK "#24292f"
#define GREY "#57606a"
#define SLOW { 0xee, 0xf4, 0xfd }
#define FAST { 0x1f, 0x6f, 0xeb }

enum {
	MARGIN = 24,
	TITLE = 60,
	LABELS = 230,	/* at the left: where a rank runs */
	TOP = 24,	/* numbers of the ranks read */
	LEGEND = 56,
	FIELD = 46,	/* a pair; smaller where there are many */
	FIELD_LEAST = 16,
	FIELD_TEXT = 36,	/* with its figure in it, from this size on */
	BORDER = 8,	/* between parts */
	PICTURE = 1100,
};

/* A node's ranks in their order, and where each one's fields begin. */
struct axis {
	const struct pairs_result *r;
	int n, field;
	int *rank, *at;
	double fastest;
	FILE *to;
};

static const struct pairs_cell *cell_at(const struct axis *a, int row, int column)
{
	return &a->r->cells[(size_t)a->rank[row] * (size_t)a->r->size + (size_t)a->rank[column]];
}

static const struct pairs_spot *spot_at(const struct axis *a, int i)
{
	return &a->r->spots[a->rank[i]];
}

/* The outermost level at which the i-th rank is in another part than the one before; none: LEVELS. */
static int border(const struct axis *a, int i)
{
	int level = 0;

	while (level < IPCSHARE_LEVELS &&
	       spot_at(a, i)->leaders[level] == spot_at(a, i - 1)->leaders[level])
		level++;
	return level;
}

/* By where they stand in the order of their group. */
static void line_up(struct axis *a, int first)
{
	int at = 0;

	a->n = 0;
	for (int i = 0; i < a->r->size; i++) {
		int place = a->n;

		if (a->r->node[i] != first)
			continue;
		for (; place && a->r->spots[a->rank[place - 1]].position > a->r->spots[i].position;
		     place--)
			a->rank[place] = a->rank[place - 1];
		a->rank[place] = i;
		a->n++;
	}
	a->field = PICTURE / a->n < FIELD ? PICTURE / a->n : FIELD;
	if (a->field < FIELD_LEAST)
		a->field = FIELD_LEAST;
	for (int i = 0; i < a->n; i++) {
		if (i && border(a, i) < IPCSHARE_LEVELS)
			at += BORDER;
		a->at[i] = at;
		at += a->field;
	}
}

static void find_fastest(struct axis *a)
{
	a->fastest = 0;
	for (int i = 0; i < a->n * a->n; i++) {
		const double rate = cell_at(a, i / a->n, i % a->n)->rate;

		if (rate > a->fastest)
			a->fastest = rate;
	}
}

/* From 0 on, so that small differences look small; squared, so that large ones look large. */
static void colour_of(const struct axis *a, double rate, char out[8])
{
	const int slow[] = SLOW, fast[] = FAST;
	const double share = a->fastest > 0 ? rate / a->fastest : 0;
	int c[3];

	for (int i = 0; i < 3; i++)
		c[i] = slow[i] + (int)((fast[i] - slow[i]) * share * share);
	snprintf(out, 8, "#%02x%02x%02x", c[0] & 0xff, c[1] & 0xff, c[2] & 0xff);
}

static void text(const struct axis *a, int x, int y, const char *style, const char *words)
{
	fprintf(a->to, "<text x='%d' y='%d' %s>%s</text>\n", x, y, style, words);
}

static void draw_pair(const struct axis *a, int row, int column, int y)
{
	const struct pairs_cell *cell = cell_at(a, row, column);
	const int x = MARGIN + LABELS + a->at[column], middle = x + a->field / 2;
	char colour[8] = ORANGE, figure[16] = "failed";

	if (!cell->status) {
		colour_of(a, cell->rate, colour);
		snprintf(figure, sizeof(figure), "%.*f", cell->rate < 99.5e9 ? 1 : 0,
			 cell->rate / 1e9);
	}
	fprintf(a->to, "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'%s/>\n", x + 1, y + 1,
		a->field - 2, a->field - 2, colour,
		row == column ? " stroke='" GREY "' stroke-dasharray='3 2'" : "");
	if (a->field >= FIELD_TEXT)
		text(a, middle, y + a->field / 2 + 4,
		     cell->status || cell->rate * 4 > a->fastest * 3
			     ? "text-anchor='middle' font-size='11' fill='#ffffff'"
			     : "text-anchor='middle' font-size='11'",
		     figure);
}

/* "package 0, node 1, core 8" */
static void where(const struct ipcshare_place *p, char *out, size_t size)
{
	int used = 0;

	if (p->package >= 0)
		used += snprintf(out + used, size - (size_t)used, "package %d, ", p->package);
	if (p->numa >= 0)
		used += snprintf(out + used, size - (size_t)used, "node %d, ", p->numa);
	if (p->cores == 1)
		snprintf(out + used, size - (size_t)used, "core %d", p->first_core);
	else
		snprintf(out + used, size - (size_t)used, "%d cores", p->cores);
}

static void draw_labels(const struct axis *a, int i, int y)
{
	const int size = a->field < 18 ? 10 : 12;
	char words[160], place[100];

	where(&spot_at(a, i)->place, place, sizeof(place));
	snprintf(words, sizeof(words), "rank %d: %s", a->rank[i], place);
	fprintf(a->to, "<text x='%d' y='%d' text-anchor='end' font-size='%d'>%s</text>\n",
		MARGIN + LABELS - 8, y + TOP + a->at[i] + a->field / 2 + 4, size, words);
	fprintf(a->to, "<text x='%d' y='%d' text-anchor='middle' font-size='%d'>%d</text>\n",
		MARGIN + LABELS + a->at[i] + a->field / 2, y + TOP - 8, size, a->rank[i]);
}

static void draw_legend(const struct axis *a, int y)
{
	const int x = MARGIN + LABELS;
	char colour[8], words[64];

	for (int i = 0; i <= 10; i++) {
		colour_of(a, a->fastest * i / 10, colour);
		fprintf(a->to, "<rect x='%d' y='%d' width='14' height='12' fill='%s'/>\n",
			x + 14 * i, y, colour);
	}
	snprintf(words, sizeof(words), "0 to %.1f GB/s", a->fastest / 1e9);
	text(a, x + 14 * 11 + 8, y + 11, "font-size='11' fill='" GREY "'", words);
	text(a, x, y + 30, "font-size='11' fill='" GREY "'",
	     "gaps: between caches, NUMA nodes, packages; dashed: own memory");
}

static int height_of(const struct axis *a)
{
	return TOP + a->at[a->n - 1] + a->field + LEGEND;
}

static void draw_node(const struct axis *a, int y)
{
	for (int i = 0; i < a->n; i++) {
		draw_labels(a, i, y);
		for (int j = 0; j < a->n; j++)
			draw_pair(a, i, j, y + TOP + a->at[i]);
	}
	draw_legend(a, y + height_of(a) - LEGEND + 10);
}

/* Every node, or with @draw not set only how large that will be. */
static void all_nodes(struct axis *a, int draw, int *width, int *height)
{
	*width = 0;
	*height = TITLE;
	for (int i = 0; i < a->r->size; i++) {
		int right;

		if (a->r->node[i] != i)
			continue;
		line_up(a, i);
		find_fastest(a);
		right = 2 * MARGIN + LABELS + a->at[a->n - 1] + a->field;
		*width = right > *width ? right : *width;
		if (draw)
			draw_node(a, *height);
		*height += height_of(a) + MARGIN;
	}
}

void pairs_heat(FILE *to, const struct pairs_result *r)
{
	struct axis a = { .r = r, .to = to };
	int width, height;

	a.rank = calloc((size_t)r->size, sizeof(*a.rank));
	a.at = calloc((size_t)r->size, sizeof(*a.at));
	if (!a.rank || !a.at)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	all_nodes(&a, 0, &width, &height);
	width = width < 680 ? 680 : width;	/* the title */
	fprintf(to,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d' "
		"font-family='Helvetica, Arial, sans-serif' fill='" BLACK "'>\n"
		"<rect width='%d' height='%d' fill='#ffffff'/>\n",
		width, height, width, height, width, height);
	text(&a, MARGIN, 30, "font-size='16'",
	     "How fast the rank of the row reads the buffer of that of the column, GB/s");
	all_nodes(&a, 1, &width, &height);
	fputs("</svg>\n", to);
	free(a.at);
	free(a.rank);
}
