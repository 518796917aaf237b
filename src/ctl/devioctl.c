/*
 * devioctl: which file a request goes to, and the links' own.
 */
#include "ctl/devioctl.h"

#include <linux/if_vlan.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>

#include "net/net.h"
#include "sock/sock.h"

struct netdev *devioctl_dev(struct net *net, const struct ifreq *r)
{
	char name[IFNAMSIZ];

	memcpy(name, r->ifr_name, sizeof(name));
	name[sizeof(name) - 1] = 0;
	name[strcspn(name, ":")] = 0;
	return net_dev_by_name(net, name);
}

/* ---- reading ---- */

static int get_name(struct net *net, struct ifreq *r)
{
	const struct netdev *dev = net_dev_by_index(net, r->ifr_ifindex);

	if (!dev)
		return -ENODEV;
	memcpy(r->ifr_name, dev->name, IFNAMSIZ);
	return 0;
}

static void get_hwaddr(const struct netdev *dev, struct ifreq *r)
{
	memset(&r->ifr_hwaddr, 0, sizeof(r->ifr_hwaddr));
	r->ifr_hwaddr.sa_family = dev->type;
	memcpy(r->ifr_hwaddr.sa_data, dev->addr,
	       MIN(sizeof(r->ifr_hwaddr.sa_data), (size_t)dev->addr_len));
}

static int get_link(const struct netdev *dev, unsigned long cmd, struct ifreq *r)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
		r->ifr_flags = (short)netdev_user_flags(dev);
		return 0;
	case SIOCGIFMETRIC:
		r->ifr_metric = 0; /* devices have none */
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = (int)dev->mtu;
		return 0;
	case SIOCGIFHWADDR:
		get_hwaddr(dev, r);
		return 0;
	case SIOCGIFMAP:
		memset(&r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	case SIOCGIFINDEX:
		r->ifr_ifindex = dev->ifindex;
		return 0;
	case SIOCGIFTXQLEN:
		r->ifr_qlen = (int)dev->txqlen;
		return 0;
	}
	return -EINVAL; /* SIOCGIFSLAVE and its like: of devices that are no more */
}

/* ---- changing ---- */

static int set_broadcast(struct netdev *dev, const struct sockaddr *a)
{
	if (a->sa_family != dev->type)
		return -EINVAL;
	memcpy(dev->broadcast, a->sa_data, MIN(sizeof(a->sa_data), (size_t)dev->addr_len));
	netdev_event(dev, EVENT_DEV_ADDR, 0);
	return 0;
}

static int set_hwaddr(struct netdev *dev, const struct sockaddr *a)
{
	if (dev->addr_len > sizeof(a->sa_data) || a->sa_family != dev->type)
		return -EINVAL;
	return netdev_set_address(dev, a->sa_data, dev->addr_len, NULL);
}

static int change_multi(struct netdev *dev, const struct sockaddr *a, bool add)
{
	const uint8_t *addr = (const uint8_t *)a->sa_data;

	/* lo receives whatever is sent */
	if ((dev->flags & IFF_LOOPBACK) || dev->addr_len > sizeof(a->sa_data) ||
	    a->sa_family != AF_UNSPEC)
		return -EINVAL;
	return add ? netdev_maddr_add_global(dev, addr) : netdev_maddr_del_global(dev, addr);
}

static int set_name(struct netdev *dev, struct ifreq *r)
{
	r->ifr_newname[IFNAMSIZ - 1] = 0;
	return netdev_set_name(dev, r->ifr_newname, NULL);
}

static int set_link(struct netdev *dev, unsigned long cmd, struct ifreq *r)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
		/* the upper half does not fit and is left alone */
		return netdev_set_flags(dev, (uint16_t)r->ifr_flags, UINT16_MAX, NULL);
	case SIOCSIFMTU:
		return r->ifr_mtu < 0 ? -EINVAL : netdev_set_mtu(dev, (unsigned)r->ifr_mtu, NULL);
	case SIOCSIFHWADDR:
		return set_hwaddr(dev, &r->ifr_hwaddr);
	case SIOCSIFHWBROADCAST:
		return set_broadcast(dev, &r->ifr_hwaddr);
	case SIOCSIFTXQLEN:
		return r->ifr_qlen < 0 ? -EINVAL : netdev_set_txqlen(dev, (uint32_t)r->ifr_qlen);
	case SIOCSIFNAME:
		return set_name(dev, r);
	case SIOCADDMULTI:
	case SIOCDELMULTI:
		return change_multi(dev, &r->ifr_hwaddr, cmd == SIOCADDMULTI);
	case SIOCSIFSLAVE:
		return -EINVAL;
	}
	/* metrics, memory maps, PHY registers, hardware stamps, bonds, bridges: no device has any
	 */
	return -EOPNOTSUPP;
}

/* ---- dispatch ---- */

static bool is_link_get(unsigned long cmd)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFSLAVE:
	case SIOCGIFMAP:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
		return true;
	}
	return false;
}

static bool is_link_set(unsigned long cmd)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFHWBROADCAST:
	case SIOCSIFSLAVE:
	case SIOCSIFMAP:
	case SIOCSIFTXQLEN:
	case SIOCSIFNAME:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCGMIIPHY:
	case SIOCGMIIREG:
	case SIOCSMIIREG:
	case SIOCGHWTSTAMP:
	case SIOCSHWTSTAMP:
	case SIOCWANDEV:
	case SIOCBRADDIF:
	case SIOCBRDELIF:
		return true;
	}
	return (cmd >= SIOCBONDENSLAVE && cmd <= SIOCBONDCHANGEACTIVE) ||
	       (cmd >= SIOCDEVPRIVATE && cmd <= SIOCDEVPRIVATE + 15);
}

static int link_ioctl(struct net *net, unsigned long cmd, struct ifreq *r, size_t len)
{
	struct netdev *dev;

	if (!is_link_get(cmd) && !is_link_set(cmd) && cmd != SIOCETHTOOL && cmd != SIOCGIFNAME)
		return -ENOTTY;
	if (len < sizeof(*r))
		return -EFAULT;
	if (cmd == SIOCGIFNAME)
		return get_name(net, r);
	dev = devioctl_dev(net, r);
	if (!dev)
		return -ENODEV;
	if (cmd == SIOCETHTOOL)
		return ethtool_ioctl(dev, r + 1, len - sizeof(*r));
	return is_link_get(cmd) ? get_link(dev, cmd, r) : set_link(dev, cmd, r);
}

static int devioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	struct net *net = sk->net;

	if (sk->family == AF_INET || sk->family == AF_PACKET) {
		int err = devioctl_inet(net, cmd, arg, len);
		if (err != -515)
			return err;
	}
	switch (cmd) {
	case SIOCGIFCONF:
		return devioctl_ifconf(net, arg, len);
	case SIOCGIFVLAN:
	case SIOCSIFVLAN:
		return devioctl_vlan(net, arg, len);
	case SIOCGIFBR:
	case SIOCSIFBR:
	case SIOCBRADDBR:
	case SIOCBRDELBR:
		return -ENOPKG; /* as a kernel without the module */
	}
	return link_ioctl(net, cmd, arg, len);
}

int devioctl_init(struct weft *weft)
{
	sock_set_dev_ioctl(weft, devioctl);
	return 0;
}

void devioctl_fini(struct weft *weft)
{
	if (weft->sock)
		sock_set_dev_ioctl(weft, NULL);
}
