/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a test asks to go wrong or slow: rules of the form name:when=code[@rank], separated by
 * commas. `when` is a number n (the n-th use), n+ (from the n-th on) or * (always).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emu.h"
#include "emu_control.h"
#include "table.h"

struct rule {
	struct rule *next;
	int call;
	uint64_t from, to;	/* uses, counted from 1 since the rule was made */
	uint64_t seen;
	int code;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule *rules;
static uint64_t delays[EMU_NCOUNTERS];	/* us */
static _Thread_local bool in_hostfunc;

/* name:when=code[@rank], already cut out of the list */
static int rule_parse(char *text)
{
	char *when = strchr(text, ':'), *code = strchr(text, '='), *rank = strchr(text, '@'), *end;
	struct rule *r;
	int call;

	if (!code || (when && when > code))
		return -1;
	*code++ = 0;
	if (when)
		*when++ = 0;
	if (rank)
		*rank++ = 0;
	call = emu_call_find(text, strlen(text));
	if (call < 0)
		return -1;
	if (rank && atoll(rank) != emu_settings()->rank)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -1;
	r->call = call;
	r->code = (int)strtol(code, &end, 0);
	r->from = 1;
	r->to = UINT64_MAX;
	if (*end || !*code)
		goto bad;
	if (when && strcmp(when, "*")) {
		r->from = strtoull(when, &end, 10);
		r->to = *end == '+' ? UINT64_MAX : r->from;
		if (!r->from || (*end && strcmp(end, "+")))
			goto bad;
	}
	r->next = rules;
	rules = r;
	return 0;
bad:
	free(r);
	return -1;
}

static int list_parse(const char *list, int (*one)(char *))
{
	char *copy = strdup(list), *save, *item;
	int err = copy ? 0 : -1;

	for (item = copy ? strtok_r(copy, ",", &save) : NULL; item && !err;
	     item = strtok_r(NULL, ",", &save))
		err = one(item);
	free(copy);
	return err;
}

static void rules_forget(void)
{
	struct rule *r;

	while ((r = rules)) {
		rules = r->next;
		free(r);
	}
}

int emu_fault_parse(const char *list)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!list || !*list)
		rules_forget();
	else
		err = list_parse(list, rule_parse);
	pthread_mutex_unlock(&lock);
	return err;
}

/* name=microseconds */
static int delay_parse(char *text)
{
	char *value = strchr(text, '=');
	int call;

	if (!value)
		return -1;
	*value++ = 0;
	call = emu_call_find(text, strlen(text));
	if (call < 0)
		return -1;
	delays[call] = strtoull(value, NULL, 10);
	return 0;
}

static int setup_error;

static void setup(void)
{
	const struct emu_settings *s = emu_settings();

	setup_error = emu_settings_error();
	if ((s->fail && emu_fault_parse(s->fail)) ||
	    (s->delay && list_parse(s->delay, delay_parse)))
		setup_error = ACL_ERROR_INVALID_PARAM;
}

bool emu_fault_due(enum emu_call call, int *code)
{
	bool due = false;

	pthread_mutex_lock(&lock);
	for (struct rule *r = rules; r; r = r->next) {
		if (r->call != (int)call)
			continue;
		r->seen++;
		if (r->seen >= r->from && r->seen <= r->to) {
			*code = r->code;
			due = true;
		}
	}
	pthread_mutex_unlock(&lock);
	return due;
}

void emu_hostfunc_mark(bool inside)
{
	in_hostfunc = inside;
}

int emu_enter(enum emu_call call)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int code;

	pthread_once(&once, setup);
	if (setup_error)
		return emu_fail(setup_error, "a setting of the emulator is wrong, see stderr");
	if (emu_forked())
		return emu_fail(ACL_ERROR_RT_INTERNAL_ERROR,
				"fork() after the first ACL call is not supported");
	emu_count(call, 1);
	if (delays[call])
		emu_sleep_us(delays[call]);
	if (emu_fault_due(call, &code))
		return emu_fail(code, "%s: failure injected", emu_call_name(call));
	if (in_hostfunc)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%s inside a host function",
				emu_call_name(call));
	return 0;
}

int ascendclEmuFail(const char *list)
{
	return emu_fault_parse(list);
}

void emu_sleep_us(uint64_t us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&t, &t))
		;
}

uint64_t emu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
