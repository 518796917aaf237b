/*
 * ping: sockets that send ICMP echo requests without being able to send anything else.
 */
#include "raw/raw_core.h"

#include <linux/icmp.h>

#include "base/csum.h"
#include "wire/ip4_hdr.h"

#define ICMP_EXT_ECHO_ 42 /* RFC 8335 */

struct ping_sock {
	struct inet_sock in;
	struct cds_lfht_node node;
	bool hashed;
};

static struct ping_sock *ping_sk(const struct sock *sk)
{
	return container_of(inet_sk(sk), struct ping_sock, in);
}

/* ---- the table ---- */

struct ping_key {
	const struct net *net;
	unsigned ident;
};

static int ping_match(struct cds_lfht_node *node, const void *key)
{
	const struct ping_sock *s = container_of(node, struct ping_sock, node);
	const struct ping_key *k = key;

	return s->in.sk.net == k->net && s->in.num == k->ident;
}

/* The first that passes, in order of the table; after: the one to go on behind. */
static struct ping_sock *ping_find(struct raw_core *core, const struct net *net, uint16_t ident,
				   bool (*pass)(const struct ping_sock *s, const void *arg),
				   const void *arg)
{
	const struct ping_key k = {net, ident};
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	cds_lfht_lookup(core->ping, raw_hash(net, ident), ping_match, &k, &it);
	while ((n = cds_lfht_iter_get_node(&it))) {
		struct ping_sock *s = container_of(n, struct ping_sock, node);

		if (pass(s, arg))
			return s;
		cds_lfht_next_duplicate(core->ping, ping_match, &k, &it);
	}
	return NULL;
}

/* Does s forbid that another socket uses its identifier? */
static bool conflicts(const struct ping_sock *s, const void *arg)
{
	const struct ping_sock *new = arg;

	return s != new && !(s->in.sk.reuseaddr && new->in.sk.reuseaddr);
}

static bool anyone(const struct ping_sock *s, const void *arg)
{
	return true;
}

static void ping_hash(struct ping_sock *s, uint16_t ident)
{
	struct raw_core *core = s->in.sk.weft->raw;

	s->in.num = ident;
	s->in.sport = __builtin_bswap16(ident);
	cds_lfht_node_init(&s->node);
	rcu_read_lock();
	cds_lfht_add(core->ping, raw_hash(s->in.sk.net, ident), &s->node);
	rcu_read_unlock();
	s->hashed = true;
	WRITE_ONCE(core->n_ping, core->n_ping + 1);
}

static void ping_unhash(struct ping_sock *s)
{
	struct raw_core *core = s->in.sk.weft->raw;

	if (!s->hashed)
		return;
	rcu_read_lock();
	cds_lfht_del(core->ping, &s->node);
	rcu_read_unlock();
	s->hashed = false;
	WRITE_ONCE(core->n_ping, core->n_ping - 1);
}

/* Takes an identifier; 0: the next free one. 0 or -EADDRINUSE. */
static int ping_port(struct ping_sock *s, uint16_t ident)
{
	struct raw_core *core = s->in.sk.weft->raw;

	if (ident) {
		if (ping_find(core, s->in.sk.net, ident, conflicts, s))
			return -EADDRINUSE;
		ping_hash(s, ident);
		return 0;
	}
	for (unsigned i = 0; i < UINT16_MAX; i++) {
		if (!++core->rover)
			core->rover = 1;
		if (ping_find(core, s->in.sk.net, core->rover, anyone, NULL))
			continue;
		ping_hash(s, core->rover);
		return 0;
	}
	return -EADDRINUSE;
}

/* ---- in ---- */

struct ping_seen {
	uint32_t laddr;
	int ifindex;
};

static bool is_for(const struct ping_sock *s, const void *arg)
{
	const struct ping_seen *seen = arg;

	return (!s->in.rcv_saddr || s->in.rcv_saddr == seen->laddr) &&
	       (!s->in.sk.bound_if || s->in.sk.bound_if == seen->ifindex);
}

/* An echo reply, data at the ICMP header. Borrows. */
static void ping_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	struct ping_seen seen = {ip->daddr, inet_iif(dev, ip->daddr)};
	struct raw_core *core = w->weft->raw;
	struct ping_sock *s;
	uint8_t h[8];

	if (!READ_ONCE(core->n_ping) || pkt_copy_out(p, 0, h, sizeof(h)) != sizeof(h))
		return;
	s = ping_find(core, dev->net, get_be16(h + 4), is_for, &seen);
	if (s)
		inet_deliver_copy(w, &s->in, dev, p, ip, 0);
}

static void ping_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
		       uint8_t code, uint32_t info)
{
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	struct ping_seen seen = {inner->saddr, dev->ifindex};
	unsigned hlen = inner->ihl * 4u;
	struct ping_sock *s;
	uint8_t h[8];
	bool hard;
	int err;

	if (pkt_copy_out(p, hlen, h, sizeof(h)) != sizeof(h) ||
	    (h[0] != ICMP_ECHO && h[0] != ICMP_EXT_ECHO_))
		return;
	s = ping_find(w->weft->raw, dev->net, get_be16(h + 4), is_for, &seen);
	if (!s)
		return;
	route4_pmtu_error(w, dev->net, inner, type, code, info);
	err = inet_icmp_errno(&s->in, type, code, &hard);
	/* These are no errors, but ping wants to see them. */
	if (type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT)
		err = EREMOTEIO;
	if (type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED && !hard)
		return;
	if (!s->in.recverr) {
		if (!hard || !s->in.connected)
			return;
	} else {
		const struct sock_extended_err ee = {
			.ee_errno = (uint32_t)err,
			.ee_origin = SO_EE_ORIGIN_ICMP,
			.ee_type = type,
			.ee_code = code,
			.ee_info = info,
		};
		inet_icmp_error(w, &s->in, dev, p, &ee, 0, hlen);
	}
	sock_error(&s->in.sk, err);
}

/* ---- out ---- */

static ssize_t ping_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct ping_sock *s = ping_sk(sk);
	struct worker *w = sk->weft->worker[0];
	const uint8_t *head = m->data;
	struct inet_tx t;
	struct pkt *p;
	int err;

	if (m->len > 0xffff)
		return -EMSGSIZE;
	if (m->len < sizeof(struct icmphdr))
		return -EINVAL;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if ((head[0] != ICMP_ECHO && head[0] != ICMP_EXT_ECHO_) || head[1])
		return -EINVAL;
	if (!s->hashed && ping_port(s, 0))
		return -EAGAIN;
	err = inet_tx_init(&t, &s->in, m, IPPROTO_ICMP);
	if (!err)
		err = inet_tx_size(&t, &s->in, m->len);
	if (err)
		return err;
	p = inet_tx_pkt(&s->in, 0, m->data, m->len);
	if (!p)
		return -ENOBUFS;
	uint8_t *h = pkt_data(p);

	memset(h + 2, 0, 2);
	memcpy(h + 4, &s->in.sport, 2);
	uint16_t sum = csum_fold(pkt_csum(p, 0, p->total, 0));

	memcpy(h + 2, &sum, 2);
	icmp4_count_out(w, sk->net, h[0]);
	err = inet_tx_send(&t, &s->in, p);
	return err && (err != -ENOBUFS || s->in.recverr) ? err : (ssize_t)m->len;
}

/* ---- struct sock_ops ---- */

static int ping_sock_init(struct sock *sk)
{
	const int *range = sk->net->ip4->ping_group_range;

	/* A range of groups admits everyone, for here everyone is root; an empty one nobody. */
	if (READ_ONCE(range[0]) > READ_ONCE(range[1]))
		return -EACCES;
	inet_sock_init(inet_sk(sk));
	sk->reuseaddr = true;
	return 0;
}

static void ping_release(struct sock *sk)
{
	ping_unhash(ping_sk(sk));
	inet_sock_release(inet_sk(sk));
}

static int ping_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct ping_sock *s = ping_sk(sk);
	bool group;
	int err;

	err = inet_check_bind(&s->in, a, len, &group);
	if (err)
		return err;
	if (s->hashed)
		return -EINVAL;
	err = ping_port(s, __builtin_bswap16(sin->sin_port));
	if (err)
		return err;
	s->in.rcv_saddr = sin->sin_addr.s_addr;
	s->in.saddr = group ? 0 : s->in.rcv_saddr;
	s->in.addr_bound = s->in.rcv_saddr;
	s->in.port_bound = sin->sin_port;
	return 0;
}

static int ping_connect(struct sock *sk, const struct sockaddr *a, size_t len)
{
	struct ping_sock *s = ping_sk(sk);

	if (len < sizeof(a->sa_family))
		return -EINVAL;
	if (a->sa_family == AF_UNSPEC) {
		inet_disconnect(&s->in);
		if (!s->in.port_bound) {
			ping_unhash(s);
			s->in.num = s->in.sport = 0;
		}
		return 0;
	}
	if (!s->hashed && ping_port(s, 0))
		return -EAGAIN;
	return inet_connect(&s->in, a, len);
}

static const struct sock_ops ping_ops = {
	.size = sizeof(struct ping_sock),
	.init = ping_sock_init,
	.release = ping_release,
	.bind = ping_bind,
	.connect = ping_connect,
	.getname = inet_getname,
	.sendmsg = ping_sendmsg,
	.setsockopt = ip_opts_set,
	.getsockopt = ip_opts_get,
	.ioctl = inet_ioctl,
	.shutdown = inet_shutdown,
};

static const struct inet_row ping_row = {
	.type = SOCK_DGRAM, .protocol = IPPROTO_ICMP, .ops = &ping_ops};

void ping_show(struct net *net, FILE *out)
{
	inet_show_head(out, 4, true);
	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk))
		if (sk->ops == &ping_ops && ping_sk(sk)->hashed)
			inet_show_line(out, inet_sk(sk), 5, inet_sk(sk)->num & 63, true);
}

int ping_init(struct raw_core *core)
{
	int err;

	core->ping = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	if (!core->ping)
		return -ENOMEM;
	err = inet_register(core->weft, &ping_row);
	if (err) {
		cds_lfht_destroy(core->ping, NULL);
		return err;
	}
	ip4_hooks(core->weft)->ping = ping_input;
	ip4_hooks(core->weft)->ping_error = ping_error;
	core->rover = (uint16_t)rng_u32(&core->weft->worker[0]->rng);
	return 0;
}

void ping_fini(struct raw_core *core)
{
	ip4_hooks(core->weft)->ping = NULL;
	ip4_hooks(core->weft)->ping_error = NULL;
	cds_lfht_destroy(core->ping, NULL);
}
