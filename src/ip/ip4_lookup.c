/*
 * ip4_lookup: which way a packet goes: the answers for packets that start here, the slow twin of
 * the input path, and source addresses.
 *
 * Only the default rules exist: local, main, default. A wish for TOS, scope or device is looked up
 * in the tries, everything else in the digest.
 */
#include <arpa/inet.h>
#include <linux/ip.h>

#include "ip/ip4_core.h"

#define TOS_MASK 0xfc /* what a route's TOS can be compared with */

/* ---- tables ---- */

/* 0: r carries the flow; 1: look on; else the route's error. */
static int route_fits(const struct route *r, const struct flow4 *fl, bool ignore_linkstate)
{
	const struct fib_info *fi = r->fi;

	if (r->tos && r->tos != (fl->tos & TOS_MASK))
		return 1;
	if (READ_ONCE(((struct fib_info *)fi)->dead) || fi->scope < fl->scope)
		return 1;
	int err = fib_type_error(r->type);
	if (err)
		return err;
	if (!fib_info_alive(fi, ignore_linkstate))
		return 1;
	if (fl->oif && fi->nh.dev && fi->nh.dev->ifindex != fl->oif)
		return 1;
	return 0;
}

static int node_lookup(struct route4_node *n, const struct flow4 *fl, bool ignore_linkstate,
		       const struct fib_info **fi)
{
	struct route *r;

	cds_list_for_each_entry_rcu (r, &n->routes, link) {
		int ret = route_fits(r, fl, ignore_linkstate);
		if (ret <= 0) {
			*fi = r->fi;
			return ret;
		}
	}
	return 1;
}

int route4_table_lookup(struct net *net, struct route4_table *t, const struct flow4 *fl,
			bool ignore_linkstate, const struct fib_info **fi, uint8_t *len)
{
	struct route4_node *cover[33];
	unsigned k = route4_node_cover(t, ntohl(fl->daddr), cover);

	while (k--) {
		int ret = node_lookup(cover[k], fl, ignore_linkstate, fi);
		if (ret <= 0) {
			*len = cover[k]->len;
			return ret;
		}
	}
	return -EAGAIN;
}

/* Tables local and main as one: the longest prefix of both, local first where equal. */
static int merged_lookup(struct net *net, const struct flow4 *fl, bool ignore_linkstate,
			 const struct fib_info **fi, uint8_t *len)
{
	struct route4_tables *ts = net->ip4->routes;
	struct route4_node *a[33], *b[33];
	unsigned na = route4_node_cover(ts->local, ntohl(fl->daddr), a);
	unsigned nb = route4_node_cover(ts->main, ntohl(fl->daddr), b);

	while (na || nb) {
		bool local = na && (!nb || a[na - 1]->len >= b[nb - 1]->len);
		struct route4_node *n = local ? a[--na] : b[--nb];
		int ret = node_lookup(n, fl, ignore_linkstate, fi);
		if (ret <= 0) {
			*len = n->len;
			return ret;
		}
	}
	return -EAGAIN;
}

int route4_full_lookup(struct net *net, const struct flow4 *fl, bool ignore_linkstate,
		       const struct fib_info **fi, uint8_t *len)
{
	int err = merged_lookup(net, fl, ignore_linkstate, fi, len);

	if (err == -EAGAIN)
		err = route4_table_lookup(net, net->ip4->routes->dflt, fl, ignore_linkstate, fi,
					  len);
	return err == -EAGAIN ? -ENETUNREACH : err;
}

/* By the digest where it knows the answer. */
static int flow_lookup(struct net *net, const struct flow4 *fl, const struct fib_info **fi,
		       uint8_t *len)
{
	struct route4_tables *ts = net->ip4->routes;
	uint32_t addr = ntohl(fl->daddr), val;

	if (fl->oif || fl->scope || READ_ONCE(ts->n_tos))
		return route4_full_lookup(net, fl, false, fi, len);
	val = fib4_lookup(ts->fib, addr);
	if (val) {
		*fi = fib_info_by_id(ip4_core(net), val);
		*len = (uint8_t)route4_val_len(val);
		if ((*fi)->type != RTN_THROW)
			return fib_type_error((*fi)->type);
	}
	val = READ_ONCE(ts->n_default) ? fib4_lookup(ts->fib_default, addr) : 0;
	if (!val)
		return -ENETUNREACH;
	*fi = fib_info_by_id(ip4_core(net), val);
	*len = (uint8_t)route4_val_len(val);
	return (*fi)->type == RTN_THROW ? -ENETUNREACH : fib_type_error((*fi)->type);
}

/* Local and main are one to a look-up, and answer as main. */
static uint32_t table_of(const struct fib_info *fi)
{
	return fi->tb_id == RT_TABLE_LOCAL ? RT_TABLE_MAIN : fi->tb_id;
}

/* ---- source addresses ---- */

static bool on_link(const struct in_ifaddr *ifa, uint32_t addr)
{
	return !((ifa->address ^ addr) & ifa->mask);
}

/* The first primary address of wide enough scope, better one whose subnet has dst. */
static uint32_t dev_source(const struct in_dev *in, uint32_t dst, unsigned scope)
{
	/* Where 127/8 may be on a link, the host's own addresses may too. */
	unsigned widest =
		ip4_conf(in->dev, IPV4_DEVCONF_ROUTE_LOCALNET) ? RT_SCOPE_LINK : RT_SCOPE_HOST;
	uint32_t fallback = 0;
	struct in_ifaddr *ifa;

	cds_list_for_each_entry_rcu (ifa, &((struct in_dev *)in)->addrs, link) {
		if ((ifa->flags & IFA_F_SECONDARY) || MIN(ifa->scope, widest) > scope)
			continue;
		if (!dst || on_link(ifa, dst))
			return ifa->local;
		if (!fallback)
			fallback = ifa->local;
	}
	return fallback;
}

uint32_t ip4_select_source(struct net *net, const struct netdev *dev, uint32_t dst, unsigned scope)
{
	const struct in_dev *in = dev ? in_dev_get(dev) : NULL;
	uint32_t addr = in ? dev_source(in, dst, scope) : 0;
	struct netdev *other;

	if (addr)
		return addr;
	/* Addresses belong to the host: any device's will do (RFC 1122 3.3.4.2, weak model). */
	cds_list_for_each_entry_rcu (other, &net->devs, net_link) {
		struct in_ifaddr *ifa;
		in = in_dev_get(other);
		if (!in || other == dev)
			continue;
		cds_list_for_each_entry_rcu (ifa, &((struct in_dev *)in)->addrs, link)
			if (!(ifa->flags & IFA_F_SECONDARY) && ifa->scope != RT_SCOPE_LINK &&
			    ifa->scope <= scope)
				return ifa->local;
	}
	return 0;
}

static uint32_t route_source(struct net *net, const struct fib_info *fi, uint32_t dst)
{
	if (fi->prefsrc)
		return fi->prefsrc;
	return ip4_select_source(net, fi->nh.dev, fi->nh.gateway ? fi->nh.gateway : dst, fi->scope);
}

uint32_t ip4_answer_source(struct net *net, const struct netdev *dev, uint32_t saddr, uint8_t tos)
{
	struct flow4 fl = {.daddr = saddr, .tos = tos & 0x1c};
	const struct fib_info *fi;
	uint8_t len;

	if (!*(const uint8_t *)&saddr)
		return ip4_select_source(net, dev, saddr, RT_SCOPE_LINK);
	if (!flow_lookup(net, &fl, &fi, &len))
		return route_source(net, fi, saddr);
	return ip4_select_source(net, dev, saddr, RT_SCOPE_UNIVERSE);
}

/* ---- packets that start here ---- */

static bool local_multicast(uint32_t be)
{
	return (be & htonl(0xffffff00)) == htonl(0xe0000000);
}

static bool bad_source(uint32_t saddr)
{
	return ip4_is_multicast(saddr) || saddr == INADDR_BROADCAST || !saddr;
}

/* Fills what a way over dev means; the last checks. */
static int output_make(struct net *net, const struct flow4 *fl, struct netdev *dev,
		       struct route_result *res)
{
	const struct in_dev *in = in_dev_get(dev);
	uint32_t daddr = fl->daddr ? fl->daddr : res->saddr;

	if (!in)
		return -EINVAL;
	if (ip4_is_loopback(res->saddr) && !(dev->flags & IFF_LOOPBACK) &&
	    !ip4_conf(dev, IPV4_DEVCONF_ROUTE_LOCALNET))
		return -EINVAL;
	res->dev = dev;
	res->gateway = res->fi && res->fi->nh.gateway ? res->fi->nh.gateway : daddr;
	if (daddr == INADDR_BROADCAST) {
		res->type = RTN_BROADCAST;
	} else if (ip4_is_multicast(daddr)) {
		res->type = RTN_MULTICAST;
		/* The default route's gateway is no router for groups. */
		if (res->fi && res->prefixlen < 4)
			res->fi = NULL;
	}
	if (res->type == RTN_BROADCAST || (res->type == RTN_MULTICAST && !res->fi))
		res->gateway = daddr;
	if (res->type == RTN_BROADCAST || res->type == RTN_LOCAL)
		res->gateway = daddr;
	res->mtu = res->fi ? route4_mtu(net, res->fi, daddr, net->weft->worker[0]->now)
			   : READ_ONCE(dev->mtu);
	return 0;
}

/* A device was asked for. 1: go on with the tables. */
static int output_device(struct net *net, const struct flow4 *fl, struct netdev **dev,
			 struct route_result *res)
{
	*dev = net_dev_by_index(net, fl->oif);
	if (!*dev)
		return -ENODEV;
	if (!netdev_running(*dev) || !in_dev_get(*dev))
		return -ENETUNREACH;
	if (local_multicast(fl->daddr) || fl->daddr == INADDR_BROADCAST ||
	    fl->proto == IPPROTO_IGMP) {
		if (!res->saddr)
			res->saddr = ip4_select_source(net, *dev, 0, RT_SCOPE_LINK);
		return output_make(net, fl, *dev, res);
	}
	if (!res->saddr && ip4_is_multicast(fl->daddr))
		res->saddr = ip4_select_source(net, *dev, 0, fl->scope);
	else if (!res->saddr && !fl->daddr)
		res->saddr = ip4_select_source(net, *dev, 0, RT_SCOPE_HOST);
	return 1;
}

/* A source was given. 1: go on. */
static int output_source(struct net *net, const struct flow4 *fl, struct route_result *res)
{
	struct netdev *dev;

	if (bad_source(fl->saddr))
		return -EINVAL;
	if (!fl->oif && (ip4_is_multicast(fl->daddr) || fl->daddr == INADDR_BROADCAST)) {
		dev = ip4_addr_dev(net, fl->saddr);
		return dev ? output_make(net, fl, dev, res) : -ENETUNREACH;
	}
	if (!(fl->flags & FLOW4_ANYSRC) && !ip4_addr_dev(net, fl->saddr))
		return -ENETUNREACH;
	return 1;
}

static int output_local(struct net *net, const struct flow4 *fl, struct route_result *res)
{
	if (!res->saddr)
		res->saddr = res->fi->prefsrc ? res->fi->prefsrc : fl->daddr;
	return output_make(net, fl, net->loopback, res);
}

static int output(struct net *net, const struct flow4 *fl, struct route_result *res)
{
	struct netdev *dev = NULL;
	int err;

	if (fl->saddr) {
		err = output_source(net, fl, res);
		if (err <= 0)
			return err;
	}
	if (fl->oif) {
		err = output_device(net, fl, &dev, res);
		if (err <= 0)
			return err;
	}
	if (!fl->daddr) {
		if (!res->saddr)
			res->saddr = htonl(INADDR_LOOPBACK);
		res->type = RTN_LOCAL;
		return output_make(net, fl, net->loopback, res);
	}
	err = flow_lookup(net, fl, &res->fi, &res->prefixlen);
	if (err) {
		res->fi = NULL;
		res->prefixlen = 0;
		if (!fl->oif)
			return err;
		/* Who names a device means that the destination is on its link. */
		if (!res->saddr)
			res->saddr = ip4_select_source(net, dev, 0, RT_SCOPE_LINK);
		return output_make(net, fl, dev, res);
	}
	res->type = res->fi->type;
	res->table = table_of(res->fi);
	if (res->type == RTN_LOCAL)
		return output_local(net, fl, res);
	if (!res->saddr)
		res->saddr = route_source(net, res->fi, fl->daddr);
	return output_make(net, fl, res->fi->nh.dev, res);
}

int route4_output(struct net *net, const struct flow4 *fl, struct route_result *res)
{
	*res = (struct route_result){.type = RTN_UNICAST, .saddr = fl->saddr};
	res->err = output(net, fl, res);
	if (res->err) {
		res->fi = NULL;
		res->dev = NULL;
	}
	return res->err;
}

int route4_output_again(struct net *net, const struct flow4 *fl, struct route_cache *c,
			uint64_t now)
{
	uint32_t gen = route4_gen(net);
	int err;

	if (likely(now < c->until && c->gen == gen && !memcmp(&c->fl, fl, sizeof(*fl))))
		return 0;
	c->until = 0;
	err = route4_output(net, fl, &c->res);
	if (err)
		return err;
	c->fl = *fl;
	c->gen = gen;
	c->until = now + NSEC_PER_MSEC;
	return 0;
}

/* ---- packets that came in ---- */

/* Is there a way back to saddr, and does it begin on `in`? */
static int source_by_fib(struct net *net, uint32_t saddr, uint32_t daddr, uint8_t tos,
			 struct netdev *in, int rpf)
{
	struct flow4 fl = {.daddr = saddr, .saddr = daddr, .tos = tos};
	const struct fib_info *fi;
	uint8_t len;

	if (flow_lookup(net, &fl, &fi, &len))
		return rpf ? -EXDEV : 0;
	if (fi->type != RTN_UNICAST &&
	    (fi->type != RTN_LOCAL || !ip4_conf(in, IPV4_DEVCONF_ACCEPT_LOCAL)))
		return -EINVAL;
	if (fi->nh.dev == in)
		return fi->nh.scope >= RT_SCOPE_HOST;
	if (rpf == 1)
		return -EXDEV;
	/* Asymmetric, yet there may be a route over this device too. */
	fl.oif = in->ifindex;
	if (!flow_lookup(net, &fl, &fi, &len) && fi->type == RTN_UNICAST)
		return fi->nh.scope >= RT_SCOPE_HOST;
	return 0;
}

int route4_validate_source(struct net *net, uint32_t saddr, uint32_t daddr, uint8_t tos,
			   struct netdev *in)
{
	int rpf = ip4_conf(in, IPV4_DEVCONF_RP_FILTER);
	const struct in_dev *idev = in_dev_get(in);

	if (!idev)
		return -EINVAL;
	/* Without addresses there is nothing to compare with: who asks is a DHCP client. */
	if (cds_list_empty(&((struct in_dev *)idev)->addrs))
		return rpf ? -EXDEV : 0;
	return source_by_fib(net, saddr, daddr, tos, in, rpf);
}

/* As for packets: where nothing is filtered, and no redirect hangs on it, only addresses of our
 * own are no source. daddr: 0 when it is for all; out: NULL when it is for us. */
static int check_source(struct net *net, const struct flow4 *fl, uint32_t daddr, struct netdev *in,
			const struct netdev *out)
{
	if (!ip4_conf(in, IPV4_DEVCONF_RP_FILTER) &&
	    (out != in || !ip4_conf(in, IPV4_DEVCONF_SEND_REDIRECTS)))
		return !ip4_conf(in, IPV4_DEVCONF_ACCEPT_LOCAL) && ip4_addr_dev(net, fl->saddr)
			       ? -EINVAL
			       : 0;
	return route4_validate_source(net, fl->saddr, daddr, fl->tos, in);
}

static int input_broadcast(struct net *net, const struct flow4 *fl, struct netdev *in,
			   struct route_result *res)
{
	res->type = RTN_BROADCAST;
	res->dev = in;
	res->gateway = fl->daddr;
	return fl->saddr && check_source(net, fl, 0, in, NULL) < 0 ? -EINVAL : 0;
}

static int input_multicast(struct net *net, const struct flow4 *fl, struct netdev *in,
			   struct route_result *res)
{
	res->type = RTN_MULTICAST;
	res->dev = in;
	res->gateway = fl->daddr;
	if (!ip4_igmp_wants(in, fl->daddr, fl->saddr, fl->proto))
		return -EINVAL;
	if (!fl->saddr)
		return local_multicast(fl->daddr) || fl->proto == IPPROTO_IGMP ? 0 : -EINVAL;
	return check_source(net, fl, 0, in, NULL) < 0 ? -EINVAL : 0;
}

static int input_martian(const struct flow4 *fl, struct netdev *in)
{
	bool localnet = ip4_conf(in, IPV4_DEVCONF_ROUTE_LOCALNET);

	if (ip4_is_multicast(fl->saddr) || fl->saddr == INADDR_BROADCAST)
		return -EINVAL;
	if (!fl->saddr && fl->daddr != INADDR_BROADCAST)
		return -EINVAL;
	if (!fl->daddr)
		return -EINVAL;
	if (!(in->flags & IFF_LOOPBACK) && !localnet &&
	    (ip4_is_loopback(fl->daddr) || ip4_is_loopback(fl->saddr)))
		return -EINVAL;
	return 0;
}

static int input(struct net *net, const struct flow4 *fl, struct netdev *in,
		 struct route_result *res)
{
	struct flow4 to = *fl;
	int err;

	if (!in_dev_get(in))
		return -EINVAL;
	if (ip4_is_multicast(fl->daddr))
		return input_multicast(net, fl, in, res);
	if (fl->daddr == INADDR_BROADCAST)
		return input_broadcast(net, fl, in, res);
	err = input_martian(fl, in);
	if (err)
		return err;
	to.oif = 0;
	err = flow_lookup(net, &to, &res->fi, &res->prefixlen);
	if (err)
		return err == -ENETUNREACH && !ip4_conf(in, IPV4_DEVCONF_FORWARDING) ? -EHOSTUNREACH
										     : err;
	res->type = res->fi->type;
	res->table = table_of(res->fi);
	if (res->type == RTN_BROADCAST)
		return input_broadcast(net, fl, in, res);
	if (res->type == RTN_LOCAL) {
		err = check_source(net, fl, fl->daddr, in, NULL);
		if (err < 0)
			return err;
		res->dev = net->loopback;
		res->gateway = res->saddr = fl->daddr;
		res->mtu = READ_ONCE(net->loopback->mtu);
		return 0;
	}
	if (!ip4_conf(in, IPV4_DEVCONF_FORWARDING))
		return -EHOSTUNREACH;
	if (res->type != RTN_UNICAST)
		return -EINVAL;
	err = check_source(net, fl, fl->daddr, in, res->fi->nh.dev);
	if (err < 0)
		return err;
	res->dev = res->fi->nh.dev;
	res->gateway = res->fi->nh.gateway ? res->fi->nh.gateway : fl->daddr;
	res->mtu = route4_mtu(net, res->fi, fl->daddr, net->weft->worker[0]->now);
	return 0;
}

int route4_input(struct net *net, const struct flow4 *fl, struct netdev *in,
		 struct route_result *res)
{
	*res = (struct route_result){.type = RTN_UNICAST};
	res->err = input(net, fl, in, res);
	if (res->err)
		res->dev = NULL;
	return res->err;
}
