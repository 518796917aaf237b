/*
 * tcp_dest: which own ports are taken towards one destination, where they are many.
 *
 * A host that opens tens of thousands of connections to one server finds most ports of its range
 * taken: each connect(2) would look thousands of places up before it meets a free one. So when a
 * search has become long, the destination (own address, peer's address and port) gets a map of
 * ports, which its connections keep; later searches skip what is set 64 ports at a time. A port
 * that is not set may still be taken, by a connection that was not made by connect(2), and is
 * looked up as ever.
 *
 * A tcp_tw stays in the map unless it may be replaced (tcp_tw_reuse). With its last connection a
 * destination goes. Control.
 */
#include "base/rand.h"
#include "tcp/tcp_table.h"

struct tcp_dest {
	struct cds_lfht_node node; /* in tcp_core.dests */
	const struct net *net;
	uint32_t laddr, raddr;
	uint16_t rport;
	unsigned n; /* nodes that point here */
	struct rcu_head rcu;
	uint64_t used[65536 / 64];
};

static unsigned long dest_hash(const struct tcp_core *core, const struct tcp_node *n)
{
	return tcp_conn_hash(core, n->net, n->laddr, 0, n->raddr, n->rport);
}

static int dest_match(struct cds_lfht_node *node, const void *key)
{
	const struct tcp_dest *d = container_of(node, struct tcp_dest, node);
	const struct tcp_node *n = key;

	return d->net == n->net && d->laddr == n->laddr && d->raddr == n->raddr &&
	       d->rport == n->rport;
}

struct tcp_dest *tcp_dest_find(struct tcp_core *core, const struct tcp_node *n)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *node;

	if (likely(!core->n_dests))
		return NULL;
	cds_lfht_lookup(core->dests, dest_hash(core, n), dest_match, n, &it);
	node = cds_lfht_iter_get_node(&it);
	return node ? container_of(node, struct tcp_dest, node) : NULL;
}

static void mark(struct tcp_dest *d, uint16_t num, bool used)
{
	uint64_t bit = 1ULL << (num % 64);

	if (used)
		d->used[num / 64] |= bit;
	else
		d->used[num / 64] &= ~bit;
}

/* May a connection take its place? */
static bool replaceable(const struct tcp_node *n)
{
	int reuse = tcp_net(n->net)->tcp_tw_reuse;

	if (n->state != TCP_TIME_WAIT || !reuse)
		return false;
	return reuse == 1 || ip4_is_loopback(n->laddr) || ip4_is_loopback(n->raddr);
}

void tcp_dest_hold(struct tcp_dest *d, struct tcp_node *n)
{
	if (!d || n->dest)
		return;
	n->dest = d;
	d->n++;
	mark(d, __builtin_bswap16(n->lport), !replaceable(n));
}

static void dest_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_dest, rcu));
}

void tcp_dest_release(struct tcp_core *core, struct tcp_node *n)
{
	struct tcp_dest *d = n->dest;

	if (likely(!d))
		return;
	n->dest = NULL;
	mark(d, __builtin_bswap16(n->lport), false);
	if (--d->n)
		return;
	core->n_dests--;
	rcu_read_lock();
	cds_lfht_del(core->dests, &d->node);
	rcu_read_unlock();
	call_rcu(&d->rcu, dest_lapsed);
}

void tcp_dest_move(struct tcp_node *from, struct tcp_node *to)
{
	struct tcp_dest *d = from->dest;

	if (likely(!d))
		return;
	from->dest = NULL;
	to->dest = d;
	mark(d, __builtin_bswap16(to->lport), !replaceable(to));
}

/* Takes in those who are there. */
static void collect(struct tcp_core *core, struct tcp_dest *d, const struct tcp_node *like)
{
	const struct tcp_net *tn = tcp_net(like->net);

	for (unsigned num = 1; num < 65536; num++) {
		const struct tcp_port *p = tcp_port_find(tn, (uint16_t)num);
		struct tcp_node *n;

		if (!p || p->fastreuse >= 0 || p->fastreuseport >= 0)
			continue;
		n = tcp_lookup(core, like->net, like->laddr, __builtin_bswap16((uint16_t)num),
			       like->raddr, like->rport, 0);
		if (n)
			tcp_dest_hold(d, n);
	}
}

struct tcp_dest *tcp_dest_make(struct tcp_core *core, const struct tcp_node *n)
{
	struct tcp_dest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->net = n->net;
	d->laddr = n->laddr;
	d->raddr = n->raddr;
	d->rport = n->rport;
	collect(core, d, n);
	if (!d->n) {
		free(d);
		return NULL;
	}
	cds_lfht_node_init(&d->node);
	rcu_read_lock();
	cds_lfht_add(core->dests, dest_hash(core, n), &d->node);
	rcu_read_unlock();
	core->n_dests++;
	return d;
}

unsigned tcp_dest_next(const struct tcp_dest *d, unsigned num, unsigned end, unsigned step)
{
	while (num < end) {
		uint64_t free = ~d->used[num / 64] & (UINT64_MAX << (num % 64));

		/* only every other one counts */
		if (step == 2)
			free &= num & 1 ? 0xaaaaaaaaaaaaaaaaULL : 0x5555555555555555ULL;
		if (free)
			return MIN((num & ~63u) + (unsigned)__builtin_ctzll(free), end);
		num = (num & ~63u) + 64 + (step == 2 ? num & 1 : 0);
	}
	return end;
}
