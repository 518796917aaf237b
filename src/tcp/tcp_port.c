/*
 * tcp_port: who has which port of a namespace, and who may share it.
 *
 * A port that somebody has is a struct tcp_port with all its sockets; ports lie in pages of an
 * array, so that a search for a free one passes those in use at a few ns each.
 *
 * bind(2) looks at everybody there, as Linux does: two may be on a port when their addresses or
 * devices differ, when both have SO_REUSEADDR and the one there does not listen, or when both have
 * SO_REUSEPORT and one user. What the answer would be for most is kept (fastreuse, fastreuseport).
 *
 * connect(2) may take any port on which all others came by connect(2) too, as long as the pair of
 * ends is new. The search follows RFC 6056 3.3.4 (double hash) as Linux has it: it begins where a
 * secret hash of the ends and a table of counters say, steps over every other port, and tries the
 * odd half (counted from the lowest port) last; bind(2) of port 0 begins with that half.
 */
#include "base/rand.h"
#include "tcp/tcp_table.h"

#define PERTURB_SIZE (1u << 16)
#define LONG_SEARCH  128 /* places looked up before a map is made: tcp_dest.c */

enum { REUSEPORT_NONE = 0, REUSEPORT_ANY = 1, REUSEPORT_STRICT = 2 };

static struct tcp_net *net_of(const struct tcp_sock *tp)
{
	return tcp_net(tp->in.sk.net);
}

/* ---- the array ---- */

struct tcp_port *tcp_port_find(const struct tcp_net *tn, uint16_t num)
{
	struct tcp_port *const *page = tn->ports[num / TCP_PORT_PAGE];

	return page ? page[num % TCP_PORT_PAGE] : NULL;
}

static struct tcp_port *port_make(struct tcp_net *tn, uint16_t num)
{
	struct tcp_port ***page = &tn->ports[num / TCP_PORT_PAGE];
	struct tcp_port *p = tcp_port_find(tn, num);

	if (p)
		return p;
	if (!*page)
		*page = calloc(TCP_PORT_PAGE, sizeof(**page));
	p = *page ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->net = tn->net;
	p->num = num;
	CDS_INIT_LIST_HEAD(&p->socks);
	CDS_INIT_LIST_HEAD(&p->tws);
	(*page)[num % TCP_PORT_PAGE] = p;
	return p;
}

static void port_free_unused(struct tcp_port *p)
{
	if (p->n)
		return;
	tcp_net(p->net)->ports[p->num / TCP_PORT_PAGE][p->num % TCP_PORT_PAGE] = NULL;
	free(p);
}

static void count_out(struct tcp_port *p, bool connect_bind)
{
	p->n--;
	if (!connect_bind && --p->n_bound == 0)
		/* those who are left can share it with others like them */
		p->fastreuse = p->fastreuseport = -1;
	port_free_unused(p);
}

static void attach(struct tcp_sock *tp, struct tcp_port *p, bool connect_bind)
{
	cds_list_add_tail(&tp->port_link, &p->socks);
	p->n++;
	p->n_bound += !connect_bind;
	tp->port = p;
	tp->connect_bind = connect_bind;
	tp->in.num = p->num;
	tp->in.sport = __builtin_bswap16(p->num);
}

void tcp_port_put(struct tcp_sock *tp)
{
	struct tcp_port *p = tp->port;

	if (!p)
		return;
	cds_list_del(&tp->port_link);
	tp->port = NULL;
	tp->in.num = 0;
	count_out(p, tp->connect_bind);
}

int tcp_port_inherit(struct tcp_sock *child, const struct tcp_sock *listener)
{
	struct tcp_port *p = listener->port;

	/* A listener behind a transparent proxy answers for ports that are not its own. */
	if (!p || p->num != __builtin_bswap16(child->in.sport))
		p = port_make(net_of(child), __builtin_bswap16(child->in.sport));
	if (!p)
		return -ENOMEM;
	attach(child, p, false);
	return 0;
}

void tcp_port_tw(struct tcp_tw *tw, struct tcp_sock *tp)
{
	tw->port = tp->port;
	if (!tw->port)
		return;
	tw->connect_bind = tp->connect_bind;
	tw->reuse = tp->in.sk.reuseaddr;
	tw->reuseport = tp->in.sk.reuseport;
	cds_list_add_tail(&tw->port_link, &tw->port->tws);
	tw->port->n++;
	tw->port->n_bound += !tw->connect_bind;
}

void tcp_port_tw_put(struct tcp_tw *tw)
{
	if (!tw->port)
		return;
	cds_list_del(&tw->port_link);
	count_out(tw->port, tw->connect_bind);
	tw->port = NULL;
}

/* ---- bind ---- */

/* One who is there, as bind(2) sees him. */
struct owner {
	uint32_t addr, uid;
	int bound_if;
	bool reuse, reuseport, listens, tw;
};

static bool conflict(const struct tcp_sock *tp, const struct owner *o, bool relax,
		     bool reuseport_ok)
{
	const struct sock *sk = &tp->in.sk;
	bool same_user = o->tw || sk->uid == o->uid;

	if (tp->in.rcv_saddr && o->addr && tp->in.rcv_saddr != o->addr)
		return false;
	if (sk->bound_if && o->bound_if && sk->bound_if != o->bound_if)
		return false;
	if (sk->reuseaddr && o->reuse && !o->listens)
		return !relax || (!reuseport_ok && sk->reuseport && o->reuseport && same_user);
	return !reuseport_ok || !sk->reuseport || !o->reuseport || !same_user;
}

static bool bind_conflict(const struct tcp_sock *tp, const struct tcp_port *p, bool relax,
			  bool reuseport_ok)
{
	const struct tcp_sock *s;
	const struct tcp_tw *tw;

	cds_list_for_each_entry (s, &p->socks, port_link) {
		const struct sock *sk = &s->in.sk;
		const struct owner o = {s->in.rcv_saddr,
					sk->uid,
					sk->bound_if,
					sk->reuseaddr,
					sk->reuseport,
					s->node.state == TCP_LISTEN,
					false};

		if (s != tp && conflict(tp, &o, relax, reuseport_ok))
			return true;
	}
	cds_list_for_each_entry (tw, &p->tws, port_link) {
		const struct owner o = {tw->node.laddr, 0,     tw->bound_if, tw->reuse,
					tw->reuseport,	false, true};

		if (conflict(tp, &o, relax, reuseport_ok))
			return true;
	}
	return false;
}

static bool reuses(const struct tcp_sock *tp)
{
	return tp->in.sk.reuseaddr && tp->node.state != TCP_LISTEN;
}

/* All there share the port by SO_REUSEPORT, and this one is of their kind. */
static bool reuseport_match(const struct tcp_port *p, const struct tcp_sock *tp)
{
	if (p->fastreuseport <= 0 || !tp->in.sk.reuseport || tp->group ||
	    p->fast_uid != tp->in.sk.uid)
		return false;
	return p->fastreuseport == REUSEPORT_ANY || !p->fast_rcv_saddr ||
	       p->fast_rcv_saddr == tp->in.rcv_saddr;
}

static void set_fastreuseport(struct tcp_port *p, const struct tcp_sock *tp, int8_t how)
{
	p->fastreuseport = how;
	p->fast_uid = tp->in.sk.uid;
	p->fast_rcv_saddr = tp->in.rcv_saddr;
}

static void update_fastreuse(struct tcp_port *p, const struct tcp_sock *tp)
{
	bool reuseport = tp->in.sk.reuseport;

	if (!p->n) {
		p->fastreuse = reuses(tp);
		p->fastreuseport = REUSEPORT_NONE;
		if (reuseport)
			set_fastreuseport(p, tp, REUSEPORT_ANY);
		return;
	}
	if (!reuses(tp))
		p->fastreuse = 0;
	if (!reuseport)
		p->fastreuseport = REUSEPORT_NONE;
	else if (!reuseport_match(p, tp))
		set_fastreuseport(p, tp, REUSEPORT_STRICT);
}

/* The ports that may be chosen, [lo, hi): of the namespace, narrowed by IP_LOCAL_PORT_RANGE. True:
 * it was. */
static bool port_range(const struct tcp_sock *tp, unsigned *lo, unsigned *hi)
{
	const int *range = tp->in.sk.net->ip4->local_port_range;
	unsigned own_lo = tp->in.port_range & 0xffff, own_hi = tp->in.port_range >> 16;

	*lo = (unsigned)READ_ONCE(((int *)range)[0]);
	*hi = (unsigned)READ_ONCE(((int *)range)[1]);
	if (*lo <= own_lo && own_lo <= *hi)
		*lo = own_lo;
	if (*lo <= own_hi && own_hi <= *hi)
		*hi = own_hi;
	++*hi;
	return tp->in.port_range;
}

/* A port of [lo, hi) for bind(2); 0: none. */
static uint16_t open_port_in(struct tcp_sock *tp, unsigned lo, unsigned hi, bool relax)
{
	const struct tcp_net *tn = net_of(tp);
	unsigned n = hi - lo, offset;

	if (n > 1)
		n &= ~1u;
	offset = rng_below(&tp->w->rng, n) | 1;
	for (unsigned parity = 0; parity < 2; parity++, offset--) {
		unsigned num = lo + offset;

		for (unsigned i = 0; i < n; i += 2, num += 2) {
			if (num >= hi)
				num -= n;
			if (ip4_port_reserved(tn->net, (uint16_t)num))
				continue;
			const struct tcp_port *p = tcp_port_find(tn, (uint16_t)num);

			if (!p || !bind_conflict(tp, p, relax, false))
				return (uint16_t)num;
		}
	}
	return 0;
}

/* With SO_REUSEADDR the lower half of the range goes first, so that connect(2) keeps the upper. */
static uint16_t open_port(struct tcp_sock *tp, bool relax)
{
	unsigned lo, hi, mid;
	uint16_t num;

	port_range(tp, &lo, &hi);
	if (hi - lo < 4 || !tp->in.sk.reuseaddr)
		return open_port_in(tp, lo, hi, relax);
	mid = lo + ((hi - lo) >> 2 << 1);
	num = open_port_in(tp, lo, mid, relax);
	return num ? num : open_port_in(tp, mid, hi, relax);
}

int tcp_port_get(struct tcp_sock *tp, uint16_t num)
{
	struct tcp_port *p;
	bool chosen = !num;

	if (chosen) {
		num = open_port(tp, false);
		if (!num && READ_ONCE(tp->in.sk.net->ip4->autobind_reuse))
			num = open_port(tp, true);
		if (!num)
			return -EADDRINUSE;
	}
	p = port_make(net_of(tp), num);
	if (!p)
		return -ENOMEM;
	if (!chosen && !(p->fastreuse > 0 && reuses(tp)) && !reuseport_match(p, tp) &&
	    bind_conflict(tp, p, true, true)) {
		port_free_unused(p);
		return -EADDRINUSE;
	}
	update_fastreuse(p, tp);
	if (!tp->port)
		attach(tp, p, false);
	return 0;
}

/* ---- connect ---- */

/* May the place that a tcp_tw holds be taken by a connection that goes on behind it (RFC 6191)?
 * chosen: its port was found by search, and only tcp_tw_reuse allows it. */
static bool tw_gives_way(struct tcp_sock *tp, struct tcp_tw *tw, bool chosen)
{
	const struct tcp_net *tn = net_of(tp);
	int reuse = tw->substate_fin_wait2 ? 0 : READ_ONCE(((struct tcp_net *)tn)->tcp_tw_reuse);
	uint64_t delay = (uint64_t)tn->tcp_tw_reuse_delay * NSEC_PER_MSEC;
	const struct netdev *lo = tn->net->loopback;

	if (reuse == 2 && !ip4_is_loopback(tw->node.laddr) && !ip4_is_loopback(tw->node.raddr) &&
	    !(lo && tw->bound_if == lo->ifindex))
		reuse = 0;
	if (!tw->ts_recent_stamp || (chosen && (!reuse || tcp_now(tp) <= tw->entry_stamp + delay)))
		return false;
	if (!tp->repair) {
		tp->write_seq = tw->snd_nxt + 65535 + 2;
		if (!tp->write_seq)
			tp->write_seq = 1;
		tp->rx_opt.ts_recent = tw->ts_recent;
		tp->rx_opt.ts_recent_stamp = tw->ts_recent_stamp;
	}
	return true;
}

/* Is the place free with this own port, or held by a tcp_tw that gives way (*tw)? */
static bool place_free(struct tcp_core *core, struct tcp_sock *tp, uint16_t num, bool chosen,
		       struct tcp_tw **tw)
{
	struct tcp_node *there;

	tp->node.lport = __builtin_bswap16(num);
	there = tcp_hash_find(core, &tp->node);
	*tw = NULL;
	if (!there)
		return true;
	if (there->state != TCP_TIME_WAIT)
		return false;
	*tw = container_of(there, struct tcp_tw, node);
	return tw_gives_way(tp, *tw, chosen);
}

static int take_place(struct tcp_core *core, struct tcp_sock *tp, struct tcp_tw *tw,
		      struct tcp_dest *dest)
{
	int err = tcp_hash_add(core, &tp->node, tw ? &tw->node : NULL);

	if (err)
		return -EADDRNOTAVAIL;
	/* one on a device leaves the place to others */
	if (!tp->in.sk.bound_if)
		tcp_dest_hold(dest, &tp->node);
	if (tw) {
		tcp_mib(tp)[MIB_TcpExt_TWRecycled]++;
		tcp_tw_end(tw);
	}
	return 0;
}

/* One candidate. 1: try another; 0; -errno. */
static int try_port(struct tcp_core *core, struct tcp_sock *tp, uint16_t num, struct tcp_dest *dest)
{
	struct tcp_net *tn = net_of(tp);
	struct tcp_port *p;
	struct tcp_tw *tw = NULL;

	if (ip4_port_reserved(tn->net, num))
		return 1;
	p = tcp_port_find(tn, num);
	if (p) {
		if (p->fastreuse >= 0 || p->fastreuseport >= 0 ||
		    !place_free(core, tp, num, true, &tw))
			return 1;
	} else {
		p = port_make(tn, num);
		if (!p)
			return -ENOMEM;
		p->fastreuse = p->fastreuseport = -1;
		tp->node.lport = __builtin_bswap16(num);
	}
	attach(tp, p, true);
	if (take_place(core, tp, tw, dest)) {
		tcp_port_put(tp);
		return 1;
	}
	return 0;
}

static uint64_t port_offset(const struct tcp_core *core, const struct tcp_sock *tp)
{
	const uint64_t v[3] = {TCP_SECRET_PORT, (uint64_t)tp->in.saddr << 32 | tp->in.daddr,
			       tp->in.dport};

	return siphash24(v, sizeof(v), &core->weft->key);
}

/* A walk over [lo, lo + n) in steps, from some port on and around. */
struct walk {
	unsigned lo, n, step;
	unsigned tried;
	struct tcp_dest *dest;
};

/* Tries [from, to). The port; 0: none; -errno. */
static int walk_part(struct tcp_core *core, struct tcp_sock *tp, struct walk *k, unsigned from,
		     unsigned to)
{
	for (unsigned num = from; num < to; num += k->step) {
		if (k->dest)
			num = tcp_dest_next(k->dest, num, to, k->step);
		else if (k->tried == LONG_SEARCH)
			k->dest = tcp_dest_make(core, &tp->node);
		if (num >= to)
			break;
		k->tried++;
		int err = try_port(core, tp, (uint16_t)num, k->dest);

		if (err <= 0)
			return err ? err : (int)num;
	}
	return 0;
}

static int search_port(struct tcp_core *core, struct tcp_sock *tp)
{
	struct walk k = {.dest = tcp_dest_find(core, &tp->node)};
	uint64_t hash = port_offset(core, tp);
	uint32_t *perturb;
	unsigned hi, start, skip;

	if (!core->table_perturb)
		core->table_perturb = calloc(PERTURB_SIZE, sizeof(*core->table_perturb));
	if (!core->table_perturb)
		return -ENOMEM;
	perturb = &core->table_perturb[hash % PERTURB_SIZE];
	k.step = port_range(tp, &k.lo, &hi) ? 1 : 2;
	k.n = hi - k.lo;
	if (k.step == 2 && k.n > 1)
		k.n &= ~1u;
	start = (*perturb + (uint32_t)(hash >> 32)) % k.n;
	if (k.step == 2)
		start &= ~1u;
	for (unsigned odd = 0; odd < MIN(k.step, k.n); odd++) {
		unsigned from = k.lo + start + odd, end = k.lo + k.n;
		int num = walk_part(core, tp, &k, from, end);

		if (!num)
			num = walk_part(core, tp, &k, k.lo + (k.step == 2 ? odd : 0), from);
		if (num < 0)
			return num;
		if (!num)
			continue;
		/* how far it was from the start; and a little on, for nobody to know where */
		skip = ((unsigned)num + k.n - from) % k.n;
		*perturb += MAX(skip, rng_below(&tp->w->rng, 8) * k.step) + k.step;
		return 0;
	}
	return -EADDRNOTAVAIL;
}

int tcp_hash_connect(struct tcp_sock *tp)
{
	struct tcp_core *core = tp->in.sk.weft->tcp;
	struct tcp_tw *tw;

	tp->node.net = tp->in.sk.net;
	tp->node.laddr = tp->in.rcv_saddr;
	tp->node.raddr = tp->in.daddr;
	tp->node.rport = tp->in.dport;
	if (!tp->port)
		return search_port(core, tp);
	if (!place_free(core, tp, tp->in.num, false, &tw))
		return -EADDRNOTAVAIL;
	tp->in.sport = tp->node.lport;
	return take_place(core, tp, tw, NULL);
}
