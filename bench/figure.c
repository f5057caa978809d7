/* SPDX-License-Identifier: BSD-3-Clause */
#include "figure.h"

void figure_json(FILE *to, const struct team *team, const struct figure *f)
{
	fprintf(to, "{\"bench\": \"%s\", \"backend\": \"%s\", \"emulated\": %s, \"ranks\": %d, "
		    "\"workload\": \"%s\", ",
		f->bench, team->backend, team_is_emulated(team) ? "true" : "false", team->size,
		f->workload);
	if (f->order)
		fprintf(to, "\"order\": \"%s\", ", f->order);
	if (f->place)
		fprintf(to, "\"place\": \"%s\", ", f->place);
	if (f->memory)
		fprintf(to, "\"memory\": \"%s\", ", f->memory);
	if (f->bytes)
		fprintf(to, "\"bytes\": %zu, ", f->bytes);
	fprintf(to, "\"%s\": %zu, \"rounds\": %u, \"stage\": \"%s\", \"metric\": \"%s\", "
		    "\"value\": %.9g, \"unit\": \"%s\", \"spread\": %.4g",
		f->things, f->count, f->rounds, f->stage, f->metric, f->value.median, f->unit,
		f->value.spread);
	if (f->baseline)
		fprintf(to, ", \"baseline\": \"%s\", \"baseline_value\": %.9g, \"ratio\": %.6g, "
			    "\"ratio_spread\": %.4g",
			f->baseline, f->baseline_value, f->ratio.median, f->ratio.spread);
	fputs("}\n", to);
}
