/* SPDX-License-Identifier: BSD-3-Clause */
/* What the pictures of ipcshare-info are drawn with. */
#ifndef IPCSHARE_TOOLS_SVG_H
#define IPCSHARE_TOOLS_SVG_H

#include <stdio.h>

/* As the plots of the bench have them. */
#define BLUE "#1f6feb"
#define GREEN "#1a7f37"
#define ORANGE "#bc4c00"
#define PURPLE "#6639ba"
#define BLACK "#24292f"
#define GREY "#57606a"
#define PALE "#c4ccd4"
#define LIGHT "#f6f8fa"
#define WHITE "#ffffff"

#define MIDDLE "text-anchor='middle' "
#define END "text-anchor='end' "
#define BOLD "font-weight='bold' "
#define SMALL "font-size='10' "
#define NOTE "font-size='11' fill='" GREY "' "

struct box {
	int x, y, w, h;
};

void svg_begin(FILE *out, int width, int height);
/* Not 0: the stream took not all. */
int svg_end(FILE *out);
/* @more: further attributes, or "" */
void svg_rect(FILE *out, const struct box *b, const char *fill, const char *line, const char *more);
/* @x, @y: where its first letter stands, unless @style says otherwise. */
void svg_text(FILE *out, int x, int y, const char *style, const char *words);

#endif
