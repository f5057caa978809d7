/* SPDX-License-Identifier: BSD-3-Clause */
#include "workload.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"

#define FILE_LIMIT ((size_t)64 << 20)	/* a workload is small; anything else is a mistake */

/* ---- The parser --------------------------------------------------------------------------- */

struct field {
	const char *at;
	size_t len;
};

struct parser {
	const char *origin;
	unsigned line;
	int shuffle;
	uint64_t seed;
	size_t room;		/* of out.lines */
	struct workload out;
	struct workload_error *error;
};

__attribute__((format(printf, 2, 3))) static int bad(struct parser *p, const char *fmt, ...)
{
	char *to = p->error->text;
	size_t size = sizeof(p->error->text);
	va_list args;
	int n;

	n = p->line ? snprintf(to, size, "%s:%u: ", p->origin, p->line)
		    : snprintf(to, size, "%s: ", p->origin);
	if (n < 0 || (size_t)n >= size)
		return -1;
	va_start(args, fmt);
	vsnprintf(to + n, size - (size_t)n, fmt, args);
	va_end(args);
	for (; *to; to++)	/* the file's own bytes may be in it */
		if (!isprint((unsigned char)*to))
			*to = '?';
	return -1;
}

/* For %.*s: enough of a field to be recognised. */
static int shown(const struct field *f)
{
	return f->len < 40 ? (int)f->len : 40;
}

static int is_word(const struct field *f, const char *word)
{
	return f->len == strlen(word) && !memcmp(f->at, word, f->len);
}

/* Digits only: 0, or -1 if it is no number or does not fit. */
static int number(const struct field *f, uint64_t *out)
{
	uint64_t n = 0;

	if (!f->len)
		return -1;
	for (size_t i = 0; i < f->len; i++) {
		if (f->at[i] < '0' || f->at[i] > '9')
			return -1;
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(f->at[i] - '0'), &n))
			return -1;
	}
	*out = n;
	return 0;
}

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';	/* \r: files from Windows */
}

/* Cut a line into at most @max fields; the number there are, or max + 1 if more. */
static size_t split(const char *at, const char *end, struct field *fields, size_t max)
{
	size_t n = 0;

	for (;;) {
		while (at < end && is_space(*at))
			at++;
		if (at == end || *at == '#')
			return n;
		if (n == max)
			return max + 1;
		fields[n].at = at;
		while (at < end && !is_space(*at) && *at != '#')
			at++;
		fields[n].len = (size_t)(at - fields[n].at);
		n++;
	}
}

static int parse_shuffle(struct parser *p, const struct field *f, size_t n)
{
	if (n != 2 || number(&f[1], &p->seed))
		return bad(p, "expected 'shuffle seed' with a seed of digits, below 2^64");
	if (p->shuffle)
		return bad(p, "a second 'shuffle'; expected one in a file");
	p->shuffle = 1;
	return 0;
}

static int parse_name(struct parser *p, const struct field *f, char *out)
{
	if (f->len >= WORKLOAD_NAME)
		return bad(p, "the name '%.*s...' is too long; expected at most %d characters",
			   shown(f), f->at, WORKLOAD_NAME - 1);
	for (size_t i = 0; i < f->len; i++)
		if (!isgraph((unsigned char)f->at[i]))
			return bad(p, "the name '%.*s' has a byte 0x%02x; expected printable ASCII",
				   shown(f), f->at, (unsigned char)f->at[i]);
	memcpy(out, f->at, f->len);
	out[f->len] = '\0';
	return 0;
}

static int append(struct parser *p, const struct workload_line *line)
{
	struct workload *w = &p->out;
	uint64_t bytes;

	if (line->count > WORKLOAD_BUFFERS - w->nbuffers)
		return bad(p, "too many buffers; expected at most %u in a workload",
			   WORKLOAD_BUFFERS);
	if (__builtin_mul_overflow((uint64_t)line->count, (uint64_t)line->bytes, &bytes) ||
	    __builtin_add_overflow(w->bytes, bytes, &bytes) || bytes > PTRDIFF_MAX)
		return bad(p, "too many bytes; expected a total of at most %td", PTRDIFF_MAX);
	if (w->nlines == p->room) {
		size_t room = p->room ? 2 * p->room : 16;
		void *lines = realloc(w->lines, room * sizeof(*w->lines));

		if (!lines)
			return bad(p, "out of memory");
		w->lines = lines;
		p->room = room;
	}
	w->lines[w->nlines++] = *line;
	w->nbuffers += line->count;
	w->bytes = bytes;
	return 0;
}

static int parse_line(struct parser *p, const char *at, const char *end)
{
	struct workload_line line;
	uint64_t count, bytes;
	struct field f[3];
	size_t n = split(at, end, f, 3);

	if (!n)
		return 0;
	if (is_word(&f[0], "shuffle"))
		return parse_shuffle(p, f, n);
	if (n > 3)
		return bad(p, "more than three fields; expected 'count bytes name'");
	if (n < 3)
		return bad(p, "%zu field%s; expected 'count bytes name'", n, n == 1 ? "" : "s");
	if (number(&f[0], &count) || count < 1 || count > WORKLOAD_BUFFERS)
		return bad(p, "count '%.*s'; expected a whole number from 1 to %u", shown(&f[0]),
			   f[0].at, WORKLOAD_BUFFERS);
	if (number(&f[1], &bytes) || bytes < 1 || bytes > PTRDIFF_MAX)
		return bad(p, "bytes '%.*s'; expected a whole number from 1 to %td", shown(&f[1]),
			   f[1].at, PTRDIFF_MAX);
	if (parse_name(p, &f[2], line.name))
		return -1;
	line.count = (size_t)count;
	line.bytes = (size_t)bytes;
	return append(p, &line);
}

/* Fisher and Yates, with the pattern's mixer as the generator. */
static void shuffle(struct workload *w, uint64_t seed)
{
	for (size_t i = w->nbuffers; i > 1; i--) {
		size_t j = pattern_mix(seed + i) % i;
		struct workload_buffer swapped = w->buffers[i - 1];

		w->buffers[i - 1] = w->buffers[j];
		w->buffers[j] = swapped;
	}
}

static int list_buffers(struct parser *p)
{
	struct workload *w = &p->out;
	struct workload_buffer *b;

	p->line = 0;
	if (!w->nbuffers)
		return bad(p, "no buffers; expected lines 'count bytes name'");
	w->buffers = b = malloc(w->nbuffers * sizeof(*b));
	if (!b)
		return bad(p, "out of memory");
	for (size_t line = 0; line < w->nlines; line++)
		for (size_t nth = 0; nth < w->lines[line].count; nth++)
			*b++ = (struct workload_buffer){ (uint32_t)line, (uint32_t)nth };
	if (p->shuffle)
		shuffle(w, p->seed);
	return 0;
}

/* "some/where/tiny.txt" is the workload "tiny". */
static void name_from(const char *origin, char *out)
{
	const char *base = strrchr(origin, '/');
	size_t len;

	base = base ? base + 1 : origin;
	len = strlen(base);
	if (len > 4 && !strcmp(base + len - 4, ".txt"))
		len -= 4;
	if (len >= WORKLOAD_NAME)
		len = WORKLOAD_NAME - 1;
	snprintf(out, WORKLOAD_NAME, "%.*s", (int)len, base);
}

int workload_parse(const char *text, size_t len, const char *origin, struct workload *out,
		   struct workload_error *error)
{
	struct parser p = { .origin = origin, .error = error };
	const char *at = text, *end = text + len;

	name_from(origin, p.out.name);
	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		p.line++;
		if (!eol)
			eol = end;
		if (parse_line(&p, at, eol))
			goto fail;
		at = eol + (eol < end);
	}
	if (list_buffers(&p))
		goto fail;
	*out = p.out;
	return 0;

fail:
	workload_free(&p.out);
	return -1;
}

void workload_free(struct workload *w)
{
	free(w->lines);
	free(w->buffers);
	w->lines = NULL;
	w->buffers = NULL;
}

const char *workload_label(const struct workload *w, size_t i, char *out, size_t size)
{
	const struct workload_line *line = &w->lines[w->buffers[i].line];

	if (line->count == 1)
		snprintf(out, size, "%s", line->name);
	else
		snprintf(out, size, "%s[%u]", line->name, w->buffers[i].nth);
	return out;
}

/* ---- The file ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static int no_file(struct workload_error *error,
							  const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return -1;
}

static int is_file_name(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 4 && !strcmp(name + len - 4, ".txt"));
}

static int look_in(const char *dir, const char *below, const char *name, char *path)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s.txt", dir, below, name);

	return n > 0 && n < PATH_MAX && !access(path, R_OK);
}

/* The program is build/ipcshare-bench, build/FLAVOUR/... or PREFIX/bin/ipcshare-bench. */
static int look_beside_program(const char *name, char *path)
{
	static const char *const below[] = { "bench/workloads/", "share/ipcshare/workloads/" };
	char dir[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n <= 0)
		return 0;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	for (int up = 0; slash && up < 3; up++) {
		*slash = '\0';
		for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
			if (look_in(dir, below[i], name, path))
				return 1;
		slash = strrchr(dir, '/');
	}
	return 0;
}

static int find(const char *name, const char *dir, char *path, struct workload_error *error)
{
	if (is_file_name(name)) {
		if (strlen(name) >= PATH_MAX)
			return no_file(error, "the name of the workload file is too long");
		strcpy(path, name);
		return 0;
	}
	if (dir && !look_in(dir, "", name, path))
		return no_file(error, "no workload '%s': there is no %s", name, path);
	if (!dir && !look_beside_program(name, path))
		return no_file(error,
			       "no workload '%s' found beside this program; name a file "
			       "(./%s.txt) or a folder (--workload-dir DIR)", name, name);
	return 0;
}

static int slurp(FILE *file, const char *path, char **text, size_t *len,
		 struct workload_error *error)
{
	size_t room = 0, n = 0;
	char *bytes = NULL;

	for (;;) {
		if (n == room) {
			char *more = room < FILE_LIMIT ? realloc(bytes, room + 65536) : NULL;

			if (!more)
				break;
			bytes = more;
			room += 65536;
		}
		n += fread(bytes + n, 1, room - n, file);
		if (n < room && ferror(file)) {
			free(bytes);
			return no_file(error, "%s: %s", path, strerror(errno));
		}
		if (n < room) {
			*text = bytes;
			*len = n;
			return 0;
		}
	}
	free(bytes);
	return no_file(error, "%s: too long for a workload; expected at most %zu MiB", path,
		       FILE_LIMIT >> 20);
}

int workload_load(const char *name, const char *dir, char *path, char **text, size_t *len,
		  struct workload_error *error)
{
	FILE *file;
	int err;

	if (find(name, dir, path, error))
		return -1;
	file = fopen(path, "re");
	if (!file)
		return no_file(error, "%s: %s", path, strerror(errno));
	err = slurp(file, path, text, len, error);
	fclose(file);
	return err;
}
