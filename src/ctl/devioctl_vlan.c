/*
 * devioctl_vlan: SIOCGIFVLAN and SIOCSIFVLAN: VLAN devices as vconfig makes and asks them. Names of
 * new ones are "<lower>.<id>".
 */
#include <linux/if_vlan.h>

#include "ctl/devioctl.h"
#include "dev/kind.h"
#include "net/net.h"

struct vlan_bits {
	uint32_t flags, mask;
};

static unsigned param_of(const struct dev_kind *kind, uint16_t attr)
{
	unsigned i = 0;

	while (i < kind->n_params && kind->params[i].attr != attr)
		i++;
	return i;
}

static int vlan_add(struct net *net, const struct dev_kind *kind, struct netdev *lower,
		    const struct vlan_ioctl_args *a)
{
	unsigned row = param_of(kind, IFLA_VLAN_ID);
	uint16_t id = (uint16_t)a->u.VID;
	char name[IFNAMSIZ], *params;
	struct netdev *dev;

	if (a->u.VID < 0 || a->u.VID >= 4096)
		return -ERANGE;
	if (snprintf(name, sizeof(name), "%s.%u", lower->name, id) >= (int)sizeof(name))
		return -EINVAL;
	params = calloc(1, kind->params_size);
	if (!params)
		return -ENOBUFS;
	kind->defaults(params);
	memcpy(params + kind->params[row].off, &id, sizeof(id));
	struct dev_new n = {.net = net,
			    .link_net = net,
			    .link = lower,
			    .name = name,
			    .params = params,
			    .given = {1ULL << row}};
	int err = dev_create(net->core, kind, &n, &dev, NULL);
	free(params);
	return err;
}

static int vlan_id(const struct netdev *dev, struct vlan_ioctl_args *a)
{
	unsigned row = param_of(dev->kind, IFLA_VLAN_ID);
	char *params = calloc(1, dev->kind->params_size);
	uint16_t id;

	if (!params)
		return -ENOMEM;
	dev->kind->get(dev, params);
	memcpy(&id, params + dev->kind->params[row].off, sizeof(id));
	free(params);
	a->u.VID = id;
	return 0;
}

static int vlan_flag(struct netdev *dev, const struct vlan_ioctl_args *a)
{
	unsigned row = param_of(dev->kind, IFLA_VLAN_FLAGS);
	struct vlan_bits bits = {a->vlan_qos ? a->u.flag : 0, a->u.flag};
	char *params = calloc(1, dev->kind->params_size);
	const uint64_t given[2] = {1ULL << row};

	if (!params)
		return -ENOMEM;
	memcpy(params + dev->kind->params[row].off, &bits, sizeof(bits));
	int err = dev->kind->change(dev, params, given, NULL);
	free(params);
	return err;
}

/* A mapping of priorities, into (IFLA_VLAN_INGRESS_QOS) or out of the device. */
static int vlan_map(struct netdev *dev, uint16_t attr, uint32_t from, uint32_t to)
{
	unsigned row = param_of(dev->kind, attr);
	struct dev_pairs pairs = {.n = 1, .v = {{from, to}}};
	char *params = calloc(1, dev->kind->params_size);
	const uint64_t given[2] = {1ULL << row};

	if (!params)
		return -ENOMEM;
	memcpy(params + dev->kind->params[row].off, &pairs, sizeof(pairs));
	int err = dev->kind->change(dev, params, given, NULL);
	free(params);
	return err;
}

int devioctl_vlan(struct net *net, void *arg, size_t len)
{
	const struct dev_kind *kind = dev_kind_find(net->core, "vlan");
	struct vlan_ioctl_args *a = arg;
	struct netdev *dev;

	if (!kind)
		return -ENOPKG;
	if (len < sizeof(*a))
		return -EFAULT;
	a->device1[sizeof(a->device1) - 1] = 0;
	if (a->cmd == SET_VLAN_NAME_TYPE_CMD) /* the one that there is */
		return a->u.name_type == VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD ? 0 : -EINVAL;
	dev = net_dev_by_name(net, a->device1);
	if (!dev)
		return -ENODEV;
	if (a->cmd == ADD_VLAN_CMD)
		return vlan_add(net, kind, dev, a);
	if (dev->kind != kind || !dev->lower)
		return -EINVAL;
	switch (a->cmd) {
	case DEL_VLAN_CMD:
		netdev_unregister(dev);
		return 0;
	case SET_VLAN_INGRESS_PRIORITY_CMD:
		return vlan_map(dev, IFLA_VLAN_INGRESS_QOS, (uint32_t)a->vlan_qos,
				a->u.skb_priority);
	case SET_VLAN_EGRESS_PRIORITY_CMD:
		return vlan_map(dev, IFLA_VLAN_EGRESS_QOS, a->u.skb_priority,
				(uint32_t)a->vlan_qos);
	case SET_VLAN_FLAG_CMD:
		return vlan_flag(dev, a);
	case GET_VLAN_REALDEV_NAME_CMD:
		memset(a->u.device2, 0, sizeof(a->u.device2));
		strncpy(a->u.device2, dev->lower->name, sizeof(a->u.device2) - 1);
		return 0;
	case GET_VLAN_VID_CMD:
		return vlan_id(dev, a);
	}
	return -EOPNOTSUPP;
}
