/*
 * sock_diag_inet: sockets of AF_INET and AF_INET6 (of which there are none): requests, what all
 * protocols tell, UDP and raw.
 *
 * Those of UDP and raw that are shown are the ones bound to a port (raw: to a protocol), as the
 * kernel's tables hold no others. A protocol that is not there is told at the end of a dump, not at
 * its start: so programs look for /proc/net instead.
 */
#include "ctl/sock_diag_core.h"

#include "udp/udp.h"

enum { STATE_ESTABLISHED = 1, STATE_CLOSE = 7 }; /* of TCP; datagrams borrow them */

/* ---- what all protocols tell ---- */

bool sock_diag_selected(const struct sock_diag_query *q, const struct sock_diag_entry *e)
{
	const struct inet_diag_sockid *id = &q->req->id;

	if (id->idiag_sport && __builtin_bswap16(id->idiag_sport) != e->sport)
		return false;
	if (id->idiag_dport && __builtin_bswap16(id->idiag_dport) != e->dport)
		return false;
	return !q->bytecode || sock_diag_bc_run(q->bytecode, q->bytecode_len, e);
}

static void put_sockopt(struct nlmsghdr *nlh, const struct inet_sock *in)
{
	const struct inet_diag_sockopt o = {
		.recverr = in->recverr,
		.is_icsk = in->sk.type == SOCK_STREAM,
		.freebind = in->freebind,
		.hdrincl = in->hdrincl,
		.mc_loop = in->mc_loop,
		.transparent = in->transparent,
		.mc_all = in->mc_all,
		.nodefrag = in->nodefrag,
		.bind_address_no_port = in->bind_no_port,
		.recverr_rfc4884 = in->recverr_rfc4884,
	};

	mnl_attr_put(nlh, INET_DIAG_SOCKOPT, sizeof(o), &o);
}

void sock_diag_put_inet(struct nlmsghdr *nlh, const struct sock_diag_query *q,
			const struct inet_sock *in, size_t rmem, size_t wmem)
{
	const struct sock *sk = &in->sk;
	const struct inet_diag_meminfo mem = {.idiag_rmem = (uint32_t)rmem,
					      .idiag_wmem = (uint32_t)wmem};

	mnl_attr_put_u8(nlh, INET_DIAG_SHUTDOWN, (uint8_t)sk->shut);
	if (sock_diag_wants(q, INET_DIAG_TOS))
		mnl_attr_put_u8(nlh, INET_DIAG_TOS, in->tos);
	mnl_attr_put_u32(nlh, INET_DIAG_MARK, sk->mark);
	if (sock_diag_wants(q, INET_DIAG_TCLASS))
		mnl_attr_put_u32(nlh, INET_DIAG_CLASS_ID, sk->prio);
	put_sockopt(nlh, in);
	if (sock_diag_wants(q, INET_DIAG_MEMINFO))
		mnl_attr_put(nlh, INET_DIAG_MEMINFO, sizeof(mem), &mem);
	if (sock_diag_wants(q, INET_DIAG_SKMEMINFO))
		sock_diag_put_meminfo(nlh, INET_DIAG_SKMEMINFO, sk, rmem, wmem);
}

/* ---- UDP and raw ---- */

static bool of_protocol(const struct sock *sk, uint32_t protocol)
{
	if (sk->family != AF_INET)
		return false;
	if (protocol == IPPROTO_RAW)
		return sk->type == SOCK_RAW;
	return sk->type == SOCK_DGRAM && sk->protocol == IPPROTO_UDP && inet_sk(sk)->num;
}

static uint8_t state_of(const struct inet_sock *in)
{
	return in->connected ? STATE_ESTABLISHED : STATE_CLOSE;
}

static void put_dgram(struct nlmsghdr *nlh, const struct sock_diag_query *q, const struct sock *sk)
{
	struct inet_diag_msg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	const struct inet_sock *in = inet_sk(sk);

	m->idiag_family = AF_INET;
	m->idiag_state = state_of(in);
	m->id.idiag_sport = in->sport;
	m->id.idiag_dport = in->dport;
	m->id.idiag_src[0] = in->rcv_saddr;
	m->id.idiag_dst[0] = in->daddr;
	m->id.idiag_if = (uint32_t)sk->bound_if;
	sock_diag_cookie(sk->id, m->id.idiag_cookie);
	m->idiag_rqueue = (uint32_t)sock_rmem(sk);
	m->idiag_uid = sk->uid;
	m->idiag_inode = (uint32_t)sock_ino(sk);
	sock_diag_put_inet(nlh, q, in, sock_rmem(sk), 0);
	if (sk->type == SOCK_RAW)
		mnl_attr_put_u8(nlh, INET_DIAG_PROTOCOL, (uint8_t)sk->protocol);
}

static bool is_selected(const struct sock_diag_query *q, const struct sock *sk)
{
	const struct inet_sock *in = inet_sk(sk);
	const struct sock_diag_entry e = {
		.saddr = in->rcv_saddr,
		.daddr = in->daddr,
		.sport = in->num,
		.dport = __builtin_bswap16(in->dport),
		.ifindex = (uint32_t)sk->bound_if,
		.mark = sk->mark,
		.auto_port = !in->port_bound,
	};

	return q->req->idiag_states & 1u << state_of(in) && sock_diag_selected(q, &e);
}

static int read_query(struct nl_req *r, struct sock_diag_query *q);

static int fill_dgram(struct nl_dump *d, struct sock *sk)
{
	struct sock_diag_query q;
	struct nlmsghdr *nlh;

	if (read_query(&d->req, &q) || !of_protocol(sk, q.protocol) || !is_selected(&q, sk))
		return 0;
	nlh = nl_dump_msg(d, SOCK_DIAG_BY_FAMILY, SOCK_DIAG_MSG_ROOM);
	if (!nlh)
		return 1;
	put_dgram(nlh, &q, sk);
	nl_dump_end(d, nlh, true);
	return 0;
}

static int dump_dgrams(struct nl_dump *d, const struct sock_diag_query *q)
{
	return sock_diag_dump(d, fill_dgram);
}

static int start_dgrams(struct nl_dump *d, const struct sock_diag_query *q)
{
	return sock_diag_dump_start(d);
}

static struct sock *find_raw(struct net *net, const struct inet_diag_req_v2 *req)
{
	const struct inet_diag_req_raw *raw = (const void *)req;
	const struct inet_diag_sockid *id = &req->id;

	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk)) {
		const struct inet_sock *in = inet_sk(sk);

		if (!of_protocol(sk, IPPROTO_RAW) || in->num != raw->sdiag_raw_protocol)
			continue;
		if ((!in->daddr || in->daddr == id->idiag_dst[0]) &&
		    (!in->rcv_saddr || in->rcv_saddr == id->idiag_src[0]) &&
		    (!sk->bound_if || sk->bound_if == (int)id->idiag_if))
			return sk;
	}
	return NULL;
}

/* `swapped`: what is asked for is named by its peer's view. */
static int find_dgram(struct net *net, const struct sock_diag_query *q, bool swapped,
		      struct sock **out)
{
	const struct inet_diag_sockid *id = &q->req->id;

	if (q->protocol == IPPROTO_RAW)
		*out = find_raw(net, q->req);
	else if (swapped)
		*out = udp_find(net, id->idiag_dst[0], id->idiag_dport, id->idiag_src[0],
				id->idiag_sport, (int)id->idiag_if);
	else
		*out = udp_find(net, id->idiag_src[0], id->idiag_sport, id->idiag_dst[0],
				id->idiag_dport, (int)id->idiag_if);
	return *out ? sock_diag_check_cookie((*out)->id, id->idiag_cookie) : -ENOENT;
}

static int get_dgram(struct nl_req *r, const struct sock_diag_query *q, struct nlmsghdr *nlh)
{
	struct sock *sk;
	int err = find_dgram(r->net, q, true, &sk);

	if (!err)
		put_dgram(nlh, q, sk);
	return err;
}

static int destroy_dgram(struct nl_req *r, const struct sock_diag_query *q)
{
	struct sock *sk;
	int err = find_dgram(r->net, q, false, &sk);

	if (err)
		return err;
	return sk->ops->abort ? sk->ops->abort(sk, ECONNABORTED) : -EOPNOTSUPP;
}

static const struct sock_diag_proto udp = {IPPROTO_UDP, start_dgrams, dump_dgrams, get_dgram,
					   destroy_dgram};
static const struct sock_diag_proto raw = {IPPROTO_RAW, start_dgrams, dump_dgrams, get_dgram,
					   destroy_dgram};

/* ---- requests ---- */

static const struct nla_policy policy[] = {
	{INET_DIAG_REQ_BYTECODE, NLA_K_UNSPEC, .name = "INET_DIAG_REQ_BYTECODE"},
	{INET_DIAG_REQ_PROTOCOL, NLA_K_U32, .name = "INET_DIAG_REQ_PROTOCOL"},
};

static int read_query(struct nl_req *r, struct sock_diag_query *q)
{
	const struct nlattr *tb[INET_DIAG_REQ_MAX + 1] = {0};
	const uint8_t *at = mnl_nlmsg_get_payload(r->nlh);
	size_t head = NLMSG_ALIGN(sizeof(*q->req)), len = mnl_nlmsg_get_payload_len(r->nlh);
	int err = nl_parse(tb, INET_DIAG_REQ_MAX, at + head, len - head, policy, ARRAY_SIZE(policy),
			   NL_LIBERAL, r->nlh, &r->ext);

	if (err)
		return err;
	*q = (struct sock_diag_query){.req = (const struct inet_diag_req_v2 *)at};
	q->protocol = tb[INET_DIAG_REQ_PROTOCOL] ? nl_get_u32(tb[INET_DIAG_REQ_PROTOCOL])
						 : q->req->sdiag_protocol;
	if (tb[INET_DIAG_REQ_BYTECODE]) {
		q->bytecode = mnl_attr_get_payload(tb[INET_DIAG_REQ_BYTECODE]);
		q->bytecode_len = mnl_attr_get_payload_len(tb[INET_DIAG_REQ_BYTECODE]);
	}
	return 0;
}

/* The protocol's part; NULL: it is not there. */
static const struct sock_diag_proto *proto_of(const struct sock_diag_query *q)
{
	static const struct sock_diag_proto *const protos[] = {&sock_diag_tcp, &udp, &raw};

	for (unsigned i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i]->protocol == q->protocol)
			return protos[i];
	return NULL;
}

static int dump_start(struct nl_dump *d)
{
	const struct sock_diag_proto *proto;
	struct sock_diag_query q;
	int err = read_query(&d->req, &q);

	if (!err && q.bytecode)
		err = sock_diag_bc_check(q.bytecode, q.bytecode_len);
	if (err)
		return err;
	proto = proto_of(&q);
	return proto && q.req->sdiag_family == AF_INET ? proto->start(d, &q) : 0;
}

static int dump(struct nl_dump *d)
{
	const struct sock_diag_proto *proto;
	struct sock_diag_query q;
	int err = read_query(&d->req, &q);

	if (err)
		return err;
	proto = proto_of(&q);
	if (!proto)
		return -ENOENT;
	return q.req->sdiag_family == AF_INET ? proto->dump(d, &q) : 0;
}

static int read_one(struct nl_req *r, struct sock_diag_query *q,
		    const struct sock_diag_proto **proto)
{
	int err = read_query(r, q);

	if (err)
		return err;
	*proto = proto_of(q);
	return *proto && q->req->sdiag_family == AF_INET ? 0 : -ENOENT;
}

static int get(struct nl_req *r)
{
	union {
		struct nlmsghdr h;
		uint8_t room[NLMSG_HDRLEN + SOCK_DIAG_MSG_ROOM];
	} buf = {.room = {0}};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(&buf);
	const struct sock_diag_proto *proto;
	struct sock_diag_query q;
	int err = read_one(r, &q, &proto);

	if (err)
		return err;
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_seq = r->nlh->nlmsg_seq;
	nlh->nlmsg_pid = r->portid;
	err = proto->get(r, &q, nlh);
	return err ? err : nl_reply(r, nlh, nlh->nlmsg_len);
}

static int destroy(struct nl_req *r)
{
	const struct sock_diag_proto *proto;
	struct sock_diag_query q;
	int err = read_one(r, &q, &proto);

	return err ? err : proto->destroy(r, &q);
}

const struct sock_diag_family sock_diag_inet = {
	.family = AF_INET,
	.req_size = sizeof(struct inet_diag_req_v2),
	.dump = {.dump = dump, .start = dump_start},
	.get = get,
	.destroy = destroy,
};

const struct sock_diag_family sock_diag_inet6 = {
	.family = AF_INET6,
	.req_size = sizeof(struct inet_diag_req_v2),
	.dump = {.dump = dump, .start = dump_start},
	.get = get,
	.destroy = destroy,
};
