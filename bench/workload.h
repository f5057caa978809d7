/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload.h - the buffers a rank shares, read from a small text file
 *
 *	# a comment, up to the end of the line
 *	count bytes name	count buffers of so many bytes
 *	shuffle seed		put all buffers in an order made from seed, not that of the lines
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_NAME 64		/* with the NUL */
#define WORKLOAD_BUFFERS (1u << 24)	/* at most; so that counting them never overflows */

struct workload_line {
	size_t count;
	size_t bytes;
	char name[WORKLOAD_NAME];
};

/* Where a buffer comes from: the nth of a line. */
struct workload_buffer {
	uint32_t line;
	uint32_t nth;
};

struct workload {
	char name[WORKLOAD_NAME];
	struct workload_line *lines;
	size_t nlines;
	struct workload_buffer *buffers;
	size_t nbuffers;
	uint64_t bytes;		/* of all buffers; fits a ptrdiff_t */
};

/* What is wrong with a file: "FILE:LINE: what was found, what was expected". */
struct workload_error {
	char text[512];
};

/**
 * workload_parse - read a workload from text
 * @text: @len bytes, not NUL terminated
 * @origin: its file, for messages and for the workload's name
 * @out: untouched on failure; workload_free() it
 *
 * Return: 0, or -1 with @error filled in
 */
int workload_parse(const char *text, size_t len, const char *origin, struct workload *out,
		   struct workload_error *error);
void workload_free(struct workload *w);

/**
 * workload_load - the text of a workload's file
 * @name: a file if it has a '/' or ends in ".txt"; else NAME.txt is looked up
 * @dir: where, or NULL: bench/workloads in the source tree or share/ipcshare/workloads of the
 *       installation that this program is part of
 * @path: set to the file's name, of at least PATH_MAX bytes
 * @text: to be free()d
 *
 * Return: 0, or -1 with @error filled in
 */
int workload_load(const char *name, const char *dir, char *path, char **text, size_t *len,
		  struct workload_error *error);

static inline size_t workload_len(const struct workload *w, size_t i)
{
	return w->lines[w->buffers[i].line].bytes;
}

/** workload_label - "h.ln_1.weight[3]"; just the line's name if it has one buffer */
const char *workload_label(const struct workload *w, size_t i, char *out, size_t size);

#endif
