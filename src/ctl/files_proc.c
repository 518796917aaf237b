/*
 * files_proc: /proc/net: its table, and what is about devices, sockets and the workers.
 *
 * Formats are the kernel's to the byte: programs read them with scanf and by column.
 */
#include "ctl/files_core.h"

#include <linux/in.h>
#include <time.h>

#include "ctl/nl.h"
#include "packet/packet.h"
#include "raw/raw.h"
#include "sock/inet.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

/* ---- devices ---- */

static void dev_line(const struct netdev *dev, FILE *out)
{
	struct rtnl_link_stats64 s;

	netdev_stats(dev, &s);
	fprintf(out,
		"%6s: %7llu %7llu %4llu %4llu %4llu %5llu %10llu %9llu "
		"%8llu %7llu %4llu %4llu %4llu %5llu %7llu %10llu\n",
		dev->name, s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped + s.rx_missed_errors,
		s.rx_fifo_errors,
		s.rx_length_errors + s.rx_over_errors + s.rx_crc_errors + s.rx_frame_errors,
		s.rx_compressed, s.multicast, s.tx_bytes, s.tx_packets, s.tx_errors, s.tx_dropped,
		s.tx_fifo_errors, s.collisions,
		s.tx_carrier_errors + s.tx_aborted_errors + s.tx_window_errors +
			s.tx_heartbeat_errors,
		s.tx_compressed);
}

static void show_dev(struct net *net, FILE *out)
{
	struct netdev *dev;

	fputs("Inter-|   Receive                            "
	      "                    |  Transmit\n"
	      " face |bytes    packets errs drop fifo frame "
	      "compressed multicast|bytes    packets errs "
	      "drop fifo colls carrier compressed\n",
	      out);
	cds_list_for_each_entry (dev, &net->devs, net_link)
		dev_line(dev, out);
}

static void show_dev_mcast(struct net *net, FILE *out)
{
	const struct dev_maddr *m;
	struct netdev *dev;

	cds_list_for_each_entry (dev, &net->devs, net_link)
		cds_list_for_each_entry (m, &dev->maddrs, link) {
			fprintf(out, "%-4d %-15s %-5u %-5d ", dev->ifindex, dev->name, m->refs,
				m->global);
			for (unsigned i = 0; i < dev->addr_len; i++)
				fprintf(out, "%02x", m->addr[i]);
			fputc('\n', out);
		}
}

static void ptype_line(FILE *out, uint16_t protocol, const char *dev, const char *fn)
{
	unsigned type = __builtin_bswap16(protocol);

	if (type == ETH_P_ALL)
		fprintf(out, "ALL  %-8s %s\n", dev, fn);
	else
		fprintf(out, "%04x %-8s %s\n", type, dev, fn);
}

static void show_ptype(struct net *net, FILE *out)
{
	const struct dev_core *core = net->core;
	struct netdev *dev;
	struct tap *t;

	fputs("Type Device      Function\n", out);
	cds_list_for_each_entry (dev, &net->devs, net_link)
		cds_list_for_each_entry (t, &dev->taps, link)
			ptype_line(out, t->protocol, dev->name, "packet_rcv");
	cds_list_for_each_entry (t, &net->taps, link)
		ptype_line(out, t->protocol, "", "packet_rcv");
	if (core->ip4_input)
		ptype_line(out, __builtin_bswap16(ETH_P_IP), "", "ip_rcv");
	if (core->arp_input)
		ptype_line(out, __builtin_bswap16(ETH_P_ARP), "", "arp_rcv");
	if (core->ip6_input)
		ptype_line(out, __builtin_bswap16(ETH_P_IPV6), "", "ipv6_rcv");
}

/* ---- workers, clocks ---- */

/* A worker is what a CPU is there: what it took in, what its backlog lost, what waits in it. */
static void show_softnet(struct net *net, FILE *out)
{
	const struct weft *weft = net->weft;

	for (unsigned i = 0; i < weft->n_workers; i++) {
		const struct worker *w = weft->worker[i];
		uint64_t in = READ_ONCE(w->stages[STAGE_ETHER].packets);
		uint64_t lost = READ_ONCE(w->drops[DROP_CPU_BACKLOG]);
		unsigned waiting = READ_ONCE(w->backlog.n);
		const unsigned col[15] = {(unsigned)in,
					  (unsigned)lost, [11] = waiting, [12] = i, [13] = waiting};

		for (unsigned c = 0; c < ARRAY_SIZE(col); c++)
			fprintf(out, "%08x%c", col[c], c + 1 < ARRAY_SIZE(col) ? ' ' : '\n');
	}
}

/* The units in which `tc` counts time: ns in a tick, ticks and timer steps in a second. */
static void show_psched(struct net *net, FILE *out)
{
	struct timespec res = {0, 1};

	clock_getres(CLOCK_MONOTONIC, &res);
	fprintf(out, "%08x %08x %08x %08x\n", (unsigned)NSEC_PER_USEC, 1u << 6, 1000000u,
		(unsigned)(NSEC_PER_SEC / (uint64_t)MAX(res.tv_nsec, 1L)));
}

/* ---- sockets ---- */

struct proto_name {
	const char *name;
	int family, type, protocol;
	bool slab;
};

/* Latest registered first, as the kernel lists them. */
static const struct proto_name protos[] = {
	{"PACKET", AF_PACKET, SOCK_RAW, 0, false},
	{"PING", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, true},
	{"RAW", AF_INET, SOCK_RAW, IPPROTO_ICMP, true},
	{"UDP", AF_INET, SOCK_DGRAM, IPPROTO_UDP, true},
	{"NETLINK", AF_NETLINK, SOCK_RAW, 0, false},
};

static unsigned count_socks(struct net *net, const struct sock_ops *ops)
{
	unsigned n = 0;

	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk))
		n += sk->ops == ops;
	return n;
}

static void show_protocols(struct net *net, FILE *out)
{
	fprintf(out, "%-9s %-4s %-8s %-6s %-5s %-7s %-4s %-10s %s\n", "protocol", "size", "sockets",
		"memory", "press", "maxhdr", "slab", "module",
		"cl co di ac io in de sh ss gs se re bi br ha uh gp em");
	for (unsigned i = 0; i < ARRAY_SIZE(protos); i++) {
		const struct proto_name *p = &protos[i];
		int err = 0;
		const struct sock_ops *ops =
			sock_find_ops(net, p->family, p->type, p->protocol, &err);

		if (!ops)
			continue;
		/* Packet and netlink sockets have no struct proto to speak of there either. */
		bool has = p->family == AF_INET;
		const bool can[] = {has,
				    has && ops->connect,
				    has && ops->connect,
				    false,
				    has && ops->ioctl,
				    has && ops->init,
				    has && ops->release,
				    has && ops->shutdown,
				    has && ops->setsockopt,
				    has && ops->getsockopt,
				    has && ops->sendmsg,
				    has,
				    has && ops->bind,
				    has,
				    has,
				    has,
				    has && p->type == SOCK_DGRAM,
				    false};

		fprintf(out, "%-9s %4zu %6u  %6ld   %-3s %6u   %-3s  %-10s ", p->name, ops->size,
			count_socks(net, ops), -1L, "NI", 0, p->slab ? "yes" : "no", "kernel");
		for (unsigned c = 0; c < ARRAY_SIZE(can); c++)
			fprintf(out, "%2c%c", can[c] ? 'y' : 'n',
				c + 1 < ARRAY_SIZE(can) ? ' ' : '\n');
	}
}

/* There is no UDP-Lite, so its table is empty. */
static void show_udplite(struct net *net, FILE *out)
{
	inet_show_head(out, 5, true);
}

static void show_sockstat(struct net *net, FILE *out)
{
	sock_show_used(net, out);
	tcp_show_sockstat(net, out);
	sock_show(net, out);
}

/* ---- the table ---- */

/* What the kernel keeps for the machine is in its first namespace only. */
static bool in_first(const struct file_at *at)
{
	return at->net->weft->nets->first == at->net;
}

#define FILE_(file, fn)                                                                            \
	{                                                                                          \
		.name = (file), .mode = 0444, .print = (fn)                                        \
	}

static const struct file_row stat_rows[] = {
	{.name = "arp_cache", .mode = 0444, .print = files_arp_cache, .exists = in_first},
	FILE_("rt_cache", files_rt_stat),
	{.name = NULL},
};
static const struct file_dir stat_dir = {.rows = stat_rows};

static const struct file_row proc_rows[] = {
	FILE_("arp", files_arp),
	FILE_("dev", show_dev),
	FILE_("dev_mcast", show_dev_mcast),
	FILE_("fib_trie", files_fib_trie),
	FILE_("fib_triestat", files_fib_triestat),
	FILE_("icmp", ping_show),
	FILE_("igmp", files_igmp),
	FILE_("mcfilter", files_mcfilter),
	FILE_("netlink", nl_show),
	FILE_("netstat", files_netstat),
	FILE_("packet", packet_show),
	FILE_("protocols", show_protocols),
	FILE_("psched", show_psched),
	FILE_("ptype", show_ptype),
	FILE_("raw", raw_show),
	FILE_("route", files_route),
	FILE_("rt_cache", files_rt_cache),
	FILE_("snmp", files_snmp),
	FILE_("sockstat", show_sockstat),
	FILE_("softnet_stat", show_softnet),
	{.name = "stat", .mode = 0555, .dir = &stat_dir},
	FILE_("tcp", tcp_show),
	FILE_("udp", udp_show),
	FILE_("udplite", show_udplite),
	{.name = "vlan", .mode = 0555, .dir = &files_proc_vlan, .exists = files_has_vlan},
	{.name = NULL},
};
const struct file_dir files_proc_net = {.rows = proc_rows};
