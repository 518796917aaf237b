/*
 * raw_core: what raw.c and ping.c share: one struct raw_core an instance.
 */
#pragma once

#include "raw/raw.h"
#include "sock/inet.h"

struct raw_core {
	struct weft *weft;
	struct cds_lfht *raw;	     /* struct raw_sock.node by namespace and protocol */
	struct cds_lfht *ping;	     /* struct ping_sock.node by namespace and identifier */
	struct cds_list_head alerts; /* struct raw_sock.alert_link: IP_ROUTER_ALERT; RCU */
	unsigned n_raw, n_ping;	     /* workers skip an empty table */
	uint16_t rover;		     /* the last identifier given */
};

int ping_init(struct raw_core *core);
void ping_fini(struct raw_core *core);

static inline unsigned long raw_hash(const struct net *net, unsigned v)
{
	return hash_u64(net->ino << 17 ^ v);
}
