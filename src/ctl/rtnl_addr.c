/*
 * rtnl_addr: RTM_NEWADDR, RTM_DELADDR and RTM_GETADDR of IPv4.
 *
 * The rules of addresses (secondaries, lifetimes, the routes they bring) are ip4_addr.c's; here is
 * what a request may say, and how an address is told. A dump goes by device index and place in the
 * device's list, so it goes on where it stopped without holding anything.
 */
#include <arpa/inet.h>
#include <linux/if_addr.h>

#include "ctl/rtnl.h"

#define INFINITE  UINT32_MAX
#define ADDR_SIZE (sizeof(struct ifaddrmsg) + 160)

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy addr_policy[] = {
	ROW(IFA_ADDRESS, U32),
	ROW(IFA_LOCAL, U32),
	ROW(IFA_LABEL, STRING, .len = IFNAMSIZ - 1),
	ROW(IFA_BROADCAST, U32),
	ROW(IFA_CACHEINFO, UNSPEC, .len = sizeof(struct ifa_cacheinfo)),
	ROW(IFA_FLAGS, U32),
	ROW(IFA_RT_PRIORITY, U32),
	ROW(IFA_TARGET_NETNSID, S32),
	ROW(IFA_PROTO, U8),
};

static uint64_t now_of(const struct net *net)
{
	return net->weft->worker[0]->now;
}

/* ---- telling ---- */

/* What is left of a lifetime. */
static uint32_t lft_left(uint32_t lft, uint64_t passed)
{
	if (lft == INFINITE)
		return lft;
	return lft > passed ? lft - (uint32_t)passed : 0;
}

static void put_cacheinfo(struct nlmsghdr *nlh, const struct in_ifaddr *ifa, uint64_t now)
{
	uint64_t passed = (now - ifa->updated) / NSEC_PER_SEC;
	struct ifa_cacheinfo ci = {
		.ifa_prefered = INFINITE,
		.ifa_valid = INFINITE,
		/* Hundredths of a second, as all times that Linux shows to programs. */
		.cstamp = (uint32_t)(ifa->created / (10 * NSEC_PER_MSEC)),
		.tstamp = (uint32_t)(ifa->updated / (10 * NSEC_PER_MSEC)),
	};

	if (!(ifa->flags & IFA_F_PERMANENT)) {
		ci.ifa_prefered = lft_left(ifa->preferred_lft, passed);
		if (ifa->preferred_lft != INFINITE)
			ci.ifa_valid = lft_left(ifa->valid_lft, passed);
		else
			ci.ifa_valid = ifa->valid_lft;
	}
	mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(ci), &ci);
}

static void addr_fill(struct nlmsghdr *nlh, const struct in_ifaddr *ifa, int target_nsid)
{
	const struct netdev *dev = ifa->in_dev->dev;
	struct ifaddrmsg *ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));

	*ifm = (struct ifaddrmsg){.ifa_family = AF_INET,
				  .ifa_prefixlen = ifa->prefixlen,
				  .ifa_flags = (uint8_t)ifa->flags,
				  .ifa_scope = ifa->scope,
				  .ifa_index = (uint32_t)dev->ifindex};
	if (target_nsid >= 0)
		mnl_attr_put_u32(nlh, IFA_TARGET_NETNSID, (uint32_t)target_nsid);
	if (ifa->address)
		mnl_attr_put_u32(nlh, IFA_ADDRESS, ifa->address);
	if (ifa->local)
		mnl_attr_put_u32(nlh, IFA_LOCAL, ifa->local);
	if (ifa->broadcast)
		mnl_attr_put_u32(nlh, IFA_BROADCAST, ifa->broadcast);
	if (ifa->label[0])
		mnl_attr_put_strz(nlh, IFA_LABEL, ifa->label);
	if (ifa->proto)
		mnl_attr_put_u8(nlh, IFA_PROTO, ifa->proto);
	mnl_attr_put_u32(nlh, IFA_FLAGS, ifa->flags);
	if (ifa->metric)
		mnl_attr_put_u32(nlh, IFA_RT_PRIORITY, ifa->metric);
	put_cacheinfo(nlh, ifa, now_of(dev->net));
}

void rtnl_addr_notify(struct net *net, const struct in_ifaddr *ifa, uint16_t type,
		      const struct event_cause *cause)
{
	bool echo = cause && cause->echo;

	if (!echo && !nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_IPV4_IFADDR))
		return;
	struct nlmsghdr *nlh =
		rtnl_msg_new(type, 0, cause ? cause->portid : 0, cause ? cause->seq : 0, ADDR_SIZE);
	if (!nlh)
		return;
	addr_fill(nlh, ifa, -1);
	rtnl_notify(net, RTNLGRP_IPV4_IFADDR, cause, nlh);
}

/* ---- changing ---- */

static int read_lifetimes(struct nl_req *r, const struct nlattr *a, struct in_ifaddr *ifa)
{
	struct ifa_cacheinfo ci;

	ifa->valid_lft = ifa->preferred_lft = INFINITE;
	if (!a)
		return 0;
	memcpy(&ci, mnl_attr_get_payload(a), sizeof(ci));
	if (!ci.ifa_valid)
		return extack_set(&r->ext, -EINVAL, "ipv4: address valid lifetime is zero");
	if (ci.ifa_prefered > ci.ifa_valid)
		return extack_set(
			&r->ext, -EINVAL,
			"ipv4: address preferred lifetime is greater than valid lifetime");
	ifa->valid_lft = ci.ifa_valid;
	ifa->preferred_lft = ci.ifa_prefered;
	return 0;
}

static int read_addr(struct nl_req *r, const struct nlattr **tb, struct in_ifaddr *ifa,
		     struct netdev **dev)
{
	const struct ifaddrmsg *ifm = mnl_nlmsg_get_payload(r->nlh);

	if (ifm->ifa_prefixlen > 32)
		return extack_set(&r->ext, -EINVAL, "ipv4: Invalid prefix length");
	if (!tb[IFA_LOCAL])
		return extack_set(&r->ext, -EINVAL, "ipv4: Local address is not supplied");
	*dev = net_dev_by_index(r->net, (int)ifm->ifa_index);
	if (!*dev)
		return extack_set(&r->ext, -ENODEV, "ipv4: Device not found");
	/* A device whose MTU is too small for IPv4 has no such side. */
	if (!(*dev)->in_dev)
		return -ENOBUFS;
	ifa->local = nl_get_u32(tb[IFA_LOCAL]);
	ifa->address = tb[IFA_ADDRESS] ? nl_get_u32(tb[IFA_ADDRESS]) : ifa->local;
	if (tb[IFA_BROADCAST])
		ifa->broadcast = nl_get_u32(tb[IFA_BROADCAST]);
	ifa->prefixlen = ifm->ifa_prefixlen;
	ifa->scope = ifm->ifa_scope;
	ifa->flags = tb[IFA_FLAGS] ? nl_get_u32(tb[IFA_FLAGS]) : ifm->ifa_flags;
	if (tb[IFA_LABEL])
		nl_get_str(ifa->label, sizeof(ifa->label), tb[IFA_LABEL]);
	else
		memcpy(ifa->label, (*dev)->name, IFNAMSIZ);
	if (tb[IFA_RT_PRIORITY])
		ifa->metric = nl_get_u32(tb[IFA_RT_PRIORITY]);
	if (tb[IFA_PROTO])
		ifa->proto = nl_get_u8(tb[IFA_PROTO]);
	return read_lifetimes(r, tb[IFA_CACHEINFO], ifa);
}

static int rtnl_newaddr(struct nl_req *r)
{
	const struct nlattr *tb[IFA_MAX + 1];
	struct in_ifaddr ifa = {0};
	struct netdev *dev;
	int err = rtnl_parse(r, sizeof(struct ifaddrmsg), tb, IFA_MAX, addr_policy,
			     ARRAY_SIZE(addr_policy), NL_LIBERAL);

	if (!err)
		err = read_addr(r, tb, &ifa, &dev);
	if (err)
		return err;
	bool join = (ifa.flags & IFA_F_MCAUTOJOIN) && ip4_is_multicast(ifa.local);
	if (join) {
		err = ip4_igmp_join(dev, ifa.local, MCAST_EXCLUDE);
		if (err)
			return extack_set(&r->ext, err, "ipv4: Multicast auto join failed");
	}
	err = ip4_addr_add(dev, &ifa, r->nlh->nlmsg_flags & NLM_F_REPLACE,
			   r->nlh->nlmsg_flags & NLM_F_EXCL, &r->ext);
	if (err && join)
		ip4_igmp_leave(dev, ifa.local, MCAST_EXCLUDE, 0, NULL);
	return err;
}

static int rtnl_deladdr(struct nl_req *r)
{
	const struct nlattr *tb[IFA_MAX + 1];
	uint32_t local, address;
	char label[IFNAMSIZ];
	int err = rtnl_parse(r, sizeof(struct ifaddrmsg), tb, IFA_MAX, addr_policy,
			     ARRAY_SIZE(addr_policy), NL_LIBERAL);

	if (err)
		return err;
	const struct ifaddrmsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	struct netdev *dev = net_dev_by_index(r->net, (int)ifm->ifa_index);
	if (!dev || !dev->in_dev)
		return extack_set(&r->ext, -ENODEV, "ipv4: Device not found");
	if (tb[IFA_LOCAL])
		local = nl_get_u32(tb[IFA_LOCAL]);
	if (tb[IFA_ADDRESS])
		address = nl_get_u32(tb[IFA_ADDRESS]);
	if (tb[IFA_LABEL])
		nl_get_str(label, sizeof(label), tb[IFA_LABEL]);
	err = ip4_addr_del(dev, tb[IFA_LOCAL] ? &local : NULL, tb[IFA_ADDRESS] ? &address : NULL,
			   ifm->ifa_prefixlen, tb[IFA_LABEL] ? label : NULL);
	if (err == -EADDRNOTAVAIL)
		return extack_set(&r->ext, err, "ipv4: Address not found");
	if (!err && tb[IFA_ADDRESS] && ip4_is_multicast(address))
		ip4_igmp_leave(dev, address, MCAST_EXCLUDE, 0, NULL);
	return err;
}

/* ---- dumps ---- */

/* What a dump is about and where it stands: in nl_dump.state; the namespace in nl_dump.ptr. */
struct addr_dump {
	int ifindex;	 /* only this device; 0: all */
	int target_nsid; /* -1: none */
	int at;		 /* the device it stands on */
	uint32_t skip;	 /* addresses of it that have been told */
};
_Static_assert(sizeof(struct addr_dump) <= sizeof(((struct nl_dump *)0)->state), "state");

static void addr_dump_done(struct nl_dump *d)
{
	net_put(d->ptr);
}

static int strict_filter(struct nl_dump *d, struct addr_dump *s, struct net **net)
{
	const struct nlattr *tb[IFA_MAX + 1];
	const struct ifaddrmsg *ifm = mnl_nlmsg_get_payload(d->req.nlh);
	struct extack *ext = &d->req.ext;

	if (mnl_nlmsg_get_payload_len(d->req.nlh) < sizeof(*ifm))
		return extack_set(ext, -EINVAL, "ipv4: Invalid header for address dump request");
	if (ifm->ifa_prefixlen || ifm->ifa_flags || ifm->ifa_scope)
		return extack_set(ext, -EINVAL,
				  "ipv4: Invalid values in header for address dump request");
	s->ifindex = (int)ifm->ifa_index;
	d->filtered = s->ifindex;
	int err = rtnl_parse(&d->req, sizeof(*ifm), tb, IFA_MAX, addr_policy,
			     ARRAY_SIZE(addr_policy), NL_DSTRICT);
	if (err)
		return err;
	for (unsigned i = 0; i <= IFA_MAX; i++) {
		if (!tb[i])
			continue;
		if (i != IFA_TARGET_NETNSID)
			return extack_set(ext, -EINVAL,
					  "ipv4: Unsupported attribute in dump request");
		s->target_nsid = (int)nl_get_u32(tb[i]);
		*net = rtnl_target_net(&d->req, tb[i], &err);
		if (!*net)
			return extack_set(ext, err, "ipv4: Invalid target network namespace id");
	}
	return 0;
}

static int dump_begin(struct nl_dump *d, struct addr_dump *s)
{
	struct net *net = NULL;
	int err = 0;

	s->target_nsid = -1;
	if (d->req.strict)
		err = strict_filter(d, s, &net);
	if (err) {
		net_put(net);
		return err;
	}
	d->ptr = net ? net : net_get(d->req.net);
	d->done = addr_dump_done;
	if (s->ifindex && !net_dev_by_index(d->ptr, s->ifindex))
		return -ENODEV;
	return 0;
}

/* 1: the datagram is full. */
static int dump_dev(struct nl_dump *d, struct addr_dump *s, struct netdev *dev)
{
	struct in_ifaddr *ifa;
	uint32_t i = 0;

	if (s->at != dev->ifindex) {
		s->at = dev->ifindex;
		s->skip = 0;
	}
	if (!dev->in_dev)
		return 0;
	cds_list_for_each_entry (ifa, &dev->in_dev->addrs, link) {
		if (i++ < s->skip)
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWADDR, ADDR_SIZE);
		if (!nlh)
			return 1;
		addr_fill(nlh, ifa, s->target_nsid);
		nl_dump_end(d, nlh, true);
		s->skip = i;
	}
	return 0;
}

/* Of any family: who asks for one that is not there gets what there is, and looks for himself. */
static int rtnl_dumpaddr(struct nl_dump *d)
{
	struct addr_dump *s = (struct addr_dump *)d->state;
	struct netdev *dev;
	int err;

	if (!d->ptr) {
		err = dump_begin(d, s);
		if (err)
			return err;
	}
	struct net *net = d->ptr;
	d->seq = net->dev_seq;
	if (s->ifindex) {
		dev = net_dev_by_index(net, s->ifindex);
		return dev ? dump_dev(d, s, dev) : 0;
	}
	cds_list_for_each_entry (dev, &net->devs, net_link)
		if (dev->ifindex >= s->at && dump_dev(d, s, dev))
			return 1;
	return 0;
}

const struct nl_handler rtnl_addr_handlers[] = {
	{RTM_NEWADDR, AF_INET, rtnl_newaddr, NULL, 0},
	{RTM_DELADDR, AF_INET, rtnl_deladdr, NULL, 0},
	{RTM_GETADDR, AF_INET, NULL, rtnl_dumpaddr, 0},
	{RTM_GETADDR, AF_UNSPEC, NULL, rtnl_dumpaddr, 0},
	{0},
};
