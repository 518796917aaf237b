/*
 * rtnl_route: what the files about routes share: changing (rtnl_route.c), telling and dumping
 * (rtnl_route_dump.c), and asking for one (rtnl_route_get.c).
 */
#pragma once

#include "ctl/rtnl.h"

extern const struct nla_policy rtnl_route_policy[];
extern const unsigned rtnl_route_n_policy;

/* Bytes a route's message may take. */
#define RTNL_ROUTE_SIZE (sizeof(struct rtmsg) + 128 + (RTAX_MAX + 1) * 8 + 16)

/* A route as RTM_NEWROUTE shows it. table: as which it is shown. */
void rtnl_route_fill(struct nlmsghdr *nlh, const struct route *rt, uint32_t table);
/* RTA_METRICS, when any is set. */
void rtnl_route_put_metrics(struct nlmsghdr *nlh, const uint32_t *metrics);
/* RTA_CACHEINFO; left: the time until it expires, in ns, 0: never. */
void rtnl_route_put_cacheinfo(struct nlmsghdr *nlh, uint64_t left);

int rtnl_route_dump(struct nl_dump *d);
int rtnl_route_get(struct nl_req *r);
