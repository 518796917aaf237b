/* genl: generic netlink. */
#pragma once

#include "run/instance.h"

int genl_init(struct weft *weft);
void genl_fini(struct weft *weft);
