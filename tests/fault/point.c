/* SPDX-License-Identifier: BSD-3-Clause */
#include "point.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/point.h"

/* Made by the linker around the names of IPCSHARE__POINT(). */
extern const char *const __start_ipcshare_points[] __attribute__((visibility("hidden")));
extern const char *const __stop_ipcshare_points[] __attribute__((visibility("hidden")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* brokers come to points, too */
static _Atomic int now;
static struct point_record *watching;
static struct point_place target; /* .point NULL: none; .nth that are still to come */
static int fate;
static _Atomic uint64_t *struck;

const char *const *point_names(size_t *n)
{
	*n = (size_t)(__stop_ipcshare_points - __start_ipcshare_points);
	return __start_ipcshare_points;
}

void point_step(int step)
{
	atomic_store(&now, step);
}

void point_watch(struct point_record *record)
{
	watching = record;
}

void point_arm(struct point_place place, int signal, _Atomic uint64_t *struck_ns)
{
	target = place;
	fate = signal;
	struck = struck_ns;
}

static int is_at(const struct point_place *place, const char *point, int step)
{
	return place->step == step && !strcmp(place->point, point);
}

static int is_broker(void)
{
	return (pid_t)syscall(SYS_gettid) != getpid();
}

static void note(struct point_record *r, const char *point, int step)
{
	size_t n = atomic_load(&r->n);
	int nth = 1;

	for (size_t i = 0; i < n; i++)
		nth += is_at(&r->places[i], point, step);
	if (n == POINT_PLACES || (nth > 1 && is_broker()))
		return; /* whoever reads it finds that it is full */
	r->places[n] = (struct point_place){ point, step, nth };
	atomic_store(&r->n, n + 1);
}

/* In the thread that came here, so that it does nothing more. */
static void strike(void)
{
	target.point = NULL;
	atomic_store(struck, ipcshare__now_ns());
	raise(fate);
}

static void (*_Atomic delay)(void);

void point_delay(void (*fn)(void))
{
	atomic_store(&delay, fn);
}

void ipcshare__point(const char *point)
{
	void (*fn)(void) = atomic_load(&delay);
	int step = atomic_load(&now);

	if (fn)
		fn();
	pthread_mutex_lock(&lock);
	if (watching)
		note(watching, point, step);
	if (target.point && is_at(&target, point, step) && --target.nth == 0)
		strike();
	pthread_mutex_unlock(&lock);
}
