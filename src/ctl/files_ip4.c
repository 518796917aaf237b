/*
 * files_ip4: what /proc/net tells of IPv4: routes, neighbours, counters, groups.
 */
#include <arpa/inet.h>
#include <linux/route.h>

#include "ctl/files_core.h"
#include "ip/ip4_core.h"

#define USER_HZ 100

/* ---- /proc/net/route ---- */

static unsigned route_flags(const struct route *r)
{
	unsigned flags = RTF_UP;

	if (r->type == RTN_UNREACHABLE || r->type == RTN_PROHIBIT)
		flags |= RTF_REJECT;
	if (r->fi->nh.gateway)
		flags |= RTF_GATEWAY;
	if (r->dst_len == 32)
		flags |= RTF_HOST;
	return flags;
}

static int route_line(const struct route *r, void *arg)
{
	const struct fib_info *fi = r->fi;
	uint32_t mask = r->dst_len ? htonl(~0u << (32 - r->dst_len)) : 0;
	char line[128];

	if (r->type == RTN_BROADCAST || r->type == RTN_MULTICAST)
		return 0;
	snprintf(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%d\t%u\t%u",
		 fi->nh.dev ? fi->nh.dev->name : "*", r->dst, fi->nh.gateway, route_flags(r), 0, 0u,
		 fi->priority, mask,
		 fi->metrics[RTAX_ADVMSS] ? (int)fi->metrics[RTAX_ADVMSS] + 40 : 0,
		 fi->metrics[RTAX_WINDOW], fi->metrics[RTAX_RTT] >> 3);
	fprintf(arg, "%-127s\n", line);
	return 0;
}

void files_route(struct net *net, FILE *out)
{
	struct route4_cookie c = {0};

	fprintf(out, "%-127s\n",
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU"
		"\tWindow\tIRTT");
	route4_walk(net, RT_TABLE_MAIN, &c, route_line, out);
}

/* Since 3.6 Linux keeps no cache of routes, and neither do we. */
void files_rt_cache(struct net *net, FILE *out)
{
	fprintf(out, "%-127s\n",
		"Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU"
		"\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst");
}

/* What is left of the route cache's statistics: packets by kind, a line a worker. */
void files_rt_stat(struct net *net, FILE *out)
{
	unsigned n = pmtu_count(net);

	fputs("entries  in_hit   in_slow_tot in_slow_mc in_no_route in_brd   in_martian_dst "
	      "in_martian_src out_hit  out_slow_tot out_slow_mc gc_total gc_ignored gc_goal_miss "
	      "gc_dst_overflow in_hlist_search out_hlist_search\n",
	      out);
	for (unsigned i = 0; i < net->weft->n_workers; i++) {
		const uint64_t *v = net->ip4->mib[i].v;

		fprintf(out,
			"%08x %08x %08x    %08x   %08x    %08x %08x       %08x       "
			"%08x %08x     %08x    %08x %08x   %08x     %08x        %08x        %08x\n",
			n, 0, (unsigned)v[MIB_Ip_InReceives], (unsigned)v[MIB_IpExt_InMcastPkts],
			(unsigned)v[MIB_IpExt_InNoRoutes], (unsigned)v[MIB_IpExt_InBcastPkts],
			(unsigned)v[MIB_RtStat_InMartianDst], (unsigned)v[MIB_RtStat_InMartianSrc],
			0, (unsigned)v[MIB_Ip_OutRequests], (unsigned)v[MIB_IpExt_OutMcastPkts], 0,
			0, 0, 0, 0, 0);
	}
}

/* ---- neighbours ---- */

static unsigned arp_flags(const struct neigh *n)
{
	const unsigned valid =
		NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

	if (n->state & NUD_PERMANENT)
		return ATF_PERM | ATF_COM;
	return n->state & valid ? ATF_COM : 0;
}

static void arp_line(const struct neigh *n, FILE *out)
{
	const struct netdev *dev = n->dev;
	char addr[INET_ADDRSTRLEN], mac[3 * NETDEV_ALEN + 1] = "";

	inet_ntop(AF_INET, n->key, addr, sizeof(addr));
	for (unsigned i = 0; i < dev->addr_len; i++)
		sprintf(mac + 3 * i, i + 1 < dev->addr_len ? "%02x:" : "%02x", n->lladdr[i]);
	fprintf(out, "%-16s 0x%-10x0x%-10x%-17s     *        %s\n", addr, dev->type, arp_flags(n),
		mac, dev->name);
}

static void arp_proxy_line(const struct neigh_proxy *p, FILE *out)
{
	char addr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, p->key, addr, sizeof(addr));
	fprintf(out, "%-16s 0x%-10x0x%-10x%s     *        %s\n", addr, p->dev ? p->dev->type : 0,
		ATF_PUBL | ATF_PERM, "00:00:00:00:00:00", p->dev ? p->dev->name : "*");
}

void files_arp(struct net *net, FILE *out)
{
	const struct neigh_table *t = arp_table(net->weft);
	const struct neigh_proxy *p;
	struct cds_list_head *at;
	const struct neigh *n;
	struct netdev *dev;

	fputs("IP address       HW type     Flags       "
	      "HW address            Mask     Device\n",
	      out);
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		if (!dev->in_dev || !dev->in_dev->arp_parms)
			continue;
		list_for_each_line (n, at, &dev->in_dev->arp_parms->entries, dev_link)
			if (n->state & ~NUD_NOARP)
				arp_line(n, out);
	}
	cds_list_for_each_entry (p, &t->proxies, link)
		if (p->net == net)
			arp_proxy_line(p, out);
}

/* The table counts on control alone, so there is one line. */
void files_arp_cache(struct net *net, FILE *out)
{
	const struct neigh_table *t = arp_table(net->weft);
	const struct neigh_stats *s = &t->stats;

	fputs("entries  allocs   destroys hash_grows lookups  hits     res_failed "
	      "rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs "
	      "unresolved_discards table_fulls\n",
	      out);
	fprintf(out,
		"%08x %08x %08x %08x   %08x %08x %08x   %08x         %08x         %08x         "
		"%08x       %08x            %08x\n",
		t->entries, (unsigned)s->allocs, (unsigned)s->destroys, (unsigned)s->hash_grows,
		(unsigned)s->lookups, (unsigned)s->hits, (unsigned)s->res_failed,
		(unsigned)s->rcv_probes_mcast, (unsigned)s->rcv_probes_ucast,
		(unsigned)s->periodic_gc_runs, (unsigned)s->forced_gc_runs,
		(unsigned)s->unres_discards, (unsigned)s->table_fulls);
}

/* ---- counters ---- */

/* A counter that is not kept in struct ip4_mibs. */
struct fixed_count {
	const char *name;
	long value;
};

static void group(struct net *net, FILE *out, const char *from, const char *as,
		  const struct fixed_count *first, bool zero)
{
	fprintf(out, "%s:", as);
	for (const struct fixed_count *f = first; f && f->name; f++)
		fprintf(out, " %s", f->name);
	for (unsigned i = 0; i < N_MIBS; i++)
		if (!strcmp(ip4_mib_names[i].group, from))
			fprintf(out, " %s", ip4_mib_names[i].name);
	fprintf(out, "\n%s:", as);
	for (const struct fixed_count *f = first; f && f->name; f++)
		fprintf(out, " %ld", f->value);
	for (unsigned i = 0; i < N_MIBS; i++)
		if (!strcmp(ip4_mib_names[i].group, from))
			fprintf(out, " %lu", zero ? 0UL : (unsigned long)ip4_mib_sum(net, i));
	fputc('\n', out);
}

/* ICMP by type: only what has been seen. */
static void icmp_msgs(struct net *net, FILE *out)
{
	uint64_t v[2][256];
	bool any = false;

	for (unsigned d = 0; d < 2; d++)
		for (unsigned t = 0; t < 256; t++)
			any |= (v[d][t] = ip4_icmpmsg_sum(net, (uint8_t)t, d)) != 0;
	if (!any)
		return;
	fputs("IcmpMsg:", out);
	for (unsigned i = 0; i < 512; i++)
		if (v[i >> 8][i & 255])
			fprintf(out, " %sType%u", i >> 8 ? "Out" : "In", i & 255);
	fputs("\nIcmpMsg:", out);
	for (unsigned i = 0; i < 512; i++)
		if (v[i >> 8][i & 255])
			fprintf(out, " %lu", (unsigned long)v[i >> 8][i & 255]);
	fputc('\n', out);
}

/* Constants of the implementation (RFC 4022): van Jacobson's algorithm, ms, no limit. */
static const struct fixed_count tcp_constants[] = {
	{"RtoAlgorithm", 1}, {"RtoMin", 200}, {"RtoMax", 120000}, {"MaxConn", -1}, {NULL, 0}};

void files_snmp(struct net *net, FILE *out)
{
	bool fwd = net->ip4->conf_all.v[IPV4_DEVCONF_FORWARDING - 1] > 0;
	const struct fixed_count ip[] = {
		{"Forwarding", fwd ? 1 : 2}, {"DefaultTTL", net->ip4->default_ttl}, {NULL, 0}};

	group(net, out, "Ip", "Ip", ip, false);
	group(net, out, "Icmp", "Icmp", NULL, false);
	icmp_msgs(net, out);
	group(net, out, "Tcp", "Tcp", tcp_constants, false);
	group(net, out, "Udp", "Udp", NULL, false);
	/* the same counters, of a protocol that does not exist here */
	group(net, out, "Udp", "UdpLite", NULL, true);
}

void files_netstat(struct net *net, FILE *out)
{
	group(net, out, "TcpExt", "TcpExt", NULL, false);
	group(net, out, "IpExt", "IpExt", NULL, false);
}

/* ---- groups ---- */

static int count_group(void *arg, uint32_t group_addr, unsigned users, uint64_t timer,
		       bool reporter)
{
	++*(int *)arg;
	return 0;
}

static int group_line(void *arg, uint32_t group_addr, unsigned users, uint64_t timer, bool reporter)
{
	fprintf(arg, "\t\t\t\t%08X %5u %d:%08lX\t\t%d\n", group_addr, users, timer != 0,
		(unsigned long)(timer / (NSEC_PER_SEC / USER_HZ)), reporter);
	return 0;
}

void files_igmp(struct net *net, FILE *out)
{
	struct netdev *dev;

	fputs("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n", out);
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		char querier[4];
		int n = 0;

		ip4_igmp_walk(dev, count_group, &n);
		if (!n)
			continue;
		snprintf(querier, sizeof(querier), "V%u", ip4_igmp_version(dev) % 10);
		fprintf(out, "%d\t%-10s: %5d %7s\n", dev->ifindex, dev->name, n, querier);
		ip4_igmp_walk(dev, group_line, out);
	}
}

struct mcfilter {
	FILE *out;
	const struct netdev *dev;
};

static void source_line(void *arg, uint32_t group_addr, uint32_t src, unsigned n_include,
			unsigned n_exclude)
{
	const struct mcfilter *f = arg;

	fprintf(f->out, "%3d %6.6s 0x%08x 0x%08x %6u %6u\n", f->dev->ifindex, f->dev->name,
		ntohl(group_addr), ntohl(src), n_include, n_exclude);
}

void files_mcfilter(struct net *net, FILE *out)
{
	struct mcfilter f = {.out = out};
	struct netdev *dev;

	fputs("Idx Device        MCA        SRC    INC    EXC\n", out);
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		f.dev = dev;
		ip4_igmp_walk_sources(dev, source_line, &f);
	}
}
