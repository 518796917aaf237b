/*
 * kinds: the table of drivers. A new driver is a folder and a line in kinds.c and meson.build.
 * The first is the loopback device that every namespace has.
 */
#pragma once

#include "dev/kind.h"

extern const struct dev_kind *const weft_kinds[]; /* NULL-terminated */

extern const struct dev_kind lo_kind;
extern const struct dev_kind dummy_kind;
extern const struct dev_kind fault_kind;
extern const struct dev_kind mem_kind;
extern const struct dev_kind pcap_kind;
extern const struct dev_kind tap_kind;
extern const struct dev_kind veth_kind;
extern const struct dev_kind vlan_kind;

/* dev_core's hook: takes the tagged frames that a VLAN device claims out of b. */
void vlan_input(struct worker *w, struct netdev *dev, struct batch *b);
