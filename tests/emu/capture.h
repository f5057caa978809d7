/* SPDX-License-Identifier: BSD-3-Clause */
/* Stream capture and captured models (contract 1.9.5). */
#ifndef EMU_CAPTURE_H
#define EMU_CAPTURE_H

#include <stdbool.h>

#include "event.h"
#include "stream.h"

/* True when @s captures: the task was recorded, or *err says why not and the capture is spoilt. */
bool emu_capture_record(struct emu_stream *s, struct emu_task *t, int *err);

bool emu_capturing(struct emu_stream *s);
bool emu_capture_in(const struct emu_context *c);
void emu_capture_spoil(struct emu_stream *s);

/* True: a synchronous call by this thread is refused in @c, and has spoilt the captures. */
bool emu_capture_refuses_sync(const struct emu_context *c);
void emu_capture_forget(struct emu_stream *s);	/* it is being destroyed */

/* An event on a stream; -1 when no capture is involved and the caller goes on by itself. */
int emu_capture_event_record(struct emu_stream *s, struct emu_event *e);
int emu_capture_event_wait(struct emu_stream *s, struct emu_event *e);
bool emu_capture_event_used(const struct emu_event *e);

#endif
