/* net_sysctl: the settings of net/core/ that are about devices and workers. Control thread. */
#pragma once

struct weft;

/* Adds the rows; for weft.c. 0 or -errno. */
int net_sysctl_init(struct weft *weft);
