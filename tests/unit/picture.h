/* SPDX-License-Identifier: BSD-3-Clause */
/* The pictures of ipcshare-info, as a test reads them. */
#ifndef TEST_PICTURE_H
#define TEST_PICTURE_H

#include <stdio.h>

#define PICTURE_BOXES 2048

struct picture_box {
	int x, y, w, h;
	char words[64]; /* what is written right after it; "" nothing */
};

struct picture {
	char text[512 << 10]; /* SVG */
	int nboxes;
	struct picture_box boxes[PICTURE_BOXES]; /* in the order in which they are drawn */
};

/* All that the file has from its beginning on; ends the test if it is no picture. */
void picture_read(FILE *f, struct picture *out);
/* How often this is in it. */
int picture_count(const struct picture *p, const char *what);
/* The first box with these words; it must be there. */
const struct picture_box *picture_box(const struct picture *p, const char *words);
/* The smallest one that holds another. */
const struct picture_box *picture_around(const struct picture *p, const struct picture_box *box);
/* Each is in the picture, and any two lie in each other or beside each other; @what names it. */
void picture_check_boxes(const struct picture *p, const char *what);

#endif
