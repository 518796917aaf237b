/*
 * rtnl_fdb: the requests of `bridge fdb`, `bridge link` and `bridge mdb` (AF_BRIDGE), as Linux
 * answers them where no device is a bridge or one of its ports.
 *
 * `self` is the device's own filter: the addresses it takes besides its own, unicast and multicast,
 * which is what Linux's default for drivers without a database of their own shows and changes.
 */
#include <linux/if_bridge.h>

#include "ctl/rtnl.h"

#define FDB_SIZE (sizeof(struct ndmsg) + 32)

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy fdb_policy[] = {
	ROW(NDA_DST, BINARY, .len = NETDEV_ALEN),
	ROW(NDA_LLADDR, BINARY, .len = NETDEV_ALEN),
	ROW(NDA_CACHEINFO, UNSPEC, .len = sizeof(struct nda_cacheinfo)),
	ROW(NDA_PROBES, U32),
	ROW(NDA_VLAN, U16),
	ROW(NDA_PORT, U16),
	ROW(NDA_VNI, U32),
	ROW(NDA_IFINDEX, U32),
	ROW(NDA_MASTER, U32),
	ROW(NDA_PROTOCOL, U8),
	ROW(NDA_NH_ID, U32, .strict_start = 1),
	ROW(NDA_FDB_EXT_ATTRS, NESTED),
	ROW(NDA_FLAGS_EXT, U32, .mask = NTF_EXT_MANAGED),
};

/* ---- telling ---- */

static void fill(struct nlmsghdr *nlh, const struct netdev *dev, const uint8_t *addr,
		 uint16_t state)
{
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	*m = (struct ndmsg){.ndm_family = AF_BRIDGE,
			    .ndm_flags = NTF_SELF,
			    .ndm_ifindex = dev->ifindex,
			    .ndm_state = state};
	mnl_attr_put(nlh, NDA_LLADDR, dev->addr_len, addr);
}

static void notify(struct nl_req *r, const struct netdev *dev, const uint8_t *addr, uint16_t type,
		   uint16_t state)
{
	struct nlmsghdr *nlh;

	if (!nl_has_listeners(r->net, NETLINK_ROUTE, RTNLGRP_NEIGH))
		return;
	nlh = rtnl_msg_new(type, 0, 0, 0, FDB_SIZE);
	if (!nlh)
		return;
	fill(nlh, dev, addr, state);
	rtnl_notify(r->net, RTNLGRP_NEIGH, NULL, nlh);
}

/* ---- changing ---- */

static int read_vid(struct nl_req *r, const struct nlattr *a, uint16_t *vid)
{
	*vid = 0;
	if (!a)
		return 0;
	if (mnl_attr_get_payload_len(a) != sizeof(*vid))
		return extack_set(&r->ext, -EINVAL, "invalid vlan attribute size");
	*vid = mnl_attr_get_u16(a);
	if (!*vid || *vid >= 4095)
		return extack_set(&r->ext, -EINVAL, "invalid vlan id");
	return 0;
}

static int find_dev(struct nl_req *r, int ifindex, struct netdev **dev)
{
	if (!ifindex)
		return extack_set(&r->ext, -EINVAL, "invalid ifindex");
	*dev = net_dev_by_index(r->net, ifindex);
	return *dev ? 0 : extack_set(&r->ext, -ENODEV, "unknown ifindex");
}

static int read_addr(struct nl_req *r, const struct nlattr **tb, const uint8_t **addr)
{
	if (!tb[NDA_LLADDR] || mnl_attr_get_payload_len(tb[NDA_LLADDR]) != ETH_ALEN)
		return extack_set(&r->ext, -EINVAL, "invalid address");
	*addr = mnl_attr_get_payload(tb[NDA_LLADDR]);
	return 0;
}

/* 01:80:c2:00:00:0x is kept with the unicast addresses, as Linux keeps it. */
static bool is_multicast(const uint8_t *addr)
{
	static const uint8_t link_local[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	if (!memcmp(addr, link_local, sizeof(link_local)) && !(addr[5] & 0xf0))
		return false;
	return addr[0] & 1;
}

static int fdb_add(struct nl_req *r)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	const uint8_t *addr;
	struct netdev *dev;
	uint16_t vid;
	int err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, NULL, 0, NL_LIBERAL);

	if (!err)
		err = find_dev(r, m->ndm_ifindex, &dev);
	if (!err)
		err = read_addr(r, tb, &addr);
	if (err)
		return err;
	if (dev->type != ARPHRD_ETHER)
		return extack_set(&r->ext, -EINVAL, "FDB add only supported for Ethernet devices");
	err = read_vid(r, tb[NDA_VLAN], &vid);
	if (err)
		return err;
	if (!(m->ndm_flags & NTF_SELF))
		return -EOPNOTSUPP;
	if ((m->ndm_state && !(m->ndm_state & NUD_PERMANENT)) || tb[NDA_FLAGS_EXT] || vid)
		return -EINVAL;
	err = netdev_hwaddr_add(dev, addr, is_multicast(addr));
	if (err == -EEXIST && !(r->nlh->nlmsg_flags & NLM_F_EXCL))
		err = 0;
	if (!err)
		notify(r, dev, addr, RTM_NEWNEIGH, m->ndm_state);
	return err;
}

/* No driver here forgets many at once. */
static int fdb_del_bulk(struct nl_req *r)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct netdev *dev;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*m))
		return -EINVAL;
	int err = find_dev(r, m->ndm_ifindex, &dev);
	if (err)
		return err;
	if (dev->type != ARPHRD_ETHER)
		return extack_set(&r->ext, -EINVAL,
				  "FDB delete only supported for Ethernet devices");
	return -EOPNOTSUPP;
}

static int fdb_del(struct nl_req *r)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	const uint8_t *addr;
	struct netdev *dev;
	uint16_t vid;
	int err;

	if (r->nlh->nlmsg_flags & NLM_F_BULK)
		return fdb_del_bulk(r);
	err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, NULL, 0, NL_LIBERAL);
	if (!err)
		err = find_dev(r, m->ndm_ifindex, &dev);
	if (!err)
		err = read_addr(r, tb, &addr);
	if (!err)
		err = read_vid(r, tb[NDA_VLAN], &vid);
	if (err)
		return err;
	if (dev->type != ARPHRD_ETHER)
		return extack_set(&r->ext, -EINVAL,
				  "FDB delete only supported for Ethernet devices");
	if (!(m->ndm_flags & NTF_SELF))
		return -EOPNOTSUPP;
	if (!(m->ndm_state & NUD_PERMANENT))
		return -EINVAL;
	err = netdev_hwaddr_del(dev, addr, is_multicast(addr));
	if (!err)
		notify(r, dev, addr, RTM_DELNEIGH, m->ndm_state);
	return err;
}

/* ---- one ---- */

static int check_get(struct nl_req *r, const struct nlattr **tb)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct extack *ext = &r->ext;
	uint16_t vid;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*m))
		return extack_set(ext, -EINVAL, "Invalid header for fdb get request");
	if (m->ndm_pad1 || m->ndm_pad2 || m->ndm_state || m->ndm_type)
		return extack_set(ext, -EINVAL, "Invalid values in header for fdb get request");
	if (m->ndm_flags & ~(NTF_MASTER | NTF_SELF))
		return extack_set(ext, -EINVAL, "Invalid flags in header for fdb get request");
	int err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, fdb_policy, ARRAY_SIZE(fdb_policy),
			     NL_DSTRICT);
	for (unsigned i = 0; !err && i <= NDA_MAX; i++) {
		if (!tb[i] || i == NDA_MASTER || i == NDA_VNI)
			continue;
		if (i == NDA_LLADDR) {
			if (mnl_attr_get_payload_len(tb[i]) != ETH_ALEN)
				err = extack_set(ext, -EINVAL,
						 "Invalid address in fdb get request");
		} else if (i == NDA_VLAN) {
			err = read_vid(r, tb[i], &vid);
		} else {
			err = extack_set(ext, -EINVAL, "Unsupported attribute in fdb get request");
		}
	}
	return err;
}

static int fdb_get(struct nl_req *r)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct netdev *dev = NULL, *master = NULL;
	int err = check_get(r, tb);

	if (err)
		return err;
	if (!tb[NDA_LLADDR])
		return extack_set(&r->ext, -EINVAL, "Missing lookup address for fdb get request");
	if (m->ndm_ifindex) {
		dev = net_dev_by_index(r->net, m->ndm_ifindex);
		if (!dev)
			return extack_set(&r->ext, -ENODEV, "Unknown device ifindex");
	}
	if (tb[NDA_MASTER] && nl_get_u32(tb[NDA_MASTER])) {
		if (dev)
			return extack_set(&r->ext, -EINVAL,
					  "Master and device are mutually exclusive");
		master = net_dev_by_index(r->net, (int)nl_get_u32(tb[NDA_MASTER]));
		if (!master)
			return extack_set(&r->ext, -EINVAL, "Invalid master ifindex");
	}
	if (dev && (!m->ndm_flags || (m->ndm_flags & NTF_MASTER)))
		return extack_set(&r->ext, -EINVAL, "Device is not a bridge port");
	if (!dev && !master)
		return extack_set(&r->ext, -ENODEV, "No device specified");
	return extack_set(&r->ext, -EOPNOTSUPP, "Fdb get operation not supported by device");
}

/* ---- all of them ---- */

/* Lives in nl_dump.state. */
struct fdb_dump {
	int ifindex, master; /* 0: any */
	int at;		     /* the device it stands on */
	unsigned skip;	     /* addresses of it that were told */
	bool begun;
};
_Static_assert(sizeof(struct fdb_dump) <= sizeof(((struct nl_dump *)0)->state), "state");

static int check_dump_strict(struct nl_req *r, struct fdb_dump *s)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct extack *ext = &r->ext;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*m))
		return extack_set(ext, -EINVAL, "Invalid header for fdb dump request");
	if (m->ndm_pad1 || m->ndm_pad2 || m->ndm_state || m->ndm_flags || m->ndm_type)
		return extack_set(ext, -EINVAL, "Invalid values in header for fdb dump request");
	int err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, NULL, 0, NL_DSTRICT);
	if (err)
		return err;
	s->ifindex = m->ndm_ifindex;
	for (unsigned i = 0; i <= NDA_MAX; i++) {
		bool whole = tb[i] && mnl_attr_get_payload_len(tb[i]) == sizeof(uint32_t);

		if (!tb[i])
			continue;
		if (i == NDA_IFINDEX) {
			if (!whole)
				return extack_set(ext, -EINVAL,
						  "Invalid IFINDEX attribute in fdb dump request");
			s->ifindex = (int)nl_get_u32(tb[i]);
		} else if (i == NDA_MASTER) {
			if (!whole)
				return extack_set(ext, -EINVAL,
						  "Invalid MASTER attribute in fdb dump request");
			s->master = (int)nl_get_u32(tb[i]);
		} else {
			return extack_set(ext, -EINVAL,
					  "Unsupported attribute in fdb dump request");
		}
	}
	return 0;
}

/* Older programs send struct ndmsg, with nothing or one number behind it, and mean "all"; the rest
 * send struct ifinfomsg. */
static int check_dump_legacy(struct nl_req *r, struct fdb_dump *s)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);

	if (len == sizeof(struct ndmsg) || len == sizeof(struct ndmsg) + 8)
		return 0;
	int err = rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_LIBERAL);
	if (err)
		return -EINVAL;
	if (tb[IFLA_MASTER])
		s->master = (int)nl_get_u32(tb[IFLA_MASTER]);
	s->ifindex = ifm->ifi_index;
	return 0;
}

/* One of a device's two lists; n: place of its first address in both. 1: the datagram is full. */
static int dump_list(struct nl_dump *d, struct fdb_dump *s, const struct netdev *dev,
		     const struct cds_list_head *list, unsigned *n)
{
	const struct dev_maddr *a;

	cds_list_for_each_entry (a, list, link) {
		if ((*n)++ < s->skip)
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWNEIGH, FDB_SIZE);
		if (!nlh)
			return 1;
		fill(nlh, dev, a->addr, NUD_PERMANENT);
		nl_dump_end(d, nlh, true);
		s->skip = *n;
	}
	return 0;
}

static int dump_dev(struct nl_dump *d, struct fdb_dump *s, const struct netdev *dev)
{
	unsigned n = 0;

	if (s->at != dev->ifindex) {
		s->at = dev->ifindex;
		s->skip = 0;
	}
	return dump_list(d, s, dev, &dev->uaddrs, &n) || dump_list(d, s, dev, &dev->maddrs, &n);
}

static int fdb_dump(struct nl_dump *d)
{
	struct fdb_dump *s = (struct fdb_dump *)d->state;
	struct netdev *dev;

	if (!s->begun) {
		int err = d->req.strict ? check_dump_strict(&d->req, s)
					: check_dump_legacy(&d->req, s);
		if (err)
			return err;
		s->begun = true;
	}
	/* Nobody is the port of a bridge, so what one master has is nothing. */
	if (s->master)
		return net_dev_by_index(d->req.net, s->master) ? 0 : -ENODEV;
	cds_list_for_each_entry (dev, &d->req.net->devs, net_link) {
		if (dev->ifindex < s->at || (s->ifindex && dev->ifindex != s->ifindex) ||
		    dev->type != ARPHRD_ETHER)
			continue;
		if (dump_dev(d, s, dev))
			return 1;
	}
	return 0;
}

/* ---- `bridge link` ---- */

static int bridge_dumplink(struct nl_dump *d)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(d->req.nlh);
	struct extack *ext = &d->req.ext;
	bool strict = d->req.strict;

	if (strict && mnl_nlmsg_get_payload_len(d->req.nlh) < sizeof(*ifm))
		return extack_set(ext, -EINVAL, "Invalid header for bridge link dump");
	if (strict && (ifm->__ifi_pad || ifm->ifi_type || ifm->ifi_flags || ifm->ifi_change ||
		       ifm->ifi_index))
		return extack_set(ext, -EINVAL,
				  "Invalid values in header for bridge link dump request");
	int err = rtnl_parse(&d->req, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, strict ? NL_DSTRICT : NL_LIBERAL);
	if (err)
		return strict ? err : 0;
	for (unsigned i = 0; strict && i <= RTNL_LINK_MAX; i++)
		if (tb[i] && i != IFLA_EXT_MASK)
			return extack_set(ext, -EINVAL,
					  "Unsupported attribute in bridge link dump request");
	return 0;
}

static int bridge_setlink(struct nl_req *r)
{
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*ifm))
		return -EINVAL;
	if (!net_dev_by_index(r->net, ifm->ifi_index))
		return extack_set(&r->ext, -ENODEV, "unknown ifindex");
	return -EOPNOTSUPP;
}

/* ---- `bridge mdb`: no device keeps multicast groups ---- */

static int mdb_dump(struct nl_dump *d)
{
	const struct br_port_msg *m = mnl_nlmsg_get_payload(d->req.nlh);
	size_t len = mnl_nlmsg_get_payload_len(d->req.nlh);
	struct extack *ext = &d->req.ext;

	if (!d->req.strict)
		return 0;
	if (len < sizeof(*m))
		return extack_set(ext, -EINVAL, "Invalid header for mdb dump request");
	if (m->ifindex)
		return extack_set(
			ext, -EINVAL,
			"Filtering by device index is not supported for mdb dump request");
	if (len > sizeof(*m))
		return extack_set(ext, -EINVAL, "Invalid data after header in mdb dump request");
	return 0;
}

static int mdb_refuse(struct nl_req *r)
{
	const struct br_port_msg *m = rtnl_header(r, sizeof(*m));

	if (!m)
		return -EINVAL;
	if (!m->ifindex)
		return extack_set(&r->ext, -EINVAL, "Invalid ifindex");
	if (!net_dev_by_index(r->net, (int)m->ifindex))
		return extack_set(&r->ext, -ENODEV, "Device doesn't exist");
	return extack_set(&r->ext, -EOPNOTSUPP, "Device does not support MDB operations");
}

const struct nl_handler rtnl_fdb_handlers[] = {
	{RTM_NEWMDB, AF_BRIDGE, mdb_refuse, NULL, 0},
	{RTM_DELMDB, AF_BRIDGE, mdb_refuse, NULL, NL_H_BULK_DEL},
	{RTM_GETMDB, AF_BRIDGE, mdb_refuse, mdb_dump, 0},
	{RTM_NEWNEIGH, AF_BRIDGE, fdb_add, NULL, 0},
	{RTM_DELNEIGH, AF_BRIDGE, fdb_del, NULL, NL_H_BULK_DEL},
	{RTM_GETNEIGH, AF_BRIDGE, fdb_get, fdb_dump, 0},
	{RTM_GETLINK, AF_BRIDGE, NULL, bridge_dumplink, 0},
	{RTM_SETLINK, AF_BRIDGE, bridge_setlink, NULL, 0},
	{RTM_DELLINK, AF_BRIDGE, bridge_setlink, NULL, 0},
	{0},
};
