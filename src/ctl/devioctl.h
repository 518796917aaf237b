/*
 * devioctl: the device ioctls of every socket: what ifconfig, route, arp, ethtool and mii-tool ask.
 *
 * devioctl.c hands a request to its file: links (SIOCGIFMTU and its like) are its own; addresses,
 * routes and the ARP table, which on Linux belong to AF_INET and packet sockets alone, are in
 * devioctl_inet.c and devioctl_arp.c; VLANs in devioctl_vlan.c; SIOCETHTOOL in ethtool_ioctl.c.
 * Arguments come flattened, as abi/shim.h says. Everything changes by the functions that netlink
 * uses, and nothing asks for capabilities: whoever is in an instance is its root.
 *
 * Control thread.
 */
#pragma once

#include "run/instance.h"

struct ifreq;
struct net;
struct netdev;

int devioctl_init(struct weft *weft);
void devioctl_fini(struct weft *weft);

/* ---- between its files; all return -errno, or what ioctl(2) does ---- */

/* The device an ifreq names, an alias ("eth0:1") cut off; NULL. */
struct netdev *devioctl_dev(struct net *net, const struct ifreq *r);
/* An AF_INET or packet socket's own; -ENOIOCTLCMD (515): a device's. */
int devioctl_inet(struct net *net, unsigned long cmd, void *arg, size_t len);
int devioctl_arp(struct net *net, unsigned long cmd, void *arg, size_t len);
/* arg: uint32_t room in, ifreqs out. Bytes written. */
int devioctl_ifconf(struct net *net, void *arg, size_t len);
int devioctl_vlan(struct net *net, void *arg, size_t len);
/* data: the len bytes at ifr_data, in and out. */
int ethtool_ioctl(struct netdev *dev, void *data, size_t len);
