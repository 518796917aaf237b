/*
 * sock_diag_netlink: netlink sockets.
 */
#include "ctl/sock_diag_core.h"

#include <linux/netlink_diag.h>

#include "ctl/nl_sock.h"

static const struct netlink_diag_req *request(const struct nl_req *r)
{
	return mnl_nlmsg_get_payload(r->nlh);
}

static uint32_t flags_of(const struct nl_sock *s)
{
	return (s->dump ? NDIAG_FLAG_CB_RUNNING : 0) | (s->pktinfo ? NDIAG_FLAG_PKTINFO : 0) |
	       (s->broadcast_error ? NDIAG_FLAG_BROADCAST_ERROR : 0) |
	       (s->no_enobufs ? NDIAG_FLAG_NO_ENOBUFS : 0) |
	       (s->all_nsid ? NDIAG_FLAG_LISTEN_ALL_NSID : 0) |
	       (s->cap_ack ? NDIAG_FLAG_CAP_ACK : 0);
}

/* Bytes of the table of groups: none, for who never joined one. */
static size_t groups_size(const struct nl_sock *s)
{
	const struct nl_family *f = s->sk.weft->nl->proto[s->sk.protocol].family;

	return s->n_joined ? align_up(((f ? f->n_groups : 32) + 7) / 8, sizeof(long)) : 0;
}

static int fill(struct nl_dump *d, struct sock *sk)
{
	const struct netlink_diag_req *req = request(&d->req);
	const struct nl_sock *s = nl_sk(sk);
	struct netlink_diag_msg *m;
	struct nlmsghdr *nlh;

	if (sk->family != AF_NETLINK ||
	    (req->sdiag_protocol != NDIAG_PROTO_ALL && req->sdiag_protocol != sk->protocol))
		return 0;
	nlh = nl_dump_msg(d, SOCK_DIAG_BY_FAMILY, sizeof(*m) + 128);
	if (!nlh)
		return 1;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ndiag_family = AF_NETLINK;
	m->ndiag_type = (uint8_t)sk->type;
	m->ndiag_protocol = (uint8_t)sk->protocol;
	m->ndiag_state = s->connected;
	m->ndiag_portid = s->portid;
	m->ndiag_dst_portid = s->dst_portid;
	m->ndiag_dst_group = s->dst_group;
	m->ndiag_ino = (uint32_t)sock_ino(sk);
	sock_diag_cookie(sk->id, m->ndiag_cookie);
	if ((req->ndiag_show & NDIAG_SHOW_GROUPS) && groups_size(s))
		mnl_attr_put(nlh, NETLINK_DIAG_GROUPS, groups_size(s), s->groups);
	if (req->ndiag_show & NDIAG_SHOW_MEMINFO)
		sock_diag_put_meminfo(nlh, NETLINK_DIAG_MEMINFO, sk, sock_rmem(sk), 0);
	if (req->ndiag_show & NDIAG_SHOW_FLAGS)
		mnl_attr_put_u32(nlh, NETLINK_DIAG_FLAGS, flags_of(s));
	nl_dump_end(d, nlh, true);
	return 0;
}

static int dump(struct nl_dump *d)
{
	return sock_diag_dump(d, fill);
}

static int check(struct nl_req *r)
{
	unsigned protocol = request(r)->sdiag_protocol;

	return protocol != NDIAG_PROTO_ALL && protocol >= NL_PROTOCOLS ? -ENOENT : 0;
}

const struct sock_diag_family sock_diag_netlink = {
	.family = AF_NETLINK,
	.req_size = sizeof(struct netlink_diag_req),
	.dump = {.dump = dump, .start = sock_diag_dump_start},
	.check = check,
};
