/* SPDX-License-Identifier: BSD-3-Clause */
/* A buffer in two words: see struct ipcshare__wire_descriptor. */
#ifndef IPCSHARE_BASE_DESCRIPTOR_H
#define IPCSHARE_BASE_DESCRIPTOR_H

#include "base/wire.h"

#define IPCSHARE__REACH ((uint64_t)1 << 44) /* offsets, lengths and strides are below it */
#define IPCSHARE__LOW20 0xfffffu

/* @length is 1 .. REACH - 1, @offset is below REACH, @region is an id. */
static inline struct ipcshare__wire_descriptor
ipcshare__descriptor(uint32_t region, uint32_t generation, uint64_t offset, uint64_t length)
{
	return (struct ipcshare__wire_descriptor){
		(uint64_t)region << 44 | length,
		(uint64_t)(generation & IPCSHARE__LOW20) << 44 | offset,
	};
}

/* What is no buffer in a region: its length is 0. @low is below REACH, @high below 2^20. */
static inline struct ipcshare__wire_descriptor
ipcshare__descriptor_special(enum ipcshare__special what, uint32_t high, uint64_t low)
{
	return (struct ipcshare__wire_descriptor){ (uint64_t)what << 44,
						   (uint64_t)high << 44 | low };
}

/* 0: it is special. */
static inline uint64_t ipcshare__descriptor_length(struct ipcshare__wire_descriptor d)
{
	return d.what & (IPCSHARE__REACH - 1);
}

/* The region's id, or enum ipcshare__special. */
static inline uint32_t ipcshare__descriptor_what(struct ipcshare__wire_descriptor d)
{
	return (uint32_t)(d.what >> 44);
}

/* The offset, a run's stride, or a status, negated. */
static inline uint64_t ipcshare__descriptor_low(struct ipcshare__wire_descriptor d)
{
	return d.where & (IPCSHARE__REACH - 1);
}

/* The low 20 bits of the generation, or how many buffers a run adds. */
static inline uint32_t ipcshare__descriptor_high(struct ipcshare__wire_descriptor d)
{
	return (uint32_t)(d.where >> 44);
}

#endif
