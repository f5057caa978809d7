/* SPDX-License-Identifier: BSD-3-Clause */
/* The release that this variant of the library plays unless ASCENDCL_EMU_RELEASE says otherwise. */
#include "settings.h"

const char emu_built_release[] = "8.5.0";
