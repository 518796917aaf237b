/*
 * bed: an instance for benches: one worker, one namespace that forwards, mem devices.
 *
 * The clock is the bench's own (bed_step lets it go on), so no timer falls due that the bench does
 * not know of. One thread.
 */
#pragma once

#include "drivers/mem/mem.h"
#include "ip/ip4.h"
#include "run/instance.h"

struct bed {
	struct weft *weft;
	struct worker *w;
	struct net *net;
};

/* Ends the program when it cannot be had. n_packets: size of the pool. */
void bed_init(struct bed *b, unsigned n_packets);
void bed_fini(struct bed *b);
/* Does what is due, ns later. */
void bed_step(struct bed *b, uint64_t ns);

/* A mem device that is up and forwards, with this address (host order; 0: none). */
struct netdev *bed_dev(struct bed *b, const char *name, uint32_t addr, unsigned prefixlen);
/* Host order. gw 0: on the link. Returns what route4_add() does. */
int bed_route(struct bed *b, uint32_t dst, unsigned len, uint32_t gw, struct netdev *dev);
/* A neighbour for ever (host order), with link address 02:ee and the four bytes of addr. */
int bed_neigh(struct bed *b, struct netdev *dev, uint32_t addr);

/* An IPv4 frame of so many bytes, checksum of an FCS not counted, to dev's link address. */
void bed_frame(uint8_t *to, unsigned size, const struct netdev *dev, uint32_t saddr,
	       uint32_t daddr);
