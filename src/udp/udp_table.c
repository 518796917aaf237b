/*
 * udp_table: who is bound to what.
 *
 * A datagram's receiver is looked for under both ends first (connected sockets), then under its
 * destination, then under any address; so a server with many connected sockets on one port costs no
 * more than one. Who shares a port (SO_REUSEPORT) is in a group, which chooses (udp_group.c).
 */
#include "udp/udp_core.h"

/* ---- ports ---- */

struct port_key {
	const struct net *net;
	uint16_t num;
};

static unsigned long port_hash(const struct net *net, uint16_t num)
{
	return hash_u64(net->ino << 16 ^ num);
}

static int port_match(struct cds_lfht_node *node, const void *key)
{
	const struct udp_port *p = container_of(node, struct udp_port, node);
	const struct port_key *k = key;

	return p->net == k->net && p->num == k->num;
}

struct udp_port *udp_port_find(struct udp_core *core, const struct net *net, uint16_t num)
{
	const struct port_key k = {net, num};
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	cds_lfht_lookup(core->ports, port_hash(net, num), port_match, &k, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct udp_port, node) : NULL;
}

static struct udp_port *port_make(struct udp_core *core, struct net *net, uint16_t num)
{
	struct udp_port *p = udp_port_find(core, net, num);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->net = net;
	p->num = num;
	CDS_INIT_LIST_HEAD(&p->entries);
	CDS_INIT_LIST_HEAD(&p->groups);
	cds_lfht_node_init(&p->node);
	rcu_read_lock();
	cds_lfht_add(core->ports, port_hash(net, num), &p->node);
	rcu_read_unlock();
	return p;
}

static void port_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct udp_port, rcu));
}

static void port_put(struct udp_core *core, struct udp_port *p)
{
	if (p->n)
		return;
	rcu_read_lock();
	cds_lfht_del(core->ports, &p->node);
	rcu_read_unlock();
	call_rcu(&p->rcu, port_lapsed);
}

/* ---- places ---- */

static unsigned long addr_hash(const struct hash_key *key, const struct net *net, uint16_t num,
			       uint32_t laddr)
{
	return hash_pair((uint64_t)laddr << 32, net->ino << 32 | num, key);
}

static unsigned long conn_hash(const struct hash_key *key, const struct net *net, uint16_t num,
			       uint32_t laddr, uint16_t rport, uint32_t raddr)
{
	return hash_pair((uint64_t)laddr << 32 | raddr,
			 net->ino << 32 | (uint32_t)rport << 16 | num, key);
}

static void entry_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct udp_entry, rcu));
}

static void entry_del(struct udp_core *core, struct udp_entry *e)
{
	rcu_read_lock();
	cds_lfht_del(core->socks, &e->node);
	rcu_read_unlock();
	cds_list_del_rcu(&e->link);
	udp_changed(core);
	call_rcu(&e->rcu, entry_lapsed);
}

int udp_rehash(struct udp_sock *us)
{
	const struct inet_sock *in = &us->in;
	struct weft *weft = in->sk.weft;
	struct udp_entry *e, *old = us->entry;

	if (!us->port)
		return 0;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->us = us;
	e->seq = ++weft->udp->last_seq;
	e->connected = in->connected;
	e->laddr = in->rcv_saddr;
	e->raddr = in->daddr;
	e->rport = in->dport;
	e->hash = e->connected
			  ? conn_hash(&weft->key, in->sk.net, in->num, e->laddr, e->rport, e->raddr)
			  : addr_hash(&weft->key, in->sk.net, in->num, e->laddr);
	cds_lfht_node_init(&e->node);
	rcu_read_lock();
	cds_lfht_add(weft->udp->socks, e->hash, &e->node);
	rcu_read_unlock();
	cds_list_add_tail_rcu(&e->link, &us->port->entries);
	us->entry = e;
	udp_changed(weft->udp);
	if (!old)
		return 0;
	/* Who is elsewhere now is of no group, or of another; without memory it stays alone. */
	if (old->laddr != e->laddr || e->connected)
		udp_group_leave(us);
	if (!us->group && !e->connected && in->sk.reuseport)
		udp_group_join(us);
	entry_del(weft->udp, old);
	return 0;
}

void udp_unhash(struct udp_sock *us)
{
	struct udp_core *core = us->in.sk.weft->udp;

	if (!us->port)
		return;
	udp_group_leave(us);
	if (us->entry)
		entry_del(core, us->entry);
	us->port->n--;
	port_put(core, us->port);
	us->entry = NULL;
	us->port = NULL;
	us->in.num = us->in.sport = 0;
}

/* ---- binding ---- */

/* Do the two forbid each other to be on one port? */
static bool conflict(const struct inet_sock *a, const struct inet_sock *b)
{
	const struct sock *x = &a->sk, *y = &b->sk;

	if (x->reuseaddr && y->reuseaddr)
		return false;
	if (x->bound_if && y->bound_if && x->bound_if != y->bound_if)
		return false;
	if (a->rcv_saddr && b->rcv_saddr && a->rcv_saddr != b->rcv_saddr)
		return false;
	return !(x->reuseport && y->reuseport && x->uid == y->uid);
}

static bool port_free(const struct udp_port *p, const struct udp_sock *us)
{
	const struct udp_entry *e;

	if (p)
		cds_list_for_each_entry (e, &p->entries, link)
			if (e->us != us && conflict(&e->us->in, &us->in))
				return false;
	return true;
}

static int port_take(struct udp_sock *us, uint16_t num)
{
	struct udp_core *core = us->in.sk.weft->udp;
	int err;

	us->port = port_make(core, us->in.sk.net, num);
	if (!us->port)
		return -ENOMEM;
	us->port->n++;
	us->in.num = num;
	us->in.sport = __builtin_bswap16(num);
	err = us->in.sk.reuseport ? udp_group_join(us) : 0;
	if (!err)
		err = udp_rehash(us);
	if (err)
		udp_unhash(us);
	return err;
}

int udp_port_get(struct udp_sock *us, uint16_t num)
{
	struct udp_core *core = us->in.sk.weft->udp;
	struct net *net = us->in.sk.net;
	const int *range = net->ip4->local_port_range;
	unsigned lo = (unsigned)range[0], hi = (unsigned)range[1];

	if (num) {
		if (!port_free(udp_port_find(core, net, num), us))
			return -EADDRINUSE;
		return port_take(us, num);
	}
	if ((uint16_t)us->in.port_range)
		lo = MAX(lo, (us->in.port_range & 0xffff));
	if (us->in.port_range >> 16)
		hi = MIN(hi, us->in.port_range >> 16);
	if (lo > hi)
		return -EAGAIN;
	unsigned n = hi - lo + 1, at = rng_below(&core->weft->worker[0]->rng, n);

	for (unsigned i = 0; i < n; i++) {
		num = (uint16_t)(lo + (at + i) % n);
		if (num && !ip4_port_reserved(net, num) &&
		    port_free(udp_port_find(core, net, num), us))
			return port_take(us, num);
	}
	return -EAGAIN;
}

/* ---- look-up ---- */

struct find_key {
	const struct udp_flow *f;
	uint32_t laddr;
	bool connected;
};

static int find_match(struct cds_lfht_node *node, const void *key)
{
	const struct udp_entry *e = container_of(node, struct udp_entry, node);
	const struct find_key *k = key;
	const struct inet_sock *in = &e->us->in;

	if (in->sk.net != k->f->net || in->sport != k->f->lport || e->laddr != k->laddr ||
	    e->connected != k->connected)
		return 0;
	return !k->connected || (e->raddr == k->f->raddr && e->rport == k->f->rport);
}

/* The best of those under one hash: bound to the device before others, then who came last. One of a
 * group stands for all of it. */
static struct udp_sock *find_best(struct udp_core *core, const struct find_key *k,
				  unsigned long hash, const struct hash_key *key,
				  const struct pkt *p)
{
	const struct udp_entry *best = NULL;
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;
	const struct udp_group *g;
	bool best_bound = false;

	cds_lfht_lookup(core->socks, hash, find_match, k, &it);
	for (; (n = cds_lfht_iter_get_node(&it));
	     cds_lfht_next_duplicate(core->socks, find_match, k, &it)) {
		const struct udp_entry *e = container_of(n, struct udp_entry, node);
		int bound = READ_ONCE(e->us->in.sk.bound_if);

		if (bound && bound != k->f->ifindex)
			continue;
		if (best && (best_bound != !!bound ? best_bound : e->seq < best->seq))
			continue;
		best_bound = bound;
		best = e;
	}
	if (!best)
		return NULL;
	g = k->connected ? NULL : rcu_dereference(best->us->group);
	return g ? udp_group_choose(g, k->f, key, p) : best->us;
}

static struct udp_sock *find(struct udp_core *core, const struct udp_flow *f,
			     const struct hash_key *key, const struct pkt *p)
{
	struct find_key k = {f, f->laddr, true};
	uint16_t num = __builtin_bswap16(f->lport);
	struct udp_sock *us;

	us = find_best(core, &k, conn_hash(key, f->net, num, f->laddr, f->rport, f->raddr), key, p);
	if (us)
		return us;
	k.connected = false;
	us = find_best(core, &k, addr_hash(key, f->net, num, f->laddr), key, p);
	if (us)
		return us;
	k.laddr = 0;
	return find_best(core, &k, addr_hash(key, f->net, num, 0), key, p);
}

static bool same_flow(const struct udp_flow *a, const struct udp_flow *b)
{
	return a->net == b->net && a->raddr == b->raddr && a->laddr == b->laddr &&
	       a->rport == b->rport && a->lport == b->lport && a->ifindex == b->ifindex;
}

struct udp_sock *udp_lookup(struct worker *w, const struct udp_flow *f, const struct pkt *p)
{
	struct udp_core *core = w->weft->udp;
	uint32_t at = hash_u64((uint32_t)f->lport << 16 | f->rport) % UDP_FOUND;
	struct udp_found *found = &core->found[w->id][at];
	uint64_t gen = __atomic_load_n(&core->gen, __ATOMIC_ACQUIRE);
	struct udp_sock *us;

	if (likely(found->gen == gen && same_flow(&found->f, f)))
		return found->us;
	us = find(core, f, &w->key, p);
	/* a group chooses anew each time */
	if (us && !us->group)
		*found = (struct udp_found){gen, *f, us};
	return us;
}

void udp_changed(struct udp_core *core)
{
	__atomic_fetch_add(&core->gen, 1, __ATOMIC_RELEASE);
}

/* ---- life ---- */

int udp_table_init(struct udp_core *core)
{
	core->gen = 1;
	core->socks = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	core->ports = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	core->found = calloc(core->weft->n_workers, sizeof(*core->found));
	if (core->socks && core->ports && core->found)
		return 0;
	udp_table_fini(core);
	return -ENOMEM;
}

void udp_table_fini(struct udp_core *core)
{
	if (core->socks)
		cds_lfht_destroy(core->socks, NULL);
	if (core->ports)
		cds_lfht_destroy(core->ports, NULL);
	free(core->found);
}
