/*
 * tcp_listener: which listener a SYN is for.
 *
 * Listeners hash by namespace, own address (0: any) and port, so that a SYN takes two look-ups, its
 * own address first. Under one key those bound to the SYN's device come before those bound to none.
 * Listeners of one user that share all of this by SO_REUSEPORT form a group: a member is chosen by
 * the group's classic BPF program (it runs on the segment's data and returns a member's index), or,
 * without one or when it returns nonsense, by the hash of the flow. Indices are Linux's: members
 * count in the order of listen(2), and the last takes the place of one that leaves.
 *
 * Places, groups and member lists are read under RCU and replaced whole.
 */
#include "tcp/tcp_table.h"

struct tcp_members {
	struct rcu_head rcu;
	unsigned n;
	struct tcp_sock *v[];
};

struct tcp_group {
	struct cds_list_head link; /* in its place's; RCU */
	struct tcp_place *place;
	struct tcp_members *members; /* RCU; never empty */
	struct cbpf *prog;	     /* RCU; NULL */
	uint64_t synq_overflow;	     /* ns of the last cookie */
	bool reuseport;		     /* or a listener alone */
	uint32_t uid;
	int bound_if;
	struct rcu_head rcu;
};

struct tcp_place {
	struct cds_lfht_node node; /* in tcp_core.listeners */
	struct net *net;
	uint32_t laddr;
	uint16_t lport;
	struct cds_list_head groups; /* RCU */
	struct rcu_head rcu;
};

struct place_key {
	const struct net *net;
	uint32_t laddr;
	uint16_t lport;
};

static unsigned long place_hash(const struct tcp_core *core, const struct place_key *k)
{
	const uint64_t v[2] = {k->net->ino, (uint64_t)k->laddr << 16 | k->lport};

	return siphash(v, sizeof(v), &core->weft->key);
}

static int place_match(struct cds_lfht_node *node, const void *key)
{
	const struct tcp_place *p = container_of(node, struct tcp_place, node);
	const struct place_key *k = key;

	return p->net == k->net && p->laddr == k->laddr && p->lport == k->lport;
}

static struct tcp_place *place_find(struct tcp_core *core, const struct place_key *k)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	cds_lfht_lookup(core->listeners, place_hash(core, k), place_match, k, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct tcp_place, node) : NULL;
}

/* ---- look-up ---- */

struct flow {
	struct tcp_core *core;
	const struct net *net;
	uint32_t laddr, raddr;
	uint16_t lport, rport;
	const struct netdev *dev;
	const struct pkt *p;
};

static uint32_t run_prog(const struct cbpf *prog, const struct flow *f)
{
	struct pkt view = *f->p;
	unsigned hlen = (pkt_data(&view)[12] >> 4) * 4u;

	if (hlen > view.len)
		return UINT32_MAX;
	pkt_pull(&view, hlen);
	return cbpf_run(prog, &view, f->dev ? f->dev->ifindex : 0, f->dev ? f->dev->type : 0);
}

static struct tcp_sock *choose(const struct tcp_group *g, const struct flow *f)
{
	const struct tcp_members *m = rcu_dereference(((struct tcp_group *)g)->members);
	const struct cbpf *prog = rcu_dereference(((struct tcp_group *)g)->prog);
	uint32_t i = UINT32_MAX;

	if (likely(m->n == 1))
		return m->v[0];
	if (prog && f->p)
		i = run_prog(prog, f);
	if (i >= m->n) {
		uint32_t hash = (uint32_t)tcp_conn_hash(f->core, f->net, f->laddr, f->lport,
							f->raddr, f->rport);

		i = (uint32_t)((uint64_t)hash * m->n >> 32);
	}
	return m->v[i];
}

static struct tcp_sock *find_at(const struct flow *f, uint32_t laddr)
{
	const struct place_key k = {f->net, laddr, f->lport};
	struct tcp_place *p = place_find(f->core, &k);
	struct tcp_group *g, *best = NULL;
	int ifindex = f->dev ? f->dev->ifindex : 0;

	if (!p)
		return NULL;
	cds_list_for_each_entry_rcu (g, &p->groups, link) {
		/* Members may be bound anew while they listen: what counts is how they are now. */
		struct tcp_members *m = rcu_dereference(g->members);
		int bound = READ_ONCE(m->v[0]->in.sk.bound_if);

		if (bound && bound == ifindex)
			return choose(g, f);
		if (!bound && !best)
			best = g;
	}
	return best ? choose(best, f) : NULL;
}

struct tcp_sock *tcp_lookup_listener(struct worker *w, const struct net *net, uint32_t laddr,
				     uint16_t lport, uint32_t raddr, uint16_t rport,
				     const struct netdev *dev, const struct pkt *p)
{
	const struct flow f = {w->weft->tcp, net, laddr, raddr, lport, rport, dev, p};
	struct tcp_sock *tp = find_at(&f, laddr);

	return tp ? tp : find_at(&f, 0);
}

/* ---- change ---- */

static void place_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_place, rcu));
}

static void group_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_group, rcu));
}

static void members_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_members, rcu));
}

static struct tcp_members *members_new(unsigned n)
{
	struct tcp_members *m = malloc(sizeof(*m) + n * sizeof(struct tcp_sock *));

	if (m)
		m->n = n;
	return m;
}

static struct tcp_place *place_make(struct tcp_core *core, const struct tcp_sock *tp)
{
	const struct place_key k = {tp->in.sk.net, tp->in.rcv_saddr, tp->in.sport};
	struct tcp_place *p = place_find(core, &k);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->net = tp->in.sk.net;
	p->laddr = k.laddr;
	p->lport = k.lport;
	CDS_INIT_LIST_HEAD(&p->groups);
	cds_lfht_node_init(&p->node);
	rcu_read_lock();
	cds_lfht_add(core->listeners, place_hash(core, &k), &p->node);
	rcu_read_unlock();
	return p;
}

static void place_free_unused(struct tcp_core *core, struct tcp_place *p)
{
	if (!cds_list_empty(&p->groups))
		return;
	rcu_read_lock();
	cds_lfht_del(core->listeners, &p->node);
	rcu_read_unlock();
	call_rcu(&p->rcu, place_lapsed);
}

static int group_join(struct tcp_group *g, struct tcp_sock *tp)
{
	struct tcp_members *old = g->members, *m = members_new(old->n + 1);

	if (!m)
		return -ENOMEM;
	memcpy(m->v, old->v, old->n * sizeof(struct tcp_sock *));
	m->v[old->n] = tp;
	rcu_assign_pointer(g->members, m);
	call_rcu(&old->rcu, members_lapsed);
	/* the group's program is older */
	sock_filter_free(tp->in.sk.reuse_cbpf);
	tp->in.sk.reuse_cbpf = NULL;
	tp->group = g;
	return 0;
}

static int group_found(struct tcp_place *p, struct tcp_sock *tp)
{
	struct tcp_group *g = calloc(1, sizeof(*g));
	struct tcp_members *m = members_new(1);

	if (!g || !m) {
		free(g);
		free(m);
		return -ENOMEM;
	}
	m->v[0] = tp;
	g->members = m;
	g->place = p;
	g->reuseport = tp->in.sk.reuseport;
	g->uid = tp->in.sk.uid;
	g->bound_if = tp->in.sk.bound_if;
	if (g->reuseport) {
		g->prog = tp->in.sk.reuse_cbpf;
		tp->in.sk.reuse_cbpf = NULL;
	}
	cds_list_add_rcu(&g->link, &p->groups);
	tp->group = g;
	return 0;
}

int tcp_listener_add(struct tcp_sock *tp)
{
	struct tcp_core *core = tp->in.sk.weft->tcp;
	struct tcp_place *p = place_make(core, tp);
	struct tcp_group *g;
	int err;

	if (!p)
		return -ENOMEM;
	if (tp->in.sk.reuseport)
		cds_list_for_each_entry (g, &p->groups, link)
			if (g->reuseport && g->uid == tp->in.sk.uid &&
			    g->bound_if == tp->in.sk.bound_if)
				return group_join(g, tp);
	err = group_found(p, tp);
	if (err)
		place_free_unused(core, p);
	return err;
}

static void group_free(struct tcp_core *core, struct tcp_group *g)
{
	cds_list_del_rcu(&g->link);
	place_free_unused(core, g->place);
	sock_filter_free(g->prog);
	call_rcu(&g->members->rcu, members_lapsed);
	call_rcu(&g->rcu, group_lapsed);
}

void tcp_listener_del(struct tcp_sock *tp)
{
	struct tcp_core *core = tp->in.sk.weft->tcp;
	struct tcp_group *g = tp->group;
	struct tcp_members *old, *m;
	unsigned i = 0;

	if (!g)
		return;
	tp->group = NULL;
	old = g->members;
	if (old->n == 1) {
		group_free(core, g);
		return;
	}
	while (old->v[i] != tp)
		i++;
	m = members_new(old->n - 1);
	if (!m) {
		/* In place: a reader sees the old count or the new, and a member either way, since
		 * sockets live out a grace period. */
		WRITE_ONCE(old->v[i], old->v[old->n - 1]);
		WRITE_ONCE(old->n, old->n - 1);
		return;
	}
	memcpy(m->v, old->v, m->n * sizeof(struct tcp_sock *));
	if (i < m->n)
		m->v[i] = old->v[m->n];
	rcu_assign_pointer(g->members, m);
	call_rcu(&old->rcu, members_lapsed);
}

/* ---- what belongs to a group ---- */

struct cbpf **tcp_reuse_prog(struct sock *sk)
{
	struct tcp_group *g = tcp_sk(sk)->group;

	return g && g->reuseport ? &g->prog : NULL;
}

uint64_t *tcp_synq_overflow(struct tcp_sock *listener)
{
	return listener->group ? &listener->group->synq_overflow : NULL;
}
