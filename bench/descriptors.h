/* SPDX-License-Identifier: BSD-3-Clause */
/* descriptors.h - how many files the system lets a process have open */
#ifndef BENCH_DESCRIPTORS_H
#define BENCH_DESCRIPTORS_H

#include <stddef.h>

/** descriptors_raise - as many as this user may have; returns how many that is */
size_t descriptors_raise(void);

#endif
