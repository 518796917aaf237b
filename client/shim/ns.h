/*
 * ns: what other files of the shim need of namespaces.
 */
#pragma once

#include <stdbool.h>

/* The ioctls of a namespace's file (ioctl_ns(2)). False: fd is none of ours. */
bool ns_ioctl(int fd, unsigned long cmd, int *result);
