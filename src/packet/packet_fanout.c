/*
 * packet_fanout: a group of packet sockets that share the frames of one hook.
 *
 * The group has the tap; its running members stand in an array that is replaced whole (RCU) when
 * one comes or goes. A mode maps a frame to a place in it. Rollover tries the next members when the
 * one chosen has no room. Modes of Linux 6.x but eBPF.
 */
#include "packet/packet_core.h"

#include "wire/ip4_hdr.h"

#define FANOUT_DEFAULT_MAX 256
#define FANOUT_MAX	   (1u << 16)
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

struct members {
	unsigned n;
	struct packet_sock *po[];
};

struct packet_fanout {
	struct cds_list_head link; /* in packet_core.fanouts */
	struct net *net;
	uint16_t id, flags;
	uint8_t type;
	uint16_t protocol;
	struct netdev *dev;
	uint32_t max;
	unsigned refs;				   /* members, running or not */
	struct packet_hook *hook;		   /* while there is a running member */
	struct members *members;		   /* RCU; never NULL */
	struct cbpf *prog;			   /* RCU */
	uint32_t next;				   /* atomic: load balancing */
	uint64_t rolled, rolled_huge, roll_failed; /* atomic */
	struct rcu_head rcu;
};

static bool can_roll(const struct packet_fanout *g)
{
	return g->type == PACKET_FANOUT_ROLLOVER || (g->flags & PACKET_FANOUT_FLAG_ROLLOVER);
}

/* ---- members ---- */

static int set_members(struct packet_fanout *g, struct packet_sock *add, struct packet_sock *del)
{
	struct members *old = g->members, *new;
	unsigned n = 0;

	new = calloc(1, sizeof(*new) + (old->n + 1) * sizeof(new->po[0]));
	if (!new)
		return -ENOMEM;
	for (unsigned i = 0; i < old->n; i++)
		if (old->po[i] != del)
			new->po[n++] = old->po[i];
	if (add)
		new->po[n++] = add;
	new->n = n;
	rcu_assign_pointer(g->members, new);
	rcu_free(old);
	return 0;
}

void packet_fanout_link(struct packet_sock *po)
{
	struct packet_fanout *g = po->fanout;

	if (set_members(g, po, NULL) || g->hook)
		return;
	g->hook = packet_hook_new(g->net, g->dev, g->protocol);
	if (!g->hook)
		return;
	g->hook->fanout = g;
	g->hook->ignore_outgoing = g->flags & PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
	tap_add(g->net, g->dev, &g->hook->tap);
}

void packet_fanout_unlink(struct packet_sock *po)
{
	struct packet_fanout *g = po->fanout;

	/* Without memory for a shorter array the place is overwritten by a neighbour's. */
	if (set_members(g, NULL, po)) {
		struct members *m = g->members;

		for (unsigned i = 0; i < m->n; i++)
			if (m->po[i] == po)
				m->po[i] = m->po[--m->n];
	}
	if (!g->members->n && g->hook) {
		packet_hook_free(g->net, g->dev, g->hook);
		g->hook = NULL;
	}
}

static void group_lapsed(struct rcu_head *head)
{
	struct packet_fanout *g = container_of(head, struct packet_fanout, rcu);

	cbpf_free(g->prog);
	free(g->members);
	free(g);
}

static void group_put(struct packet_fanout *g)
{
	if (--g->refs)
		return;
	cds_list_del(&g->link);
	if (g->hook)
		packet_hook_free(g->net, g->dev, g->hook);
	call_rcu(&g->rcu, group_lapsed);
}

void packet_fanout_leave(struct packet_sock *po)
{
	struct packet_fanout *g = po->fanout;

	if (!g)
		return;
	po->fanout = NULL;
	group_put(g);
}

/* ---- joining ---- */

static struct packet_fanout *group_find(struct packet_core *core, struct net *net, uint16_t id)
{
	struct packet_fanout *g;

	cds_list_for_each_entry (g, &core->fanouts, link)
		if (g->net == net && g->id == id)
			return g;
	return NULL;
}

static struct packet_fanout *group_new(struct packet_core *core, struct packet_sock *po,
				       uint16_t id, uint8_t type, uint16_t flags, uint32_t max)
{
	struct packet_fanout *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->members = calloc(1, sizeof(*g->members));
	if (!g->members) {
		free(g);
		return NULL;
	}
	g->net = po->sk.net;
	g->id = id;
	g->type = type;
	g->flags = flags;
	g->protocol = po->num;
	g->dev = po->dev;
	g->max = max ? max : FANOUT_DEFAULT_MAX;
	cds_list_add(&g->link, &core->fanouts);
	return g;
}

static bool type_known(uint8_t type)
{
	return type <= PACKET_FANOUT_CBPF;
}

/* An id nobody has; false: all are taken. */
static bool unique_id(struct packet_core *core, struct net *net, uint16_t *id)
{
	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		*id = (uint16_t)i;
		if (!group_find(core, net, *id))
			return true;
	}
	return false;
}

int packet_fanout_add(struct packet_sock *po, const struct fanout_args *args)
{
	struct packet_core *core = po->sk.weft->packet;
	uint8_t type = (uint8_t)args->type_flags;
	uint16_t flags = (uint16_t)(args->type_flags & 0xff00), id = args->id;
	struct packet_fanout *g;
	bool running = po->running;

	if (!type_known(type) ||
	    (type == PACKET_FANOUT_ROLLOVER && (flags & PACKET_FANOUT_FLAG_ROLLOVER)))
		return -EINVAL;
	if (po->fanout)
		return -EALREADY;
	if (flags & PACKET_FANOUT_FLAG_UNIQUEID) {
		if (id)
			return -EINVAL;
		if (!unique_id(core, po->sk.net, &id))
			return -ENOMEM;
		flags &= (uint16_t)~PACKET_FANOUT_FLAG_UNIQUEID;
	}
	g = group_find(core, po->sk.net, id);
	if (g && (g->flags != flags || (args->max_num_members && args->max_num_members != g->max)))
		return -EINVAL;
	if (!g && args->max_num_members > FANOUT_MAX)
		return -EINVAL;
	if (!po->num || (g && (g->type != type || g->protocol != po->num || g->dev != po->dev)))
		return -EINVAL;
	if (g && g->refs >= g->max)
		return -ENOSPC;
	if (!g)
		g = group_new(core, po, id, type, flags, args->max_num_members);
	if (!g)
		return -ENOMEM;
	g->refs++;
	packet_hook_del(po);
	po->fanout = g;
	if (running)
		packet_hook_add(po);
	return 0;
}

int packet_fanout_data(struct packet_sock *po, const void *val, size_t len)
{
	struct packet_fanout *g = po->fanout;
	struct cbpf *prog, *old;
	int err;

	if (!g || g->type != PACKET_FANOUT_CBPF)
		return -EINVAL;
	if (po->sk.lock_filter)
		return -EPERM;
	err = sock_filter_new(val, len, &prog);
	if (err)
		return err;
	old = g->prog;
	rcu_assign_pointer(g->prog, prog);
	sock_filter_free(old);
	return 0;
}

uint32_t packet_fanout_opt(const struct packet_sock *po)
{
	const struct packet_fanout *g = po->fanout;

	if (!g)
		return 0;
	return g->id | (uint32_t)g->type << 16 | (uint32_t)g->flags << 16;
}

int packet_fanout_stats(const struct packet_sock *po, struct tpacket_rollover_stats *st)
{
	const struct packet_fanout *g = po->fanout;

	if (!g || !can_roll(g))
		return -EINVAL;
	*st = (struct tpacket_rollover_stats){
		.tp_all = g->rolled,
		.tp_huge = g->rolled_huge,
		.tp_failed = g->roll_failed,
	};
	return 0;
}

uint16_t packet_fanout_id(const struct packet_fanout *g)
{
	return g->id;
}

/* ---- choosing ---- */

/* The same for both directions of a flow: the two ends are hashed apart and added. */
static uint32_t flow_hash(struct worker *w, const struct packet_frame *f)
{
	uint8_t b[60 + 4] = {0}, end[2][20] = {{0}};
	size_t n = pkt_copy_out(&f->v, f->maclen, b, sizeof(b)), alen = 0, at = 0, l4 = 0;
	uint8_t proto = 0;

	if (f->v.protocol == __builtin_bswap16(ETH_P_IP) && n >= 20) {
		const struct ip4_hdr *ip = (const struct ip4_hdr *)b;

		alen = 4;
		at = 12;
		proto = ip->protocol;
		if (!(get_be16(b + 6) & 0x3fff))
			l4 = ip->ihl * 4u;
	} else if (f->v.protocol == __builtin_bswap16(ETH_P_IPV6) && n >= 40) {
		alen = 16;
		at = 8;
		proto = b[6];
		l4 = 40;
	}
	if (!alen)
		return f->v.hash;
	memcpy(end[0], b + at, alen);
	memcpy(end[1], b + at + alen, alen);
	if (l4 && l4 + 4 <= n && (proto == 6 || proto == 17 || proto == 132)) {
		memcpy(end[0] + 16, b + l4, 2);
		memcpy(end[1] + 16, b + l4 + 2, 2);
	}
	return (uint32_t)(siphash(end[0], sizeof(end[0]), &w->key) +
			  siphash(end[1], sizeof(end[1]), &w->key) + proto);
}

static unsigned choose(struct worker *w, struct packet_fanout *g, const struct packet_frame *f,
		       unsigned n)
{
	const struct cbpf *prog;

	switch (g->type) {
	case PACKET_FANOUT_HASH:
		return (unsigned)((uint64_t)flow_hash(w, f) * n >> 32);
	case PACKET_FANOUT_LB:
		return __atomic_add_fetch(&g->next, 1, __ATOMIC_RELAXED) % n;
	case PACKET_FANOUT_CPU:
		return w->id % n;
	case PACKET_FANOUT_RND:
		return rng_below(&w->rng, n);
	case PACKET_FANOUT_QM:
		return f->v.queue % n;
	case PACKET_FANOUT_CBPF:
		prog = rcu_dereference(g->prog);
		return prog ? cbpf_run(prog, &f->v, f->dev->ifindex, f->dev->type) % n : 0;
	}
	return 0; /* rollover fills the first */
}

/* From idx on, the first with room. */
static unsigned rollover(struct packet_fanout *g, const struct members *m, unsigned idx)
{
	if (packet_has_room(m->po[idx]) == 2)
		return idx;
	for (unsigned i = 1; i < m->n; i++) {
		unsigned j = (idx + i) % m->n;

		if (packet_has_room(m->po[j]) == 2) {
			__atomic_fetch_add(&g->rolled, 1, __ATOMIC_RELAXED);
			return j;
		}
	}
	__atomic_fetch_add(&g->roll_failed, 1, __ATOMIC_RELAXED);
	return idx;
}

struct packet_sock *packet_fanout_choose(struct worker *w, struct packet_fanout *g,
					 const struct packet_frame *f)
{
	const struct members *m = rcu_dereference(g->members);
	unsigned n = READ_ONCE(((struct members *)m)->n), idx;

	if (!n)
		return NULL;
	idx = choose(w, g, f, n);
	/* A ring can be looked into by worker 0 alone. */
	if (can_roll(g) && !w->id)
		idx = rollover(g, m, idx);
	return m->po[idx];
}
