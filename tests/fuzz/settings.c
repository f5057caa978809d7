/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: lines NAME=VALUE, as `ipcshare-bench tune` prints them, into the environment; a first byte below
 * '0' chooses the setting in place of a name.
 * Must hold: IPCSHARE_ERR_CONFIG and the configuration untouched, or values within their ranges that read
 * the same again when they are written down.
 */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void forget_all(void)
{
	size_t n;
	const struct ipcshare__setting *s = ipcshare__settings(&n);

	unsetenv("IPCSHARE_UNKNOWN");
	for (size_t i = 0; i < n; i++)
		unsetenv(s[i].name);
}

static void set(const char *line)
{
	size_t n;
	const struct ipcshare__setting *s = ipcshare__settings(&n);
	const char *equals = strchr(line, '=');

	if (equals)
		for (size_t i = 0; i < n; i++)
			if (strlen(s[i].name) == (size_t)(equals - line) &&
			    !memcmp(s[i].name, line, (size_t)(equals - line)))
				setenv(s[i].name, equals + 1, 1);
	if (line[0] && line[0] < '0')
		setenv(s[(size_t)line[0] % n].name, line + 1, 1);
}

static void check_number(const struct ipcshare__config *c, const struct ipcshare__setting *s)
{
	uint32_t value;

	if (s->size != sizeof(value))
		return;
	memcpy(&value, (const char *)c + s->offset, sizeof(value));
	if (!s->choices)
		FUZZ_REQUIRE(value >= s->min && value <= s->max);
	for (uint32_t i = 0; s->choices && i <= value; i++)
		FUZZ_REQUIRE(s->choices[i]);
}

/* Written down and read again. */
static void check_again(const struct ipcshare__config *c)
{
	struct ipcshare__config again;
	size_t n;
	const struct ipcshare__setting *s = ipcshare__settings(&n);

	for (size_t i = 0; i < n; i++) {
		char text[256];
		int from_environment;

		ipcshare__config_value(c, &s[i], text, sizeof(text), &from_environment);
		setenv(s[i].name, text, 1);
	}
	FUZZ_REQUIRE(!ipcshare__config_load(&again));
	for (size_t i = 0; i < n; i++) /* behind the end of a text may be anything */
		FUZZ_REQUIRE(s[i].size == sizeof(uint32_t)
				     ? !memcmp((char *)&again + s[i].offset, (const char *)c + s[i].offset,
					       s[i].size)
				     : !strcmp((char *)&again + s[i].offset,
					       (const char *)c + s[i].offset));
}

static void count_unknown(const char *name, void *arg)
{
	FUZZ_REQUIRE(!strncmp(name, "IPCSHARE_", 9));
	++*(int *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct ipcshare__config c, before;
	char *text = malloc(len + 1), *at = text, *line;
	int err, unknown = 0;
	size_t n;
	const struct ipcshare__setting *s = ipcshare__settings(&n);

	memcpy(text, bytes, len);
	text[len] = '\0';
	forget_all();
	setenv("IPCSHARE_UNKNOWN", "1", 1);
	while ((line = strsep(&at, "\n")))
		set(line);
	free(text);
	ipcshare__config_unknown(count_unknown, &unknown);
	FUZZ_REQUIRE(unknown == 1);
	memset(&c, 0x5a, sizeof(c));
	before = c;
	err = fuzz_status(ipcshare__config_load(&c), 1);
	FUZZ_REQUIRE(!err || err == IPCSHARE_ERR_CONFIG);
	FUZZ_REQUIRE(!err || !memcmp(&c, &before, sizeof(c)));
	for (size_t i = 0; i < n && !err; i++)
		check_number(&c, &s[i]);
	if (!err)
		check_again(&c);
	forget_all();
	return 0;
}
