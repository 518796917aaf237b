/*
 * devioctl_arp: SIOCGARP, SIOCSARP, SIOCDARP: the neighbour table as arp(8) sees it (arp(7)).
 */
#include <arpa/inet.h>
#include <linux/sockios.h>

#include "ctl/devioctl.h"
#include "ctl/files.h"
#include "ip/ip4_core.h"

static uint32_t addr_of(const struct sockaddr *a)
{
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr;
}

/* The device the request names, or the one that leads to the address; published entries need none.
 * 0 with *out, which may then be NULL; -errno. */
static int find_dev(struct net *net, struct arpreq *r, struct netdev **out)
{
	struct flow4 fl = {.daddr = addr_of(&r->arp_pa), .scope = RT_SCOPE_LINK};
	struct route_result res;
	int err;

	*out = NULL;
	r->arp_dev[sizeof(r->arp_dev) - 1] = 0;
	if (r->arp_dev[0]) {
		*out = net_dev_by_name(net, r->arp_dev);
		if (!*out)
			return -ENODEV;
	} else if (r->arp_flags & ATF_PUBL) {
		return 0;
	} else {
		err = route4_output(net, &fl, &res);
		if (err)
			return err;
		*out = res.dev;
		if (!*out)
			return -EINVAL;
	}
	if (!r->arp_ha.sa_family)
		r->arp_ha.sa_family = (*out)->type;
	if ((r->arp_flags & ATF_COM) && r->arp_ha.sa_family != (*out)->type)
		return -EINVAL;
	return 0;
}

/* ---- published entries: proxy ARP ---- */

/* For everybody on a device, or on all: the setting does it. */
static int set_proxy(struct net *net, const struct netdev *dev, bool on)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/proxy_arp",
		 dev ? dev->name : "all");
	int err = files_store(net, path, on ? "1" : "0", 1);
	return err == -ENOENT ? -ENXIO : err;
}

static struct netdev *dev_by_address(struct net *net, const struct sockaddr *a)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &net->devs, net_link)
		if (dev->type == a->sa_family && dev->addr_len <= sizeof(a->sa_data) &&
		    !memcmp(dev->addr, a->sa_data, dev->addr_len))
			return dev;
	return NULL;
}

static int set_public(struct net *net, const struct arpreq *r, struct netdev *dev)
{
	uint32_t ip = addr_of(&r->arp_pa);

	if (!dev && (r->arp_flags & ATF_COM)) {
		dev = dev_by_address(net, &r->arp_ha);
		if (!dev)
			return -ENODEV;
	}
	if (!addr_of(&r->arp_netmask))
		return set_proxy(net, dev, true);
	return neigh_proxy_add(arp_table(net->weft), net, dev, &ip, 0, 0, false);
}

static int del_public(struct net *net, const struct arpreq *r, struct netdev *dev)
{
	uint32_t ip = addr_of(&r->arp_pa);

	if (!addr_of(&r->arp_netmask))
		return set_proxy(net, dev, false);
	return neigh_proxy_del(arp_table(net->weft), net, dev, &ip);
}

/* ---- entries ---- */

static int arp_set(struct net *net, struct arpreq *r)
{
	uint32_t ip = addr_of(&r->arp_pa);
	uint8_t state = NUD_STALE, lladdr[NETDEV_ALEN] = {0};
	struct netdev *dev;
	int err = find_dev(net, r, &dev);

	if (err)
		return err;
	if (r->arp_flags & ATF_PUBL)
		return set_public(net, r, dev);
	struct neigh *n = neigh_get(arp_table(net->weft), dev, &ip, &err);
	if (!n)
		return err;
	if (r->arp_flags & ATF_PERM) {
		r->arp_flags |= ATF_COM;
		state = NUD_PERMANENT;
	}
	memcpy(lladdr, r->arp_ha.sa_data, sizeof(r->arp_ha.sa_data));
	return neigh_update(n, r->arp_flags & ATF_COM ? lladdr : NULL, state,
			    NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN);
}

static int arp_del(struct net *net, struct arpreq *r)
{
	uint32_t ip = addr_of(&r->arp_pa);
	struct netdev *dev;
	int err = find_dev(net, r, &dev);

	if (err)
		return err;
	if (r->arp_flags & ATF_PUBL)
		return del_public(net, r, dev);
	struct neigh *n = neigh_lookup(arp_table(net->weft), dev, &ip);
	if (!n)
		return -ENXIO;
	neigh_hold(n);
	err = -ENXIO;
	if (n->state & ~NUD_NOARP)
		err = neigh_update(n, NULL, NUD_FAILED, NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN);
	neigh_del(n);
	neigh_put(n);
	return err;
}

static int arp_get(struct net *net, struct arpreq *r)
{
	const unsigned valid = NUD_PERMANENT | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
	uint32_t ip = addr_of(&r->arp_pa);
	struct netdev *dev;

	r->arp_dev[sizeof(r->arp_dev) - 1] = 0;
	dev = r->arp_dev[0] ? net_dev_by_name(net, r->arp_dev) : NULL;
	if (!dev)
		return -ENODEV;
	const struct neigh *n = neigh_lookup(arp_table(net->weft), dev, &ip);
	if (!n || (n->state & NUD_NOARP))
		return -ENXIO;
	memcpy(r->arp_ha.sa_data, n->lladdr, MIN(sizeof(r->arp_ha.sa_data), (size_t)dev->addr_len));
	r->arp_ha.sa_family = dev->type;
	r->arp_flags = n->state & NUD_PERMANENT ? ATF_PERM | ATF_COM
		       : n->state & valid	? ATF_COM
						: 0;
	memcpy(r->arp_dev, dev->name, sizeof(r->arp_dev));
	return 0;
}

int devioctl_arp(struct net *net, unsigned long cmd, void *arg, size_t len)
{
	struct arpreq *r = arg;
	struct sockaddr_in *mask = (struct sockaddr_in *)&r->arp_netmask;

	if (len < sizeof(*r))
		return -EFAULT;
	if (r->arp_pa.sa_family != AF_INET)
		return -EPFNOSUPPORT;
	if (!(r->arp_flags & ATF_PUBL) && (r->arp_flags & (ATF_NETMASK | ATF_DONTPUB)))
		return -EINVAL;
	if (!(r->arp_flags & ATF_NETMASK))
		mask->sin_addr.s_addr = UINT32_MAX;
	else if (mask->sin_addr.s_addr && mask->sin_addr.s_addr != UINT32_MAX)
		return -EINVAL;
	switch (cmd) {
	case SIOCSARP:
		return arp_set(net, r);
	case SIOCDARP:
		return arp_del(net, r);
	}
	return arp_get(net, r);
}
