/*
 * sock_diag_tcp: TCP in NETLINK_SOCK_DIAG: listeners, ports that are bound and no more, and
 * connections of every kind, in the order in which the kernel tells them.
 *
 * A dump takes the names of the connections at its start, and then tells of each as it is when its
 * turn comes.
 */
#include "ctl/sock_diag_core.h"
#include "tcp/tcp_core.h"
#include "tcp/tcp_list.h"

#define STATE_BOUND_INACTIVE 13 /* TCP_BOUND_INACTIVE: how a closed socket with a port is told */

struct tcp_dump {
	struct sock_walk walk;
	struct tcp_ends *conns;
	size_t n, at;
};

/* ---- one ---- */

static void put_cc(struct nlmsghdr *nlh, const struct sock_diag_query *q, struct tcp_sock *tp)
{
	uint64_t info[8];
	int attr;
	size_t len = tp->cc->get_info ? tp->cc->get_info(tp, &attr, info, sizeof(info)) : 0;

	/* who asks for one kind of it gets any */
	if (len && (sock_diag_wants(q, INET_DIAG_VEGASINFO) || sock_diag_wants(q, (unsigned)attr)))
		mnl_attr_put(nlh, (uint16_t)attr, len, info);
}

static void put_sock(struct nlmsghdr *nlh, const struct sock_diag_query *q, struct tcp_sock *tp)
{
	union tcp_info_full info;

	sock_diag_put_inet(nlh, q, &tp->in, tp->rmem, tp->wmem);
	if (sock_diag_wants(q, INET_DIAG_INFO)) {
		tcp_get_info(tp, &info);
		mnl_attr_put(nlh, INET_DIAG_INFO, sizeof(info), &info);
	}
	if (sock_diag_wants(q, INET_DIAG_CONG))
		mnl_attr_put_strz(nlh, INET_DIAG_CONG, tp->cc->name);
	if (tp->node.state < TCP_TIME_WAIT)
		put_cc(nlh, q, tp);
}

static void put(struct nlmsghdr *nlh, const struct sock_diag_query *q, const struct tcp_listed *l)
{
	struct inet_diag_msg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	bool by_probes = l->timer == TCP_LIST_PROBE0 || l->timer == TCP_LIST_KEEPALIVE;

	m->idiag_family = AF_INET;
	m->idiag_state = l->state == TCP_CLOSE ? STATE_BOUND_INACTIVE : l->state;
	m->idiag_timer = l->timer;
	m->idiag_retrans = l->timer ? by_probes ? l->probes : l->retransmits : 0;
	m->idiag_expires = (uint32_t)((l->expires + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
	m->id.idiag_sport = l->ends.lport;
	m->id.idiag_dport = l->ends.rport;
	m->id.idiag_src[0] = l->ends.laddr;
	m->id.idiag_dst[0] = l->ends.raddr;
	m->id.idiag_if = (uint32_t)l->ends.bound_if;
	sock_diag_cookie(l->id, m->id.idiag_cookie);
	m->idiag_rqueue = l->rqueue;
	m->idiag_wqueue = l->wqueue;
	m->idiag_uid = l->tp ? l->uid : 0;
	m->idiag_inode = (uint32_t)l->ino;
	if (l->tp)
		put_sock(nlh, q, (struct tcp_sock *)l->tp);
	else
		mnl_attr_put_u32(nlh, INET_DIAG_MARK, l->mark);
}

/* ---- dumps ---- */

static void tcp_dump_done(struct nl_dump *d)
{
	struct tcp_dump *td = d->ptr;

	sock_walk_end(&td->walk);
	free(td->conns);
	free(td);
	d->ptr = NULL;
}

static int tcp_start(struct nl_dump *d, const struct sock_diag_query *q)
{
	struct tcp_dump *td = calloc(1, sizeof(*td));
	uint32_t hashed = q->req->idiag_states & ~(TCPF(TCP_LISTEN) | TCPF(STATE_BOUND_INACTIVE));
	int err;

	if (!td)
		return -ENOMEM;
	err = hashed ? tcp_list_conns(d->req.net, hashed, &td->conns, &td->n) : 0;
	if (err) {
		free(td);
		return err;
	}
	sock_walk_start(&td->walk, d->req.net);
	d->ptr = td;
	d->done = tcp_dump_done;
	return 0;
}

static bool is_asked_for(const struct sock_diag_query *q, uint8_t state)
{
	return q->req->idiag_states & TCPF(state == TCP_CLOSE ? STATE_BOUND_INACTIVE : state);
}

/* 0, or 1: the datagram is full. */
static int tell(struct nl_dump *d, const struct sock_diag_query *q, const struct tcp_node *n)
{
	struct sock_diag_entry e;
	struct nlmsghdr *nlh;
	struct tcp_listed l;

	tcp_list_node(n, &l);
	if (!is_asked_for(q, l.state))
		return 0;
	e = (struct sock_diag_entry){
		.saddr = l.ends.laddr,
		.daddr = l.ends.raddr,
		.sport = __builtin_bswap16(l.ends.lport),
		.dport = __builtin_bswap16(l.ends.rport),
		.ifindex = (uint32_t)l.ends.bound_if,
		.mark = l.mark,
		.auto_port = !l.tp || !l.tp->in.port_bound,
	};
	if (!sock_diag_selected(q, &e))
		return 0;
	nlh = nl_dump_msg(d, SOCK_DIAG_BY_FAMILY, SOCK_DIAG_MSG_ROOM);
	if (!nlh)
		return 1;
	put(nlh, q, &l);
	nl_dump_end(d, nlh, true);
	return 0;
}

/* A listener, or a port that is bound and no more. */
static bool told_by_walk(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (sk->family != AF_INET || sk->type != SOCK_STREAM || sk->protocol != IPPROTO_TCP)
		return false;
	return tp->node.state == TCP_LISTEN || (tp->node.state == TCP_CLOSE && tp->in.num);
}

static int tcp_dump(struct nl_dump *d, const struct sock_diag_query *q)
{
	struct tcp_dump *td = d->ptr;
	const struct tcp_node *n;

	for (; td->walk.next; sock_walk_on(&td->walk))
		if (told_by_walk(td->walk.next) && tell(d, q, &tcp_sk(td->walk.next)->node))
			return 1;
	for (; td->at < td->n; td->at++) {
		n = tcp_list_find(d->req.net, &td->conns[td->at]);
		if (n && n->state != TCP_LISTEN && tell(d, q, n))
			return 1;
	}
	return 0;
}

/* ---- one by its name ---- */

static int find(struct net *net, const struct sock_diag_query *q, struct tcp_node **n,
		struct tcp_listed *l)
{
	const struct inet_diag_sockid *id = &q->req->id;
	const struct tcp_ends ends = {id->idiag_src[0], id->idiag_dst[0], id->idiag_sport,
				      id->idiag_dport, (int)id->idiag_if};

	*n = tcp_list_find(net, &ends);
	if (!*n)
		return -ENOENT;
	tcp_list_node(*n, l);
	return sock_diag_check_cookie(l->id, id->idiag_cookie);
}

static int tcp_get(struct nl_req *r, const struct sock_diag_query *q, struct nlmsghdr *nlh)
{
	struct tcp_listed l;
	struct tcp_node *n;
	int err = find(r->net, q, &n, &l);

	if (!err)
		put(nlh, q, &l);
	return err;
}

static int tcp_destroy_one(struct nl_req *r, const struct sock_diag_query *q)
{
	struct tcp_listed l;
	struct tcp_node *n;
	int err = find(r->net, q, &n, &l);

	return err ? err : tcp_abort(n, ECONNABORTED);
}

const struct sock_diag_proto sock_diag_tcp = {
	.protocol = IPPROTO_TCP,
	.start = tcp_start,
	.dump = tcp_dump,
	.get = tcp_get,
	.destroy = tcp_destroy_one,
};
