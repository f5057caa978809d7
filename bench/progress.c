/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 500		/* a run that is over by then needs no progress line */
#define REDRAW_MS 100
#define LOOK_BYTES (4u << 20)	/* done between two looks at the clock */

static struct {
	int fd;			/* the terminal; 0: none */
	int shown;
	const char *what, *stage;
	uint64_t total, done, looked;
	int64_t next_ms;
} line;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int is_terminal(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISCHR(st.st_mode);
}

/* mpirun gives its ranks a pipe for stderr. Rank 0 is its child as a rule, and what mpirun has for
 * stderr itself is what the user sees. */
static int terminal_open(void)
{
	char path[64];
	int fd;

	if (isatty(STDERR_FILENO))
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	snprintf(path, sizeof(path), "/proc/%ld/fd/2", (long)getppid());
	if (!is_terminal(path))
		return -1;
	fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !isatty(fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

void progress_open(void)
{
	const char *term = getenv("TERM");
	int fd;

	if (!term || !*term || !strcmp(term, "dumb"))
		return;
	fd = terminal_open();
	if (fd < 0)
		return;
	/* Under "stty tostop" a job in the background would be stopped for writing. */
	signal(SIGTTOU, SIG_IGN);
	line.fd = fd;
	line.next_ms = now_ms() + FIRST_MS;
}

void progress_close(void)
{
	progress_clear();
	if (line.fd)
		close(line.fd);
	line.fd = 0;
}

static void put(const char *text)
{
	/* A terminal that doesn't take it now does without. */
	if (write(line.fd, text, strlen(text)) < 0)
		return;
}

static void draw(int waiting)
{
	char text[128];
	int percent = line.total ? (int)(100.0 * (double)line.done / (double)line.total) : -1;

	if (waiting)
		snprintf(text, sizeof(text), "\r\033[K%.40s: %.20s, waiting for the other ranks",
			 line.what, line.stage);
	else if (percent < 0)
		snprintf(text, sizeof(text), "\r\033[K%.40s: %.20s", line.what, line.stage);
	else
		snprintf(text, sizeof(text), "\r\033[K%.40s: %.20s %3d %%", line.what, line.stage,
			 percent < 100 ? percent : 100);
	put(text);
	line.shown = 1;
}

static void draw_if_due(int waiting)
{
	int64_t now = now_ms();

	if (now < line.next_ms)
		return;
	line.next_ms = now + REDRAW_MS;
	draw(waiting);
}

void progress_stage(const char *what, const char *stage, uint64_t total)
{
	if (!line.fd)
		return;
	line.what = what;
	line.stage = stage;
	line.total = total;
	line.done = line.looked = 0;
	draw_if_due(0);
}

void progress_add(uint64_t bytes)
{
	line.done += bytes;
	if (!line.fd || line.done - line.looked < LOOK_BYTES)
		return;
	line.looked = line.done;
	draw_if_due(0);
}

void progress_wait(void)
{
	if (line.fd && line.stage)
		draw_if_due(1);
}

void progress_clear(void)
{
	if (!line.shown)
		return;
	put("\r\033[K");
	line.shown = 0;
	line.next_ms = now_ms() + FIRST_MS;
}
