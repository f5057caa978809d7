/* SPDX-License-Identifier: BSD-3-Clause */
/* ipcshare-info - what the library is, what it finds on this machine, how it is set */
#include <errno.h>
#include <getopt.h>
#include <ipcshare.h>
#include <stdio.h>
#include <string.h>

#include "tools/info.h"
#include "tools/topo.h"

enum {
	FINE,
	NOT_USABLE,
	BAD_USAGE,
	NOT_WRITTEN
}; /* exit statuses, as in the man page */

/* What to show. MACHINE is the default. */
enum show {
	MACHINE,
	SETTINGS = 'c',
	DOCTOR = 'd',
	JSON = 'j',
	TOPO = 't',
	VERSION = 'v',
	HELP = 'h',
	WRONG = '?',
};

static const char help[] =
	"Usage: ipcshare-info [-c | --doctor | --json | --topo [--matrix] [--svg FILE]]\n"
	"Shows what libipcshare finds on this machine: backends, kernel features, limits.\n"
	"\n"
	"  -c, --config   show all settings: value, where it comes from, what is accepted\n"
	"      --doctor   try each thing that a backend needs; say what is wrong and what\n"
	"                 helps. Makes a context on each NPU for a moment\n"
	"      --json     show everything, settings and doctor too, as one JSON object\n"
	"      --topo     show where things sit: packages, NUMA nodes, caches, cores,\n"
	"                 NPUs, NICs, and which cores this process may use; under mpirun\n"
	"                 the ranks, and how their NPUs are linked\n"
	"      --matrix   with --topo under mpirun: who shares with whom, and how fast\n"
	"      --svg FILE with --topo: draw it into FILE as well\n"
	"      --version  show the version\n"
	"  -h, --help     show this help\n"
	"\n"
	"Exit status: 0 fine; 1 a setting has a bad value, the library can't be used\n"
	"here, or --doctor or --json finds that the chosen backend lacks what it needs;\n"
	"2 bad usage; 3 the output can't be written.\n"
	"More: man ipcshare-info, man 7 ipcshare\n";

#define SVG 's'
#define MATRIX 'm'

/* What --topo takes. */
struct topo_options {
	const char *svg; /* a file, or NULL */
	bool matrix;
};

static enum show parse(int argc, char **argv, struct topo_options *topo)
{
	static const struct option options[] = {
		{ "config", no_argument, NULL, SETTINGS },
		{ "doctor", no_argument, NULL, DOCTOR },
		{ "json", no_argument, NULL, JSON },
		{ "topo", no_argument, NULL, TOPO },
		{ "matrix", no_argument, NULL, MATRIX },
		{ "svg", required_argument, NULL, SVG },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	enum show what = MACHINE;
	int option;

	while ((option = getopt_long(argc, argv, "ch", options, NULL)) != -1) {
		if (option == WRONG)
			return WRONG;
		if (option == HELP || option == VERSION)
			return option == HELP ? HELP : VERSION;
		if (option == SVG)
			topo->svg = optarg;
		else if (option == MATRIX)
			topo->matrix = true;
		else if (what != JSON) /* which has all of it */
			what = (enum show)option;
	}
	if ((topo->svg || topo->matrix) && what != TOPO) {
		fprintf(stderr, "%s: %s goes with --topo\n", argv[0],
			topo->svg ? "--svg" : "--matrix");
		return WRONG;
	}
	if (optind == argc)
		return what;
	fprintf(stderr, "%s: '%s' is no option\n", argv[0], argv[optind]);
	return WRONG;
}

static int show(enum show what)
{
	static struct info info;

	info_settings(&info);
	if (what == DOCTOR || what == JSON)
		info_doctor(&info);
	if (what != SETTINGS)
		info_machine(&info);
	if (what == SETTINGS)
		text_settings(&info);
	else if (what == JSON)
		json_all(&info);
	else if (what == DOCTOR)
		text_doctor(&info);
	else
		text_machine(&info);
	info_free(&info);
	return info_is_bad(&info) ? NOT_USABLE : FINE;
}

/* Exit status */
static int draw(const struct topo *topo, const char *path)
{
	FILE *f = fopen(path, "we");
	int bad = !f || topo_svg(topo, f);

	if (f && fclose(f))
		bad = 1;
	if (!bad)
		return FINE;
	fprintf(stderr, "ipcshare-info: writing %s: %s\n", path, strerror(errno));
	return NOT_WRITTEN;
}

static int show_node(const struct ranks *ranks, const char *svg)
{
	static struct topo topo;

	topo_find(ranks, &topo);
	topo_text(&topo, stdout);
	return svg ? draw(&topo, svg) : FINE;
}

/* What rank 0 shows, all have found out together. */
static int show_job(struct job *job, const struct topo_options *options)
{
	struct ranks ranks = { .n = 0 };
	int err = job_meet(job), status = FINE;

	if (!err) {
		err = ranks_look(job, options->matrix, &ranks);
		job_leave(job);
	}
	if (err < 0)
		fprintf(stderr, "ipcshare-info: rank %d: %s\n", job->rank, ipcshare_explain());
	if (err)
		status = NOT_USABLE;
	else if (!job->rank)
		status = show_node(&ranks, options->svg);
	ranks_free(&ranks);
	return status;
}

static int show_topo(const struct topo_options *options)
{
	struct job job;

	if (job_find(&job)) {
		fprintf(stderr, "ipcshare-info: %s\n", ipcshare_explain());
		return NOT_USABLE;
	}
	if (job.size > 1)
		return show_job(&job, options);
	if (!options->matrix)
		return show_node(NULL, options->svg);
	fprintf(stderr, "ipcshare-info: --matrix takes two ranks or more: 'mpirun -n 2 "
			"ipcshare-info --topo --matrix'\n");
	return BAD_USAGE;
}

int main(int argc, char **argv)
{
	struct topo_options topo = { .svg = NULL };
	enum show what = parse(argc, argv, &topo);
	int status = FINE;

	if (what == WRONG) {
		fprintf(stderr, "'ipcshare-info --help' lists the options\n");
		return BAD_USAGE;
	}
	if (what == HELP)
		fputs(help, stdout);
	else if (what == VERSION)
		printf("ipcshare-info %s\n", ipcshare_version());
	else if (what == TOPO)
		status = show_topo(&topo);
	else
		status = show(what);
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	perror("ipcshare-info: writing the output");
	return NOT_WRITTEN;
}
