/* SPDX-License-Identifier: BSD-3-Clause */
/* For programs: one JSON object with everything, indented so that people can read it too. */
#include <inttypes.h>
#include <ipcshare.h>
#include <stdio.h>
#include <string.h>

#include "tools/info.h"

static int depth;
static int is_first; /* nothing stands yet in the object or array that is open */

/* Length of the UTF-8 character at @s; 0 if it is none: too long a form, a surrogate, cut short. */
static size_t character(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	code = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

/* Bytes of the environment need not be UTF-8, but JSON must: others become U+FFFD. */
static void quote(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	putchar('"');
	for (; *s; s += len ? len : 1) {
		len = character(s);
		if (!len)
			printf("\\ufffd");
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			printf("\\u%04x", *s);
		else
			fwrite(s, 1, len, stdout);
	}
	putchar('"');
}

/* The beginning of a member of an object, or, without a name, of an array's. */
static void begin(const char *name)
{
	printf("%s\n%*s", is_first ? "" : ",", 2 * depth, "");
	is_first = 0;
	if (!name)
		return;
	quote(name);
	printf(": ");
}

static void open_in(const char *name, char bracket)
{
	if (depth)
		begin(name);
	putchar(bracket);
	depth++;
	is_first = 1;
}

static void close_with(char bracket)
{
	depth--;
	if (!is_first)
		printf("\n%*s", 2 * depth, "");
	putchar(bracket);
	is_first = 0;
}

static void string(const char *name, const char *value)
{
	begin(name);
	quote(value);
}

static void string_or_null(const char *name, const char *value)
{
	begin(name);
	if (value && value[0])
		quote(value);
	else
		printf("null");
}

static void boolean(const char *name, int value)
{
	begin(name);
	printf(value ? "true" : "false");
}

static void backends(const struct info *info)
{
	open_in("backends", '[');
	for (size_t i = 0; i < info->nbackends; i++) {
		const struct info_backend *b = &info->backends[i];

		open_in(NULL, '{');
		string("name", b->name);
		string("text", b->text);
		boolean("usable", b->usable);
		boolean("chosen", b->chosen);
		string_or_null("device", b->device);
		string_or_null("problem", b->problem);
		close_with('}');
	}
	close_with(']');
	open_in("open", '{');
	boolean("works", !info->open_problem[0]);
	string_or_null("problem", info->open_problem);
	close_with('}');
}

static void rdma(const struct info *info)
{
	open_in("rdma", '[');
	for (size_t i = 0; i < info->nrdma; i++)
		string(NULL, info->rdma[i]);
	close_with(']');
}

static void features(const struct info *info)
{
	open_in("features", '[');
	for (int i = 0; i < IPCSHARE__FEATURES; i++) {
		const struct ipcshare__feature *f = &info->features[i];

		open_in(NULL, '{');
		string("name", f->name);
		string("found", ipcshare__found_name(f->found));
		string("since", f->since);
		string("use", f->use);
		string("without", f->without);
		string_or_null("detail", f->detail);
		close_with('}');
	}
	close_with(']');
}

static void limits(const struct info *info)
{
	open_in("limits", '[');
	for (int i = 0; i < IPCSHARE__LIMITS; i++) {
		const struct ipcshare__limit *l = &info->limits[i];

		open_in(NULL, '{');
		string("name", l->name);
		begin("value");
		if (l->kind == IPCSHARE__LIMIT_VALUE)
			printf("%" PRIu64, l->value);
		else
			quote(l->kind == IPCSHARE__LIMIT_NONE ? "unlimited" : "unknown");
		string_or_null("unit", l->unit);
		string("text", l->text);
		string("bounds", l->bounds);
		close_with('}');
	}
	close_with(']');
}

static void settings(const struct info *info)
{
	open_in("settings", '[');
	for (size_t i = 0; i < info->nsettings; i++) {
		const struct info_setting *s = &info->settings[i];

		open_in(NULL, '{');
		string("name", s->what->name);
		string("value", s->value);
		string("from", s->from_environment ? "environment" : "default");
		string("default", s->what->fallback);
		string("accepted", s->what->range);
		string("text", s->what->text);
		string_or_null("problem", s->problem);
		close_with('}');
	}
	close_with(']');
	open_in("unknown", '[');
	for (size_t i = 0; i < info->nunknown; i++) {
		open_in(NULL, '{');
		string("name", info->unknown[i].name);
		string_or_null("nearest", info->unknown[i].nearest);
		close_with('}');
	}
	close_with(']');
}

/* ---- What the doctor found ---- */

static void findings(const char *name, const struct ipcshare__finding *f, size_t n)
{
	open_in(name, '[');
	for (size_t i = 0; i < n; i++) {
		open_in(NULL, '{');
		string("name", f[i].name);
		string("verdict", info_verdict_name(f[i].verdict));
		string("detail", f[i].detail);
		string_or_null("remedy", f[i].remedy);
		close_with('}');
	}
	close_with(']');
}

static void number(const char *name, int value)
{
	begin(name);
	printf("%d", value);
}

static void links(const struct ascend_report *r)
{
	open_in("links", '[');
	for (int a = 0; a < r->ndevices; a++)
		for (int b = 0; b < r->ndevices; b++) {
			if (a == b)
				continue;
			open_in(NULL, '{');
			number("from", a);
			number("to", b);
			string("link", r->links[a][b].name);
			begin("can_access");
			printf(r->links[a][b].can < 0 ? "null"
			       : r->links[a][b].can   ? "true"
						      : "false");
			close_with('}');
		}
	close_with(']');
}

static void doctor(const struct info *info)
{
	const struct info_doctor *d = &info->doctor;

	open_in("doctor", '{');
	findings("process", d->process, INFO_PROCESS_FINDINGS);
	findings("host", d->host, d->nhost);
	findings("ascend", d->ascend.findings, ASCEND_FINDING_COUNT);
	string_or_null("soc", d->ascend.soc);
	open_in("devices", '[');
	for (int i = 0; i < d->ascend.ndevices; i++) {
		open_in(NULL, '{');
		number("device", i);
		number("physical", d->ascend.physical[i]);
		close_with('}');
	}
	close_with(']');
	links(&d->ascend);
	close_with('}');
}

void json_all(const struct info *info)
{
	open_in(NULL, '{');
	string("version", ipcshare_version());
	open_in("kernel", '{');
	string("system", info->kernel.sysname);
	string("release", info->kernel.release);
	string("machine", info->kernel.machine);
	close_with('}');
	backends(info);
	rdma(info);
	features(info);
	limits(info);
	settings(info);
	doctor(info);
	close_with('}');
	putchar('\n');
}
