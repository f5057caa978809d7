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
	"Usage: ipcshare-info [-c | --doctor | --json | --topo [--svg FILE]]\n"
	"Shows what libipcshare finds on this machine: backends, kernel features, limits.\n"
	"\n"
	"  -c, --config   show all settings: value, where it comes from, what is accepted\n"
	"      --doctor   try each thing that a backend needs; say what is wrong and what\n"
	"                 helps. Makes a context on each NPU for a moment\n"
	"      --json     show everything, settings and doctor too, as one JSON object\n"
	"      --topo     show where things sit: packages, NUMA nodes, caches, cores,\n"
	"                 NPUs, NICs, and which cores this process may use\n"
	"      --svg FILE with --topo: draw it into FILE as well\n"
	"      --version  show the version\n"
	"  -h, --help     show this help\n"
	"\n"
	"Exit status: 0 fine; 1 a setting has a bad value, the library can't be used\n"
	"here, or --doctor or --json finds that the chosen backend lacks what it needs;\n"
	"2 bad usage; 3 the output can't be written.\n"
	"More: man ipcshare-info, man 7 ipcshare\n";

#define SVG 's'

static enum show parse(int argc, char **argv, const char **svg)
{
	static const struct option options[] = {
		{ "config", no_argument, NULL, SETTINGS },
		{ "doctor", no_argument, NULL, DOCTOR },
		{ "json", no_argument, NULL, JSON },
		{ "topo", no_argument, NULL, TOPO },
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
			*svg = optarg;
		else if (what != JSON) /* which has all of it */
			what = (enum show)option;
	}
	if (*svg && what != TOPO) {
		fprintf(stderr, "%s: --svg goes with --topo\n", argv[0]);
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

static int show_topo(const char *svg)
{
	static struct topo topo;

	topo_find(&topo);
	topo_text(&topo);
	return svg ? draw(&topo, svg) : FINE;
}

int main(int argc, char **argv)
{
	const char *svg = NULL;
	enum show what = parse(argc, argv, &svg);
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
		status = show_topo(svg);
	else
		status = show(what);
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	perror("ipcshare-info: writing the output");
	return NOT_WRITTEN;
}
