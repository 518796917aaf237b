/*
 * tcp_ip4: TCP over IPv4: struct tcp_af, and segments that no socket sends.
 *
 * Checksums are left to whoever needs them (PKT_CSUM_PARTIAL): the field holds the sum of the
 * pseudo header, and a device that cannot finish it has that done in dev/tx.c. So nobody sums what
 * never leaves the machine. Large segments (p->gso) stay whole for the same reason.
 *
 * A connection keeps its route for a millisecond, or until route4_gen() tells of a change: the
 * look-up is as dear as all else that a small segment costs. What changes without telling (a
 * device's MTU or carrier) is seen when the millisecond is over.
 */
#include "base/csum.h"
#include "ip/ip4_path.h"
#include "tcp/tcp_core.h"

#define RT_KEEP	 NSEC_PER_MSEC
#define CSUM_OFF 16

/* ---- routes ---- */

uint32_t tcp_ip4_first_hop(const uint8_t *opt, unsigned len, uint32_t daddr)
{
	uint32_t hop;

	for (unsigned i = 0; i + 1 < len && opt[i] != IPOPT_END;) {
		if (opt[i] == IPOPT_NOOP) {
			i++;
			continue;
		}
		if ((opt[i] == IPOPT_LSRR || opt[i] == IPOPT_SSRR) && opt[i + 1] >= 7 &&
		    i + 7 <= len) {
			memcpy(&hop, opt + i + 3, 4);
			return hop;
		}
		if (opt[i + 1] < 2)
			break;
		i += opt[i + 1];
	}
	return daddr;
}

static int look_up(struct tcp_sock *tp)
{
	const struct inet_sock *in = &tp->in;
	const struct flow4 fl = {
		.daddr = tcp_ip4_first_hop(in->opt, in->opt_len, in->daddr),
		.saddr = in->saddr,
		.oif = in->sk.bound_if ? in->sk.bound_if : in->uc_index,
		.mark = in->sk.mark,
		.tos = in->tos & 0x1c,
		.proto = IPPROTO_TCP,
		.scope = in->sk.dontroute ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.flags = FLOW4_ANYSRC, /* an address that went away does not end connections */
		.sport = in->sport,
		.dport = in->dport,
	};
	int err = route4_output(in->sk.net, &fl, &tp->rt);

	if (err) {
		tp->rt_until = 0;
		return err;
	}
	bool locked = tcp_route_metric(&tp->rt, RTAX_LOCK) & 1u << RTAX_RTO_MIN;

	tp->rt_rto_min = locked ? tcp_route_metric(&tp->rt, RTAX_RTO_MIN) : 0;
	tp->quickack_route = tcp_route_metric(&tp->rt, RTAX_QUICKACK);
	tp->rt_gen = route4_gen(in->sk.net);
	tp->rt_until = tp->w->now + RT_KEEP;
	return 0;
}

static inline int current_route(struct tcp_sock *tp)
{
	if (likely(tp->w->now < tp->rt_until && tp->rt_gen == route4_gen(tp->in.sk.net)))
		return 0;
	return look_up(tp);
}

static int ip4_route(struct tcp_sock *tp, struct route_result *res)
{
	int err = current_route(tp);

	if (!err)
		*res = tp->rt;
	return err;
}

uint32_t tcp_ip4_advmss(const struct net *net, const struct route_result *res)
{
	uint32_t head = 20 + 20, mss = tcp_route_metric(res, RTAX_ADVMSS);

	if (mss)
		return mss;
	mss = MIN(res->mtu, 65535u);
	mss = MAX(mss - head, (uint32_t)net->ip4->min_adv_mss);
	return MIN(mss, 65535u - head);
}

/* ---- segments ---- */

/* Leaves the checksum to be finished; p's data at the TCP header. */
static void csum_begin(struct pkt *p, uint32_t saddr, uint32_t daddr)
{
	uint32_t sum = csum_pseudo4(saddr, daddr, IPPROTO_TCP, (uint16_t)p->total);
	uint16_t field = (uint16_t)~csum_fold(sum);

	memcpy(pkt_data(p) + CSUM_OFF, &field, sizeof(field));
	p->csum_start = p->off;
	p->csum_off = CSUM_OFF;
	p->flags |= PKT_CSUM_PARTIAL;
}

static bool dont_fragment(const struct inet_sock *in, const struct route_result *res)
{
	if (in->pmtudisc == IP_PMTUDISC_DO)
		return true;
	return in->pmtudisc == IP_PMTUDISC_WANT &&
	       !(tcp_route_metric(res, RTAX_LOCK) & (1u << RTAX_MTU));
}

static int ip4_xmit(struct tcp_sock *tp, struct pkt *p)
{
	const struct inet_sock *in = &tp->in;
	int err = current_route(tp);

	if (unlikely(err)) {
		tcp_mib(tp)[MIB_Ip_OutNoRoutes]++;
		pkt_drop(tp->w, p, DROP_IP_OUTNOROUTES);
		return -EHOSTUNREACH;
	}
	const struct ip4_tx tx = {
		.net = in->sk.net,
		.saddr = in->saddr,
		.daddr = in->daddr,
		.proto = IPPROTO_TCP,
		.tos = in->tos,
		.ttl = in->ttl < 0 ? 0 : (uint8_t)in->ttl,
		.df = dont_fragment(in, &tp->rt),
		.options = in->opt,
		.opt_len = in->opt_len,
		.mark = in->sk.mark,
		.prio = in->sk.prio,
		.route = &tp->rt,
	};

	csum_begin(p, in->saddr, in->daddr);
	return ip4_send(tp->w, &tx, p);
}

const struct tcp_af tcp_ip4 = {
	.header_len = 20,
	.xmit = ip4_xmit,
	.route = ip4_route,
};

int tcp_ip4_send_node(struct worker *w, const struct tcp_node *n, struct pkt *p, uint8_t tos,
		      uint32_t mark, int oif, uint8_t ttl, const uint8_t *opt, uint8_t opt_len)
{
	const struct flow4 fl = {
		.daddr = tcp_ip4_first_hop(opt, opt_len, n->raddr),
		.saddr = n->laddr,
		.oif = oif,
		.mark = mark,
		.tos = tos & 0x1c,
		.proto = IPPROTO_TCP,
		.flags = FLOW4_ANYSRC,
		.sport = n->lport,
		.dport = n->rport,
	};
	struct route_result res;
	int err = route4_output(n->net, &fl, &res);

	if (unlikely(err)) {
		ip4_mib(n->net, w)[MIB_Ip_OutNoRoutes]++;
		pkt_drop(w, p, DROP_IP_OUTNOROUTES);
		return err;
	}
	const struct ip4_tx tx = {
		.net = n->net,
		.saddr = n->laddr,
		.daddr = n->raddr,
		.proto = IPPROTO_TCP,
		.tos = tos,
		.ttl = ttl,
		.df = !READ_ONCE(n->net->ip4->no_pmtu_disc),
		.options = opt,
		.opt_len = opt_len,
		.mark = mark,
		.prio = ip4_tos_prio(tos),
		.route = &res,
	};

	csum_begin(p, n->laddr, n->raddr);
	return ip4_send(w, &tx, p);
}

bool tcp_ip4_csum_ok(const struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);

	if (p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL))
		return true;
	return !csum_fold(
		pkt_csum(p, 0, p->total,
			 csum_pseudo4(ip->saddr, ip->daddr, IPPROTO_TCP, (uint16_t)p->total)));
}
