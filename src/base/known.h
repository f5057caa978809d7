/* SPDX-License-Identifier: BSD-3-Clause */
/* known.h - what holds at a place by what other functions promise, said for a reader and for analysers. */
#ifndef IPCSHARE_BASE_KNOWN_H
#define IPCSHARE_BASE_KNOWN_H

/* Only an analyser, which sees one file at a time, makes something of it: code does not change. */
#ifdef __clang_analyzer__
#define ipcshare__known(what) ((what) ? (void)0 : __builtin_unreachable())
#else
#define ipcshare__known(what) ((void)sizeof(!(what)))
#endif

#endif
