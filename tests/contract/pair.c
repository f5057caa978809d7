/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/ascend/acl.h"
#include "backend/host/broker.h"
#include "base/identity.h"

/* ---- One side ---- */

static int no_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
		     uint32_t region, uint32_t generation)
{
	(void)arg;
	(void)caller;
	(void)owner;
	(void)region;
	(void)generation;
	return IPCSHARE_ERR_BUSY;
}

void side_open(struct side *s, const char *backend, int device)
{
	struct ipcshare__backend_args args = { .config = &s->config, .timeout_ms = 20000,
					       .device = device };
	uint32_t tgid;

	REQUIRE_OK(ipcshare__config_load(&s->config));
	s->ops = ipcshare__backend_find(backend);
	REQUIRE(s->ops, "there is no backend %s", backend);
	REQUIRE_OK(ipcshare__broker_start(&s->config, no_retire, NULL, &s->broker));
	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO,
					   ipcshare__broker_endpoint(s->broker), &s->id));
	args.broker = s->broker;
	REQUIRE_OK(s->ops->open(&args, &s->be));
	REQUIRE_OK(s->ops->identify(s->be, &tgid, &device));
	ipcshare__identity_complete(&s->id, tgid, device);
}

void side_close(struct side *s)
{
	s->ops->close(s->be);
	ipcshare__broker_stop(s->broker, 0);
}

/* ---- Two of them ---- */

struct start {
	const struct pair *pair;
	const char *backend;
	int reader_device;
};

static void reader_main(int channel, void *arg)
{
	const struct start *start = arg;
	struct side s = { .channel = channel };

	side_open(&s, start->backend, start->reader_device);
	test_send(channel, &s.id, sizeof(s.id));
	test_recv(channel, &s.peer, sizeof(s.peer));
	start->pair->reader(&s);
	side_close(&s);
}

static void owner_main(int channel, void *arg)
{
	const struct start *start = arg;
	struct test_child *reader = NULL;
	struct side s = { 0 };

	(void)channel;
	runtime_prepare();
	if (start->pair->set)
		putenv(strdup(start->pair->set));
	if (start->pair->reader) {
		reader = test_child(reader_main, arg);
		s.channel = reader->channel;
	}
	side_open(&s, start->backend, 0);
	if (reader) {
		test_recv(s.channel, &s.peer, sizeof(s.peer));
		test_send(s.channel, &s.id, sizeof(s.id));
	}
	start->pair->owner(&s);
	if (reader)
		test_child_join(reader);
	side_close(&s);
}

void runtime_prepare(void)
{
	static int done; /* also for the processes that this one forks: they are on its machine */
	const char *path = getenv("TEST_EMU");
	char job[32];

	if (done)
		return;
	done = 1;
	if (path && path[0]) /* a runtime that is named wins */
		setenv("IPCSHARE_ACL_LIB", path, 0);
	snprintf(job, sizeof(job), "contract.%d", getpid());
	setenv("ASCENDCL_EMU_JOB", job, 1);
	setenv("ASCENDCL_EMU_DEVICES", "8", 0);
}

struct probe {
	int status;
	int emulated; /* the emulator, with its settings and functions */
	int devices; /* 0: it has none, or can't be used */
};

/* TEST_NPU: do as if the runtime were a real one, whatever it is. */
static int stands_for_npu(void)
{
	return getenv("TEST_NPU") != NULL;
}

static void probe_devices(const struct ipcshare__config *config, struct probe *out)
{
	const struct acl *acl = ipcshare__acl_load(config->acl_lib);
	uint32_t devices = 0;

	REQUIRE(acl, "%s", ipcshare_explain());
	out->emulated = !stands_for_npu() && dlsym(acl->library, "ascendclEmuFail");
	acl->aclInit(NULL);
	if (!acl->aclrtGetDeviceCount(&devices))
		out->devices = (int)devices;
}

static void probe_main(int channel, void *arg)
{
	const struct ipcshare__backend_ops *ops = arg;
	struct ipcshare__config config;
	struct probe probe = { 0 };

	runtime_prepare();
	probe.status = ipcshare__config_load(&config);
	if (!probe.status)
		probe.status = ops->probe(&config);
	if (probe.status)
		test_note("%s can't be used here: %s", ops->name, ipcshare_explain());
	else if (ops->id == IPCSHARE__BACKEND_ASCEND)
		probe_devices(&config, &probe);
	CHECK(!probe.status || !stands_for_npu(), "%s: %s", ops->name, ipcshare_explain());
	test_send(channel, &probe, sizeof(probe));
}

static struct probe probe_backend(const struct ipcshare__backend_ops *ops)
{
	struct test_child *child = test_child(probe_main, (void *)ops);
	struct probe probe;

	test_recv(child->channel, &probe, sizeof(probe));
	test_child_join(child);
	return probe;
}

int backend_usable(const struct ipcshare__backend_ops *ops)
{
	return probe_backend(ops).status == 0;
}

/* Where it isn't, the test says what it leaves out. */
static int pair_is_possible(const struct pair *pair, const struct probe *probe)
{
	if (probe->status)
		return 0;
	if (pair->set && !strncmp(pair->set, "ASCENDCL_EMU_", 13) && !probe->emulated)
		test_skip("%s: only the emulator can provoke this", pair->set);
	else if (pair->devices > probe->devices)
		test_skip("it takes %d devices, here are %d", pair->devices, probe->devices);
	else
		return 1;
	return 0;
}

void pair_run(const struct pair *pair)
{
	for (int i = 0; ipcshare__backends[i]; i++) {
		const struct ipcshare__backend_ops *ops = ipcshare__backends[i];
		struct start start = { pair, ops->name, pair->reader_device };
		struct probe probe;

		if (pair->backend && strcmp(pair->backend, ops->name))
			continue;
		probe = probe_backend(ops);
		if (!pair_is_possible(pair, &probe))
			continue;
		if (probe.devices) /* one device alone is the reader's too */
			start.reader_device %= probe.devices;
		test_child_join(test_child(owner_main, &start));
	}
}

/* ---- What they give each other ---- */

void side_give(struct side *s, struct ipcshare__memory *mem, unsigned flags)
{
	struct side_gift gift = { .endpoint = s->id.endpoint, .length = mem->span,
			     .device = s->id.device };

	REQUIRE_OK(s->ops->export_key(s->be, mem, flags, gift.key));
	if (!(flags & IPCSHARE__EXPORT_OPEN))
		REQUIRE_OK(s->ops->allow(s->be, mem, &s->peer, 1, IPCSHARE__READ_WRITE));
	test_send(s->channel, &gift, sizeof(gift));
}

struct ipcshare__imported side_take(struct side *s)
{
	struct ipcshare__import im = { .access = IPCSHARE__READ_WRITE };
	struct side_gift gift;

	test_recv(s->channel, &gift, sizeof(gift));
	memcpy(im.key, gift.key, sizeof(im.key));
	im.length = gift.length;
	im.device = gift.device;
	REQUIRE_OK(s->ops->import_keys(s->be, gift.endpoint, &im, 1));
	return im.out;
}

void side_write(struct side *s, void *at, const void *bytes, size_t len)
{
	REQUIRE_OK(s->ops->copy(s->be, at, bytes, len));
}

void side_read(struct side *s, const void *at, void *bytes, size_t len)
{
	REQUIRE_OK(s->ops->copy(s->be, bytes, at, len));
}

/* ---- The runtime behind it ---- */

void *runtime_symbol(const struct side *s, const char *name)
{
	const char *const files[] = { s->config.acl_lib, "libascendcl.so", "libacl_rt.so" };
	const int named = s->config.acl_lib[0] != '\0';
	void *library = NULL;

	if (s->ops->id != IPCSHARE__BACKEND_ASCEND)
		return NULL;
	for (int i = !named; i < (named ? 1 : 3) && !library; i++)
		library = dlopen(files[i], RTLD_NOW | RTLD_NOLOAD);
	return library ? dlsym(library, name) : NULL;
}

/* A function of the emulator. A real runtime has none: then @lack is what the test leaves out. */
static void *emulator_symbol(const struct side *s, const char *name, const char *lack)
{
	void *symbol = stands_for_npu() ? NULL : runtime_symbol(s, name);

	if (!symbol && lack && s->ops->id == IPCSHARE__BACKEND_ASCEND)
		test_skip("%s", lack);
	return symbol;
}

void counts_reset(const struct side *s)
{
	void (*reset)(void);
	void *symbol = emulator_symbol(s, "ascendclEmuResetCounters", NULL);

	memcpy(&reset, &symbol, sizeof(reset));
	if (symbol)
		reset();
}

long count_of(const struct side *s, const char *call)
{
	int (*counter)(const char *name, uint64_t *value);
	void *symbol = emulator_symbol(s, "ascendclEmuCounter",
				       "counts of calls: only the emulator can show them");
	uint64_t value = 0;

	memcpy(&counter, &symbol, sizeof(counter));
	if (!symbol)
		return -1;
	REQUIRE_INT(counter(call, &value), 0);
	return (long)value;
}

int runtime_fail(const struct side *s, const char *rules)
{
	int (*fail)(const char *rules);
	char lack[160];
	void *symbol;

	snprintf(lack, sizeof(lack), "%s: only the emulator can provoke this", rules);
	symbol = emulator_symbol(s, "ascendclEmuFail", rules[0] ? lack : NULL);
	memcpy(&fail, &symbol, sizeof(fail));
	if (!symbol)
		return 0;
	REQUIRE_INT(fail(rules), 0);
	return 1;
}
