/*
 * rtnl_link_fill: a device as RTM_NEWLINK shows it: every attribute Linux sends, in its order.
 */
#include "ctl/rtnl.h"

#define LINK_FIXED 1536 /* bytes of all attributes of bounded size, with room to spare */

size_t rtnl_link_size(const struct netdev *dev)
{
	const struct altname *alt;
	size_t n = sizeof(struct ifinfomsg) + LINK_FIXED;

	if (dev->alias)
		n += strlen(dev->alias) + 8;
	if (dev->kind)
		n += rtnl_kind_size(dev->kind) + strlen(dev->kind->name);
	cds_list_for_each_entry (alt, &dev->altnames, link)
		n += MNL_ALIGN(strlen(alt->name) + 1) + sizeof(struct nlattr);
	return n;
}

static void fill_numbers(struct nlmsghdr *nlh, const struct netdev *dev)
{
	mnl_attr_put_u32(nlh, IFLA_TXQLEN, dev->txqlen);
	mnl_attr_put_u8(nlh, IFLA_OPERSTATE, dev->flags & IFF_UP ? dev->operstate : IF_OPER_DOWN);
	mnl_attr_put_u8(nlh, IFLA_LINKMODE, dev->linkmode);
	mnl_attr_put_u8(nlh, RTNL_LINK_NETNS_IMMUTABLE, !!(dev->features & DEV_F_NETNS_LOCAL));
	mnl_attr_put_u32(nlh, IFLA_MTU, dev->mtu);
	mnl_attr_put_u32(nlh, IFLA_MIN_MTU, dev->min_mtu);
	mnl_attr_put_u32(nlh, IFLA_MAX_MTU, dev->max_mtu);
	mnl_attr_put_u32(nlh, IFLA_GROUP, dev->group);
	mnl_attr_put_u32(nlh, IFLA_PROMISCUITY, dev->promiscuity);
	mnl_attr_put_u32(nlh, IFLA_ALLMULTI, dev->allmulti);
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, dev->n_txq);
	mnl_attr_put_u32(nlh, IFLA_GSO_MAX_SEGS, dev->gso_max_segs);
	mnl_attr_put_u32(nlh, IFLA_GSO_MAX_SIZE, dev->gso_max_size);
	mnl_attr_put_u32(nlh, IFLA_GRO_MAX_SIZE, dev->gro_max_size);
	mnl_attr_put_u32(nlh, RTNL_LINK_GSO_IPV4_MAX_SIZE, dev->gso_ipv4_max_size);
	mnl_attr_put_u32(nlh, RTNL_LINK_GRO_IPV4_MAX_SIZE, dev->gro_ipv4_max_size);
	mnl_attr_put_u32(nlh, IFLA_TSO_MAX_SIZE, dev->tso_max_size);
	mnl_attr_put_u32(nlh, IFLA_TSO_MAX_SEGS, dev->tso_max_segs);
	mnl_attr_put_u32(nlh, RTNL_LINK_MAX_PACING_OFFLOAD_HORIZON, 0);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, dev->n_rxq);
}

static void fill_proto_down(struct nlmsghdr *nlh, const struct netdev *dev)
{
	mnl_attr_put_u8(nlh, IFLA_PROTO_DOWN, dev->proto_down);
	if (!dev->proto_down_reason)
		return;
	struct nlattr *nest = nl_nest(nlh, IFLA_PROTO_DOWN_REASON | NLA_F_NESTED);
	mnl_attr_put_u32(nlh, IFLA_PROTO_DOWN_REASON_VALUE, dev->proto_down_reason);
	mnl_attr_nest_end(nlh, nest);
}

static void fill_state(struct nlmsghdr *nlh, const struct netdev *dev)
{
	if (dev->master)
		mnl_attr_put_u32(nlh, IFLA_MASTER, (uint32_t)dev->master->ifindex);
	mnl_attr_put_u8(nlh, IFLA_CARRIER, dev->carrier);
	if (dev->alias)
		mnl_attr_put_strz(nlh, IFLA_IFALIAS, dev->alias);
	mnl_attr_put_u32(nlh, IFLA_CARRIER_CHANGES,
			 dev->carrier_up_count + dev->carrier_down_count);
	mnl_attr_put_u32(nlh, IFLA_CARRIER_UP_COUNT, dev->carrier_up_count);
	mnl_attr_put_u32(nlh, IFLA_CARRIER_DOWN_COUNT, dev->carrier_down_count);
	/* No driver here asks for room of its own around a packet. */
	mnl_attr_put_u16(nlh, RTNL_LINK_HEADROOM, 0);
	mnl_attr_put_u16(nlh, RTNL_LINK_TAILROOM, 0);
	fill_proto_down(nlh, dev);
	if (dev->addr_len) {
		mnl_attr_put(nlh, IFLA_ADDRESS, dev->addr_len, dev->addr);
		mnl_attr_put(nlh, IFLA_BROADCAST, dev->addr_len, dev->broadcast);
	}
}

/* The older, narrower counters: the wide ones cut off, field for field. */
static void fill_stats(struct nlmsghdr *nlh, const struct netdev *dev)
{
	struct rtnl_link_stats64 wide = {0};
	uint64_t field[sizeof(wide) / 8];
	uint32_t narrow[sizeof(struct rtnl_link_stats) / 4];

	netdev_stats(dev, &wide);
	mnl_attr_put(nlh, IFLA_STATS64, sizeof(wide), &wide);
	memcpy(field, &wide, sizeof(wide));
	for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++)
		narrow[i] = (uint32_t)field[i];
	mnl_attr_put(nlh, IFLA_STATS, sizeof(narrow), narrow);
}

static void fill_kind(struct nlmsghdr *nlh, const struct netdev *dev)
{
	const struct dev_kind *kind = dev->kind;

	if (!kind || !kind->name[0] || kind->permanent)
		return;
	struct nlattr *info = nl_nest(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, kind->name);
	if (kind->get && kind->n_params) {
		void *params = calloc(1, kind->params_size ? kind->params_size : 1);
		if (params) {
			kind->get(dev, params);
			struct nlattr *data = nl_nest(nlh, IFLA_INFO_DATA);
			rtnl_kind_fill(nlh, kind, params);
			mnl_attr_nest_end(nlh, data);
			free(params);
		}
	}
	mnl_attr_nest_end(nlh, info);
}

/* IFLA_LINK, and in whose namespace its index counts. */
static void fill_link(struct nlmsghdr *nlh, const struct netdev *dev, struct net *net,
		      struct net *home)
{
	struct net *link_net = home;
	bool other = false;
	int index = 0;

	if (dev->ops && dev->ops->iflink)
		index = dev->ops->iflink(dev, &link_net);
	else
		index = dev->ifindex;
	if (link_net && link_net != home) {
		int id = net_id_of(net, link_net);
		if (id < 0)
			id = net_id_alloc(net, link_net, -1);
		if (id >= 0)
			mnl_attr_put_u32(nlh, IFLA_LINK_NETNSID, (uint32_t)id);
		other = true;
	}
	if (other || index != dev->ifindex)
		mnl_attr_put_u32(nlh, IFLA_LINK, (uint32_t)index);
}

static void fill_af_spec(struct nlmsghdr *nlh, const struct netdev *dev)
{
	struct nlattr *spec = nl_nest(nlh, IFLA_AF_SPEC);

	if (dev->in_dev) {
		struct nlattr *inet = nl_nest(nlh, AF_INET);
		mnl_attr_put(nlh, IFLA_INET_CONF, sizeof(dev->in_dev->conf.v), dev->in_dev->conf.v);
		mnl_attr_nest_end(nlh, inet);
	}
	mnl_attr_nest_end(nlh, spec);
}

static void fill_altnames(struct nlmsghdr *nlh, const struct netdev *dev)
{
	const struct altname *alt;

	if (dev->altnames.next == &dev->altnames)
		return;
	struct nlattr *list = nl_nest(nlh, IFLA_PROP_LIST | NLA_F_NESTED);
	cds_list_for_each_entry (alt, &dev->altnames, link)
		mnl_attr_put_strz(nlh, IFLA_ALT_IFNAME, alt->name);
	mnl_attr_nest_end(nlh, list);
}

static void fill_xdp(struct nlmsghdr *nlh)
{
	struct nlattr *xdp = nl_nest(nlh, IFLA_XDP);

	mnl_attr_put_u8(nlh, IFLA_XDP_ATTACHED, XDP_ATTACHED_NONE);
	mnl_attr_nest_end(nlh, xdp);
}

static bool has_perm_addr(const struct netdev *dev)
{
	static const uint8_t none[NETDEV_ALEN];

	return dev->addr_len && memcmp(dev->perm_addr, none, dev->addr_len);
}

void rtnl_link_fill(struct nlmsghdr *nlh, struct netdev *dev, struct net *net,
		    const struct rtnl_link_new *how)
{
	static const struct rtnl_link_ifmap no_map;
	struct ifinfomsg *ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));

	ifm->ifi_type = dev->type;
	ifm->ifi_index = dev->ifindex;
	ifm->ifi_flags = netdev_user_flags(dev);
	ifm->ifi_change = how->change;
	if (how->target_nsid >= 0)
		mnl_attr_put_u32(nlh, IFLA_TARGET_NETNSID, (uint32_t)how->target_nsid);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, dev->name);
	fill_numbers(nlh, dev);
	fill_state(nlh, dev);
	if (!(how->ext_mask & RTEXT_FILTER_SKIP_STATS))
		fill_stats(nlh, dev);
	if (how->ext_mask & RTEXT_FILTER_VF)
		mnl_attr_put_u32(nlh, IFLA_NUM_VF, 0);
	fill_xdp(nlh);
	fill_kind(nlh, dev);
	/* one that has just moved is still told of as it was here */
	fill_link(nlh, dev, net, how->new_net ? net : dev->net);
	if (how->new_net) {
		int id = net_id_of(net, how->new_net);
		if (id >= 0)
			mnl_attr_put_u32(nlh, IFLA_NEW_NETNSID, (uint32_t)id);
		if (how->new_ifindex)
			mnl_attr_put_u32(nlh, IFLA_NEW_IFINDEX, (uint32_t)how->new_ifindex);
	}
	if (has_perm_addr(dev))
		mnl_attr_put(nlh, IFLA_PERM_ADDRESS, dev->addr_len, dev->perm_addr);
	mnl_attr_put_strz(nlh, IFLA_QDISC,
			  dev->was_up || (dev->flags & IFF_UP) ? "noqueue" : "noop");
	fill_af_spec(nlh, dev);
	mnl_attr_put(nlh, IFLA_MAP, sizeof(no_map), &no_map);
	fill_altnames(nlh, dev);
}

void rtnl_link_notify(struct net *net, struct netdev *dev, uint16_t type,
		      const struct rtnl_link_new *how, const struct event_cause *cause)
{
	bool echo = cause && cause->echo;

	if (!echo && !nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_LINK))
		return;
	struct nlmsghdr *nlh = rtnl_msg_new(type, 0, cause ? cause->portid : 0,
					    cause ? cause->seq : 0, rtnl_link_size(dev));
	if (!nlh)
		return;
	rtnl_link_fill(nlh, dev, net, how);
	rtnl_notify(net, RTNLGRP_LINK, cause, nlh);
}
