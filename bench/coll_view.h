/* SPDX-License-Identifier: BSD-3-Clause */
/* coll_view.h - collectives that move nothing: is their time the same for few bytes and for many? */
#ifndef BENCH_COLL_VIEW_H
#define BENCH_COLL_VIEW_H

#include <stdio.h>

#include "coll.h"
#include "figure.h"

/** coll_view_room - bytes that a rank needs on either side */
size_t coll_view_room(const struct team *team);

/**
 * coll_view - measure, verify and show all of them, at two sizes in turns; collective over the job
 * @json: NULL, or where the figures go
 * @figure: what all figures have in common
 *
 * Return: 0; -1 on every rank, and what failed where is printed: abandon the context then
 */
int coll_view(struct coll *b, FILE *json, struct figure figure);

#endif
