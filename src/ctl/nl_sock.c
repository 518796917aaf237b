/*
 * nl_sock: AF_NETLINK as sockets: port ids, groups, options, delivery.
 */
#include "ctl/nl_sock.h"

#include <stdio.h>

#define SOL_NETLINK_ 270 /* SOL_NETLINK of the kernel's socket.h */

/* ---- the table of ports ---- */

struct port_key {
	const struct net *net;
	int protocol;
	uint32_t portid;
};

static unsigned long port_hash(const struct port_key *k)
{
	return hash_u64(k->net->ino * 37 + (uint64_t)k->protocol * 0x9e3779b97f4a7c15ULL +
			((uint64_t)k->portid << 20));
}

static int port_match(struct cds_lfht_node *node, const void *key)
{
	const struct nl_sock *s = container_of(node, struct nl_sock, node);
	const struct port_key *k = key;

	return s->portid == k->portid && s->sk.net == k->net && s->sk.protocol == k->protocol;
}

struct nl_sock *nl_find(struct nl *nl, const struct net *net, int protocol, uint32_t portid)
{
	const struct port_key k = {net, protocol, portid};
	struct cds_lfht_iter it;

	rcu_read_lock();
	cds_lfht_lookup(nl->socks, port_hash(&k), port_match, &k, &it);
	struct cds_lfht_node *n = cds_lfht_iter_get_node(&it);
	rcu_read_unlock();
	return n ? container_of(n, struct nl_sock, node) : NULL;
}

static int insert_port(struct nl_sock *s, uint32_t portid)
{
	struct nl *nl = s->sk.weft->nl;
	const struct port_key k = {s->sk.net, s->sk.protocol, portid};

	if (s->bound)
		return s->portid == portid ? 0 : -EBUSY;
	if (nl_find(nl, s->sk.net, s->sk.protocol, portid))
		return -EADDRINUSE;
	s->portid = portid;
	rcu_read_lock();
	cds_lfht_add(nl->socks, port_hash(&k), &s->node);
	rcu_read_unlock();
	s->bound = s->hashed = true;
	return 0;
}

int nl_autobind(struct nl_sock *s)
{
	struct nl *nl = s->sk.weft->nl;
	uint32_t portid = s->sk.pid;

	if (s->bound)
		return 0;
	/* The process's id first; when that is taken, "negative" ones, which no process has. */
	while (!portid || insert_port(s, portid)) {
		if (nl->rover == -4096)
			nl->rover = INT32_MIN + (int32_t)rng_below(&s->sk.weft->worker[0]->rng,
								   INT32_MAX - 4096);
		portid = (uint32_t)nl->rover;
		nl->rover = nl->rover == INT32_MIN ? -4097 : nl->rover - 1;
	}
	return 0;
}

/* ---- groups ---- */

static unsigned n_groups(const struct nl_sock *s)
{
	const struct nl_family *f = s->sk.weft->nl->proto[s->sk.protocol].family;

	return f ? f->n_groups : 32;
}

static void membership_changed(struct nl_sock *s)
{
	bool on = s->n_joined > 0;

	if (on == s->member_on)
		return;
	if (on)
		cds_list_add_tail(&s->member, nl_members(s->sk.net, s->sk.protocol));
	else
		cds_list_del_init(&s->member);
	s->member_on = on;
}

static bool group_on(const struct nl_sock *s, unsigned g)
{
	return s->groups[(g - 1) / 64] >> ((g - 1) % 64) & 1;
}

static void set_group(struct nl_sock *s, unsigned g, bool on)
{
	uint64_t bit = 1ull << ((g - 1) % 64);

	if (group_on(s, g) == on)
		return;
	s->groups[(g - 1) / 64] ^= bit;
	s->n_joined += on ? 1 : -1;
}

static int may_join(struct nl_sock *s, unsigned g)
{
	const struct nl_family *f = s->sk.weft->nl->proto[s->sk.protocol].family;

	return f && f->bind_group ? f->bind_group(s->sk.net, g) : 0;
}

/* ---- struct sock_ops ---- */

static int nl_sock_init(struct sock *sk)
{
	struct nl_sock *s = nl_sk(sk);

	CDS_INIT_LIST_HEAD(&s->member);
	CDS_INIT_LIST_HEAD(&s->all_nsid_link);
	cds_lfht_node_init(&s->node);
	return 0;
}

static void nl_sock_release(struct sock *sk)
{
	struct nl_sock *s = nl_sk(sk);

	nl_dump_drop(s);
	if (s->hashed) {
		rcu_read_lock();
		cds_lfht_del(sk->weft->nl->socks, &s->node);
		rcu_read_unlock();
		s->hashed = false;
	}
	if (s->member_on) {
		cds_list_del_init(&s->member);
		s->member_on = false;
	}
	if (s->all_nsid) {
		cds_list_del_init(&s->all_nsid_link);
		s->all_nsid = false;
	}
}

static int nl_sock_bind(struct sock *sk, const struct sockaddr *addr, size_t len)
{
	struct nl_sock *s = nl_sk(sk);
	struct sockaddr_nl a;
	int err;

	if (len < sizeof(a))
		return -EINVAL;
	memcpy(&a, addr, sizeof(a));
	if (a.nl_family != AF_NETLINK)
		return -EINVAL;
	if (n_groups(s) < 32)
		a.nl_groups &= (1u << n_groups(s)) - 1;
	if (s->bound && a.nl_pid != s->portid)
		return -EINVAL;
	for (unsigned g = 1; g <= 32; g++) {
		err = a.nl_groups >> (g - 1) & 1 ? may_join(s, g) : 0;
		if (err)
			return err;
	}
	if (!s->bound) {
		err = a.nl_pid ? insert_port(s, a.nl_pid) : nl_autobind(s);
		if (err)
			return err;
	}
	for (unsigned g = 1; g <= 32; g++)
		set_group(s, g, a.nl_groups >> (g - 1) & 1);
	membership_changed(s);
	return 0;
}

static int nl_sock_connect(struct sock *sk, const struct sockaddr *addr, size_t len)
{
	struct nl_sock *s = nl_sk(sk);
	struct sockaddr_nl a;

	if (len < sizeof(addr->sa_family))
		return -EINVAL;
	if (addr->sa_family == AF_UNSPEC) {
		s->connected = false;
		s->dst_portid = s->dst_group = 0;
		return 0;
	}
	if (addr->sa_family != AF_NETLINK || len < sizeof(a))
		return -EINVAL;
	memcpy(&a, addr, sizeof(a));
	nl_autobind(s);
	s->connected = true;
	s->dst_portid = a.nl_pid;
	s->dst_group = (uint32_t)__builtin_ffs((int)a.nl_groups);
	return 0;
}

static uint32_t group_mask(uint32_t group)
{
	return group && group <= 32 ? 1u << (group - 1) : 0;
}

static int nl_sock_getname(struct sock *sk, bool peer, struct sockaddr *addr, size_t *len)
{
	const struct nl_sock *s = nl_sk(sk);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};

	a.nl_pid = peer ? s->dst_portid : s->portid;
	a.nl_groups = peer ? group_mask(s->dst_group) : (uint32_t)s->groups[0];
	memcpy(addr, &a, MIN(*len, sizeof(a)));
	*len = sizeof(a);
	return 0;
}

/* From one program to another: by port id, or to a group. */
static ssize_t send_user(struct nl_sock *s, uint32_t portid, uint32_t group,
			 const struct sock_msg *m)
{
	struct nl *nl = s->sk.weft->nl;
	struct net *net = s->sk.net;
	struct nl_sock *to, *next;

	if (group) {
		cds_list_for_each_entry_safe (to, next, nl_members(net, s->sk.protocol), member)
			if (to != s && to->sk.protocol == s->sk.protocol && group_on(to, group) &&
			    !to->congested)
				nl_queue(to, s->portid, group, m->data, m->len, -1);
		if (!portid)
			return (ssize_t)m->len;
	}
	to = nl_find(nl, net, s->sk.protocol, portid);
	if (!to || (to->connected && to->dst_portid != s->portid))
		return -ECONNREFUSED;
	if (!nl_queue(to, s->portid, 0, m->data, m->len, -1))
		return -EAGAIN;
	return (ssize_t)m->len;
}

static ssize_t nl_sock_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct nl_sock *s = nl_sk(sk);
	uint32_t portid = s->dst_portid, group = s->dst_group;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->len == 0)
		return -ENODATA;
	if (m->name_len) {
		struct sockaddr_nl a;
		if (m->name_len < sizeof(a))
			return -EINVAL;
		memcpy(&a, m->name, sizeof(a));
		if (a.nl_family != AF_NETLINK)
			return -EINVAL;
		portid = a.nl_pid;
		group = (uint32_t)__builtin_ffs((int)a.nl_groups);
	}
	nl_autobind(s);
	if (sk->sndbuf < 32 || m->len > sk->sndbuf - 32)
		return -EMSGSIZE;
	if (portid || group) {
		ssize_t n = send_user(s, portid, group, m);
		if (portid || n < 0)
			return n;
	}
	if (!sk->weft->nl->proto[sk->protocol].family)
		return -ECONNREFUSED;
	/* Served from an aligned copy that also outlives what the request does to the socket. */
	void *copy = malloc(m->len);
	if (!copy)
		return -ENOBUFS;
	memcpy(copy, m->data, m->len);
	sock_get(sk);
	nl_serve(s, copy, m->len);
	sock_put(sk);
	free(copy);
	return (ssize_t)m->len;
}

static int set_listen_all(struct nl_sock *s, bool on)
{
	if (on == s->all_nsid)
		return 0;
	if (on)
		cds_list_add_tail(&s->all_nsid_link, &s->sk.weft->nl->all_nsid);
	else
		cds_list_del_init(&s->all_nsid_link);
	s->all_nsid = on;
	return 0;
}

static int nl_sock_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct nl_sock *s = nl_sk(sk);
	unsigned v = 0;
	int err;

	if (level != SOL_NETLINK_)
		return -ENOPROTOOPT;
	if (len >= sizeof(int))
		memcpy(&v, val, sizeof(v));
	switch (name) {
	case NETLINK_PKTINFO:
		s->pktinfo = v;
		return 0;
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		if (!v || v > n_groups(s) || v > NL_GROUPS_MAX)
			return -EINVAL;
		if (name == NETLINK_ADD_MEMBERSHIP) {
			err = may_join(s, v);
			if (err)
				return err;
		}
		set_group(s, v, name == NETLINK_ADD_MEMBERSHIP);
		membership_changed(s);
		return 0;
	case NETLINK_BROADCAST_ERROR:
		s->broadcast_error = v;
		return 0;
	case NETLINK_NO_ENOBUFS:
		s->no_enobufs = v;
		if (v)
			s->congested = false;
		return 0;
	case NETLINK_LISTEN_ALL_NSID:
		return set_listen_all(s, v);
	case NETLINK_CAP_ACK:
		s->cap_ack = v;
		return 0;
	case NETLINK_EXT_ACK:
		s->ext_ack = v;
		return 0;
	case NETLINK_GET_STRICT_CHK:
		s->strict = v;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int list_memberships(const struct nl_sock *s, void *val, size_t *len)
{
	size_t size = align_up((n_groups(s) + 7) / 8, 4);

	if (!s->n_joined && !s->member_on)
		size = 0; /* never joined anything: Linux has no table yet */
	memcpy(val, s->groups, MIN(*len & ~(size_t)3, size));
	*len = size;
	return 0;
}

static int nl_sock_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	const struct nl_sock *s = nl_sk(sk);
	int v;

	if (level != SOL_NETLINK_)
		return -ENOPROTOOPT;
	switch (name) {
	case NETLINK_PKTINFO:
		v = s->pktinfo;
		break;
	case NETLINK_BROADCAST_ERROR:
		v = s->broadcast_error;
		break;
	case NETLINK_NO_ENOBUFS:
		v = s->no_enobufs;
		break;
	case NETLINK_LISTEN_ALL_NSID:
		v = s->all_nsid;
		break;
	case NETLINK_LIST_MEMBERSHIPS:
		return list_memberships(s, val, len);
	case NETLINK_CAP_ACK:
		v = s->cap_ack;
		break;
	case NETLINK_EXT_ACK:
		v = s->ext_ack;
		break;
	case NETLINK_GET_STRICT_CHK:
		v = s->strict;
		break;
	default:
		return -ENOPROTOOPT;
	}
	if (*len < sizeof(v))
		return -EINVAL;
	memcpy(val, &v, sizeof(v));
	*len = sizeof(v);
	return 0;
}

static int nl_sock_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	return -515; /* ENOIOCTLCMD: the devices' are for every socket */
}

static int nl_sock_shutdown(struct sock *sk, int how)
{
	return -EOPNOTSUPP;
}

static void nl_sock_drained(struct sock *sk)
{
	struct nl_sock *s = nl_sk(sk);

	if (!sk->rx_head)
		s->congested = false;
	nl_dump_go_on(s);
}

static const struct sock_ops nl_sock_ops = {
	.size = sizeof(struct nl_sock),
	.init = nl_sock_init,
	.release = nl_sock_release,
	.bind = nl_sock_bind,
	.connect = nl_sock_connect,
	.getname = nl_sock_getname,
	.sendmsg = nl_sock_sendmsg,
	.setsockopt = nl_sock_setsockopt,
	.getsockopt = nl_sock_getsockopt,
	.ioctl = nl_sock_ioctl,
	.shutdown = nl_sock_shutdown,
	.drained = nl_sock_drained,
};

/* ---- delivery ---- */

void nl_overrun(struct nl_sock *s)
{
	s->sk.rx_drops++;
	if (s->no_enobufs || s->congested)
		return;
	s->congested = true;
	sock_error(&s->sk, ENOBUFS);
}

bool nl_queue(struct nl_sock *to, uint32_t from, uint32_t group, const void *msgs, size_t len,
	      int nsid)
{
	const struct sockaddr_nl name = {
		.nl_family = AF_NETLINK, .nl_pid = from, .nl_groups = group_mask(group)};
	struct sock_rx *rx;

	if (to->sk.dead)
		return false;
	rx = sock_rx_bytes(&to->sk, msgs, len);
	if (!rx) {
		nl_overrun(to);
		return false;
	}
	rx->meta.kind = WEFT_DGRAM_DATA;
	rx->meta.name_len = sizeof(name);
	memcpy(rx->meta.name, &name, sizeof(name));
	if (to->pktinfo) {
		rx->meta.cmsgs |= WEFT_CMSG_NLPKTINFO;
		rx->meta.group = group;
	}
	if (to->all_nsid && nsid >= 0) {
		rx->meta.cmsgs |= WEFT_CMSG_NSID;
		rx->meta.nsid = nsid;
	}
	if (to->sk.passcred)
		rx->meta.cmsgs |= WEFT_CMSG_CREDS;
	uint64_t drops = to->sk.rx_drops;
	if (sock_deliver(to->sk.weft->worker[0], &to->sk, rx))
		return true;
	to->sk.rx_drops = drops; /* counted by nl_overrun() */
	nl_overrun(to);
	return false;
}

/* ---- families that leave ---- */

void nl_type_gone(struct weft *weft, int protocol, uint16_t type, unsigned group0, unsigned n)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *node;
	struct nl_sock *s, *next;
	struct net *net;

	rcu_read_lock();
	cds_lfht_for_each (weft->nl->socks, &it, node) {
		s = container_of(node, struct nl_sock, node);
		if (s->sk.protocol == protocol && s->dump && s->dump->nlh->nlmsg_type == type)
			nl_dump_end_now(s, -ENOENT);
	}
	rcu_read_unlock();
	cds_list_for_each_entry (net, &weft->nets->nets, link) {
		cds_list_for_each_entry_safe (s, next, nl_members(net, protocol), member) {
			if (s->sk.protocol != protocol)
				continue;
			for (unsigned g = group0; g < group0 + n; g++)
				set_group(s, g, false);
			membership_changed(s);
		}
	}
}

/* ---- life ---- */

/* Protocols that may be opened: those served, and uevents, which stay silent. */
static const struct sock_ops *nl_sock_find(struct net *net, int type, int protocol, int *err)
{
	if (type != SOCK_RAW && type != SOCK_DGRAM) {
		*err = -ESOCKTNOSUPPORT;
		return NULL;
	}
	if (protocol < 0 || protocol >= NL_PROTOCOLS ||
	    (!net->weft->nl->proto[protocol].family && protocol != NETLINK_KOBJECT_UEVENT &&
	     protocol != NETLINK_USERSOCK)) {
		*err = -EPROTONOSUPPORT;
		return NULL;
	}
	return &nl_sock_ops;
}

static const struct sock_family nl_sock_family = {.family = AF_NETLINK, .find = nl_sock_find};

int nl_init(struct weft *weft)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	if (!nl)
		return -ENOMEM;
	nl->weft = weft;
	nl->rover = -4096;
	CDS_INIT_LIST_HEAD(&nl->all_nsid);
	nl->socks = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, NULL);
	if (!nl->socks) {
		free(nl);
		return -ENOMEM;
	}
	weft->nl = nl;
	int err = sock_register(weft, &nl_sock_family);
	if (err)
		nl_fini(weft);
	return err;
}

void nl_fini(struct weft *weft)
{
	struct nl *nl = weft->nl;

	if (!nl)
		return;
	for (unsigned i = 0; i < NL_PROTOCOLS; i++)
		free(nl->proto[i].by_type);
	cds_lfht_destroy(nl->socks, NULL);
	free(nl);
	weft->nl = NULL;
}

int nl_net_init(struct net *net)
{
	net->nl = calloc(1, sizeof(*net->nl));
	if (!net->nl)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&net->nl->members[0]);
	CDS_INIT_LIST_HEAD(&net->nl->members[1]);
	return 0;
}

void nl_net_fini(struct net *net)
{
	free(net->nl);
	net->nl = NULL;
}

/* ---- /proc/net/netlink ---- */

void nl_show(struct net *net, FILE *out)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *node;

	fputs("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    "
	      "Inode\n",
	      out);
	rcu_read_lock();
	cds_lfht_for_each (net->weft->nl->socks, &it, node) {
		const struct nl_sock *s = container_of(node, struct nl_sock, node);

		if (s->sk.net != net)
			continue;
		fprintf(out, "%016x %-3d %-10u %08x %-8d %-8d %-5d %-8d %-8u %-8lu\n", 0,
			s->sk.protocol, s->portid, (unsigned)s->groups[0], (int)sock_rmem(&s->sk),
			0, s->dump != NULL, (int)s->sk.refs, (unsigned)s->sk.rx_drops,
			sock_ino(&s->sk));
	}
	rcu_read_unlock();
}
