/* devioctl: the device ioctls of every socket. */
#pragma once

#include "run/instance.h"

int devioctl_init(struct weft *weft);
void devioctl_fini(struct weft *weft);
