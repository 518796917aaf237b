/*
 * tcp_list: connections as lists show them: what NETLINK_SOCK_DIAG tells, /proc/net/tcp
 * (Documentation/networking/proc_net_tcp), the TCP line of /proc/net/sockstat.
 *
 * A list that is read in several parts goes by the names of the connections, taken at its start: of
 * what has gone since then nothing is shown, and the rest as it is by then.
 */
#include "tcp/tcp_list.h"

#include "tcp/tcp_core.h"

#define USER_HZ	 100
#define TCP_PAGE 4096u

/* ---- one connection ---- */

static uint64_t time_left(const struct worker *w, uint64_t expires)
{
	return expires > w->now ? expires - w->now : 0;
}

static void list_timer(const struct tcp_sock *tp, struct tcp_listed *l)
{
	switch (tp->icsk_pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_REO_TIMEOUT:
	case ICSK_TIME_LOSS_PROBE:
		l->timer = TCP_LIST_RETRANS;
		break;
	case ICSK_TIME_PROBE0:
		l->timer = TCP_LIST_PROBE0;
		break;
	default:
		if (timer_pending(&tp->keep_timer)) {
			l->timer = TCP_LIST_KEEPALIVE;
			l->expires = time_left(tp->w, tp->keep_timer.expires);
		}
		return;
	}
	l->expires = time_left(tp->w, tp->rto_timer.expires);
}

void tcp_list_sock(const struct tcp_sock *tp, struct tcp_listed *l)
{
	const struct inet_sock *in = &tp->in;
	int32_t unread = (int32_t)(tp->rcv_nxt - tp->copied_seq);

	*l = (struct tcp_listed){
		.ends = {in->rcv_saddr, in->daddr, in->sport, in->dport, in->sk.bound_if},
		.state = tp->node.state,
		.retransmits = tp->retransmits,
		.probes = tp->probes_out,
		.rqueue = (uint32_t)(MAX(unread, 0) + (in->sk.unread ? in->sk.unread(&in->sk) : 0)),
		.wqueue = tp->write_seq - tp->snd_una,
		.uid = in->sk.uid,
		.mark = in->sk.mark,
		.ino = tp->orphan || tp->parent ? 0 : sock_ino(&in->sk),
		.id = in->sk.id,
		.tp = tp,
	};
	if (tp->node.state == TCP_LISTEN) {
		l->rqueue = tcp_accept_queue_len(tp);
		l->wqueue = tcp_listen_backlog(tp);
	}
	list_timer(tp, l);
}

/* As tcp_listed.state. */
static uint8_t state_of(const struct tcp_node *n)
{
	if (n->state == TCP_NEW_SYN_RECV)
		return TCP_SYN_RECV;
	if (n->state == TCP_TIME_WAIT && container_of(n, struct tcp_tw, node)->substate_fin_wait2)
		return TCP_FIN_WAIT2;
	return n->state;
}

/* Neither a request nor a tcp_tw has an inode; a request's timer counts as number 1. */
static void list_small(const struct tcp_node *n, struct tcp_listed *l)
{
	*l = (struct tcp_listed){
		.ends = {n->laddr, n->raddr, n->lport, n->rport, tcp_bound_if(n)},
		.state = state_of(n),
		.id = hash_u64((uintptr_t)n),
	};
	if (n->state == TCP_TIME_WAIT) {
		const struct tcp_tw *tw = container_of(n, const struct tcp_tw, node);

		l->timer = TCP_LIST_TIME_WAIT;
		l->expires = time_left(tw->w, tw->timer.expires);
		l->mark = tw->mark;
	} else {
		const struct tcp_req *req = container_of(n, const struct tcp_req, node);

		l->timer = TCP_LIST_RETRANS;
		l->retransmits = req->num_timeout;
		l->expires = time_left(req->w, req->timer.expires);
		l->uid = req->listener ? req->listener->in.sk.uid : 0;
		l->mark = req->mark;
	}
}

void tcp_list_node(const struct tcp_node *n, struct tcp_listed *l)
{
	if (tcp_is_sock(n))
		tcp_list_sock(container_of(n, const struct tcp_sock, node), l);
	else
		list_small(n, l);
}

/* ---- all of them ---- */

static bool is_listener(const struct sock *sk)
{
	return sk->family == AF_INET && sk->type == SOCK_STREAM && sk->protocol == IPPROTO_TCP &&
	       tcp_sk(sk)->node.state == TCP_LISTEN;
}

/* Calls fn for all that is in the hash of connections, until it says no more (not 0). */
static int walk_conns(struct net *net, int (*fn)(void *arg, const struct tcp_node *n), void *arg)
{
	struct cds_lfht_node *at;
	struct cds_lfht_iter it;
	int err = 0;

	rcu_read_lock();
	cds_lfht_for_each (net->weft->tcp->conns, &it, at) {
		const struct tcp_node *n = container_of(at, struct tcp_node, node);

		err = n->net == net ? fn(arg, n) : 0;
		if (err)
			break;
	}
	rcu_read_unlock();
	return err;
}

struct collected {
	struct tcp_ends *v;
	size_t n, room;
	uint32_t states;
};

static int collect(void *arg, const struct tcp_node *n)
{
	struct collected *c = arg;

	if (!(c->states & TCPF(state_of(n))))
		return 0;
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct tcp_ends *v = realloc(c->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->room = room;
	}
	c->v[c->n++] = (struct tcp_ends){n->laddr, n->raddr, n->lport, n->rport, tcp_bound_if(n)};
	return 0;
}

int tcp_list_conns(struct net *net, uint32_t states, struct tcp_ends **ends, size_t *n)
{
	struct collected c = {.states = states};
	int err = walk_conns(net, collect, &c);

	if (err) {
		free(c.v);
		return err;
	}
	*ends = c.v;
	*n = c.n;
	return 0;
}

struct tcp_node *tcp_list_find(struct net *net, const struct tcp_ends *e)
{
	struct tcp_core *core = net->weft->tcp;
	struct netdev *dev;
	struct tcp_sock *tp;
	struct tcp_node *n;

	rcu_read_lock();
	n = tcp_lookup(core, net, e->laddr, e->lport, e->raddr, e->rport, e->bound_if);
	if (!n) {
		dev = e->bound_if ? net_dev_by_index(net, e->bound_if) : NULL;
		tp = tcp_lookup_listener(net->weft->worker[0], net, e->laddr, e->lport, e->raddr,
					 e->rport, dev, NULL);
		n = tp ? &tp->node : NULL;
	}
	rcu_read_unlock();
	return n;
}

/* ---- /proc/net/tcp ---- */

struct table {
	FILE *out;
	unsigned slot;
};

/* A line ends in blanks, so that its length is known (TMPSZ). */
#define LINE_WIDTH 149

static unsigned long to_clock(uint64_t ns)
{
	return (unsigned long)(ns / (NSEC_PER_SEC / USER_HZ));
}

/* What only a whole socket has. */
static void put_sock_columns(char *to, size_t room, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->in.sk;
	bool pingpong = tp->ack.pingpong >= tcp_net(sk->net)->tcp_pingpong_thresh;
	int ssthresh = tcp_in_initial_slowstart(tp) ? -1 : (int)tp->snd_ssthresh;

	snprintf(to, room, "%u %016lx %lu %lu %u %u %d", sk->refs + 1, (unsigned long)sk->id,
		 to_clock(tp->rto), to_clock(tp->ack.ato),
		 (unsigned)(tp->ack.quick << 1) | pingpong, tp->snd_cwnd,
		 tp->node.state == TCP_LISTEN ? (int)tp->fo_qlen_max : ssthresh);
}

static void put_line(struct table *t, const struct tcp_listed *l)
{
	const struct tcp_ends *e = &l->ends;
	char tail[128], line[256];

	if (l->tp)
		put_sock_columns(tail, sizeof(tail), l->tp);
	else
		snprintf(tail, sizeof(tail), "%u %016lx", l->timer == TCP_LIST_TIME_WAIT ? 3 : 0,
			 (unsigned long)l->id);
	snprintf(line, sizeof(line),
		 "%4u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %s",
		 t->slot++, e->laddr, __builtin_bswap16(e->lport), e->raddr,
		 __builtin_bswap16(e->rport), l->state, l->state == TCP_LISTEN ? 0 : l->wqueue,
		 l->rqueue, l->timer, to_clock(l->expires), l->retransmits, l->uid, l->probes,
		 l->ino, tail);
	fprintf(t->out, "%-*s\n", LINE_WIDTH, line);
}

static int node_line(void *arg, const struct tcp_node *n)
{
	struct tcp_listed l;

	tcp_list_node(n, &l);
	put_line(arg, &l);
	return 0;
}

void tcp_show(struct net *net, FILE *out)
{
	struct table t = {.out = out};
	struct sock *sk = NULL;

	fprintf(out, "%-*s\n", LINE_WIDTH,
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
		"  timeout inode");
	while ((sk = sock_next(net, sk)))
		if (is_listener(sk))
			node_line(&t, &tcp_sk(sk)->node);
	walk_conns(net, node_line, &t);
}

/* ---- the line of sockstat ---- */

static int count_sock(void *arg, const struct tcp_node *n)
{
	*(unsigned *)arg += tcp_is_sock(n);
	return 0;
}

/* Orphans, sockets and memory are the machine's in every namespace. */
void tcp_show_sockstat(struct net *net, FILE *out)
{
	const struct tcp_core *core = net->weft->tcp;
	struct sock *sk = NULL;
	unsigned n = 0;

	while ((sk = sock_next(net, sk)))
		n += is_listener(sk);
	walk_conns(net, count_sock, &n);
	fprintf(out, "TCP: inuse %u orphan %u tw %u alloc %u mem %llu\n", n, core->n_orphans,
		tcp_net(net)->n_tw, core->n_socks,
		(unsigned long long)((core->memory + TCP_PAGE - 1) / TCP_PAGE));
}
