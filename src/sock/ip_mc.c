/*
 * ip_mc: the groups a socket has joined, and the options about multicast that take an address.
 */
#include "sock/inet.h"

/* The kernel's struct group_req, whose address is a sockaddr_storage. */
struct group_req_flat {
	uint32_t ifindex;
	uint32_t pad;
	struct sockaddr_in group;
	uint8_t rest[sizeof(struct sockaddr_storage) - sizeof(struct sockaddr_in)];
};

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

static int join(struct inet_sock *in, const struct ip_mreqn *req)
{
	struct inet_member *m;
	struct netdev *dev;
	int err;

	if (!ip4_is_multicast(req->imr_multiaddr.s_addr))
		return -EINVAL;
	dev = find_dev(in, req);
	if (!dev)
		return -ENODEV;
	if (find_member(in, req->imr_multiaddr.s_addr, dev->ifindex))
		return -EADDRINUSE;
	if (in->n_members >= (unsigned)in->sk.net->ip4->igmp_max_memberships)
		return -ENOBUFS;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOBUFS;
	err = ip4_igmp_join(dev, req->imr_multiaddr.s_addr);
	if (err) {
		free(m);
		return err;
	}
	m->group = req->imr_multiaddr.s_addr;
	m->ifindex = dev->ifindex;
	cds_list_add_rcu(&m->link, &in->members);
	in->n_members++;
	return 0;
}

static void free_member(struct rcu_head *head)
{
	free(container_of(head, struct inet_member, rcu));
}

static void drop(struct inet_sock *in, struct inet_member *m)
{
	struct netdev *dev = net_dev_by_index(in->sk.net, m->ifindex);

	/* A device that left took its groups along. */
	if (dev && dev->in_dev)
		ip4_igmp_leave(dev, m->group);
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
	cds_list_for_each_entry (m, &in->members, link) {
		if (m->group != req->imr_multiaddr.s_addr)
			continue;
		if (m->ifindex != (req->imr_ifindex ? req->imr_ifindex : dev->ifindex))
			continue;
		drop(in, m);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

void ip_mc_release(struct inet_sock *in)
{
	struct inet_member *m, *next;

	cds_list_for_each_entry_safe (m, next, &in->members, link)
		drop(in, m);
}

bool ip_mc_wants(const struct inet_sock *in, uint32_t group, int ifindex)
{
	struct inet_member *m;

	if (!ip4_is_multicast(group))
		return true;
	cds_list_for_each_entry_rcu (m, &((struct inet_sock *)in)->members, link)
		if (m->group == group && m->ifindex == ifindex)
			return true;
	return READ_ONCE(((struct inet_sock *)in)->mc_all);
}

/* ---- options ---- */

/* struct ip_mreqn or the older struct ip_mreq, which begins like it. */
static int membership(struct inet_sock *in, const void *val, size_t len, bool add)
{
	struct ip_mreqn req = {0};

	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&req, val, len >= sizeof(req) ? sizeof(req) : sizeof(struct ip_mreq));
	return add ? join(in, &req) : leave(in, &req);
}

static int group_membership(struct inet_sock *in, const void *val, size_t len, bool add)
{
	struct group_req_flat g;
	struct ip_mreqn req = {0};

	if (len < sizeof(g))
		return -EINVAL;
	memcpy(&g, val, sizeof(g));
	if (g.group.sin_family != AF_INET)
		return -EINVAL;
	req.imr_multiaddr = g.group.sin_addr;
	req.imr_ifindex = (int)g.ifindex;
	return add ? join(in, &req) : leave(in, &req);
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
	case IP_MSFILTER:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
	case MCAST_MSFILTER:
		return -EOPNOTSUPP;
	}
	return -ENOPROTOOPT;
}
