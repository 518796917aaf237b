/*
 * udp_group: who of the sockets that share a port gets a datagram (SO_REUSEPORT, socket(7)).
 *
 * Members stand in the order in which they joined; who leaves is replaced by the last. Readers see
 * the array while it changes in place: a member may be missed or met twice, as long as it lives.
 */
#include "udp/udp_core.h"

static struct udp_members *members_new(unsigned room)
{
	struct udp_members *m = calloc(1, sizeof(*m) + room * sizeof(m->us[0]));

	if (m)
		m->room = room;
	return m;
}

static void members_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct udp_members, rcu));
}

static void group_lapsed(struct rcu_head *head)
{
	struct udp_group *g = container_of(head, struct udp_group, rcu);

	cbpf_free(g->prog);
	free(g->members);
	free(g);
}

static bool grow(struct udp_group *g)
{
	struct udp_members *old = g->members, *m;

	if (old->n < old->room)
		return true;
	m = members_new(old->room * 2);
	if (!m)
		return false;
	memcpy(m->us, old->us, old->n * sizeof(old->us[0]));
	m->n = old->n;
	rcu_assign_pointer(g->members, m);
	call_rcu(&old->rcu, members_lapsed);
	return true;
}

static struct udp_group *group_new(struct udp_sock *us)
{
	struct udp_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->members = members_new(4);
	if (!g->members) {
		free(g);
		return NULL;
	}
	g->laddr = us->in.rcv_saddr;
	g->uid = us->in.sk.uid;
	g->bound_if = us->in.sk.bound_if;
	/* who founds it brings its program */
	g->prog = us->in.sk.reuse_cbpf;
	us->in.sk.reuse_cbpf = NULL;
	cds_list_add(&g->link, &us->port->groups);
	return g;
}

static struct udp_group *group_of(const struct udp_sock *us)
{
	struct udp_group *g;

	cds_list_for_each_entry (g, &us->port->groups, link)
		if (g->laddr == us->in.rcv_saddr && g->uid == us->in.sk.uid &&
		    g->bound_if == us->in.sk.bound_if)
			return g;
	return NULL;
}

int udp_group_join(struct udp_sock *us)
{
	struct udp_group *g = group_of(us);

	if (!g)
		g = group_new(us);
	if (!g || !grow(g))
		return -ENOMEM;
	g->members->us[g->members->n] = us;
	__atomic_store_n(&g->members->n, g->members->n + 1, __ATOMIC_RELEASE);
	rcu_assign_pointer(us->group, g);
	return 0;
}

void udp_group_leave(struct udp_sock *us)
{
	struct udp_group *g = us->group;
	struct udp_members *m;
	unsigned i = 0;

	if (!g)
		return;
	m = g->members;
	while (m->us[i] != us)
		i++;
	WRITE_ONCE(m->us[i], m->us[m->n - 1]);
	__atomic_store_n(&m->n, m->n - 1, __ATOMIC_RELEASE);
	rcu_assign_pointer(us->group, NULL);
	if (m->n)
		return;
	cds_list_del(&g->link);
	call_rcu(&g->rcu, group_lapsed);
}

struct udp_sock *udp_group_choose(const struct udp_group *g, const struct udp_flow *f,
				  const struct hash_key *key, const struct pkt *p)
{
	const struct cbpf *prog = rcu_dereference(((struct udp_group *)g)->prog);
	struct udp_members *m = rcu_dereference(((struct udp_group *)g)->members);
	unsigned n = __atomic_load_n(&m->n, __ATOMIC_ACQUIRE);
	const uint32_t v[4] = {f->raddr, f->laddr, f->rport, f->lport};

	if (!n)
		return NULL;
	if (prog && p) {
		struct pkt payload = *p;
		uint32_t at;

		/* it is shown what is behind the UDP header */
		pkt_pull(&payload, 8);
		at = cbpf_run(prog, &payload, f->ifindex, 0);
		if (at < n)
			return READ_ONCE(m->us[at]);
	}
	return READ_ONCE(m->us[(uint64_t)(uint32_t)siphash(v, sizeof(v), key) * n >> 32]);
}
