/*
 * settings: what the user changes on a device, with the kernel's checks and news.
 *
 * Some changes are news only of a device that is up (alias, group and their like); that is the
 * kernel's habit, and tools that wait for news expect it.
 */
#include "dev/kind.h"

/* Anything `ip link` shows has changed. */
static void state_change(struct netdev *dev)
{
	if (dev->registered && netdev_running(dev))
		netdev_event(dev, EVENT_DEV_CHANGE, 0);
}

bool netdev_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || (*name >= 9 && *name <= 13) || *name == ' ' ||
		    *name == (char)0xa0)
			return false;
	return true;
}

/* ---- operational state: RFC 2863 ---- */

static uint8_t operstate_now(const struct netdev *dev)
{
	const struct netdev *peer = dev->lower;

	if (dev->testing)
		return IF_OPER_TESTING;
	if (!dev->carrier) {
		if (!peer && dev->ops->companion)
			peer = dev->ops->companion(dev);
		if (!peer && !dev->ops->iflink)
			return IF_OPER_DOWN;
		return peer && peer->net == dev->net && peer->carrier ? IF_OPER_DOWN
								      : IF_OPER_LOWERLAYERDOWN;
	}
	return dev->dormant ? IF_OPER_DORMANT : IF_OPER_UP;
}

void netdev_refresh_operstate(struct netdev *dev)
{
	uint8_t state = operstate_now(dev);

	if (dev->linkmode == IF_LINK_MODE_DORMANT && state == IF_OPER_UP)
		state = IF_OPER_DORMANT;
	dev->operstate = state;
}

void netdev_set_carrier(struct netdev *dev, bool on)
{
	if (dev->carrier == on)
		return;
	WRITE_ONCE(dev->carrier, on);
	if (!dev->registered)
		return;
	if (on)
		dev->carrier_up_count++;
	else
		dev->carrier_down_count++;
	netdev_refresh_operstate(dev);
	if (netdev_running(dev))
		netdev_event(dev, EVENT_DEV_CARRIER, 0);
}

/* User space may say DORMANT or UP, and no more. */
void netdev_set_operstate(struct netdev *dev, uint8_t operstate)
{
	uint8_t now = dev->operstate;

	if (operstate == IF_OPER_UP || operstate == IF_OPER_TESTING) {
		if (now == IF_OPER_DORMANT || now == IF_OPER_TESTING || now == IF_OPER_UNKNOWN)
			now = operstate;
	} else if (operstate == IF_OPER_DORMANT && (now == IF_OPER_UP || now == IF_OPER_UNKNOWN)) {
		now = operstate;
	}
	if (now == dev->operstate)
		return;
	dev->operstate = now;
	state_change(dev);
}

/* ---- flags ---- */

static int dev_open(struct netdev *dev, struct extack *ext)
{
	int err = dev->ops->open ? dev->ops->open(dev, ext) : 0;

	if (err)
		return err;
	WRITE_ONCE(dev->flags, dev->flags | IFF_UP);
	if (dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
	return 0;
}

static void dev_close(struct netdev *dev)
{
	netdev_event(dev, EVENT_DEV_GOING_DOWN, 0);
	WRITE_ONCE(dev->flags, dev->flags & ~(unsigned)IFF_UP);
	if (dev->ops->stop)
		dev->ops->stop(dev);
}

/* One of IFF_PROMISC and IFF_ALLMULTI follows its count. */
static void follow_count(struct netdev *dev, unsigned count, unsigned bit)
{
	unsigned old = dev->flags;

	WRITE_ONCE(dev->flags, count ? old | bit : old & ~bit);
	if (dev->flags == old)
		return;
	if (dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
	if (dev->registered)
		netdev_event(dev, EVENT_DEV_CHANGE, bit);
}

void netdev_promiscuity(struct netdev *dev, int delta)
{
	if (delta < 0 && !dev->promiscuity)
		return;
	dev->promiscuity += (unsigned)delta;
	follow_count(dev, dev->promiscuity, IFF_PROMISC);
}

void netdev_allmulti(struct netdev *dev, int delta)
{
	if (delta < 0 && !dev->allmulti)
		return;
	dev->allmulti += (unsigned)delta;
	follow_count(dev, dev->allmulti, IFF_ALLMULTI);
}

static void set_gflag(struct netdev *dev, unsigned flags, unsigned bit,
		      void (*count)(struct netdev *dev, int delta))
{
	if (!((flags ^ dev->gflags) & bit))
		return;
	dev->gflags ^= bit;
	count(dev, dev->gflags & bit ? 1 : -1);
}

int netdev_set_flags(struct netdev *dev, unsigned flags, unsigned mask, struct extack *ext)
{
	const unsigned settable = IFF_DEBUG | IFF_NOTRAILERS | IFF_NOARP | IFF_DYNAMIC |
				  IFF_MULTICAST | IFF_PORTSEL | IFF_AUTOMEDIA;
	unsigned old = dev->flags, now, changed;
	int err = 0;

	now = (netdev_user_flags(dev) & ~mask) | (flags & mask);
	WRITE_ONCE(dev->flags, (now & settable) | (old & ~settable));
	if (((old ^ dev->flags) & IFF_MULTICAST) && dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
	if ((old ^ now) & IFF_UP) {
		if (now & IFF_UP)
			err = dev_open(dev, ext);
		else
			dev_close(dev);
	}
	set_gflag(dev, now, IFF_PROMISC, netdev_promiscuity);
	set_gflag(dev, now, IFF_ALLMULTI, netdev_allmulti);

	changed = (old ^ dev->flags) & ~(unsigned)(IFF_PROMISC | IFF_ALLMULTI);
	if (!changed || !dev->registered)
		return err;
	netdev_event(dev, EVENT_DEV_CHANGE, changed);
	if (changed & IFF_UP)
		netdev_event(dev, dev->flags & IFF_UP ? EVENT_DEV_UP : EVENT_DEV_DOWN, 0);
	return err;
}

/* ---- values ---- */

int netdev_set_mtu(struct netdev *dev, unsigned mtu, struct extack *ext)
{
	int err;

	if (mtu == dev->mtu)
		return 0;
	if (mtu < dev->min_mtu)
		return extack_set(ext, -EINVAL, "mtu less than device minimum");
	if (dev->max_mtu && mtu > dev->max_mtu)
		return extack_set(ext, -EINVAL, "mtu greater than device maximum");
	err = dev->ops->set_mtu ? dev->ops->set_mtu(dev, mtu, ext) : 0;
	if (err)
		return err;
	WRITE_ONCE(dev->mtu, mtu);
	netdev_event(dev, EVENT_DEV_MTU, 0);
	return 0;
}

int netdev_set_address(struct netdev *dev, const void *addr, unsigned len, struct extack *ext)
{
	const uint8_t *a = addr;
	uint8_t padded[NETDEV_ALEN] = {0};
	int err;

	if (dev->flags & IFF_LOOPBACK || !dev->addr_len)
		return -EOPNOTSUPP;
	if (len < dev->addr_len)
		return -EINVAL;
	if (dev->type == ARPHRD_ETHER && ((a[0] & 1) || !memcmp(a, padded, ETH_ALEN)))
		return -EADDRNOTAVAIL;
	memcpy(padded, a, dev->addr_len);
	err = dev->ops->set_address ? dev->ops->set_address(dev, padded, ext) : 0;
	if (err)
		return err;
	memcpy(dev->addr, padded, dev->addr_len);
	dev->addr_assign_type = NET_ADDR_SET;
	netdev_event(dev, EVENT_DEV_ADDR, 0);
	return 0;
}

int netdev_set_alias(struct netdev *dev, const char *alias, size_t len)
{
	char *copy = NULL;

	if (len >= IFALIASZ)
		return -EINVAL;
	if (len) {
		copy = strndup(alias, len);
		if (!copy)
			return -ENOMEM;
	}
	free(dev->alias);
	dev->alias = copy;
	state_change(dev);
	return 0;
}

int netdev_set_txqlen(struct netdev *dev, uint32_t len)
{
	if (dev->txqlen == len)
		return 0;
	dev->txqlen = len;
	netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return 0;
}

int netdev_set_group(struct netdev *dev, uint32_t group)
{
	dev->group = group;
	state_change(dev);
	return 0;
}

int netdev_set_features(struct netdev *dev, uint32_t wanted, uint32_t mask)
{
	uint32_t features;
	int err;

	if (mask & ~dev->features_hw)
		return -EINVAL;
	dev->features_wanted = (dev->features_wanted & ~mask) | (wanted & mask);
	features = (dev->features & ~dev->features_hw) | (dev->features_wanted & dev->features_hw);
	/* offloads that make no sense without what they build on */
	if (!(features & DEV_F_SG) || !(features & DEV_F_TX_CSUM))
		features &= ~(uint32_t)(DEV_F_TSO4 | DEV_F_TSO6 | DEV_F_UDP_SEG);
	if (features == dev->features)
		return 0;
	err = dev->ops->set_features ? dev->ops->set_features(dev, features) : 0;
	if (err)
		return err;
	WRITE_ONCE(dev->features, features);
	netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return 0;
}

int netdev_set_proto_down(struct netdev *dev, bool down)
{
	if (dev->proto_down == down)
		return 0;
	dev->proto_down = down;
	netdev_set_carrier(dev, !down);
	state_change(dev);
	return 0;
}

const struct netdev *netdev_link_source(const struct netdev *dev)
{
	while (dev && !dev->speed)
		dev = dev->lower;
	return dev;
}

/* ---- more addresses it listens to ---- */

static struct dev_maddr *find_hwaddr(struct netdev *dev, struct cds_list_head *list,
				     const uint8_t *addr)
{
	struct dev_maddr *m;

	cds_list_for_each_entry (m, list, link)
		if (!memcmp(m->addr, addr, dev->addr_len))
			return m;
	return NULL;
}

static void rx_mode_changed(struct netdev *dev)
{
	if (dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
}

static int add_hwaddr(struct netdev *dev, struct cds_list_head *list, const uint8_t *addr)
{
	struct dev_maddr *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	memcpy(m->addr, addr, dev->addr_len);
	m->refs = 1;
	cds_list_add_tail(&m->link, list);
	rx_mode_changed(dev);
	return 0;
}

static int put_hwaddr(struct netdev *dev, struct cds_list_head *list, const uint8_t *addr)
{
	struct dev_maddr *m = find_hwaddr(dev, list, addr);

	if (!m)
		return -ENOENT;
	if (--m->refs)
		return 0;
	cds_list_del(&m->link);
	free(m);
	rx_mode_changed(dev);
	return 0;
}

int netdev_maddr_add(struct netdev *dev, const uint8_t *addr)
{
	struct dev_maddr *m = find_hwaddr(dev, &dev->maddrs, addr);

	if (!m)
		return add_hwaddr(dev, &dev->maddrs, addr);
	m->refs++;
	return 0;
}

int netdev_maddr_del(struct netdev *dev, const uint8_t *addr)
{
	return put_hwaddr(dev, &dev->maddrs, addr);
}

int netdev_hwaddr_add(struct netdev *dev, const uint8_t *addr, bool multicast)
{
	struct cds_list_head *list = multicast ? &dev->maddrs : &dev->uaddrs;

	int err = find_hwaddr(dev, list, addr) ? -EEXIST : add_hwaddr(dev, list, addr);

	if (!err)
		find_hwaddr(dev, list, addr)->global = true;
	return err;
}

int netdev_hwaddr_del(struct netdev *dev, const uint8_t *addr, bool multicast)
{
	return put_hwaddr(dev, multicast ? &dev->maddrs : &dev->uaddrs, addr);
}

int netdev_maddr_add_global(struct netdev *dev, const uint8_t *addr)
{
	struct dev_maddr *m = find_hwaddr(dev, &dev->maddrs, addr);

	if (m && m->global)
		return 0;
	int err = netdev_maddr_add(dev, addr);
	if (!err)
		find_hwaddr(dev, &dev->maddrs, addr)->global = true;
	return err;
}

int netdev_maddr_del_global(struct netdev *dev, const uint8_t *addr)
{
	struct dev_maddr *m = find_hwaddr(dev, &dev->maddrs, addr);

	if (!m || !m->global)
		return -ENOENT;
	m->global = false;
	return netdev_maddr_del(dev, addr);
}
