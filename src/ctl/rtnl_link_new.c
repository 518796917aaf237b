/*
 * rtnl_link_new: RTM_NEWLINK: making devices, changing those that exist, and changing groups.
 *
 * Listeners hear of a new device once, when all the request says of it has been set: between
 * rtnl_link_hold() and rtnl_link_unhold() the news of devices that appear waits (struct nl's list
 * of at most a pair). Linux tells of a pair's far end first; so does this.
 */
#include <linux/veth.h>

#include "ctl/nl_sock.h"
#include "ctl/rtnl.h"

/* ---- news that waits ---- */

void rtnl_link_hold(struct weft *weft)
{
	struct nl *nl = weft->nl;

	nl->held[0] = nl->held[1] = NULL;
	nl->holding = true;
}

void rtnl_link_tell(struct weft *weft, struct netdev *dev, const struct event_cause *cause)
{
	struct rtnl_link_new how = {.target_nsid = -1, .change = ~0u};
	struct nl *nl = weft->nl;

	for (unsigned i = 0; i < ARRAY_SIZE(nl->held); i++) {
		if (nl->held[i] != dev)
			continue;
		nl->held[i] = NULL;
		rtnl_link_notify(dev->net, dev, RTM_NEWLINK, &how, cause);
	}
}

void rtnl_link_unhold(struct weft *weft)
{
	struct nl *nl = weft->nl;

	for (unsigned i = 0; i < ARRAY_SIZE(nl->held); i++)
		if (nl->held[i])
			rtnl_link_tell(weft, nl->held[i], NULL);
	nl->holding = false;
}

/* ---- a request ---- */

struct newlink {
	struct nl_req *r;
	const struct ifinfomsg *ifm;
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	const struct nlattr *info[IFLA_INFO_MAX + 1];
	const struct dev_kind *kind;
	char kind_name[64];
	/* a pair's far end: as said in VETH_INFO_PEER, or as the near end */
	const struct ifinfomsg *peer_ifm;
	const struct nlattr *peer_tb[RTNL_LINK_MAX + 1];
	char name[IFNAMSIZ], peer_name[IFNAMSIZ];
};

static int read_info(struct newlink *l)
{
	static const struct nla_policy policy[] = {
		[IFLA_INFO_KIND] = {IFLA_INFO_KIND, NLA_K_STRING},
		[IFLA_INFO_DATA] = {IFLA_INFO_DATA, NLA_K_NESTED},
		[IFLA_INFO_SLAVE_KIND] = {IFLA_INFO_SLAVE_KIND, NLA_K_STRING},
		[IFLA_INFO_SLAVE_DATA] = {IFLA_INFO_SLAVE_DATA, NLA_K_NESTED},
	};

	if (!l->tb[IFLA_LINKINFO])
		return 0;
	int err = nl_parse_nested(l->info, IFLA_INFO_MAX, l->tb[IFLA_LINKINFO], policy,
				  ARRAY_SIZE(policy), NL_LIBERAL, l->r->nlh, NULL);
	if (err)
		return err;
	if (l->info[IFLA_INFO_KIND]) {
		nl_get_str(l->kind_name, sizeof(l->kind_name), l->info[IFLA_INFO_KIND]);
		l->kind = dev_kind_find(l->r->weft->dev, l->kind_name);
	}
	return 0;
}

/* What every kind says of its addresses. */
static int check_kind(struct newlink *l)
{
	if (!l->kind || !l->tb[IFLA_ADDRESS])
		return 0;
	return rtnl_link_address_ok(l->tb[IFLA_ADDRESS], ETH_ALEN);
}

static int read_peer(struct newlink *l)
{
	struct nl_req *r = l->r;
	const struct nlattr *a, *peer = NULL;
	int err;

	if (!l->kind || !l->kind->has_peer)
		return 0;
	if (l->info[IFLA_INFO_DATA])
		mnl_attr_for_each_nested (a, l->info[IFLA_INFO_DATA])
			if (mnl_attr_get_type(a) == VETH_INFO_PEER)
				peer = a;
	if (!peer) {
		memcpy(l->peer_tb, l->tb, sizeof(l->peer_tb));
		return 0;
	}
	size_t len = mnl_attr_get_payload_len(peer), skip = sizeof(struct ifinfomsg);
	if (len < skip)
		return nl_bad_attr(r, peer, -ERANGE, "Attribute failed policy validation");
	l->peer_ifm = mnl_attr_get_payload(peer);
	if (l->peer_ifm->ifi_index < 0)
		return nl_bad_attr(r, peer, -EINVAL, "ifindex can't be negative");
	err = nl_parse(l->peer_tb, RTNL_LINK_MAX, (const uint8_t *)l->peer_ifm + skip, len - skip,
		       rtnl_link_policy, rtnl_link_n_policy, NL_LIBERAL, r->nlh, &r->ext);
	if (!err)
		err = rtnl_link_one_netns(r, l->peer_tb, false);
	if (!err && l->peer_tb[IFLA_ADDRESS])
		err = rtnl_link_address_ok(l->peer_tb[IFLA_ADDRESS], ETH_ALEN);
	return err;
}

/* ---- making ---- */

static int check_queues(struct nl_req *r, const struct nlattr **tb, unsigned *n_txq,
			unsigned *n_rxq)
{
	if (tb[IFLA_NUM_TX_QUEUES]) {
		*n_txq = nl_get_u32(tb[IFLA_NUM_TX_QUEUES]);
		if (*n_txq < 1 || *n_txq > NETDEV_QUEUES_MAX)
			return extack_set(&r->ext, -EINVAL, "Invalid number of transmit queues");
	}
	if (tb[IFLA_NUM_RX_QUEUES]) {
		*n_rxq = nl_get_u32(tb[IFLA_NUM_RX_QUEUES]);
		if (*n_rxq < 1 || *n_rxq > NETDEV_QUEUES_MAX)
			return extack_set(&r->ext, -EINVAL, "Invalid number of receive queues");
	}
	return 0;
}

static int find_lower(struct newlink *l, struct dev_new *n)
{
	uint32_t index;

	if (!l->tb[IFLA_LINK])
		return 0;
	index = nl_get_u32(l->tb[IFLA_LINK]);
	n->link = net_dev_by_index(n->link_net, (int)index);
	/* Kinds without settings of their own have no use for it. */
	if (!n->link && index && l->kind->n_params)
		return extack_set(&l->r->ext, -ENODEV, "link does not exist");
	return 0;
}

static const char *name_of(const struct nlattr **tb, char buf[IFNAMSIZ])
{
	if (!tb[IFLA_IFNAME])
		return NULL;
	nl_get_str(buf, IFNAMSIZ, tb[IFLA_IFNAME]);
	return buf;
}

static const uint8_t *address_of(const struct nlattr **tb)
{
	return tb[IFLA_ADDRESS] ? mnl_attr_get_payload(tb[IFLA_ADDRESS]) : NULL;
}

static unsigned mtu_of(const struct nlattr **tb)
{
	return tb[IFLA_MTU] ? nl_get_u32(tb[IFLA_MTU]) : 0;
}

static void fill_peer(struct newlink *l, struct dev_new *n)
{
	if (!l->peer_ifm) {
		n->peer_mtu = n->mtu;
		return;
	}
	n->peer_name = name_of(l->peer_tb, l->peer_name);
	n->peer_address = address_of(l->peer_tb);
	n->peer_mtu = mtu_of(l->peer_tb);
	/* Linux listens to the peer's index only where the device has one too. */
	if (l->ifm->ifi_index)
		n->peer_ifindex = l->peer_ifm->ifi_index;
}

/* What a device gets before anyone hears of it. */
static void set_first(struct netdev *dev, const struct nlattr **tb)
{
	if (tb[IFLA_BROADCAST])
		memcpy(dev->broadcast, mnl_attr_get_payload(tb[IFLA_BROADCAST]),
		       MIN((size_t)mnl_attr_get_payload_len(tb[IFLA_BROADCAST]),
			   (size_t)dev->addr_len));
	if (tb[IFLA_TXQLEN])
		dev->txqlen = nl_get_u32(tb[IFLA_TXQLEN]);
	if (tb[IFLA_OPERSTATE])
		netdev_set_operstate(dev, nl_get_u8(tb[IFLA_OPERSTATE]));
	if (tb[IFLA_LINKMODE])
		dev->linkmode = nl_get_u8(tb[IFLA_LINKMODE]);
	if (tb[IFLA_GROUP])
		dev->group = nl_get_u32(tb[IFLA_GROUP]);
	rtnl_link_set_offload_sizes(dev, tb);
}

/* Flags, and the news; on an error the device is still told of, and then goes. */
static int finish(struct newlink *l, struct netdev *dev, const struct ifinfomsg *ifm,
		  const struct nlattr **tb, const struct event_cause *cause)
{
	int err;

	set_first(dev, tb);
	err = ifm ? rtnl_link_set_flags(l->r, dev, ifm) : 0;
	rtnl_link_tell(l->r->weft, dev, cause);
	return err;
}

static int make(struct newlink *l, struct dev_new *n)
{
	struct weft *weft = l->r->weft;
	struct netdev *dev = NULL, *peer = NULL;
	int err;

	rtnl_link_hold(weft);
	err = dev_create(weft->dev, l->kind, n, &dev, &l->r->ext);
	if (!err && l->kind->has_peer && dev->ops->companion)
		peer = dev->ops->companion(dev);
	if (peer)
		err = finish(l, peer, l->peer_ifm, l->peer_tb, NULL);
	if (!err)
		err = finish(l, dev, l->ifm, l->tb, &weft->events->cause);
	if (!err && l->tb[IFLA_MASTER]) {
		uint32_t master = nl_get_u32(l->tb[IFLA_MASTER]);
		if (master)
			err = net_dev_by_index(dev->net, (int)master) ? -EOPNOTSUPP : -EINVAL;
	}
	if (err && dev)
		netdev_unregister(dev);
	rtnl_link_unhold(weft);
	return err;
}

/* Parses the kind's settings over their defaults, and makes the device. */
static int make_with_params(struct newlink *l, struct dev_new *n)
{
	size_t size = l->kind->params_size;
	void *params = calloc(1, size ? size : 1);
	int err;

	if (!params)
		return -ENOMEM;
	if (l->kind->defaults)
		l->kind->defaults(params);
	err = rtnl_kind_parse(l->r, l->kind, l->info[IFLA_INFO_DATA], params, n->given, true);
	n->params = params;
	if (!err)
		err = find_lower(l, n);
	if (!err)
		err = make(l, n);
	free(params);
	return err;
}

/* Where a peer goes that is not told: to where the device's link is, as one was named. */
static struct net *peer_dest_net(struct newlink *l, struct net *link_net, int *err)
{
	const struct nlattr **tb = l->peer_tb;

	if (l->tb[IFLA_LINK_NETNSID] && !tb[IFLA_NET_NS_PID] && !tb[IFLA_NET_NS_FD] &&
	    !tb[IFLA_TARGET_NETNSID])
		return net_get(link_net);
	return rtnl_link_dest_net(l->r, tb, err);
}

static int create(struct newlink *l)
{
	struct nl_req *r = l->r;
	const struct nlattr **tb = l->tb;
	struct dev_new n = {.link_net = r->net,
			    .ifindex = l->ifm->ifi_index,
			    .address = address_of(tb),
			    .mtu = mtu_of(tb),
			    .name = name_of(tb, l->name)};
	int err = 0;

	n.net = rtnl_link_dest_net(r, tb, &err);
	if (!n.net)
		return err;
	if (tb[IFLA_LINK_NETNSID]) {
		n.link_net = net_by_id(n.net, (int)nl_get_u32(tb[IFLA_LINK_NETNSID]));
		if (!n.link_net) {
			err = extack_set(&r->ext, -EINVAL, "Unknown network namespace id");
			goto put;
		}
	}
	net_get(n.link_net);
	err = check_queues(r, tb, &n.n_txq, &n.n_rxq);
	if (!err && l->kind->has_peer) {
		n.peer_net = peer_dest_net(l, n.link_net, &err);
		if (n.peer_net)
			fill_peer(l, &n);
		if (!err)
			err = check_queues(r, l->peer_tb, &n.peer_n_txq, &n.peer_n_rxq);
	}
	if (!err)
		err = make_with_params(l, &n);
	net_put(n.peer_net);
	net_put(n.link_net);
put:
	net_put(n.net);
	return err;
}

/* ---- changing ---- */

static int change_kind(struct newlink *l, struct netdev *dev)
{
	const struct dev_kind *kind = dev->kind;
	uint64_t given[2];
	void *params;
	int err;

	if (!l->kind || l->kind != kind || !kind->change)
		return -EOPNOTSUPP;
	params = calloc(1, kind->params_size ? kind->params_size : 1);
	if (!params)
		return -ENOMEM;
	if (kind->get)
		kind->get(dev, params);
	err = rtnl_kind_parse(l->r, kind, l->info[IFLA_INFO_DATA], params, given, false);
	if (!err)
		err = kind->change(dev, params, given, &l->r->ext);
	free(params);
	if (!err && netdev_running(dev))
		netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return err;
}

static int change(struct newlink *l, struct netdev *dev)
{
	int err;

	if (l->r->nlh->nlmsg_flags & NLM_F_EXCL)
		return -EEXIST;
	if (l->r->nlh->nlmsg_flags & NLM_F_REPLACE)
		return -EOPNOTSUPP;
	if (l->info[IFLA_INFO_DATA]) {
		err = change_kind(l, dev);
		if (err)
			return err;
	}
	if (l->info[IFLA_INFO_SLAVE_DATA])
		return -EOPNOTSUPP;
	return rtnl_link_apply(l->r, dev, l->ifm, l->tb);
}

static int change_group(struct newlink *l)
{
	uint32_t group = nl_get_u32(l->tb[IFLA_GROUP]);
	struct net *net = l->r->net;
	struct netdev *dev, *next;

	cds_list_for_each_entry_safe (dev, next, &net->devs, net_link) {
		int err = dev->group == group ? rtnl_link_apply(l->r, dev, l->ifm, l->tb) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int not_there(struct newlink *l, bool named)
{
	if (!(l->r->nlh->nlmsg_flags & NLM_F_CREATE)) {
		if (named || !l->tb[IFLA_GROUP])
			return -ENODEV;
		return change_group(l);
	}
	if (l->tb[IFLA_MAP] || l->tb[IFLA_PROTINFO])
		return -EOPNOTSUPP;
	if (!l->kind)
		return extack_set(&l->r->ext, -EOPNOTSUPP, "Unknown device type");
	return create(l);
}

/* The namespaces a request names must be there, whatever becomes of it. */
static int check_nets(struct nl_req *r, const struct nlattr **tb)
{
	int err = 0;
	struct net *net = rtnl_link_dest_net(r, tb, &err);

	if (!net)
		return err;
	if (tb[IFLA_LINK_NETNSID] && !net_by_id(net, (int)nl_get_u32(tb[IFLA_LINK_NETNSID])))
		err = extack_set(&r->ext, -EINVAL, "Unknown network namespace id");
	net_put(net);
	return err;
}

int rtnl_link_newlink(struct nl_req *r)
{
	struct newlink l = {.r = r, .ifm = mnl_nlmsg_get_payload(r->nlh)};
	struct netdev *dev = NULL;
	bool named;
	int err = rtnl_parse(r, sizeof(*l.ifm), l.tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_LIBERAL);

	if (!err)
		err = rtnl_link_one_netns(r, l.tb, false);
	if (err)
		return err;
	if (l.ifm->ifi_index < 0)
		return extack_set(&r->ext, -EINVAL, "ifindex can't be negative");
	named = l.ifm->ifi_index || l.tb[IFLA_IFNAME] || l.tb[IFLA_ALT_IFNAME];
	if (named)
		dev = rtnl_link_find(r, r->net, l.ifm, l.tb, &err);
	err = rtnl_link_check(r, dev, l.tb);
	if (!err)
		err = read_info(&l);
	if (!err)
		err = check_kind(&l);
	if (!err)
		err = read_peer(&l);
	if (!err)
		err = check_nets(r, l.tb);
	if (err)
		return err;
	return dev ? change(&l, dev) : not_there(&l, named);
}
