/*
 * raw: sockets that see and send IP datagrams of one protocol.
 */
#include "raw/raw_core.h"

#include <linux/icmp.h>

#include "ip/ip4_path.h"
#include "wire/ip4_hdr.h"

struct raw_sock {
	struct inet_sock in;
	struct cds_lfht_node node;
	uint32_t icmp_filter; /* bit: type is not wanted */
	bool alert;
	struct cds_list_head alert_link;
};

static struct raw_sock *raw_sk(const struct sock *sk)
{
	return container_of(inet_sk(sk), struct raw_sock, in);
}

/* ---- the table ---- */

struct raw_key {
	const struct net *net;
	unsigned num;
};

static int raw_match(struct cds_lfht_node *node, const void *key)
{
	const struct raw_sock *r = container_of(node, struct raw_sock, node);
	const struct raw_key *k = key;

	return r->in.sk.net == k->net && r->in.num == k->num;
}

static struct raw_sock *raw_first(struct raw_core *core, const struct raw_key *k,
				  struct cds_lfht_iter *it)
{
	struct cds_lfht_node *n;

	cds_lfht_lookup(core->raw, raw_hash(k->net, k->num), raw_match, k, it);
	n = cds_lfht_iter_get_node(it);
	return n ? container_of(n, struct raw_sock, node) : NULL;
}

static struct raw_sock *raw_next(struct raw_core *core, const struct raw_key *k,
				 struct cds_lfht_iter *it)
{
	struct cds_lfht_node *n;

	cds_lfht_next_duplicate(core->raw, raw_match, k, it);
	n = cds_lfht_iter_get_node(it);
	return n ? container_of(n, struct raw_sock, node) : NULL;
}

/* Is it about this socket: sent from raddr to laddr, over this device? */
static bool wants(const struct raw_sock *r, uint32_t laddr, uint32_t raddr, int ifindex)
{
	const struct inet_sock *in = &r->in;

	return (!in->daddr || in->daddr == raddr) && (!in->rcv_saddr || in->rcv_saddr == laddr) &&
	       (!in->sk.bound_if || in->sk.bound_if == ifindex);
}

/* ---- in ---- */

static bool icmp_filtered(const struct raw_sock *r, const struct pkt *p)
{
	uint8_t type;

	if (pkt_copy_out(p, 0, &type, 1) != 1)
		return true;
	return type < 32 && (READ_ONCE(((struct raw_sock *)r)->icmp_filter) >> type & 1);
}

static bool raw_input(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t proto)
{
	struct raw_core *core = w->weft->raw;
	struct raw_key k = {dev->net, proto};
	const struct ip4_hdr *ip = pkt_l3(p);
	struct cds_lfht_iter it;
	bool taken = false;
	struct raw_sock *r;

	if (likely(!READ_ONCE(core->n_raw)))
		return false;
	enum stage prev = stage_enter(w, STAGE_RAW, 1);
	int iif = inet_iif(dev, ip->daddr);

	for (r = raw_first(core, &k, &it); r; r = raw_next(core, &k, &it)) {
		if (!wants(r, ip->daddr, ip->saddr, iif))
			continue;
		taken = true;
		if (proto == IPPROTO_ICMP && icmp_filtered(r, p))
			continue;
		if (!ip_mc_wants(&r->in, ip->daddr, ip->saddr, dev->ifindex))
			continue;
		struct pkt v = inet_at_l3(p);

		inet_deliver_copy(w, &r->in, dev, &v, ip, 0);
	}
	stage_leave(w, prev);
	return taken;
}

/* A datagram on its way through that asks for the routers' attention. */
static bool raw_router_alert(struct worker *w, struct netdev *dev, struct pkt *p, bool give)
{
	struct raw_core *core = w->weft->raw;
	const struct ip4_hdr *ip = pkt_l3(p);
	bool any = false;
	struct raw_sock *r;

	cds_list_for_each_entry_rcu (r, &core->alerts, alert_link) {
		const struct sock *sk = &r->in.sk;

		if (sk->net != dev->net || r->in.num != ip->protocol ||
		    (sk->bound_if && sk->bound_if != dev->ifindex))
			continue;
		any = true;
		if (give)
			inet_deliver_copy(w, &r->in, dev, p, ip, 0);
	}
	return any;
}

static void error_one(struct worker *w, struct netdev *dev, struct raw_sock *r, struct pkt *p,
		      uint8_t type, uint8_t code, uint32_t info)
{
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	struct inet_sock *in = &r->in;
	bool hard;
	int err;

	route4_pmtu_error(w, dev->net, inner, type, code, info);
	if ((!in->recverr && !in->connected) || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT)
		return;
	err = inet_icmp_errno(in, type, code, &hard);
	if (in->recverr) {
		const struct sock_extended_err ee = {
			.ee_errno = (uint32_t)err,
			.ee_origin = SO_EE_ORIGIN_ICMP,
			.ee_type = type,
			.ee_code = code,
			.ee_info = info,
		};
		inet_icmp_error(w, in, dev, p, &ee, 0, in->hdrincl ? 0 : inner->ihl * 4u);
	}
	if (in->recverr || hard)
		sock_error(&in->sk, err);
}

static void raw_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
		      uint8_t code, uint32_t info)
{
	struct raw_core *core = w->weft->raw;
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	struct raw_key k = {dev->net, inner->protocol};
	struct cds_lfht_iter it;
	struct raw_sock *r;

	for (r = raw_first(core, &k, &it); r; r = raw_next(core, &k, &it))
		if (wants(r, inner->saddr, inner->daddr, dev->ifindex))
			error_one(w, dev, r, p, type, code, info);
}

/* ---- out ---- */

/* What the kernel fills in of a header that the program wrote: length, checksum, and identification
 * and source where they are 0. */
static void fill_header(struct worker *w, struct inet_tx *t, struct ip4_hdr *ip, size_t len)
{
	struct net *net = t->tx.net;

	if (!ip->saddr)
		ip->saddr = t->saddr;
	ip->tot_len = __builtin_bswap16((uint16_t)len);
	if (!ip->id)
		ip->id = __builtin_bswap16(
			ip4_new_id(w, ip4_core(net)->path, ip->saddr, ip->daddr, ip->protocol));
	ip->check = 0;
	ip->check = csum_ip4(ip, ip->ihl);
}

static ssize_t send_hdrincl(struct inet_sock *in, struct inet_tx *t, const struct sock_msg *m)
{
	struct worker *w = in->sk.weft->worker[0];
	uint32_t mtu = t->res.dev->mtu;
	struct pkt *p;
	int err;

	if (m->len > mtu) {
		inet_local_error(in, EMSGSIZE, t->daddr, in->dport, mtu);
		return -EMSGSIZE;
	}
	if (m->len < sizeof(struct ip4_hdr))
		return -EINVAL;
	p = inet_tx_pkt(in, 0, m->data, m->len);
	if (!p)
		return -ENOBUFS;
	struct ip4_hdr *ip = (struct ip4_hdr *)pkt_data(p);
	size_t hlen = ip->ihl * 4u;

	if (hlen < sizeof(*ip) || hlen > m->len || hlen > p->len) {
		pkt_free(&w->cache, p);
		return -EINVAL;
	}
	fill_header(w, t, ip, m->len);
	if (ip->protocol == IPPROTO_ICMP && m->len >= hlen + sizeof(struct icmphdr))
		icmp4_count_out(w, t->tx.net, ((uint8_t *)ip)[hlen]);
	t->res.mtu = mtu;
	err = ip4_send_raw(w, &t->tx, p);
	return err ? err : (ssize_t)m->len;
}

static ssize_t raw_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct inet_sock *in = inet_sk(sk);
	struct worker *w = sk->weft->worker[0];
	struct inet_tx t;
	struct pkt *p;
	int err;

	if (m->len > 0xffff)
		return -EMSGSIZE;
	err = inet_tx_init(&t, in, m, (uint8_t)sk->protocol);
	if (err)
		return err;
	if (in->hdrincl)
		return send_hdrincl(in, &t, m);
	err = inet_tx_size(&t, in, m->len);
	if (err)
		return err;
	p = inet_tx_pkt(in, 0, m->data, m->len);
	if (!p)
		return -ENOBUFS;
	if (sk->protocol == IPPROTO_ICMP && m->len)
		icmp4_count_out(w, sk->net, *(const uint8_t *)m->data);
	err = inet_tx_send(&t, in, p);
	return err && (err != -ENOBUFS || in->recverr) ? err : (ssize_t)m->len;
}

/* ---- struct sock_ops ---- */

static int raw_sock_init(struct sock *sk)
{
	struct raw_core *core = sk->weft->raw;
	struct raw_sock *r = raw_sk(sk);

	inet_sock_init(&r->in);
	sk->reuseaddr = true;
	if (sk->protocol > UINT8_MAX)
		return -EPROTONOSUPPORT;
	r->in.num = (uint16_t)sk->protocol;
	r->in.sport = __builtin_bswap16(r->in.num);
	r->in.hdrincl = sk->protocol == IPPROTO_RAW;
	cds_lfht_node_init(&r->node);
	rcu_read_lock();
	cds_lfht_add(core->raw, raw_hash(sk->net, r->in.num), &r->node);
	rcu_read_unlock();
	WRITE_ONCE(core->n_raw, core->n_raw + 1);
	return 0;
}

static void raw_release(struct sock *sk)
{
	struct raw_core *core = sk->weft->raw;
	struct raw_sock *r = raw_sk(sk);

	if (r->alert)
		cds_list_del_rcu(&r->alert_link);
	rcu_read_lock();
	cds_lfht_del(core->raw, &r->node);
	rcu_read_unlock();
	WRITE_ONCE(core->n_raw, core->n_raw - 1);
	inet_sock_release(&r->in);
}

static int raw_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct inet_sock *in = inet_sk(sk);
	bool group;
	int err;

	if (in->connected || len < sizeof(*sin))
		return -EINVAL;
	err = inet_check_addr(in, sin->sin_addr.s_addr, &group);
	if (err)
		return err;
	in->rcv_saddr = sin->sin_addr.s_addr;
	in->saddr = group ? 0 : in->rcv_saddr;
	in->addr_bound = in->rcv_saddr;
	return 0;
}

static int raw_connect(struct sock *sk, const struct sockaddr *a, size_t len)
{
	if (len < sizeof(a->sa_family))
		return -EINVAL;
	if (a->sa_family != AF_UNSPEC)
		return inet_connect(inet_sk(sk), a, len);
	inet_disconnect(inet_sk(sk));
	return 0;
}

static int raw_abort(struct sock *sk, int err)
{
	sock_error(sk, err);
	inet_disconnect(inet_sk(sk));
	return 0;
}

static int set_router_alert(struct raw_sock *r, const void *val, size_t len)
{
	struct raw_core *core = r->in.sk.weft->raw;
	int on = 0;

	if (len >= sizeof(on))
		memcpy(&on, val, sizeof(on));
	else if (len)
		on = *(const uint8_t *)val;
	if (r->in.num == IPPROTO_RAW)
		return -EINVAL;
	if (on && r->alert)
		return -EADDRINUSE;
	if (!on && !r->alert)
		return -ENOBUFS;
	r->alert = on;
	if (on)
		cds_list_add_rcu(&r->alert_link, &core->alerts);
	else
		cds_list_del_rcu(&r->alert_link);
	return 0;
}

static int raw_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct raw_sock *r = raw_sk(sk);
	uint32_t filter = r->icmp_filter;

	if (level == IPPROTO_IP && name == IP_ROUTER_ALERT)
		return set_router_alert(r, val, len);
	if (level != IPPROTO_RAW)
		return ip_opts_set(sk, level, name, val, len);
	if (name != ICMP_FILTER)
		return -ENOPROTOOPT;
	if (sk->protocol != IPPROTO_ICMP)
		return -EOPNOTSUPP;
	memcpy(&filter, val, MIN(len, sizeof(filter)));
	WRITE_ONCE(r->icmp_filter, filter);
	return 0;
}

static int raw_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	if (level == IPPROTO_IP && name == IP_ROUTER_ALERT)
		return ip_opts_put(val, len, raw_sk(sk)->alert);
	if (level != IPPROTO_RAW)
		return ip_opts_get(sk, level, name, val, len);
	if (name != ICMP_FILTER)
		return -ENOPROTOOPT;
	if (sk->protocol != IPPROTO_ICMP)
		return -EOPNOTSUPP;
	*len = MIN(*len, sizeof(uint32_t));
	memcpy(val, &raw_sk(sk)->icmp_filter, *len);
	return 0;
}

static const struct sock_ops raw_ops = {
	.size = sizeof(struct raw_sock),
	.init = raw_sock_init,
	.release = raw_release,
	.bind = raw_bind,
	.connect = raw_connect,
	.getname = inet_getname,
	.sendmsg = raw_sendmsg,
	.setsockopt = raw_setsockopt,
	.getsockopt = raw_getsockopt,
	.ioctl = inet_ioctl,
	.shutdown = inet_shutdown,
	.abort = raw_abort,
};

static const struct inet_row raw_row = {.type = SOCK_RAW, .any = true, .ops = &raw_ops};

void raw_show(struct net *net, FILE *out)
{
	inet_show_head(out, 4, false);
	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk))
		if (sk->ops == &raw_ops)
			inet_show_line(out, inet_sk(sk), 4, inet_sk(sk)->num, false);
}

/* ---- the instance ---- */

int raw_init(struct weft *weft)
{
	struct raw_core *core = calloc(1, sizeof(*core));
	int err = -ENOMEM;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	CDS_INIT_LIST_HEAD(&core->alerts);
	core->raw = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	if (!core->raw)
		goto free_core;
	err = inet_register(weft, &raw_row);
	if (!err)
		err = ping_init(core);
	if (err)
		goto free_table;
	weft->raw = core;
	ip4_hooks(weft)->raw = raw_input;
	ip4_hooks(weft)->raw_error = raw_error;
	ip4_hooks(weft)->router_alert = raw_router_alert;
	return 0;
free_table:
	cds_lfht_destroy(core->raw, NULL);
free_core:
	free(core);
	return err;
}

void raw_fini(struct weft *weft)
{
	struct raw_core *core = weft->raw;

	if (!core)
		return;
	ip4_hooks(weft)->raw = NULL;
	ip4_hooks(weft)->raw_error = NULL;
	ip4_hooks(weft)->router_alert = NULL;
	ping_fini(core);
	cds_lfht_destroy(core->raw, NULL);
	free(core);
	weft->raw = NULL;
}
