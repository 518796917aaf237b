/*
 * ring: packet rings (PACKET_RX_RING, PACKET_TX_RING) in a program's memory.
 *
 * mmap(2) of a packet socket maps the memory the daemon shares. What has been asked for is
 * remembered by socket, so that waiting can look at the frames themselves (poll.c). A process that
 * inherits a mapping without having made it waits for the daemon's marks alone.
 */
#pragma once

#include "shim.h"

struct tpacket_req;

/* A receive ring was asked for (n_blocks 0: given up). */
void ring_asked(const struct shim_sock *s, const struct tpacket_req *req);
/* Is any ring mapped in this process? */
bool ring_any(void);
/* Does the ring of this descriptor, if it has one, hold a frame for the program? */
bool ring_ready(int fd);
