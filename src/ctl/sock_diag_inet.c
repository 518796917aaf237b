/*
 * sock_diag_inet: sockets of AF_INET and AF_INET6 (of which there are none): UDP and raw.
 *
 * Those shown are the ones bound to a port (raw: to a protocol), as the kernel's tables hold no
 * others. A protocol that is not there is told at the end of a dump, not at its start: so programs
 * look for /proc/net instead.
 */
#include "ctl/sock_diag_core.h"

#include "sock/inet.h"
#include "udp/udp.h"

enum { STATE_ESTABLISHED = 1, STATE_CLOSE = 7 }; /* of TCP; datagrams borrow them */

static const struct nla_policy policy[] = {
	{INET_DIAG_REQ_BYTECODE, NLA_K_UNSPEC, .name = "INET_DIAG_REQ_BYTECODE"},
	{INET_DIAG_REQ_PROTOCOL, NLA_K_U32, .name = "INET_DIAG_REQ_PROTOCOL"},
};

struct query {
	const struct inet_diag_req_v2 *req;
	uint32_t protocol;
	const void *bytecode; /* NULL: none */
	size_t bytecode_len;
};

static int read_query(const struct nl_req *r, struct query *q, struct extack *ext)
{
	const struct nlattr *tb[INET_DIAG_REQ_MAX + 1] = {0};
	const uint8_t *at = mnl_nlmsg_get_payload(r->nlh);
	size_t head = NLMSG_ALIGN(sizeof(*q->req)), len = mnl_nlmsg_get_payload_len(r->nlh);
	int err = nl_parse(tb, INET_DIAG_REQ_MAX, at + head, len - head, policy, ARRAY_SIZE(policy),
			   NL_LIBERAL, r->nlh, ext);

	if (err)
		return err;
	*q = (struct query){.req = (const struct inet_diag_req_v2 *)at};
	q->protocol = tb[INET_DIAG_REQ_PROTOCOL] ? nl_get_u32(tb[INET_DIAG_REQ_PROTOCOL])
						 : q->req->sdiag_protocol;
	if (tb[INET_DIAG_REQ_BYTECODE]) {
		q->bytecode = mnl_attr_get_payload(tb[INET_DIAG_REQ_BYTECODE]);
		q->bytecode_len = mnl_attr_get_payload_len(tb[INET_DIAG_REQ_BYTECODE]);
	}
	return 0;
}

static bool is_known(uint32_t protocol)
{
	return protocol == IPPROTO_UDP || protocol == IPPROTO_RAW;
}

static bool of_protocol(const struct sock *sk, uint32_t protocol)
{
	if (sk->family != AF_INET)
		return false;
	if (protocol == IPPROTO_RAW)
		return sk->type == SOCK_RAW;
	return sk->type == SOCK_DGRAM && sk->protocol == IPPROTO_UDP && inet_sk(sk)->num;
}

/* ---- one socket ---- */

static uint8_t state_of(const struct inet_sock *in)
{
	return in->connected ? STATE_ESTABLISHED : STATE_CLOSE;
}

static void put_head(struct nlmsghdr *nlh, const struct inet_sock *in)
{
	struct inet_diag_msg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	const struct sock *sk = &in->sk;

	m->idiag_family = AF_INET;
	m->idiag_state = state_of(in);
	m->id.idiag_sport = in->sport;
	m->id.idiag_dport = in->dport;
	m->id.idiag_src[0] = in->rcv_saddr;
	m->id.idiag_dst[0] = in->daddr;
	m->id.idiag_if = (uint32_t)sk->bound_if;
	sock_diag_cookie(sk, m->id.idiag_cookie);
	m->idiag_rqueue = (uint32_t)sock_rmem(sk);
	m->idiag_uid = sk->uid;
	m->idiag_inode = (uint32_t)sock_ino(sk);
}

static void put_sockopt(struct nlmsghdr *nlh, const struct inet_sock *in)
{
	const struct inet_diag_sockopt o = {
		.recverr = in->recverr,
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

static bool wants(uint8_t ext, unsigned what)
{
	return ext & (1u << (what - 1));
}

/* In the kernel's order. */
static void put_attrs(struct nlmsghdr *nlh, const struct inet_sock *in, uint8_t ext)
{
	const struct sock *sk = &in->sk;
	const struct inet_diag_meminfo mem = {.idiag_rmem = (uint32_t)sock_rmem(sk)};

	mnl_attr_put_u8(nlh, INET_DIAG_SHUTDOWN, (uint8_t)sk->shut);
	if (wants(ext, INET_DIAG_TOS))
		mnl_attr_put_u8(nlh, INET_DIAG_TOS, in->tos);
	mnl_attr_put_u32(nlh, INET_DIAG_MARK, sk->mark);
	if (wants(ext, INET_DIAG_TCLASS))
		mnl_attr_put_u32(nlh, INET_DIAG_CLASS_ID, sk->prio);
	put_sockopt(nlh, in);
	if (wants(ext, INET_DIAG_MEMINFO))
		mnl_attr_put(nlh, INET_DIAG_MEMINFO, sizeof(mem), &mem);
	if (wants(ext, INET_DIAG_SKMEMINFO))
		sock_diag_put_meminfo(nlh, INET_DIAG_SKMEMINFO, sk);
	if (sk->type == SOCK_RAW)
		mnl_attr_put_u8(nlh, INET_DIAG_PROTOCOL, (uint8_t)sk->protocol);
}

enum { MSG_ROOM = sizeof(struct inet_diag_msg) + 256 }; /* and all attributes */

/* ---- dumps ---- */

static bool selected(const struct query *q, const struct inet_sock *in)
{
	const struct inet_diag_req_v2 *req = q->req;
	const struct sock_diag_entry e = {
		.saddr = in->rcv_saddr,
		.daddr = in->daddr,
		.sport = in->num,
		.dport = __builtin_bswap16(in->dport),
		.ifindex = (uint32_t)in->sk.bound_if,
		.mark = in->sk.mark,
		.auto_port = !in->port_bound,
	};

	if (in->sk.family != req->sdiag_family || !of_protocol(&in->sk, q->protocol) ||
	    !(req->idiag_states & 1u << state_of(in)))
		return false;
	if (req->id.idiag_sport && req->id.idiag_sport != in->sport)
		return false;
	if (req->id.idiag_dport && req->id.idiag_dport != in->dport)
		return false;
	return !q->bytecode || sock_diag_bc_run(q->bytecode, q->bytecode_len, &e);
}

static int fill(struct nl_dump *d, struct sock *sk)
{
	struct nlmsghdr *nlh;
	struct query q;

	if (sk->family != AF_INET || read_query(&d->req, &q, &d->req.ext) ||
	    !selected(&q, inet_sk(sk)))
		return 0;
	nlh = nl_dump_msg(d, SOCK_DIAG_BY_FAMILY, MSG_ROOM);
	if (!nlh)
		return 1;
	put_head(nlh, inet_sk(sk));
	put_attrs(nlh, inet_sk(sk), q.req->idiag_ext);
	nl_dump_end(d, nlh, true);
	return 0;
}

static int dump(struct nl_dump *d)
{
	struct query q;
	int err = read_query(&d->req, &q, &d->req.ext);

	if (err)
		return err;
	return is_known(q.protocol) ? sock_diag_dump(d, fill) : -ENOENT;
}

static int dump_start(struct nl_dump *d)
{
	struct query q;
	int err = read_query(&d->req, &q, &d->req.ext);

	if (!err && q.bytecode)
		err = sock_diag_bc_check(q.bytecode, q.bytecode_len);
	return err ? err : sock_diag_dump_start(d);
}

/* ---- one by its addresses ---- */

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
static int find(struct nl_req *r, struct query *q, bool swapped, struct sock **out)
{
	const struct inet_diag_sockid *id;
	int err = read_query(r, q, &r->ext);

	if (err)
		return err;
	id = &q->req->id;
	if (!is_known(q->protocol) || q->req->sdiag_family != AF_INET)
		return -ENOENT;
	if (q->protocol == IPPROTO_RAW)
		*out = find_raw(r->net, q->req);
	else if (swapped)
		*out = udp_find(r->net, id->idiag_dst[0], id->idiag_dport, id->idiag_src[0],
				id->idiag_sport, (int)id->idiag_if);
	else
		*out = udp_find(r->net, id->idiag_src[0], id->idiag_sport, id->idiag_dst[0],
				id->idiag_dport, (int)id->idiag_if);
	if (!*out)
		return -ENOENT;
	return sock_diag_check_cookie(*out, id->idiag_cookie);
}

static int get(struct nl_req *r)
{
	union {
		struct nlmsghdr h;
		uint8_t room[NLMSG_HDRLEN + MSG_ROOM];
	} buf = {.room = {0}};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(&buf);
	struct sock *sk;
	struct query q;
	int err = find(r, &q, true, &sk);

	if (err)
		return err;
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_seq = r->nlh->nlmsg_seq;
	nlh->nlmsg_pid = r->portid;
	put_head(nlh, inet_sk(sk));
	put_attrs(nlh, inet_sk(sk), q.req->idiag_ext);
	return nl_reply(r, nlh, nlh->nlmsg_len);
}

static int destroy(struct nl_req *r)
{
	struct sock *sk;
	struct query q;
	int err = find(r, &q, false, &sk);

	if (err)
		return err;
	return sk->ops->abort ? sk->ops->abort(sk, ECONNABORTED) : -EOPNOTSUPP;
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
