/*
 * ip_mc: the groups a socket has joined, from which sources, and the options about that.
 *
 * A membership is of one of two modes (RFC 3376 3.1): all sources but those listed (MCAST_EXCLUDE),
 * or those listed alone (MCAST_INCLUDE). Workers that deliver read mode and list as one: a new
 * struct inet_filter replaces the old. What the device asks routers for follows (ip4_igmp_*).
 */
#include "sock/inet.h"

#include "sock/sock_core.h"

/* The device a group is joined on: by index, by address, or where its route leads. */
static struct netdev *find_dev(struct inet_sock *in, const struct ip_mreqn *m)
{
	struct net *net = in->sk.net;
	struct route_result res;

	if (m->imr_ifindex)
		return net_dev_by_index(net, m->imr_ifindex);
	if (m->imr_address.s_addr)
		return ip4_addr_dev(net, m->imr_address.s_addr);
	struct flow4 fl = {.daddr = m->imr_multiaddr.s_addr, .oif = in->sk.bound_if};

	return route4_output(net, &fl, &res) ? NULL : res.dev;
}

static struct inet_member *find_member(struct inet_sock *in, uint32_t group, int ifindex)
{
	struct inet_member *m;

	cds_list_for_each_entry (m, &in->members, link)
		if (m->group == group && m->ifindex == ifindex)
			return m;
	return NULL;
}

/* ---- filters ---- */

static struct inet_filter *filter_new(unsigned mode, unsigned n, const uint32_t *srcs)
{
	struct inet_filter *f = malloc(sizeof(*f) + n * sizeof(f->src[0]));

	if (!f)
		return NULL;
	f->mode = mode;
	f->n = n;
	f->listed = n;
	if (n)
		memcpy(f->src, srcs, n * sizeof(f->src[0]));
	return f;
}

static int filter_at(const struct inet_filter *f, uint32_t src)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->src[i] == src)
			return (int)i;
	return -1;
}

static void filter_set(struct inet_member *m, struct inet_filter *f)
{
	struct inet_filter *old = m->filter;

	rcu_assign_pointer(m->filter, f);
	rcu_free(old);
}

/* ---- joining, leaving ---- */

/* *dev: where. */
static int join(struct inet_sock *in, const struct ip_mreqn *req, unsigned mode,
		struct netdev **dev)
{
	struct inet_member *m;
	int err;

	if (!ip4_is_multicast(req->imr_multiaddr.s_addr))
		return -EINVAL;
	*dev = find_dev(in, req);
	if (!*dev)
		return -ENODEV;
	if (find_member(in, req->imr_multiaddr.s_addr, (*dev)->ifindex))
		return -EADDRINUSE;
	if (in->n_members >= (unsigned)in->sk.net->ip4->igmp_max_memberships)
		return -ENOBUFS;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOBUFS;
	m->filter = filter_new(mode, 0, NULL);
	err = m->filter ? ip4_igmp_join(*dev, req->imr_multiaddr.s_addr, mode) : -ENOBUFS;
	if (err) {
		free(m->filter);
		free(m);
		return err;
	}
	m->group = req->imr_multiaddr.s_addr;
	m->ifindex = (*dev)->ifindex;
	cds_list_add_rcu(&m->link, &in->members);
	in->n_members++;
	return 0;
}

static void free_member(struct rcu_head *head)
{
	struct inet_member *m = container_of(head, struct inet_member, rcu);

	free(m->filter);
	free(m);
}

static void drop(struct inet_sock *in, struct inet_member *m)
{
	struct netdev *dev = net_dev_by_index(in->sk.net, m->ifindex);
	const struct inet_filter *f = m->filter;

	/* A device that left took its groups along. */
	if (dev && dev->in_dev)
		ip4_igmp_leave(dev, m->group, f->mode, f->n, f->src);
	cds_list_del_rcu(&m->link);
	in->n_members--;
	call_rcu(&m->rcu, free_member);
}

static int leave(struct inet_sock *in, const struct ip_mreqn *req)
{
	struct netdev *dev = find_dev(in, req);
	struct inet_member *m;

	if (!dev && !req->imr_ifindex)
		return -ENODEV;
	m = find_member(in, req->imr_multiaddr.s_addr,
			req->imr_ifindex ? req->imr_ifindex : dev->ifindex);
	if (!m)
		return -EADDRNOTAVAIL;
	drop(in, m);
	return 0;
}

void ip_mc_release(struct inet_sock *in)
{
	struct inet_member *m, *next;

	cds_list_for_each_entry_safe (m, next, &in->members, link)
		drop(in, m);
}

bool ip_mc_wants(const struct inet_sock *in, uint32_t group, uint32_t src, int ifindex)
{
	struct inet_member *m;

	if (!ip4_is_multicast(group))
		return true;
	cds_list_for_each_entry_rcu (m, &((struct inet_sock *)in)->members, link) {
		if (m->group != group || m->ifindex != ifindex)
			continue;
		const struct inet_filter *f = rcu_dereference(m->filter);

		return (filter_at(f, src) >= 0) == (f->mode == MCAST_INCLUDE);
	}
	return READ_ONCE(((struct inet_sock *)in)->mc_all);
}

/* ---- sources ---- */

/* The membership that req is about; NULL with *err. *dev is its device. */
static struct inet_member *member_of(struct inet_sock *in, const struct ip_mreqn *req,
				     struct netdev **dev, int missing, int *err)
{
	struct inet_member *m;

	*err = -EINVAL;
	if (!ip4_is_multicast(req->imr_multiaddr.s_addr))
		return NULL;
	*dev = find_dev(in, req);
	*err = -ENODEV;
	if (!*dev || !(*dev)->in_dev)
		return NULL;
	*err = missing;
	m = find_member(in, req->imr_multiaddr.s_addr, (*dev)->ifindex);
	return m;
}

static int source_add(struct inet_sock *in, struct netdev *dev, struct inet_member *m, uint32_t src)
{
	const struct inet_filter *f = m->filter;
	struct inet_filter *more;
	int err;

	if (f->listed && f->n >= (unsigned)in->sk.net->ip4->igmp_max_msf)
		return -ENOBUFS;
	if (filter_at(f, src) >= 0)
		return -EADDRNOTAVAIL;
	more = malloc(sizeof(*more) + (f->n + 1) * sizeof(src));
	if (!more)
		return -ENOBUFS;
	memcpy(more, f, sizeof(*f) + f->n * sizeof(src));
	more->src[more->n++] = src;
	more->listed = true;
	err = ip4_igmp_filter(dev, m->group, true, f->mode, 1, &src, false);
	if (err) {
		free(more);
		return err;
	}
	filter_set(m, more);
	return 0;
}

static int source_del(struct inet_sock *in, struct netdev *dev, struct inet_member *m, uint32_t src)
{
	const struct inet_filter *f = m->filter;
	struct inet_filter *less;
	int at = filter_at(f, src);

	if (at < 0)
		return -EADDRNOTAVAIL;
	/* Who wants nothing any more has left. */
	if (f->n == 1 && f->mode == MCAST_INCLUDE) {
		drop(in, m);
		return 0;
	}
	less = filter_new(f->mode, f->n, f->src);
	if (!less)
		return -ENOBUFS;
	less->n--;
	memmove(less->src + at, less->src + at + 1, (less->n - (unsigned)at) * sizeof(src));
	ip4_igmp_filter(dev, m->group, false, f->mode, 1, &src, false);
	filter_set(m, less);
	return 0;
}

/* A source is added to, or taken from, the list of a membership of this mode. */
static int source(struct inet_sock *in, const struct ip_mreqn *req, uint32_t src, unsigned mode,
		  bool add)
{
	struct inet_filter *f;
	struct netdev *dev;
	int err;
	struct inet_member *m = member_of(in, req, &dev, -EINVAL, &err);

	if (!m)
		return err;
	if (m->filter->listed && m->filter->mode != mode)
		return -EINVAL;
	if (m->filter->mode != mode) {
		/* what never had a list may change sides */
		f = filter_new(mode, 0, NULL);
		if (!f)
			return -ENOBUFS;
		ip4_igmp_filter(dev, m->group, true, mode, 0, NULL, true);
		ip4_igmp_filter(dev, m->group, false, m->filter->mode, 0, NULL, true);
		filter_set(m, f);
	}
	return add ? source_add(in, dev, m, src) : source_del(in, dev, m, src);
}

/* The option's four forms, by the number of the newer ones. */
static int source_option(struct inet_sock *in, int name, struct ip_mreqn *req, uint32_t src)
{
	struct netdev *dev;
	int err;

	switch (name) {
	case MCAST_BLOCK_SOURCE:
		return source(in, req, src, MCAST_EXCLUDE, true);
	case MCAST_UNBLOCK_SOURCE:
		return source(in, req, src, MCAST_EXCLUDE, false);
	case MCAST_LEAVE_SOURCE_GROUP:
		return source(in, req, src, MCAST_INCLUDE, false);
	}
	err = join(in, req, MCAST_INCLUDE, &dev);
	if (err && err != -EADDRINUSE)
		return err;
	return source(in, req, src, MCAST_INCLUDE, true);
}

static int newer_name(int name)
{
	switch (name) {
	case IP_BLOCK_SOURCE:
		return MCAST_BLOCK_SOURCE;
	case IP_UNBLOCK_SOURCE:
		return MCAST_UNBLOCK_SOURCE;
	case IP_DROP_SOURCE_MEMBERSHIP:
		return MCAST_LEAVE_SOURCE_GROUP;
	}
	return MCAST_JOIN_SOURCE_GROUP;
}

static int source_membership(struct inet_sock *in, int name, const void *val, size_t len)
{
	struct ip_mreq_source s;
	struct ip_mreqn req = {0};

	if (len != sizeof(s))
		return -EINVAL;
	memcpy(&s, val, sizeof(s));
	req.imr_multiaddr.s_addr = s.imr_multiaddr;
	req.imr_address.s_addr = s.imr_interface;
	return source_option(in, newer_name(name), &req, s.imr_sourceaddr);
}

/* An address in a struct sockaddr_storage. */
static bool read_addr(const void *ss, uint32_t *addr)
{
	struct sockaddr_in sin;

	memcpy(&sin, ss, sizeof(sin));
	*addr = sin.sin_addr.s_addr;
	return sin.sin_family == AF_INET;
}

static int group_source(struct inet_sock *in, int name, const void *val, size_t len)
{
	struct group_source_req g;
	struct ip_mreqn req = {0};
	uint32_t src;

	if (len < sizeof(g))
		return -EINVAL;
	memcpy(&g, val, sizeof(g));
	req.imr_ifindex = (int)g.gsr_interface;
	if (!read_addr(&g.gsr_group, &req.imr_multiaddr.s_addr) || !read_addr(&g.gsr_source, &src))
		return -EADDRNOTAVAIL;
	return source_option(in, name, &req, src);
}

/* ---- whole lists ---- */

static int set_list(struct inet_sock *in, const struct ip_mreqn *req, unsigned mode, unsigned n,
		    const uint32_t *srcs)
{
	struct inet_filter *f, *old;
	struct inet_member *m;
	struct netdev *dev;
	int err;

	if (!ip4_is_multicast(req->imr_multiaddr.s_addr) || mode > MCAST_INCLUDE)
		return -EINVAL;
	if (!find_dev(in, req))
		return -ENODEV;
	if (mode == MCAST_INCLUDE && !n)
		return leave(in, req);
	m = member_of(in, req, &dev, -EINVAL, &err);
	if (!m)
		return err;
	f = filter_new(mode, n, srcs);
	err = f ? ip4_igmp_filter(dev, m->group, true, mode, n, srcs, true) : -ENOBUFS;
	if (err) {
		free(f);
		return err;
	}
	old = m->filter;
	ip4_igmp_filter(dev, m->group, false, old->mode, old->n, old->src, true);
	filter_set(m, f);
	return 0;
}

static int msfilter(struct inet_sock *in, const void *val, size_t len)
{
	struct ip_msfilter h;
	struct ip_mreqn req = {0};

	if (len < IP_MSFILTER_SIZE(0))
		return -EINVAL;
	if (len > (size_t)READ_ONCE(in->sk.weft->sock->optmem_max))
		return -ENOBUFS;
	memcpy(&h, val, IP_MSFILTER_SIZE(0));
	if (h.imsf_numsrc > (unsigned)in->sk.net->ip4->igmp_max_msf)
		return -ENOBUFS;
	if (IP_MSFILTER_SIZE(h.imsf_numsrc) > len)
		return -EINVAL;
	req.imr_multiaddr.s_addr = h.imsf_multiaddr;
	req.imr_address.s_addr = h.imsf_interface;
	return set_list(in, &req, h.imsf_fmode, h.imsf_numsrc,
			(const uint32_t *)((const uint8_t *)val + IP_MSFILTER_SIZE(0)));
}

static int group_filter(struct inet_sock *in, const void *val, size_t len)
{
	struct group_filter h;
	struct ip_mreqn req = {0};
	uint32_t *srcs;
	int err = 0;

	if (len < GROUP_FILTER_SIZE(0))
		return -EINVAL;
	if (len > (size_t)READ_ONCE(in->sk.weft->sock->optmem_max))
		return -ENOBUFS;
	memcpy(&h, val, GROUP_FILTER_SIZE(0));
	if (h.gf_numsrc > (unsigned)in->sk.net->ip4->igmp_max_msf)
		return -ENOBUFS;
	if (GROUP_FILTER_SIZE(h.gf_numsrc) > len)
		return -EINVAL;
	if (!read_addr(&h.gf_group, &req.imr_multiaddr.s_addr))
		return -EADDRNOTAVAIL;
	req.imr_ifindex = (int)h.gf_interface;
	srcs = malloc((h.gf_numsrc + 1) * sizeof(*srcs));
	if (!srcs)
		return -ENOBUFS;
	for (unsigned i = 0; i < h.gf_numsrc && !err; i++)
		if (!read_addr((const uint8_t *)val + GROUP_FILTER_SIZE(i), &srcs[i]))
			err = -EADDRNOTAVAIL;
	if (!err)
		err = set_list(in, &req, h.gf_fmode, h.gf_numsrc, srcs);
	free(srcs);
	return err;
}

static int get_msfilter(struct inet_sock *in, void *val, size_t *len)
{
	const struct inet_member *m;
	struct ip_mreqn req = {0};
	struct ip_msfilter h;
	struct netdev *dev;
	unsigned n;
	int err;

	if (*len < IP_MSFILTER_SIZE(0))
		return -EINVAL;
	memcpy(&h, val, IP_MSFILTER_SIZE(0));
	req.imr_multiaddr.s_addr = h.imsf_multiaddr;
	req.imr_address.s_addr = h.imsf_interface;
	m = member_of(in, &req, &dev, -EADDRNOTAVAIL, &err);
	if (!m)
		return err;
	n = MIN(m->filter->n, h.imsf_numsrc);
	n = MIN(n, (unsigned)((*len - IP_MSFILTER_SIZE(0)) / 4));
	h.imsf_fmode = m->filter->mode;
	h.imsf_numsrc = m->filter->n;
	memcpy(val, &h, IP_MSFILTER_SIZE(0));
	memcpy((uint8_t *)val + IP_MSFILTER_SIZE(0), m->filter->src, n * 4u);
	*len = IP_MSFILTER_SIZE(n);
	return 0;
}

static int get_group_filter(struct inet_sock *in, void *val, size_t *len)
{
	const struct inet_member *m;
	struct ip_mreqn req = {0};
	struct group_filter h;
	unsigned n;

	if (*len < GROUP_FILTER_SIZE(0))
		return -EINVAL;
	memcpy(&h, val, GROUP_FILTER_SIZE(0));
	if (!read_addr(&h.gf_group, &req.imr_multiaddr.s_addr) ||
	    !ip4_is_multicast(req.imr_multiaddr.s_addr))
		return -EINVAL;
	m = find_member(in, req.imr_multiaddr.s_addr, (int)h.gf_interface);
	if (!m)
		return -EADDRNOTAVAIL;
	n = MIN(m->filter->n, h.gf_numsrc);
	n = MIN(n, (unsigned)((*len - GROUP_FILTER_SIZE(0)) / sizeof(h.gf_slist[0])));
	h.gf_fmode = m->filter->mode;
	h.gf_numsrc = m->filter->n;
	memcpy(val, &h, GROUP_FILTER_SIZE(0));
	for (unsigned i = 0; i < n; i++) {
		struct sockaddr_storage ss = {0};
		const struct sockaddr_in sin = {.sin_family = AF_INET,
						.sin_addr.s_addr = m->filter->src[i]};

		memcpy(&ss, &sin, sizeof(sin));
		memcpy((uint8_t *)val + GROUP_FILTER_SIZE(i), &ss, sizeof(ss));
	}
	*len = GROUP_FILTER_SIZE(n);
	return 0;
}

int ip_mc_get(struct inet_sock *in, int name, void *val, size_t *len)
{
	if (name == IP_MSFILTER)
		return get_msfilter(in, val, len);
	return name == MCAST_MSFILTER ? get_group_filter(in, val, len) : -ENOPROTOOPT;
}

/* ---- options ---- */

static int join_or_leave(struct inet_sock *in, const struct ip_mreqn *req, bool add)
{
	struct netdev *dev;

	return add ? join(in, req, MCAST_EXCLUDE, &dev) : leave(in, req);
}

/* struct ip_mreqn or the older struct ip_mreq, which begins like it. */
static int membership(struct inet_sock *in, const void *val, size_t len, bool add)
{
	struct ip_mreqn req = {0};

	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&req, val, len >= sizeof(req) ? sizeof(req) : sizeof(struct ip_mreq));
	return join_or_leave(in, &req, add);
}

static int group_membership(struct inet_sock *in, const void *val, size_t len, bool add)
{
	struct group_req g;
	struct ip_mreqn req = {0};

	if (len < sizeof(g))
		return -EINVAL;
	memcpy(&g, val, sizeof(g));
	if (!read_addr(&g.gr_group, &req.imr_multiaddr.s_addr))
		return -EINVAL;
	req.imr_ifindex = (int)g.gr_interface;
	return join_or_leave(in, &req, add);
}

static int multicast_if(struct inet_sock *in, const void *val, size_t len)
{
	struct ip_mreqn req = {0};
	struct netdev *dev;

	if (len < sizeof(struct in_addr))
		return -EINVAL;
	if (len >= sizeof(req))
		memcpy(&req, val, sizeof(req));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&req, val, sizeof(struct ip_mreq));
	else
		memcpy(&req.imr_address, val, sizeof(struct in_addr));
	if (!req.imr_ifindex && !req.imr_address.s_addr) {
		in->mc_index = 0;
		in->mc_addr = 0;
		return 0;
	}
	dev = req.imr_ifindex ? net_dev_by_index(in->sk.net, req.imr_ifindex)
			      : ip4_addr_dev(in->sk.net, req.imr_address.s_addr);
	if (!dev)
		return -EADDRNOTAVAIL;
	if (in->sk.bound_if && in->sk.bound_if != dev->ifindex)
		return -EINVAL;
	in->mc_index = dev->ifindex;
	in->mc_addr = req.imr_address.s_addr;
	return 0;
}

int ip_mc_set(struct inet_sock *in, int name, const void *val, size_t len)
{
	switch (name) {
	case IP_MULTICAST_IF:
		return multicast_if(in, val, len);
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return membership(in, val, len, name == IP_ADD_MEMBERSHIP);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return group_membership(in, val, len, name == MCAST_JOIN_GROUP);
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
	case IP_BLOCK_SOURCE:
	case IP_UNBLOCK_SOURCE:
		return source_membership(in, name, val, len);
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
		return group_source(in, name, val, len);
	case IP_MSFILTER:
		return msfilter(in, val, len);
	case MCAST_MSFILTER:
		return group_filter(in, val, len);
	}
	return -ENOPROTOOPT;
}
