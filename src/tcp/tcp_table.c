/*
 * tcp_table: the hash of all connections, by both ends and namespace.
 *
 * One table holds what a segment can belong to: sockets, requests (tcp_req) and what closed sockets
 * left (tcp_tw). The hash is keyed, so that outsiders cannot make buckets long. Look-ups run on any
 * worker under RCU; changes are control's, so "is this place free?" and "take it" need no lock
 * between them.
 *
 * A node that was taken out may still be passed by readers. Requests and tcp_tws live out a grace
 * period anyway; a socket's node comes back when the socket connects once more, and then the grace
 * period is waited for here.
 */
#include "tcp/tcp_table.h"

#include "run/worker.h"

struct conn_key {
	const struct net *net;
	uint32_t laddr, raddr;
	uint16_t lport, rport;
	int ifindex;
};

uint64_t tcp_conn_hash(const struct tcp_core *core, const struct net *net, uint32_t laddr,
		       uint16_t lport, uint32_t raddr, uint16_t rport)
{
	return hash_pair((uint64_t)laddr << 32 | raddr,
			 net->ino << 32 | (uint32_t)lport << 16 | rport, &core->weft->key);
}

int tcp_bound_if(const struct tcp_node *n)
{
	switch (READ_ONCE(((struct tcp_node *)n)->state)) {
	case TCP_TIME_WAIT:
		return container_of(n, struct tcp_tw, node)->bound_if;
	case TCP_NEW_SYN_RECV:
		return container_of(n, struct tcp_req, node)->ifindex;
	}
	return READ_ONCE(container_of((struct tcp_node *)n, struct tcp_sock, node)->in.sk.bound_if);
}

/* A connection on a device is another than one on any device, or on another. */
static int conn_match(struct cds_lfht_node *node, const void *key)
{
	const struct tcp_node *n = container_of(node, struct tcp_node, node);
	const struct conn_key *k = key;

	if (n->raddr != k->raddr || n->rport != k->rport || n->lport != k->lport ||
	    n->laddr != k->laddr || n->net != k->net)
		return 0;
	int dev = tcp_bound_if(n);

	return !dev || dev == k->ifindex;
}

static struct tcp_node *find(struct tcp_core *core, const struct conn_key *k)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	cds_lfht_lookup(core->conns,
			tcp_conn_hash(core, k->net, k->laddr, k->lport, k->raddr, k->rport),
			conn_match, k, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct tcp_node, node) : NULL;
}

struct tcp_node *tcp_lookup(struct tcp_core *core, const struct net *net, uint32_t laddr,
			    uint16_t lport, uint32_t raddr, uint16_t rport, int ifindex)
{
	const struct conn_key k = {net, laddr, raddr, lport, rport, ifindex};

	return find(core, &k);
}

struct tcp_node *tcp_hash_find(struct tcp_core *core, const struct tcp_node *n)
{
	const struct conn_key k = {n->net, n->laddr, n->raddr, n->lport, n->rport, tcp_bound_if(n)};

	return find(core, &k);
}

static void await_readers(struct tcp_node *n)
{
	struct tcp_sock *tp;

	if (n->state == TCP_TIME_WAIT || n->state == TCP_NEW_SYN_RECV)
		return;
	tp = container_of(n, struct tcp_sock, node);
	if (tp->was_hashed)
		synchronize_rcu();
	tp->was_hashed = true;
}

int tcp_hash_add(struct tcp_core *core, struct tcp_node *n, struct tcp_node *replaced)
{
	if (!replaced && !n->hashed && tcp_hash_find(core, n))
		return -EADDRINUSE;
	if (!n->hashed) {
		await_readers(n);
		cds_lfht_node_init(&n->node);
		rcu_read_lock();
		cds_lfht_add(core->conns,
			     tcp_conn_hash(core, n->net, n->laddr, n->lport, n->raddr, n->rport),
			     &n->node);
		rcu_read_unlock();
		n->hashed = true;
	}
	/* Only now, so that there is at no time nothing to be found. */
	if (replaced) {
		tcp_dest_move(replaced, n);
		tcp_hash_del(core, replaced);
	}
	return 0;
}

void tcp_hash_del(struct tcp_core *core, struct tcp_node *n)
{
	if (!n->hashed)
		return;
	n->hashed = false;
	tcp_dest_release(core, n);
	rcu_read_lock();
	cds_lfht_del(core->conns, &n->node);
	rcu_read_unlock();
}

/* ---- life ---- */

int tcp_table_init(struct tcp_core *core)
{
	core->conns = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	core->listeners = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	core->dests = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	for (uint64_t i = 0; i < 4; i++) {
		const uint64_t v[2] = {TCP_SECRET_COOKIE, i};
		uint64_t key = siphash24(v, sizeof(v), &core->weft->key);

		memcpy(core->cookie_key[i / 2] + i % 2 * sizeof(key), &key, sizeof(key));
	}
	if (core->conns && core->listeners && core->dests)
		return 0;
	tcp_table_fini(core);
	return -ENOMEM;
}

void tcp_table_fini(struct tcp_core *core)
{
	rcu_hash_free(core->conns);
	rcu_hash_free(core->listeners);
	rcu_hash_free(core->dests);
	free(core->table_perturb);
	core->conns = core->listeners = core->dests = NULL;
	core->table_perturb = NULL;
}

void tcp_table_net_init(struct tcp_net *tn)
{
	CDS_INIT_LIST_HEAD(&tn->tws);
}

void tcp_table_net_fini(struct tcp_net *tn)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tn->ports); i++)
		free(tn->ports[i]);
}
