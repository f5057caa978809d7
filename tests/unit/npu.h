/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the whole library over the Ascend backend, on an emulator of the runtime: the library that
 * TEST_EMU names. Without it nothing is tested.
 */
#ifndef TEST_NPU_H
#define TEST_NPU_H

#include "team.h"

#define NPU_BIG ((size_t)3 << 20) /* a huge page and a half */
#define NPU_SMALL ((size_t)5000)
#define NPU_TALK 1 /* the lane on which the ranks of a test tell each other how they fare */

/* ---- The emulated machine ---- */

/* Before and after each test. */
void npu_remember(void);
void npu_restore(void);

/* A machine with @devices devices that no other test or program shares; 0: there is no emulator. */
int npu_machine(int devices);
extern int npu_ndevices;
/* From now on the runtime is an older release: "9.0.0", "8.5.0", "8.2". */
void npu_release(const char *release);

struct emu_holdings { /* as in the emulator's emu_control.h */
	uint64_t exports, imports, bytes, notifies, processes, grants;
};

/* What the tests call themselves. */
extern struct emu {
	int (*counter)(const char *name, uint64_t *value);
	void (*reset_counters)(void);
	int (*fail)(const char *rules);
	int (*holdings)(struct emu_holdings *out);
	int (*init)(const char *config);
	int (*finalize)(void);
	int (*finalize_reference)(uint64_t *left);
	int (*set_device)(int32_t device);
	int (*get_device)(int32_t *device);
	int (*get_context)(void **context);
	int (*set_context)(void *context);
	int (*create_context)(void **context, int32_t device);
	int (*malloc)(void **ptr, size_t size, int32_t policy);
	int (*free)(void *ptr);
	int (*enable_peer)(int32_t peer, uint32_t flags);
	int (*create_stream)(void **stream);
	int (*destroy_stream)(void *stream);
	int (*synchronise)(void *stream);
	int (*capture_begin)(void *stream, int mode);
	int (*capture_end)(void *stream, void **model);
	int (*capture_mode)(int *mode); /* exchange the thread's */
	int (*execute)(void *model, void *stream);
	int (*destroy_model)(void *model);
} emu;

/* In a rank, for the runtime does not survive a fork. */
void npu_load(void);
/* How often this process has used a call. */
uint64_t npu_uses(const char *call);

/* ---- Ranks ---- */

struct ipcshare_options npu_options(int device);
/* What is loaded and started once a process is no leak. */
void npu_warm_up(int device);
void npu_join(struct test_rank *me, struct team *t);
void npu_leave(struct test_rank *me, struct team *t);
/* All ranks have closed all: the runtime holds nothing for any of them. */
void npu_holds_nothing(struct test_rank *me, const char *after);

/* ---- Bytes: through the host, as loads and stores can't reach them ---- */

void npu_put(struct ipcshare_ctx *ctx, void *to, size_t len, int who, size_t index);
void npu_check(struct ipcshare_ctx *ctx, const void *at, size_t len, int who, size_t index);

#define NPU_BUFS 3

/* Two allocations, three buffers; one starts at an odd address inside. */
void npu_buffers(struct team *t, void *memory[2], struct ipcshare_buf bufs[NPU_BUFS]);
void npu_buffers_free(struct team *t, void *memory[2]);
struct ipcshare_set *npu_share(struct team *t, const struct ipcshare_buf *bufs, size_t n);
/* Every rank's buffers are there and have the owner's bytes. */
void npu_check_all(struct team *t, const struct ipcshare_set *set);
/* Everybody reads all, then writes its own numbers into the buffers of the next rank. */
void npu_read_and_write(struct test_rank *me, struct team *t, struct ipcshare_set *set);

#endif
