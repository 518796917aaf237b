/*
 * sock_diag: requests, by family, and what all families tell of a socket.
 */
#include "ctl/sock_diag_core.h"

#include "ctl/nl_sock.h"

/* ---- what is told ---- */

void sock_diag_cookie(uint64_t id, uint32_t cookie[2])
{
	cookie[0] = (uint32_t)id;
	cookie[1] = (uint32_t)(id >> 32);
}

int sock_diag_check_cookie(uint64_t id, const uint32_t cookie[2])
{
	uint32_t own[2];

	sock_diag_cookie(id, own);
	if (cookie[0] == INET_DIAG_NOCOOKIE && cookie[1] == INET_DIAG_NOCOOKIE)
		return 0;
	return memcmp(own, cookie, sizeof(own)) ? -ESTALE : 0;
}

void sock_diag_put_meminfo(struct nlmsghdr *nlh, uint16_t type, const struct sock *sk, size_t rmem,
			   size_t wmem)
{
	uint32_t mem[SK_MEMINFO_VARS] = {0};

	mem[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)rmem;
	mem[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)wmem;
	mem[SK_MEMINFO_RCVBUF] = (uint32_t)sk->rcvbuf;
	mem[SK_MEMINFO_SNDBUF] = (uint32_t)sk->sndbuf;
	mem[SK_MEMINFO_DROPS] = (uint32_t)sk->rx_drops;
	mnl_attr_put(nlh, type, sizeof(mem), mem);
}

/* ---- dumps ---- */

static void walk_done(struct nl_dump *d)
{
	sock_walk_end(d->ptr);
	free(d->ptr);
	d->ptr = NULL;
}

int sock_diag_dump_start(struct nl_dump *d)
{
	struct sock_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return -ENOMEM;
	sock_walk_start(walk, d->req.net);
	d->ptr = walk;
	d->done = walk_done;
	return 0;
}

int sock_diag_dump(struct nl_dump *d, int (*fill)(struct nl_dump *d, struct sock *sk))
{
	struct sock_walk *walk = d->ptr;

	for (; walk->next; sock_walk_on(walk))
		if (fill(d, walk->next))
			return 1;
	return 0;
}

/* ---- UNIX sockets: the host's ---- */

static int unix_dump(struct nl_dump *d)
{
	return 0;
}

/* One is asked for by its inode, which is none of ours. */
static int unix_get(struct nl_req *r)
{
	uint32_t ino;

	memcpy(&ino, (const uint8_t *)mnl_nlmsg_get_payload(r->nlh) + 8, sizeof(ino));
	return ino ? -ENOENT : -EINVAL;
}

static const struct sock_diag_family sock_diag_unix = {
	.family = AF_UNIX, .req_size = 24, .dump = {.dump = unix_dump}, .get = unix_get};

/* ---- requests ---- */

static const struct sock_diag_family *const families[] = {
	&sock_diag_inet, &sock_diag_inet6, &sock_diag_packet, &sock_diag_netlink, &sock_diag_unix};

static int by_family(struct nl_req *r)
{
	const struct sock_diag_req *q = mnl_nlmsg_get_payload(r->nlh);
	const struct sock_diag_family *f = NULL;
	int err;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*q) || q->sdiag_family >= AF_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i]->family == q->sdiag_family)
			f = families[i];
	if (!f)
		return -ENOENT;
	if (r->nlh->nlmsg_type == SOCK_DESTROY && !f->destroy)
		return -EOPNOTSUPP;
	if (mnl_nlmsg_get_payload_len(r->nlh) < f->req_size)
		return -EINVAL;
	err = f->check ? f->check(r) : 0;
	if (err)
		return err;
	if (r->nlh->nlmsg_type == SOCK_DESTROY)
		return f->destroy(r);
	if (r->nlh->nlmsg_flags & NLM_F_DUMP)
		return nl_dump_start(r, &f->dump);
	return f->get ? f->get(r) : -EOPNOTSUPP;
}

static int sock_diag_rcv(struct nl_req *r)
{
	switch (r->nlh->nlmsg_type) {
	case SOCK_DIAG_BY_FAMILY:
	case SOCK_DESTROY:
		return by_family(r);
	case TCPDIAG_GETSOCK: /* before Linux 3.3 */
	case DCCPDIAG_GETSOCK:
		return -EOPNOTSUPP;
	}
	return -EINVAL;
}

static const struct nl_family sock_diag_family = {
	.protocol = NETLINK_SOCK_DIAG, .n_groups = SKNLGRP_MAX, .rcv = sock_diag_rcv};

int sock_diag_init(struct weft *weft)
{
	return nl_register(weft, &sock_diag_family);
}

void sock_diag_fini(struct weft *weft)
{
	/* the family goes with nl */
}
