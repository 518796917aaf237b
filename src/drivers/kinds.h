/*
 * kinds: the table of drivers. A new driver is a folder and a row in meson.build, which writes
 * kinds.def: the drivers that option `drivers` selects. The first is the loopback device that
 * every namespace has.
 */
#pragma once

#include "dev/kind.h"

extern const struct dev_kind *const weft_kinds[]; /* NULL-terminated */

#define DRIVER(name) extern const struct dev_kind name##_kind;
#include "drivers/kinds.def"
#undef DRIVER
