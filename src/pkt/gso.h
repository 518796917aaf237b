/*
 * gso: generic segmentation offload: cuts one large TCP or UDP packet into packets that fit the
 * wire, for devices that cannot do it themselves. The result is byte for byte what a sender without
 * offload would have sent: sequence numbers advance, FIN and PSH stay with the last segment, CWR
 * with the first, IPv4 identifications count up (TSO as in RFC 6864 and the Linux offload
 * documentation).
 */
#pragma once

#include "pkt/pkt.h"

/* Takes p (data at its link header, l3 set, gso and gso_size set, its transport checksum partial or
 * complete); adds the segments, checksums complete, to out. 0, or -EINVAL (headers do not fit what
 * gso says) or -ENOBUFS; then out is as before and p is still the caller's. */
int gso_segment(struct pool_cache *c, struct pkt *p, struct pkt_queue *out);
