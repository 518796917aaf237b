/*
 * packet: AF_PACKET: programs that see and send whole frames (tcpdump, dhclient, arping, lldpd).
 *
 * Files: packet (life, bind, events, /proc/net/packet), packet_opt (SOL_PACKET), packet_rx (frames
 * from a device's taps to the socket), packet_ring and packet_ring3 (TPACKET_V1 to V3 in memory
 * shared with the program), packet_tx, packet_fanout (several sockets share the load),
 * packet_mc (promiscuous mode and link addresses).
 *
 * A socket that is bound and whose device is up has a hook: a tap (dev/netdev.h) on the device, or
 * on all of its namespace. The tap runs on the worker that has the frame: it filters there and
 * copies what is to be kept. Rings are written by worker 0 alone; other workers post it their
 * copies, so that a ring needs no lock.
 *
 * The specification is Linux's packet(7) and linux/if_packet.h.
 */
#pragma once

#include <stdio.h>

#include "net/net.h"
#include "run/instance.h"

int packet_init(struct weft *weft);
void packet_fini(struct weft *weft);
/* /proc/net/packet */
void packet_show(struct net *net, FILE *out);
