/*
 * ip_tx: a program's message on its way out: whom it is for, by which route, from which address,
 * and whether its size is allowed.
 */
#include "sock/inet.h"

#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "sock/sock_core.h"

/* Who it is for: the name, or the peer. */
static int read_name(struct inet_tx *t, const struct inet_sock *in, const struct sock_msg *m)
{
	const struct sockaddr_in *sin = m->name;

	if (!m->name || !m->name_len) {
		if (!in->connected)
			return -EDESTADDRREQ;
		t->daddr = in->daddr;
		t->dport = in->dport;
		t->connected = true;
		return 0;
	}
	if (m->name_len < sizeof(*sin))
		return -EINVAL;
	if (sin->sin_family != AF_INET && (sin->sin_family || in->sk.protocol == IPPROTO_ICMP))
		return -EAFNOSUPPORT;
	t->daddr = sin->sin_addr.s_addr;
	t->dport = sin->sin_port;
	t->connected = false;
	return 0;
}

static int read_cmsgs(struct inet_tx *t, const struct inet_sock *in, const struct weft_dgram *d)
{
	struct ip4_tx *tx = &t->tx;

	tx->options = t->opts;
	tx->opt_len = in->opt_len;
	memcpy(t->opts, in->opt, in->opt_len);
	tx->tos = in->tos;
	tx->ttl = in->ttl < 0 ? 0 : (uint8_t)in->ttl;
	tx->multicast_ttl = in->mc_ttl;
	t->saddr = in->saddr;
	t->oif = in->sk.bound_if;
	if (!d)
		return 0;
	if (d->cmsgs & WEFT_CMSG_PKTINFO) {
		t->oif = d->ifindex ? d->ifindex : t->oif;
		t->saddr = d->spec_dst ? d->spec_dst : t->saddr;
	}
	if (d->cmsgs & WEFT_CMSG_TTL) {
		if (!(uint8_t)d->ttl_tos)
			return -EINVAL;
		tx->ttl = tx->multicast_ttl = (uint8_t)d->ttl_tos;
	}
	if (d->cmsgs & WEFT_CMSG_TOS)
		tx->tos = (uint8_t)(d->ttl_tos >> 8);
	if (d->cmsgs & WEFT_CMSG_RETOPTS) {
		if (d->opts_len > sizeof(t->opts))
			return -EINVAL;
		memset(t->opts, 0, sizeof(t->opts));
		memcpy(t->opts, d->opts, d->opts_len);
		tx->opt_len = (uint8_t)align_up(d->opts_len, 4);
	}
	return 0;
}

/* A source route: its first hop is what is routed for. */
static uint32_t first_hop(const struct inet_tx *t)
{
	const uint8_t *o = t->opts;
	uint32_t hop;

	for (unsigned i = 0; i + 1 < t->tx.opt_len && o[i] != IPOPT_END;) {
		if (o[i] == IPOPT_NOOP) {
			i++;
			continue;
		}
		if ((o[i] == IPOPT_LSRR || o[i] == IPOPT_SSRR) && o[i + 1] >= 7 &&
		    i + 7 <= t->tx.opt_len) {
			memcpy(&hop, o + i + 3, 4);
			return hop;
		}
		if (o[i + 1] < 2)
			break;
		i += o[i + 1];
	}
	return t->daddr;
}

int inet_tx_init(struct inet_tx *t, struct inet_sock *in, const struct sock_msg *m, uint8_t proto)
{
	struct sock *sk = &in->sk;
	struct ip4_tx *tx = &t->tx;
	int err;

	t->tx = (struct ip4_tx){0};
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	err = read_name(t, in, m);
	if (!err)
		err = read_cmsgs(t, in, m->meta);
	if (err)
		return err;
	if (sk->shut & 2)
		return -EPIPE;
	/* Where Linux allocates for a raw datagram it does not look at so_error, unless the program
	 * brings the header. Probes in flight together rely on it. */
	err = sk->type == SOCK_RAW && !in->hdrincl ? 0 : sock_take_error(sk);
	if (err)
		return err;
	if (ip4_is_multicast(t->daddr)) {
		t->oif = t->oif ? t->oif : in->mc_index;
		t->saddr = t->saddr ? t->saddr : in->mc_addr;
	} else if (!t->oif) {
		t->oif = in->uc_index;
	}
	tx->dontroute = sk->dontroute || (m->flags & MSG_DONTROUTE);
	struct flow4 fl = {
		.daddr = first_hop(t),
		.saddr = t->saddr,
		.oif = t->oif,
		.mark = sk->mark,
		.tos = tx->tos & 0x1c,
		.proto = proto,
		.scope = tx->dontroute ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.flags = in->transparent || in->hdrincl ? FLOW4_ANYSRC : 0,
		.sport = in->sport,
		.dport = t->dport,
	};
	if (unlikely(!in->way) && !(in->way = calloc(1, sizeof(*in->way))))
		return -ENOBUFS;
	err = route4_output_again(sk->net, &fl, in->way, sk->weft->worker[0]->now);
	if (err) {
		if (err == -ENETUNREACH)
			ip4_mib(sk->net, sk->weft->worker[0])[MIB_Ip_OutNoRoutes]++;
		return err;
	}
	t->res = in->way->res;
	if (t->res.type == RTN_BROADCAST && !sk->broadcast)
		return -EACCES;
	t->saddr = t->saddr ? t->saddr : t->res.saddr;
	if (!t->daddr)
		t->daddr = t->saddr;
	tx->net = sk->net;
	tx->saddr = t->saddr;
	tx->daddr = t->daddr;
	tx->proto = proto;
	tx->mark = sk->mark;
	tx->prio = sk->prio;
	tx->multicast_if = t->oif;
	tx->multicast_loop = in->mc_loop;
	tx->route = &t->res;
	return 0;
}

int inet_tx_size(struct inet_tx *t, struct inet_sock *in, size_t len)
{
	struct route_result *res = &t->res;
	uint32_t mtu = READ_ONCE(res->dev->mtu);
	size_t total = len + 20 + t->tx.opt_len;
	bool strict = in->pmtudisc == IP_PMTUDISC_DO || in->pmtudisc == IP_PMTUDISC_PROBE ||
		      in->pmtudisc == IP_PMTUDISC_INTERFACE;

	/* Those who probe, or do not trust ICMP, look at the device alone. */
	if (in->pmtudisc < IP_PMTUDISC_PROBE && res->mtu)
		mtu = res->mtu;
	res->mtu = mtu;
	if (total > (strict ? mtu : 0xffff)) {
		inet_local_error(in, EMSGSIZE, t->daddr, in->dport, mtu - t->tx.opt_len);
		return -EMSGSIZE;
	}
	t->tx.df = in->pmtudisc == IP_PMTUDISC_DO || in->pmtudisc == IP_PMTUDISC_PROBE ||
		   (in->pmtudisc == IP_PMTUDISC_WANT && total <= mtu);
	return 0;
}

/* Tells when it was handed down and sent; this is both. What is shown is the whole frame. */
static int send_stamped(struct inet_tx *t, struct inet_sock *in, struct pkt *p)
{
	struct worker *w = in->sk.weft->worker[0];
	uint32_t flags = in->sk.timestamping, key = 0;
	bool only = flags & SOF_TIMESTAMPING_OPT_TSONLY;
	struct pkt *shown[2] = {NULL};
	int err;

	if (flags & SOF_TIMESTAMPING_OPT_ID)
		key = in->sk.tskey++;
	shown[0] = only ? pkt_new(w) : pkt_copy(&w->cache, p, PKT_HEADROOM);
	if (shown[0] && !only)
		ip4_frame(w, &t->tx, shown[0]);
	err = ip4_send(w, &t->tx, p);
	if (err) {
		pkt_free(&w->cache, shown[0]);
		return err;
	}
	if (flags & SOF_TIMESTAMPING_TX_SCHED) {
		shown[1] = shown[0] ? pkt_copy(&w->cache, shown[0], PKT_HEADROOM) : NULL;
		sock_stamp(w, &in->sk, shown[1], SCM_TSTAMP_SCHED, key);
	}
	if (flags & SOF_TIMESTAMPING_TX_SOFTWARE)
		sock_stamp(w, &in->sk, shown[0], SCM_TSTAMP_SND, key);
	else
		pkt_free(&w->cache, shown[0]);
	return 0;
}

int inet_tx_send(struct inet_tx *t, struct inet_sock *in, struct pkt *p)
{
	const uint32_t told = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE;

	if (unlikely(in->sk.timestamping & told))
		return send_stamped(t, in, p);
	return ip4_send(in->sk.weft->worker[0], &t->tx, p);
}

struct pkt *inet_tx_pkt(struct inet_sock *in, size_t head, const void *data, size_t len)
{
	struct worker *w = in->sk.weft->worker[0];
	struct pkt *p = pkt_new(w);

	if (!p)
		return NULL;
	memset(pkt_data(p), 0, head);
	p->len = (uint16_t)head;
	p->total = (uint32_t)head;
	if (len && pkt_append(&w->cache, p, data, len)) {
		pkt_free(&w->cache, p);
		return NULL;
	}
	p->flags |= PKT_LOCAL;
	p->mark = in->sk.mark;
	p->prio = in->sk.prio;
	return p;
}
