/* SPDX-License-Identifier: BSD-3-Clause */
/* The only file that looks at the environment. */
#include "base/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static const char *const backends[] = { "host", "ascend", NULL };
static const char *const log_levels[] = { "none", "error", "warning", "info", NULL };
static const char *const identities[] = { "auto", "start", NULL };
static const char *const no_yes[] = { "0", "1", NULL };

#define PLACE(f) offsetof(struct ipcshare__config, f), sizeof(((struct ipcshare__config *)0)->f)
#define FIELD(f) PLACE(f), 0
#define FOLDER(f) PLACE(f), 1

/* A choice is stored as text in a char array, as its index in a number. */
/* clang-format off */
static const struct ipcshare__setting settings[] = {
	{ "IPCSHARE_BACKEND", "host", "host, ascend", "what provides shareable memory", backends, 0, 0,
	  FIELD(backend) },
	{ "IPCSHARE_TIMEOUT", "120", "1 .. 86400",
	  "seconds that a call waits for a peer before it fails", NULL, 1, 86400,
	  FIELD(timeout_s) },
	{ "IPCSHARE_LOG", "none", "none, error, warning, info",
	  "what is printed on standard error", log_levels, 0, 0, FIELD(log) },
	{ "IPCSHARE_SOCKET_DIR", "", "a folder's path from / on, up to 63 bytes; empty: abstract sockets",
	  "where brokers listen; for ranks in different network namespaces, a folder they all see",
	  NULL, 0, 0, FOLDER(socket_dir) },
	{ "IPCSHARE_IDENTITY", "auto", "auto, start",
	  "how processes are told apart: by pidfd inode (Linux 6.9), or by start time", identities,
	  0, 0, FIELD(identity) },
	{ "IPCSHARE_HARDEN", "0", "0, 1",
	  "1 keeps other processes of the same user out of this one's memory and descriptors",
	  no_yes, 0, 0, FIELD(harden) },
	{ "IPCSHARE_CACHE_ENTRIES", "32768", "0 .. 4294967295",
	  "how many of peers' allocations stay mapped when nobody uses them", NULL, 0, UINT32_MAX,
	  FIELD(cache_entries) },
	{ "IPCSHARE_CACHE_MIB", "1048576", "0 .. 4294967295",
	  "the same in MiB of address space", NULL, 0, UINT32_MAX, FIELD(cache_mib) },
	{ "IPCSHARE_HUGE_PAGES", "1", "0, 1",
	  "put allocations of whole 2 MiB on huge pages that the machine has set apart and free", no_yes, 0,
	  0, FIELD(huge_pages) },
	{ "IPCSHARE_KEEP_MIB", "256", "0 .. 1048576",
	  "MiB of tables of ended shares and sets that are kept for the next ones", NULL, 0, 1 << 20,
	  FIELD(keep_mib) },
	{ "IPCSHARE_CHECK", "0", "0, 1", "compare the arguments of all ranks in each collective of "
	  "ipcshare_coll.h", no_yes, 0, 0, FIELD(check) },
	{ "IPCSHARE_COLL_ROUND", "3072", "0 .. 65536",
	  "bytes that a core gets from another in the time of a round of a collective", NULL, 0, 65536,
	  FIELD(coll_round) },
	{ "IPCSHARE_CROWD_ROUND", "32768", "0 .. 65536", "the same with more ranks than cores", NULL,
	  0, 65536, FIELD(coll_round_crowded) },
	{ "IPCSHARE_COLL_DIRECT", "65536", "1 .. 4294967295",
	  "bytes from which on collectives leave blocks in shared memory where they are", NULL, 1, UINT32_MAX,
	  FIELD(coll_direct) },
	{ "IPCSHARE_CROWD_DIRECT", "65536", "1 .. 4294967295",
	  "the same with more ranks than cores", NULL, 1, UINT32_MAX, FIELD(coll_direct_crowded) },
	{ "IPCSHARE_COLL_RELAY", "4194304", "0 .. 4294967295",
	  "bytes to be spared the way between packages, or NUMA nodes, from which on ranks pass blocks on", NULL,
	  0, UINT32_MAX, FIELD(coll_relay) },
	{ "IPCSHARE_MPI", "1", "0, 1", "0 leaves the collectives of ipcshare_mpi.h to MPI itself", no_yes,
	  0, 0, FIELD(mpi) },
	{ "IPCSHARE_ACROSS", "16777216", "0 .. 4294967295",
	  "bytes from which on those whose ranks are on several nodes use shared memory on each, and not MPI alone",
	  NULL, 0, UINT32_MAX, FIELD(across) },
	{ "IPCSHARE_FAKE_NODES", "", "2x4 for two nodes of four ranks, or 3+1; empty: no",
	  "for tests: how many ranks of the world each of several nodes is to have, which are one", NULL, 0, 0,
	  FIELD(fake_nodes) },
	{ "IPCSHARE_ACL_LIB", "", "a file's path, up to 127 bytes; empty: libascendcl.so, libacl_rt.so",
	  "the Ascend runtime to open", NULL, 0, 0, FIELD(acl_lib) },
	{ "IPCSHARE_ASCEND_ANY_SOC", "0", "0, 1", "try Ascend devices that are not 910B or 910C",
	  no_yes, 0, 0, FIELD(ascend_any_soc) },
	{ "IPCSHARE_ASCEND_STRICT", "0", "0, 1",
	  "refuse to register device memory if bytes beside it would be visible to peers", no_yes, 0,
	  0, FIELD(ascend_strict) },
};
/* clang-format on */
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

const struct ipcshare__setting *ipcshare__settings(size_t *count)
{
	*count = NSETTINGS;
	return settings;
}

static int is_text(const struct ipcshare__setting *s)
{
	return s->size != sizeof(uint32_t);
}

static int choice_index(const struct ipcshare__setting *s, const char *value)
{
	for (int i = 0; s->choices[i]; i++)
		if (!strcmp(s->choices[i], value))
			return i;
	return -1;
}

/* Store @value in its field; -1 if it isn't accepted. */
static int store(struct ipcshare__config *config, const struct ipcshare__setting *s,
		 const char *value)
{
	char *field = (char *)config + s->offset, *end;
	int choice = s->choices ? choice_index(s, value) : 0;
	unsigned long number;
	uint32_t stored;

	if (choice < 0)
		return -1;
	if (is_text(s)) {
		if (strlen(value) >= s->size || (s->from_root && value[0] && value[0] != '/'))
			return -1;
		strcpy(field, value);
		return 0;
	}
	stored = (uint32_t)choice;
	if (!s->choices) {
		errno = 0;
		number = strtoul(value, &end, 10);
		if (errno || *end || value[0] < '0' || value[0] > '9' || number < s->min ||
		    number > s->max)
			return -1;
		stored = (uint32_t)number;
	}
	memcpy(field, &stored, sizeof(stored));
	return 0;
}

int ipcshare__config_read(struct ipcshare__config *config, const struct ipcshare__setting *s)
{
	const char *value = ipcshare__config_raw(s->name);
	char hint[128];

	if (value && store(config, s, value) == 0)
		return 0;
	store(config, s, s->fallback);
	if (!value)
		return 0;
	snprintf(hint, sizeof(hint), "accepted: %s", s->range);
	return ipcshare__fail(IPCSHARE_ERR_CONFIG, "settings", hint, "%s has the value \"%s\"",
			      s->name, value);
}

int ipcshare__config_load(struct ipcshare__config *out)
{
	struct ipcshare__config config = { 0 };

	for (size_t i = 0; i < NSETTINGS; i++) {
		int err = ipcshare__config_read(&config, &settings[i]);

		if (err)
			return err;
	}
	*out = config;
	return 0;
}

const char *ipcshare__config_raw(const char *name)
{
	return getenv(name);
}

void ipcshare__config_value(const struct ipcshare__config *config,
			    const struct ipcshare__setting *s, char *text, size_t len,
			    int *from_environment)
{
	const char *field = (const char *)config + s->offset;
	uint32_t number;

	*from_environment = ipcshare__config_raw(s->name) != NULL;
	if (is_text(s)) {
		snprintf(text, len, "%s", field);
		return;
	}
	memcpy(&number, field, sizeof(number));
	if (s->choices)
		snprintf(text, len, "%s", s->choices[number]);
	else
		snprintf(text, len, "%u", number);
}

static int is_known(const char *name, size_t len)
{
	for (size_t i = 0; i < NSETTINGS; i++)
		if (strlen(settings[i].name) == len && !memcmp(settings[i].name, name, len))
			return 1;
	return 0;
}

void ipcshare__config_unknown(void (*visit)(const char *name, void *arg), void *arg)
{
	char name[128];

	for (char **e = environ; e && *e; e++) {
		size_t len = strcspn(*e, "=");

		if (strncmp(*e, "IPCSHARE_", 9) || is_known(*e, len))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, *e);
		visit(name, arg);
	}
}
