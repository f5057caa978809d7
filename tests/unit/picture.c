/* SPDX-License-Identifier: BSD-3-Clause */
#include "picture.h"

#include "support/test.h"

static int is_in(const struct picture_box *a, const struct picture_box *b)
{
	return a->x >= b->x && a->y >= b->y && a->x + a->w <= b->x + b->w &&
	       a->y + a->h <= b->y + b->h;
}

static int is_beside(const struct picture_box *a, const struct picture_box *b)
{
	return a->x + a->w <= b->x || b->x + b->w <= a->x || a->y + a->h <= b->y ||
	       b->y + b->h <= a->y;
}

/* A text in the next line is the box's. */
static void read_words(const char *line, struct picture_box *box)
{
	const char *next = strchr(line, '\n'), *words;

	box->words[0] = '\0';
	if (!next || strncmp(next + 1, "<text ", 6))
		return;
	words = strchr(next + 1, '>');
	if (words)
		snprintf(box->words, sizeof(box->words), "%.*s", (int)strcspn(words + 1, "<"), words + 1);
}

void picture_read(FILE *f, struct picture *out)
{
	size_t len;

	rewind(f);
	len = fread(out->text, 1, sizeof(out->text) - 1, f);
	out->text[len] = '\0';
	out->nboxes = 0;
	for (char *p = out->text; (p = strstr(p, "<rect x=")); p++) {
		struct picture_box *b = &out->boxes[out->nboxes++];

		REQUIRE(out->nboxes < PICTURE_BOXES, "more than %d boxes", PICTURE_BOXES);
		REQUIRE(sscanf(p, "<rect x='%d' y='%d' width='%d' height='%d'", &b->x, &b->y, &b->w,
			       &b->h) == 4,
			"%.60s", p);
		read_words(p, b);
	}
	CHECK_HAS(out->text, "</svg>\n");
}

int picture_count(const struct picture *p, const char *what)
{
	int n = 0;

	for (const char *at = p->text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

const struct picture_box *picture_box(const struct picture *p, const char *words)
{
	for (int i = 0; i < p->nboxes; i++)
		if (!strcmp(p->boxes[i].words, words))
			return &p->boxes[i];
	REQUIRE(0, "no box says %s", words);
	return NULL;
}

const struct picture_box *picture_around(const struct picture *p, const struct picture_box *box)
{
	const struct picture_box *best = NULL;

	for (const struct picture_box *b = p->boxes; b < p->boxes + p->nboxes; b++)
		if (b != box && is_in(box, b) && (!best || b->w * b->h < best->w * best->h))
			best = b;
	return best;
}

void picture_check_boxes(const struct picture *p, const char *what)
{
	const struct picture_box *r = p->boxes;
	struct picture_box all = { .x = 0 };

	CHECK(sscanf(p->text, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d'", &all.w,
		     &all.h) == 2,
	      "%.60s", p->text);
	for (int a = 0; a < p->nboxes; a++) {
		CHECK(r[a].w > 0 && r[a].h > 0 && is_in(&r[a], &all),
		      "%s: box %d of %d x %d at %d, %d is not in the picture", what, a, r[a].w, r[a].h,
		      r[a].x, r[a].y);
		for (int b = 0; b < a; b++)
			CHECK(is_beside(&r[a], &r[b]) || is_in(&r[a], &r[b]),
			      "%s: box %d (%s) at %d, %d overlaps box %d (%s) at %d, %d", what, a,
			      r[a].words, r[a].x, r[a].y, b, r[b].words, r[b].x, r[b].y);
	}
}
