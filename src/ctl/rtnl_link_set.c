/*
 * rtnl_link_set: RTM_SETLINK and RTM_DELLINK, and the settings of a device that is there already.
 *
 * A request is checked as far as it can be before anything changes, then applied attribute by
 * attribute in the kernel's order. An error in the middle leaves what was done before it in place,
 * as in Linux.
 */
#include "ctl/rtnl.h"
#include "dev/kind.h"

/* ---- checks ---- */

int rtnl_link_address_ok(const struct nlattr *a, unsigned addr_len)
{
	static const uint8_t zero[NETDEV_ALEN];
	const uint8_t *addr = mnl_attr_get_payload(a);

	if (mnl_attr_get_payload_len(a) != addr_len)
		return -EINVAL;
	if (addr_len == ETH_ALEN && ((addr[0] & 1) || !memcmp(addr, zero, ETH_ALEN)))
		return -EADDRNOTAVAIL;
	return 0;
}

/* The values that IFLA_INET_CONF holds: attribute types are IPV4_DEVCONF_*. */
static int check_inet_conf(struct nl_req *r, const struct nlattr *conf)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, conf) {
		unsigned id = mnl_attr_get_type(a);
		if (mnl_attr_get_payload_len(a) < 4 || !id || id > IPV4_DEVCONF_MAX)
			return -EINVAL;
	}
	return 0;
}

static const struct nlattr *inet_conf_of(const struct nlattr *inet)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, inet)
		if (mnl_attr_get_type(a) == IFLA_INET_CONF)
			return a;
	return NULL;
}

static int check_af_spec(struct nl_req *r, const struct netdev *dev, const struct nlattr *spec)
{
	const struct nlattr *af, *conf;

	mnl_attr_for_each_nested (af, spec) {
		if (mnl_attr_get_type(af) != AF_INET)
			return -EAFNOSUPPORT;
		if (dev && !dev->in_dev)
			return -EAFNOSUPPORT;
		conf = inet_conf_of(af);
		int err = conf ? check_inet_conf(r, conf) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int check_offload_sizes(struct nl_req *r, const struct netdev *dev, const struct nlattr **tb)
{
	const struct nlattr *a;

	a = tb[IFLA_GSO_MAX_SIZE];
	if (a && nl_get_u32(a) > dev->tso_max_size)
		return extack_set(&r->ext, -EINVAL, "too big gso_max_size");
	a = tb[IFLA_GSO_MAX_SEGS];
	if (a && (nl_get_u32(a) > 65535 || nl_get_u32(a) > dev->tso_max_segs))
		return extack_set(&r->ext, -EINVAL, "too big gso_max_segs");
	a = tb[IFLA_GRO_MAX_SIZE];
	if (a && nl_get_u32(a) > 8 * 65535)
		return extack_set(&r->ext, -EINVAL, "too big gro_max_size");
	a = tb[RTNL_LINK_GSO_IPV4_MAX_SIZE];
	if (a && nl_get_u32(a) > dev->tso_max_size)
		return extack_set(&r->ext, -EINVAL, "too big gso_ipv4_max_size");
	a = tb[RTNL_LINK_GRO_IPV4_MAX_SIZE];
	if (a && nl_get_u32(a) > 8 * 65535)
		return extack_set(&r->ext, -EINVAL, "too big gro_ipv4_max_size");
	return 0;
}

int rtnl_link_check(struct nl_req *r, const struct netdev *dev, const struct nlattr **tb)
{
	int err = 0;

	if (dev) {
		const struct nlattr *addr = tb[IFLA_ADDRESS], *brd = tb[IFLA_BROADCAST];
		if (addr && mnl_attr_get_payload_len(addr) < dev->addr_len)
			return -EINVAL;
		if (brd && mnl_attr_get_payload_len(brd) < dev->addr_len)
			return -EINVAL;
		err = check_offload_sizes(r, dev, tb);
	}
	if (!err && tb[IFLA_AF_SPEC])
		err = check_af_spec(r, dev, tb[IFLA_AF_SPEC]);
	return err;
}

/* ---- single settings ---- */

static int set_net(struct nl_req *r, struct netdev *dev, const struct nlattr **tb)
{
	char name[IFNAMSIZ] = "";
	struct net *net;
	int err = 0;

	if (!tb[IFLA_NET_NS_PID] && !tb[IFLA_NET_NS_FD] && !tb[IFLA_TARGET_NETNSID])
		return 0;
	net = rtnl_link_dest_net(r, tb, &err);
	if (!net)
		return err;
	if (tb[IFLA_IFNAME])
		nl_get_str(name, sizeof(name), tb[IFLA_IFNAME]);
	int index = tb[IFLA_NEW_IFINDEX] ? (int)nl_get_u32(tb[IFLA_NEW_IFINDEX]) : 0;
	err = netdev_change_net(dev, net, name[0] ? name : NULL, index, &r->ext);
	net_put(net);
	return err;
}

static int set_broadcast(struct netdev *dev, const struct nlattr *a)
{
	memcpy(dev->broadcast, mnl_attr_get_payload(a), dev->addr_len);
	netdev_event(dev, EVENT_DEV_ADDR, 0);
	return 0;
}

/* Masters are bridges, teams and their like: none of the kinds there are takes ports yet. */
static int set_master(struct netdev *dev, uint32_t ifindex)
{
	if (dev->master) {
		if ((uint32_t)dev->master->ifindex == ifindex)
			return 0;
		return -EOPNOTSUPP;
	}
	if (!ifindex)
		return 0;
	return net_dev_by_index(dev->net, (int)ifindex) ? -EOPNOTSUPP : -EINVAL;
}

static int set_carrier(struct netdev *dev, bool on)
{
	if (!dev->ops->set_carrier)
		return -EOPNOTSUPP;
	return dev->ops->set_carrier(dev, on);
}

void rtnl_link_set_offload_sizes(struct netdev *dev, const struct nlattr **tb)
{
	/* The size for all speaks for IPv4 too, as long as an IPv4 packet may have it. */
	const uint32_t legacy = 65536;
	uint32_t v;

	if (tb[IFLA_GSO_MAX_SIZE]) {
		v = MIN(nl_get_u32(tb[IFLA_GSO_MAX_SIZE]), dev->tso_max_size);
		WRITE_ONCE(dev->gso_max_size, v);
		if (v <= legacy)
			WRITE_ONCE(dev->gso_ipv4_max_size, v);
	}
	if (tb[IFLA_GSO_MAX_SEGS])
		WRITE_ONCE(dev->gso_max_segs,
			   MIN(nl_get_u32(tb[IFLA_GSO_MAX_SEGS]), dev->tso_max_segs));
	if (tb[IFLA_GRO_MAX_SIZE]) {
		v = MIN(nl_get_u32(tb[IFLA_GRO_MAX_SIZE]), 8u * 65535);
		WRITE_ONCE(dev->gro_max_size, v);
		if (v <= legacy)
			WRITE_ONCE(dev->gro_ipv4_max_size, v);
	}
	if (tb[RTNL_LINK_GSO_IPV4_MAX_SIZE])
		WRITE_ONCE(dev->gso_ipv4_max_size,
			   MIN(nl_get_u32(tb[RTNL_LINK_GSO_IPV4_MAX_SIZE]), dev->tso_max_size));
	if (tb[RTNL_LINK_GRO_IPV4_MAX_SIZE])
		WRITE_ONCE(dev->gro_ipv4_max_size,
			   MIN(nl_get_u32(tb[RTNL_LINK_GRO_IPV4_MAX_SIZE]), 8u * 65535));
}

static void set_inet_conf(struct in_dev *in, const struct nlattr *conf)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, conf) {
		unsigned id = mnl_attr_get_type(a);
		WRITE_ONCE(in->conf.v[id - 1], (int)nl_get_u32(a));
		in->conf_set |= 1ULL << id;
	}
}

static int set_af_spec(struct netdev *dev, const struct nlattr *spec)
{
	const struct nlattr *af;

	mnl_attr_for_each_nested (af, spec) {
		const struct nlattr *conf = inet_conf_of(af);
		/* moving to another namespace may have given it new ones, or none */
		if (!dev->in_dev)
			return -EAFNOSUPPORT;
		if (conf)
			set_inet_conf(dev->in_dev, conf);
	}
	return 0;
}

static int set_down_reason(struct nl_req *r, struct netdev *dev, const struct nlattr *nest)
{
	static const struct nla_policy policy[] = {
		[IFLA_PROTO_DOWN_REASON_MASK] = {IFLA_PROTO_DOWN_REASON_MASK, NLA_K_U32},
		[IFLA_PROTO_DOWN_REASON_VALUE] = {IFLA_PROTO_DOWN_REASON_VALUE, NLA_K_U32},
	};
	const struct nlattr *tb[IFLA_PROTO_DOWN_REASON_MAX + 1];
	uint32_t mask = ~0u, value;
	int err = nl_parse_nested(tb, IFLA_PROTO_DOWN_REASON_MAX, nest, policy, ARRAY_SIZE(policy),
				  NL_LIBERAL, r->nlh, NULL);

	if (err)
		return err;
	if (!tb[IFLA_PROTO_DOWN_REASON_VALUE])
		return extack_set(&r->ext, -EINVAL, "Invalid protodown reason value");
	value = nl_get_u32(tb[IFLA_PROTO_DOWN_REASON_VALUE]);
	if (tb[IFLA_PROTO_DOWN_REASON_MASK])
		mask = nl_get_u32(tb[IFLA_PROTO_DOWN_REASON_MASK]);
	/* without a mask the value is the whole of it */
	dev->proto_down_reason = (dev->proto_down_reason & ~mask) | (value & mask);
	return 0;
}

static int set_proto_down(struct nl_req *r, struct netdev *dev, const struct nlattr **tb)
{
	if (!dev->proto_down_ok)
		return extack_set(&r->ext, -EOPNOTSUPP, "Protodown not supported by device");
	if (tb[IFLA_PROTO_DOWN_REASON]) {
		int err = set_down_reason(r, dev, tb[IFLA_PROTO_DOWN_REASON]);
		if (err)
			return err;
	}
	if (!tb[IFLA_PROTO_DOWN])
		return 0;
	bool down = nl_get_u8(tb[IFLA_PROTO_DOWN]);
	if (!down && dev->proto_down_reason)
		return extack_set(&r->ext, -EBUSY, "Cannot clear protodown, active reasons");
	return netdev_set_proto_down(dev, down);
}

static int set_linkmode(struct netdev *dev, uint8_t mode)
{
	if (dev->linkmode == mode)
		return 0;
	dev->linkmode = mode;
	if (netdev_running(dev))
		netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return 0;
}

int rtnl_link_set_flags(struct nl_req *r, struct netdev *dev, const struct ifinfomsg *ifm)
{
	if (!ifm->ifi_flags && !ifm->ifi_change)
		return 0;
	return netdev_set_flags(dev, ifm->ifi_flags, ifm->ifi_change ? ifm->ifi_change : ~0u,
				&r->ext);
}

/* ---- all of them, in two halves: up to the flags, and after ---- */

static int set_identity(struct nl_req *r, struct netdev *dev, const struct ifinfomsg *ifm,
			const struct nlattr **tb)
{
	char name[IFNAMSIZ] = "";
	int err = set_net(r, dev, tb);

	if (!err && tb[IFLA_MAP])
		err = -EOPNOTSUPP;
	if (!err && tb[IFLA_ADDRESS])
		err = netdev_set_address(dev, mnl_attr_get_payload(tb[IFLA_ADDRESS]),
					 mnl_attr_get_payload_len(tb[IFLA_ADDRESS]), &r->ext);
	if (!err && tb[IFLA_MTU])
		err = netdev_set_mtu(dev, nl_get_u32(tb[IFLA_MTU]), &r->ext);
	if (!err && tb[IFLA_GROUP])
		err = netdev_set_group(dev, nl_get_u32(tb[IFLA_GROUP]));
	/* A name beside an index is a new name; alone it says which device is meant. */
	if (!err && tb[IFLA_IFNAME] && ifm->ifi_index > 0) {
		nl_get_str(name, sizeof(name), tb[IFLA_IFNAME]);
		if (name[0])
			err = netdev_set_name(dev, name, &r->ext);
	}
	if (!err && tb[IFLA_IFALIAS]) {
		const char *alias = mnl_attr_get_payload(tb[IFLA_IFALIAS]);
		err = netdev_set_alias(dev, alias,
				       strnlen(alias, mnl_attr_get_payload_len(tb[IFLA_IFALIAS])));
	}
	if (!err && tb[IFLA_BROADCAST])
		err = set_broadcast(dev, tb[IFLA_BROADCAST]);
	return err;
}

/* No device has virtual functions. */
static int check_vfs(const struct nlattr *list)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, list)
		return mnl_attr_get_type(a) == IFLA_VF_INFO ? -EOPNOTSUPP : -EINVAL;
	return 0;
}

/* No driver runs programs; a request that attaches none asks for nothing. */
static int set_xdp(struct nl_req *r, const struct nlattr *nest)
{
	const struct nlattr *tb[IFLA_XDP_MAX + 1];

	if (nl_parse_nested(tb, IFLA_XDP_MAX, nest, NULL, 0, NL_LIBERAL, r->nlh, NULL))
		return -EINVAL;
	if (tb[IFLA_XDP_ATTACHED] || tb[IFLA_XDP_PROG_ID])
		return -EINVAL;
	if (!tb[IFLA_XDP_FD])
		return 0;
	return extack_set(&r->ext, -EOPNOTSUPP,
			  "underlying driver does not support XDP in native mode");
}

static int set_state(struct nl_req *r, struct netdev *dev, const struct nlattr **tb)
{
	int err = 0;

	if (tb[IFLA_MASTER])
		err = set_master(dev, nl_get_u32(tb[IFLA_MASTER]));
	if (!err && tb[IFLA_CARRIER])
		err = set_carrier(dev, nl_get_u8(tb[IFLA_CARRIER]));
	if (!err && tb[IFLA_TXQLEN])
		err = netdev_set_txqlen(dev, nl_get_u32(tb[IFLA_TXQLEN]));
	if (err)
		return err;
	rtnl_link_set_offload_sizes(dev, tb);
	if (tb[IFLA_OPERSTATE])
		netdev_set_operstate(dev, nl_get_u8(tb[IFLA_OPERSTATE]));
	if (tb[IFLA_LINKMODE])
		set_linkmode(dev, nl_get_u8(tb[IFLA_LINKMODE]));
	if (tb[IFLA_VFINFO_LIST])
		err = check_vfs(tb[IFLA_VFINFO_LIST]);
	if (err)
		return err;
	if (tb[IFLA_VF_PORTS] || tb[IFLA_PORT_SELF])
		return -EOPNOTSUPP;
	if (tb[IFLA_AF_SPEC])
		err = set_af_spec(dev, tb[IFLA_AF_SPEC]);
	if (!err && (tb[IFLA_PROTO_DOWN] || tb[IFLA_PROTO_DOWN_REASON]))
		err = set_proto_down(r, dev, tb);
	if (!err && tb[IFLA_XDP])
		err = set_xdp(r, tb[IFLA_XDP]);
	return err;
}

int rtnl_link_apply(struct nl_req *r, struct netdev *dev, const struct ifinfomsg *ifm,
		    const struct nlattr **tb)
{
	int err = rtnl_link_check(r, dev, tb);

	if (!err)
		err = set_identity(r, dev, ifm, tb);
	if (!err)
		err = rtnl_link_set_flags(r, dev, ifm);
	if (!err)
		err = set_state(r, dev, tb);
	return err;
}

/* ---- requests ---- */

int rtnl_link_setlink(struct nl_req *r)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	int err = rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_LIBERAL);

	if (!err)
		err = rtnl_link_one_netns(r, tb, false);
	if (err)
		return err;
	struct netdev *dev = rtnl_link_find(r, r->net, ifm, tb, &err);
	return dev ? rtnl_link_apply(r, dev, ifm, tb) : err;
}

static int delete_link(struct netdev *dev)
{
	if (!dev->kind || dev->kind->permanent)
		return -EOPNOTSUPP;
	netdev_unregister(dev);
	return 0;
}

/* All of a group or, when one of it cannot go, none. */
static int delete_group(struct net *net, uint32_t group)
{
	struct netdev *dev;
	bool found = false;

	if (!group)
		return -EPERM;
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		if (dev->group != group)
			continue;
		found = true;
		if (!dev->kind || dev->kind->permanent)
			return -EOPNOTSUPP;
	}
	if (!found)
		return -ENODEV;
	do {
		/* one that goes may take others of the group along */
		found = false;
		cds_list_for_each_entry (dev, &net->devs, net_link) {
			if (dev->group != group)
				continue;
			netdev_unregister(dev);
			found = true;
			break;
		}
	} while (found);
	return 0;
}

int rtnl_link_dellink(struct nl_req *r)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	struct netdev *dev;
	struct net *net;
	int err = rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_LIBERAL);

	if (!err)
		err = rtnl_link_one_netns(r, tb, true);
	if (err)
		return err;
	net = tb[IFLA_TARGET_NETNSID] ? rtnl_target_net(r, tb[IFLA_TARGET_NETNSID], &err)
				      : net_get(r->net);
	if (!net)
		return err;
	dev = rtnl_link_find(r, net, ifm, tb, &err);
	if (dev)
		err = delete_link(dev);
	else if (ifm->ifi_index > 0 || tb[IFLA_IFNAME])
		err = -ENODEV;
	else if (tb[IFLA_GROUP])
		err = delete_group(net, nl_get_u32(tb[IFLA_GROUP]));
	else
		err = -EINVAL;
	net_put(net);
	return err;
}

/* ---- alternative names ---- */

static int linkprop(struct nl_req *r)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1], *a;
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	bool add = r->nlh->nlmsg_type == RTM_NEWLINKPROP;
	struct netdev *dev;
	int err = rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_STRICT);

	if (!err)
		err = rtnl_link_one_netns(r, tb, true);
	if (err)
		return err;
	dev = rtnl_link_find(r, r->net, ifm, tb, &err);
	if (!dev)
		return err;
	if (!tb[IFLA_PROP_LIST])
		return 0;
	mnl_attr_for_each_nested (a, tb[IFLA_PROP_LIST]) {
		char name[ALTIFNAMSIZ];
		if (mnl_attr_get_type(a) != IFLA_ALT_IFNAME)
			continue;
		size_t len = nl_get_str(name, sizeof(name), a);
		if (!mnl_attr_get_payload_len(a) || len >= ALTIFNAMSIZ)
			return nl_bad_attr(r, a, -ERANGE, "Attribute failed policy validation");
		err = add ? netdev_add_altname(dev, name) : netdev_del_altname(dev, name);
		if (err)
			return err;
	}
	return 0;
}

const struct nl_handler rtnl_linkprop_handlers[] = {
	{RTM_NEWLINKPROP, AF_UNSPEC, linkprop, NULL, 0},
	{RTM_DELLINKPROP, AF_UNSPEC, linkprop, NULL, 0},
	{0},
};
