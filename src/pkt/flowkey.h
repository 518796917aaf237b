/*
 * flowkey: the flow hash of a packet (addresses, protocol and, where not a fragment, ports), used
 * for steering and multipath. Keyed, so that outsiders cannot aim. Symmetric variants belong to
 * their users.
 */
#pragma once

#include "base/rand.h"
#include "pkt/pkt.h"

/* Hash of an IPv4 or IPv6 packet whose l3 is set; never 0. Sets p->hash and PKT_HASH_L4. Borrows.
 */
uint32_t pkt_flow_hash(struct pkt *p, const struct hash_key *key);
