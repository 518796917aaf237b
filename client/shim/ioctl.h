/*
 * ioctl: the sizes of what SIOCETHTOOL points to.
 *
 * Each command of ethtool has a struct, and some have an array behind it whose length a field of
 * the struct says, or the program has asked before. ETHTOOL_GSTRINGS and its like have arrays as
 * long as the daemon says; where the program left the length out, it is asked.
 */
#pragma once

#include "shim.h"

struct ifreq;

/* Bytes at ifr_data, read or written by the command that is there. */
size_t ethtool_size(const struct shim_sock *s, const struct ifreq *ifr);
