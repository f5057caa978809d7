/* SPDX-License-Identifier: BSD-3-Clause */
/* ipcshare-info - what the library is, what it finds on this machine, how it is set */
#include <getopt.h>
#include <ipcshare.h>
#include <stdio.h>

#include "tools/info.h"

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
	VERSION = 'v',
	HELP = 'h',
	WRONG = '?',
};

static const char help[] =
	"Usage: ipcshare-info [-c | --doctor | --json]\n"
	"Shows what libipcshare finds on this machine: backends, kernel features, limits.\n"
	"\n"
	"  -c, --config   show all settings: value, where it comes from, what is accepted\n"
	"      --doctor   try each thing that a backend needs; say what is wrong and what\n"
	"                 helps. Makes a context on each NPU for a moment\n"
	"      --json     show everything, settings and doctor too, as one JSON object\n"
	"      --version  show the version\n"
	"  -h, --help     show this help\n"
	"\n"
	"Exit status: 0 fine; 1 a setting has a bad value, the library can't be used\n"
	"here, or --doctor or --json finds that the chosen backend lacks what it needs;\n"
	"2 bad usage; 3 the output can't be written.\n"
	"More: man ipcshare-info, man 7 ipcshare\n";

static enum show parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", no_argument, NULL, SETTINGS },
		{ "doctor", no_argument, NULL, DOCTOR },
		{ "json", no_argument, NULL, JSON },
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
		if (what != JSON) /* which has all of it */
			what = (enum show)option;
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

int main(int argc, char **argv)
{
	enum show what = parse(argc, argv);
	int status = FINE;

	if (what == WRONG) {
		fprintf(stderr, "'ipcshare-info --help' lists the options\n");
		return BAD_USAGE;
	}
	if (what == HELP)
		fputs(help, stdout);
	else if (what == VERSION)
		printf("ipcshare-info %s\n", ipcshare_version());
	else
		status = show(what);
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	perror("ipcshare-info: writing the output");
	return NOT_WRITTEN;
}
