/* kind: finding a driver by name, and making a device of it. */
#include "dev/kind.h"

const struct dev_kind *dev_kind_find(const struct dev_core *core, const char *name)
{
	for (const struct dev_kind *const *k = core->kinds; *k; k++)
		if (!(*k)->permanent && !strcmp((*k)->name, name))
			return *k;
	return NULL;
}

const char *dev_kind_pattern(const struct dev_kind *kind, char buf[IFNAMSIZ])
{
	snprintf(buf, IFNAMSIZ, "%.12s%%d", kind->name);
	return buf;
}

static int create(struct dev_core *core, const struct dev_kind *kind, const struct dev_new *n,
		  struct netdev **out, struct extack *ext)
{
	struct netdev *dev = netdev_alloc(core, kind, n->n_txq, n->n_rxq);
	char pattern[IFNAMSIZ];
	int err;

	if (!dev)
		return -ENOMEM;
	err = netdev_first_address(dev, n->address, ext);
	if (!err)
		err = netdev_first_mtu(dev, n->mtu, ext);
	if (!err)
		err = netdev_register(dev, n->net,
				      n->name ? n->name : dev_kind_pattern(kind, pattern),
				      n->ifindex, ext);
	if (err) {
		netdev_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

int dev_create(struct dev_core *core, const struct dev_kind *kind, const struct dev_new *n,
	       struct netdev **out, struct extack *ext)
{
	if (kind->create)
		return kind->create(core, n, out, ext);
	return create(core, kind, n, out, ext);
}
