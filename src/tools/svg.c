/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/svg.h"

#include <string.h>

void svg_begin(FILE *out, int width, int height)
{
	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"viewBox='0 0 %d %d' font-family='Helvetica, Arial, sans-serif' font-size='12' "
		"fill='" BLACK "'>\n<rect width='%d' height='%d' fill='" WHITE "'/>\n",
		width, height, width, height, width, height);
}

int svg_end(FILE *out)
{
	fprintf(out, "</svg>\n");
	return ferror(out) ? -1 : 0;
}

void svg_rect(FILE *out, const struct box *b, const char *fill, const char *line, const char *more)
{
	fprintf(out,
		"<rect x='%d' y='%d' width='%d' height='%d' rx='4' fill='%s' stroke='%s'%s/>\n",
		b->x, b->y, b->w, b->h, fill, line, more);
}

/* Names come from the system: what XML would take for its own is not passed on. */
void svg_text(FILE *out, int x, int y, const char *style, const char *words)
{
	fprintf(out, "<text x='%d' y='%d' %s>", x, y, style);
	for (; *words; words++)
		fputc(strchr("<>&", *words) || (unsigned char)*words < ' ' ? '?' : *words, out);
	fprintf(out, "</text>\n");
}
