/* SPDX-License-Identifier: BSD-3-Clause */
/* For people: aligned columns, no line longer than the terminal. */
#include <ipcshare.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/info.h"

#define WIDTH 80 /* unless the terminal is wider; not beyond WIDTH_MAX, for long lines read badly */
#define WIDTH_MAX 100

/* Where columns begin; those between VALUE and LAST are a section's own. */
enum {
	INDENT = 2,
	DETAIL = 4,
	TEXT = 6,
	STATE = 12,
	VALUE = 23,
	SETTING = 27,
	FOUND = 32,
	LAST = 45,
};

static int width = WIDTH;
static int at; /* column of the cursor */

static void measure_terminal(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > WIDTH)
		width = w.ws_col < WIDTH_MAX ? w.ws_col : WIDTH_MAX;
}

static void end_line(void)
{
	putchar('\n');
	at = 0;
}

/* Values come from the environment: what would move a terminal's cursor is not passed on. */
static void put(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		putchar(c < ' ' || c == 0x7f ? '?' : c);
		at += (c & 0xc0) != 0x80; /* UTF-8: one column for the bytes of a character */
	}
}

/* Go to a column; on a new line if what stands before reaches it. */
static void go_to(int column)
{
	if (at && at >= column)
		end_line();
	printf("%*s", column - at, "");
	at = column;
}

static void say(int column, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(int column, const char *format, ...)
{
	char text[1024];
	va_list args;

	go_to(column);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put(text, strlen(text));
}

/* Words from a column on; lines that follow begin there too. What fits in no line is cut up. */
static void flow(int column, const char *text)
{
	go_to(column);
	while (*text) {
		size_t word = strcspn(text, " ");

		if (word > (size_t)(width - column))
			word = (size_t)(width - column);
		if (at > column && at + 1 + (int)word > width)
			go_to(column);
		if (at > column)
			put(" ", 1);
		put(text, word);
		text += word;
		text += strspn(text, " ");
	}
}

static void flow_line(int column, const char *text)
{
	flow(column, text);
	end_line();
}

/* ---- The machine ---- */

static void show_open(const struct info *info)
{
	say(INDENT, "ipcshare_open() %s", info->open_problem[0] ? "fails:" : "works");
	end_line();
	if (info->open_problem[0])
		flow_line(STATE, info->open_problem);
}

static void show_backends(const struct info *info)
{
	printf("\nBackends\n");
	for (size_t i = 0; i < info->nbackends; i++) {
		const struct info_backend *b = &info->backends[i];

		say(INDENT, "%s", b->name);
		say(STATE, "%s", b->usable ? "usable" : "not usable");
		say(33, "%s%s", b->text, b->chosen ? " (chosen)" : "");
		end_line();
		if (!b->usable)
			flow_line(STATE, b->problem);
		if (b->device[0])
			flow_line(STATE, b->device);
	}
	show_open(info);
}

static void show_rdma(const struct info *info)
{
	char text[1024] = "RDMA devices:";

	for (size_t i = 0; i < info->nrdma; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", info->rdma[i]);
	flow_line(INDENT,
		  info->nrdma ? text : "RDMA devices: none, which only libipcshare-rdma needs");
}

static void show_features(const struct info *info)
{
	printf("\nKernel features (each was tried)\n");
	say(INDENT, "name");
	say(VALUE, "found");
	say(31, "since");
	say(37, "what for");
	end_line();
	for (int i = 0; i < IPCSHARE__FEATURES; i++) {
		const struct ipcshare__feature *f = &info->features[i];
		char text[256];

		say(INDENT, "%s", f->name);
		say(VALUE, "%s", ipcshare__found_name(f->found));
		say(31, "%s", f->since);
		flow_line(37, f->use);
		if (f->found == IPCSHARE__FOUND_YES)
			continue;
		if (f->detail[0])
			flow_line(DETAIL, f->detail);
		if (f->found != IPCSHARE__FOUND_NO)
			continue;
		snprintf(text, sizeof(text), "without it: %s", f->without);
		flow_line(DETAIL, text);
	}
}

static void show_limits(const struct info *info)
{
	printf("\nLimits\n");
	say(INDENT, "name");
	say(VALUE, "value");
	say(LAST, "of what");
	end_line();
	for (int i = 0; i < IPCSHARE__LIMITS; i++) {
		const struct ipcshare__limit *l = &info->limits[i];

		say(INDENT, "%s", l->name);
		say(VALUE, "%s", l->text);
		flow_line(LAST, l->bounds);
	}
}

/* ---- Settings ---- */

static void show_unknown(const struct info *info)
{
	char text[400];

	for (size_t i = 0; i < info->nunknown; i++) {
		const struct info_unknown *u = &info->unknown[i];
		size_t used = (size_t)snprintf(text, sizeof(text), "warning: %s is no setting",
					       u->name);

		if (u->nearest)
			snprintf(text + used, sizeof(text) - used, "; do you mean %s?", u->nearest);
		flow_line(INDENT, text);
	}
}

static void show_bad(const struct info *info)
{
	char text[700];

	for (size_t i = 0; i < info->nsettings; i++) {
		if (!info->settings[i].problem[0])
			continue;
		snprintf(text, sizeof(text), "error: %s", info->settings[i].problem);
		flow_line(INDENT, text);
	}
}

static void show_settings_summary(const struct info *info)
{
	printf("\nSettings\n");
	if (info->nset)
		say(INDENT, "%zu of %zu are set in the environment; ipcshare-info -c shows them",
		    info->nset, info->nsettings);
	else
		say(INDENT, "all %zu have their defaults; ipcshare-info -c shows them",
		    info->nsettings);
	end_line();
	show_bad(info);
	show_unknown(info);
}

/* In its column, or if it is too long for that on a line of its own. */
static void show_value(const char *value)
{
	int room = width - TEXT;

	if (!value[0])
		say(SETTING, "(empty)");
	else if (strlen(value) <= (size_t)(width - SETTING))
		say(SETTING, "%s", value);
	else if (strlen(value) <= (size_t)room)
		say(TEXT, "%s", value);
	else
		say(TEXT, "%.*s...", room - 3, value);
}

void text_settings(const struct info *info)
{
	char text[128];

	measure_terminal();
	say(0, "Settings");
	say(SETTING, "value");
	say(LAST, "from");
	end_line();
	for (size_t i = 0; i < info->nsettings; i++) {
		const struct info_setting *s = &info->settings[i];

		say(INDENT, "%s", s->what->name);
		show_value(s->value);
		say(LAST, "%s", s->from_environment ? "environment" : "default");
		if (s->problem[0])
			say(58, "NOT ACCEPTED");
		end_line();
		flow_line(TEXT, s->what->text);
		snprintf(text, sizeof(text), "accepted: %s", s->what->range);
		flow_line(TEXT, text);
	}
	if (info->nbad || info->nunknown)
		end_line();
	show_bad(info);
	show_unknown(info);
}

void text_machine(const struct info *info)
{
	char text[256];

	measure_terminal();
	snprintf(text, sizeof(text), "libipcshare %s on %s, Linux %s", ipcshare_version(),
		 info->kernel.machine, info->kernel.release);
	flow_line(0, text);
	show_backends(info);
	show_rdma(info);
	show_features(info);
	show_limits(info);
	show_settings_summary(info);
}

/* ---- What the doctor found ---- */

static void show_finding(const struct ipcshare__finding *f)
{
	char text[256];

	say(INDENT, "%s", f->name);
	say(VALUE, "%s", info_verdict_name(f->verdict));
	flow_line(FOUND, f->detail);
	if (!f->remedy[0])
		return;
	snprintf(text, sizeof(text), "-> %s", f->remedy);
	flow_line(FOUND, text);
}

/* Findings in a row that were not tried, all for one reason, as one. Gives their number. */
static size_t show_skipped(const struct ipcshare__finding *f, size_t n)
{
	char text[1024];
	size_t i, used;

	used = (size_t)snprintf(text, sizeof(text), "%s (", f->detail);
	for (i = 0; i < n && f[i].skipped && !strcmp(f[i].detail, f->detail); i++)
		if (used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 i ? ", " : "", f[i].name);
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ")");
	say(INDENT, "the rest");
	say(VALUE, "%s", info_verdict_name(IPCSHARE__VERDICT_UNKNOWN));
	flow_line(FOUND, text);
	return i;
}

static void show_findings(const struct ipcshare__finding *f, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (f[i].skipped) {
			i += show_skipped(&f[i], n - i);
		} else {
			show_finding(&f[i]);
			i++;
		}
	}
}

static void show_link_row(const struct ascend_report *r, int from, int first, int end)
{
	char cell[16];

	say(INDENT, "%4d", from);
	for (int to = first; to < end; to++) {
		const struct ascend_report_link *link = &r->links[from][to];

		snprintf(cell, sizeof(cell), "%s%s", to == from ? "-" : link->name,
			 to == from || link->can == 1 ? "" : "*");
		printf(" %5s", cell);
	}
	end_line();
}

/* Rows and columns are devices as this process numbers them; few columns fit a terminal. */
static void show_links(const struct ascend_report *r)
{
	int most = (width - INDENT - 4) / 6, parts = (r->ndevices + most - 1) / most;
	int columns = (r->ndevices + parts - 1) / parts, refused = 0;

	printf("\nLinks between devices\n");
	for (int first = 0; first < r->ndevices; first += columns) {
		int end = first + columns < r->ndevices ? first + columns : r->ndevices;

		say(INDENT, "%4s", "");
		for (int to = first; to < end; to++)
			printf(" %5d", to);
		end_line();
		for (int from = 0; from < r->ndevices; from++)
			show_link_row(r, from, first, end);
	}
	for (int i = 0; i < r->ndevices * r->ndevices; i++)
		refused |= i / r->ndevices != i % r->ndevices &&
			   r->links[i / r->ndevices][i % r->ndevices].can != 1;
	if (refused)
		flow_line(INDENT,
			  "* CanAccessPeer says no, or fails. Between the two dies of a chip (SIO) "
			  "copies work all the same; else the pair has no link.");
}

static void show_doctor_backend(const struct info *info, const char *name,
				const struct ipcshare__finding *f, size_t n)
{
	int nfailed = 0;

	printf("\n%s%s\n", name, strcmp(name, info->config.backend) ? "" : " (chosen)");
	show_findings(f, n);
	for (size_t i = 0; i < n; i++)
		nfailed += f[i].verdict == IPCSHARE__VERDICT_FAILED;
	if (nfailed)
		say(INDENT, "%s can't be used here: %d failed", name, nfailed);
	else
		say(INDENT, "%s can be used here", name);
	end_line();
}

void text_doctor(const struct info *info)
{
	const struct info_doctor *d = &info->doctor;
	char text[256];

	measure_terminal();
	snprintf(text, sizeof(text), "libipcshare %s on %s, Linux %s: what its backends need",
		 ipcshare_version(), info->kernel.machine, info->kernel.release);
	flow_line(0, text);
	printf("\nThis process\n");
	show_findings(d->process, INFO_PROCESS_FINDINGS);
	show_doctor_backend(info, "host", d->host, d->nhost);
	show_doctor_backend(info, "ascend", d->ascend.findings, ASCEND_FINDING_COUNT);
	if (d->ascend.ndevices > 1)
		show_links(&d->ascend);
	printf("\n");
	show_open(info);
	if (d->ascend.ndevices && !info_doctor_failed(info, "ascend"))
		flow_line(INDENT,
			  "'mpirun -n RANKS ipcshare-bench pairs' tries every pair of ranks");
	show_bad(info);
	show_unknown(info);
}
