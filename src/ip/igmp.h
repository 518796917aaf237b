/*
 * igmp: what igmp.c (groups, timers, queries) and igmp_report.c (messages sent) share. Control.
 */
#pragma once

#include "ip/ip4_core.h"

static inline struct worker *igmp_worker(const struct in_dev *in)
{
	return in->dev->weft->worker[0];
}

/* An IGMPv3 report under way: begins as {.in = in}. */
struct igmp_report {
	struct in_dev *in;
	struct pkt *p;
	struct route_result res;
	unsigned n;
};

/* Adds a record (IGMPV3_MODE_IS_EXCLUDE, ...) without sources; a full packet is sent first. */
void igmp_report_add(struct igmp_report *r, uint8_t type, uint32_t group);
/* Sends what is left. */
void igmp_report_end(struct igmp_report *r);
/* An IGMPv1 or v2 message about one group. */
void igmp_send_v2(struct in_dev *in, uint8_t type, uint32_t group, uint32_t daddr);
