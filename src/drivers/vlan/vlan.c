/*
 * vlan: IEEE 802.1Q and 802.1ad devices on top of another.
 *
 * The core has taken the tag off when vlan_input() sees a frame; the device is found in the lower
 * device's group, a table of 512-entry blocks by protocol and VLAN id. On the way out the tag goes
 * into the packet's metadata, and the core or the driver below puts it into the bytes.
 */
#include <linux/if_vlan.h>

#include "drivers/kinds.h"
#include "net/net.h"
#include "wire/ip4_hdr.h"

#define VID_MASK	0xfff
#define VLAN_PRIO_SHIFT 13
#define BLOCK		512
#define N_BLOCKS	(4096 / BLOCK)
#define BE(v)		((uint16_t)__builtin_bswap16(v))
#define ADDR_FROM_LOWER 2 /* NET_ADDR_STOLEN */

struct vlan_group {
	struct netdev **block[2][N_BLOCKS]; /* RCU; by protocol */
	unsigned n;
};

struct vlan_bits {
	uint32_t flags, mask;
};

struct vlan_params {
	uint16_t id, protocol; /* protocol: be16 */
	struct vlan_bits bits;
	struct dev_pairs ingress, egress; /* what is to change */
};

/* Priority of a packet to the bits of its tag; immutable. */
struct egress_map {
	unsigned n;
	struct {
		uint32_t prio;
		uint16_t tci;
	} v[];
};

struct vlan {
	struct netdev *lower;
	uint16_t id, protocol;
	uint32_t flags; /* VLAN_FLAG_* */
	bool has_ingress;
	uint32_t ingress[8];	   /* priority bits of a tag to a packet's priority */
	struct egress_map *egress; /* RCU; NULL: none */
};

/* ---- the group of a lower device ---- */

static struct netdev **slot(const struct vlan_group *g, uint16_t protocol, uint16_t vid)
{
	struct netdev **block =
		rcu_dereference(g->block[protocol == BE(ETH_P_8021AD)][vid / BLOCK]);

	return block ? &block[vid % BLOCK] : NULL;
}

static struct netdev *find(const struct netdev *lower, uint16_t protocol, uint16_t vid)
{
	const struct vlan_group *g = rcu_dereference(lower->vlans);
	struct netdev **at = g ? slot(g, protocol, vid) : NULL;

	return at ? rcu_dereference(*at) : NULL;
}

static int group_add(struct netdev *lower, struct netdev *dev, const struct vlan *v)
{
	struct vlan_group *g = lower->vlans;
	struct netdev ***block;

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOBUFS;
		rcu_assign_pointer(lower->vlans, g);
	}
	block = &g->block[v->protocol == BE(ETH_P_8021AD)][v->id / BLOCK];
	if (!*block) {
		struct netdev **fresh = calloc(BLOCK, sizeof(*fresh));
		if (!fresh)
			return -ENOBUFS;
		rcu_assign_pointer(*block, fresh);
	}
	rcu_assign_pointer((*block)[v->id % BLOCK], dev);
	g->n++;
	return 0;
}

static void group_del(struct netdev *lower, const struct vlan *v)
{
	struct vlan_group *g = lower->vlans;
	struct netdev **at = g ? slot(g, v->protocol, v->id) : NULL;

	if (!at || !*at)
		return;
	rcu_set_pointer(at, NULL);
	if (--g->n)
		return;
	rcu_set_pointer(&lower->vlans, NULL);
	for (unsigned i = 0; i < 2 * N_BLOCKS; i++)
		rcu_free(g->block[i / N_BLOCKS][i % N_BLOCKS]);
	rcu_free(g);
}

/* ---- packets ---- */

static void vlan_input(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct netdev *run_dev = NULL;
	struct batch run;
	unsigned n = 0;

	if (!rcu_dereference(dev->vlans))
		return;
	enum stage prev = stage_enter(w, STAGE_VLAN, b->n);

	batch_init(&run);
	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		struct netdev *on = p->flags & PKT_VLAN
					    ? find(dev, p->vlan_proto, p->vlan_tci & VID_MASK)
					    : NULL;
		if (!on) {
			b->p[n++] = p;
			continue;
		}
		if (run.n && on != run_dev) {
			netdev_rx_stacked(w, run_dev, &run);
			batch_init(&run);
		}
		run_dev = on;
		const struct vlan *v = on->priv;
		if (unlikely(READ_ONCE(v->has_ingress)))
			p->prio = READ_ONCE(v->ingress[p->vlan_tci >> VLAN_PRIO_SHIFT]);
		p->flags &= (uint16_t)~PKT_VLAN;
		batch_add(&run, p);
	}
	b->n = n;
	if (run.n)
		netdev_rx_stacked(w, run_dev, &run);
	stage_leave(w, prev);
}

/* A router's packet has the priority of its TOS. */
static uint32_t priority(const struct pkt *p)
{
	if ((p->flags & PKT_LOCAL) || p->protocol != BE(ETH_P_IP) || !p->l3)
		return p->prio;
	return ip4_tos_prio(((const struct ip4_hdr *)pkt_l3(p))->tos);
}

static uint16_t priority_bits(const struct egress_map *m, const struct pkt *p)
{
	uint32_t prio = priority(p);

	for (unsigned i = 0; i < m->n; i++)
		if (m->v[i].prio == prio)
			return m->v[i].tci;
	return 0;
}

static void vlan_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	const struct vlan *v = dev->priv;
	const struct egress_map *map = rcu_dereference(v->egress);
	struct dev_count *c = dev_counter(dev, w);

	c->tx_packets += b->n;
	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		c->tx_bytes += p->total;
		p->dev = v->lower;
		p->flags |= PKT_VLAN;
		p->vlan_tci = v->id;
		if (unlikely(map))
			p->vlan_tci |= priority_bits(map, p);
		p->vlan_proto = v->protocol;
	}
	netdev_xmit(w, v->lower, b);
}

/* ---- state ---- */

static void follow_carrier(struct netdev *dev, const struct netdev *lower)
{
	struct vlan *v = dev->priv;

	if (!(v->flags & VLAN_FLAG_BRIDGE_BINDING))
		netdev_set_carrier(dev, lower->carrier);
}

static int vlan_open(struct netdev *dev, struct extack *ext)
{
	struct vlan *v = dev->priv;

	if (!netdev_running(v->lower) && !(v->flags & VLAN_FLAG_LOOSE_BINDING))
		return -ENETDOWN;
	follow_carrier(dev, v->lower);
	return 0;
}

static void vlan_stop(struct netdev *dev)
{
	struct vlan *v = dev->priv;

	if (!(v->flags & VLAN_FLAG_BRIDGE_BINDING))
		netdev_set_carrier(dev, false);
}

static void vlan_fini(struct netdev *dev)
{
	struct vlan *v = dev->priv;

	group_del(v->lower, v);
	rcu_free(v->egress);
}

static int vlan_iflink(const struct netdev *dev, struct net **net)
{
	const struct vlan *v = dev->priv;

	*net = v->lower->net;
	return v->lower->ifindex;
}

static int vlan_set_mtu(struct netdev *dev, unsigned mtu, struct extack *ext)
{
	const struct vlan *v = dev->priv;

	return mtu > v->lower->mtu ? -ERANGE : 0;
}

static void vlan_lower_event(struct netdev *dev, struct netdev *lower, enum event_type what)
{
	struct vlan *v = dev->priv;
	bool loose = v->flags & VLAN_FLAG_LOOSE_BINDING;

	switch (what) {
	case EVENT_DEV_UP:
		if (!loose)
			netdev_set_flags(dev, IFF_UP, IFF_UP, NULL);
		follow_carrier(dev, lower);
		break;
	case EVENT_DEV_DOWN:
		if (!loose)
			netdev_set_flags(dev, 0, IFF_UP, NULL);
		follow_carrier(dev, lower);
		break;
	case EVENT_DEV_CARRIER:
		follow_carrier(dev, lower);
		break;
	case EVENT_DEV_MTU:
		if (dev->mtu > lower->mtu)
			netdev_set_mtu(dev, lower->mtu, NULL);
		break;
	case EVENT_DEV_ADDR:
		if (dev->addr_assign_type != ADDR_FROM_LOWER)
			break;
		memcpy(dev->addr, lower->addr, ETH_ALEN);
		netdev_event(dev, EVENT_DEV_ADDR, 0);
		break;
	default:
		break;
	}
}

static void vlan_drvinfo(const struct netdev *dev, char *driver, char *version, char *bus,
			 size_t len)
{
	snprintf(driver, len, "802.1Q VLAN Support");
	snprintf(version, len, "1.8");
}

static const struct netdev_ops vlan_ops = {
	.xmit = vlan_xmit,
	.open = vlan_open,
	.stop = vlan_stop,
	.fini = vlan_fini,
	.iflink = vlan_iflink,
	.set_mtu = vlan_set_mtu,
	.lower_event = vlan_lower_event,
	.drvinfo = vlan_drvinfo,
};

/* ---- settings ---- */

static const struct dev_param vlan_params[] = {
	{IFLA_VLAN_PROTOCOL, PARAM_BE16, PARAM_CREATE, offsetof(struct vlan_params, protocol), 0, 0,
	 "protocol", NULL},
	{IFLA_VLAN_ID, PARAM_U16, PARAM_CREATE, offsetof(struct vlan_params, id), 0, 0, "id", NULL},
	{IFLA_VLAN_FLAGS, PARAM_BITS, 0, offsetof(struct vlan_params, bits), 0, 0, "flags", NULL},
	{IFLA_VLAN_INGRESS_QOS, PARAM_PAIRS, 0, offsetof(struct vlan_params, ingress),
	 IFLA_VLAN_QOS_MAPPING, 8, "ingress-qos-map", NULL},
	{IFLA_VLAN_EGRESS_QOS, PARAM_PAIRS, 0, offsetof(struct vlan_params, egress),
	 IFLA_VLAN_QOS_MAPPING, DEV_PAIRS_MAX, "egress-qos-map", NULL},
};
enum {
	GIVEN_ID = 1 << 1,
	GIVEN_FLAGS = 1 << 2,
	GIVEN_INGRESS = 1 << 3,
	GIVEN_EGRESS = 1 << 4,
};

static void vlan_defaults(void *params)
{
	struct vlan_params *p = params;

	p->protocol = BE(ETH_P_8021Q);
	p->bits.flags = VLAN_FLAG_REORDER_HDR;
}

static void vlan_get(const struct netdev *dev, void *params)
{
	const struct vlan *v = dev->priv;
	struct vlan_params *p = params;

	p->id = v->id;
	p->protocol = v->protocol;
	p->bits.flags = v->flags;
	p->bits.mask = ~0u;
	p->ingress.n = p->egress.n = 0;
	for (uint32_t i = 0; i < 8; i++)
		if (v->ingress[i])
			p->ingress.v[p->ingress.n++] = (struct dev_pair){i, v->ingress[i]};
	for (unsigned i = 0; v->egress && i < v->egress->n; i++)
		p->egress.v[p->egress.n++] = (struct dev_pair){
			v->egress->v[i].prio, v->egress->v[i].tci >> VLAN_PRIO_SHIFT};
}

static void set_ingress(struct vlan *v, const struct dev_pairs *pairs)
{
	bool any = false;

	for (unsigned i = 0; i < pairs->n; i++)
		WRITE_ONCE(v->ingress[pairs->v[i].from & 7], pairs->v[i].to);
	for (unsigned i = 0; i < 8; i++)
		any |= v->ingress[i] != 0;
	WRITE_ONCE(v->has_ingress, any);
}

/* 0, -ENOBUFS: more priorities than a map holds, -ENOMEM. */
static int set_egress(struct vlan *v, const struct dev_pairs *pairs)
{
	struct egress_map *old = v->egress, *m;

	if (!pairs->n)
		return 0;
	m = calloc(1, sizeof(*m) + DEV_PAIRS_MAX * sizeof(m->v[0]));
	if (!m)
		return -ENOMEM;
	if (old)
		memcpy(m, old, sizeof(*m) + old->n * sizeof(m->v[0]));
	for (unsigned i = 0; i < pairs->n; i++) {
		unsigned at = 0;

		while (at < m->n && m->v[at].prio != pairs->v[i].from)
			at++;
		if (at == DEV_PAIRS_MAX) {
			free(m);
			return -ENOBUFS;
		}
		m->v[at].prio = pairs->v[i].from;
		m->v[at].tci = (uint16_t)((pairs->v[i].to & 7) << VLAN_PRIO_SHIFT);
		m->n = MAX(m->n, at + 1);
	}
	/* what maps to 0 is not shown, and need not be kept */
	unsigned kept = 0;
	for (unsigned i = 0; i < m->n; i++)
		if (m->v[i].tci)
			m->v[kept++] = m->v[i];
	m->n = kept;
	rcu_assign_pointer(v->egress, m);
	rcu_free(old);
	return 0;
}

static int check_flags(const struct vlan_bits *b, struct extack *ext)
{
	const uint32_t known = VLAN_FLAG_REORDER_HDR | VLAN_FLAG_GVRP | VLAN_FLAG_LOOSE_BINDING |
			       VLAN_FLAG_MVRP | VLAN_FLAG_BRIDGE_BINDING;

	return b->flags & b->mask & ~known ? extack_set(ext, -EINVAL, "8021q: Invalid VLAN flags")
					   : 0;
}

static int vlan_change(struct netdev *dev, const void *params, const uint64_t given[2],
		       struct extack *ext)
{
	const struct vlan_params *p = params;
	struct vlan *v = dev->priv;
	int err = check_flags(&p->bits, ext);

	if (err)
		return err;
	if (given[0] & GIVEN_FLAGS)
		v->flags = (v->flags & ~p->bits.mask) | (p->bits.flags & p->bits.mask);
	if (given[0] & GIVEN_INGRESS)
		set_ingress(v, &p->ingress);
	return given[0] & GIVEN_EGRESS ? set_egress(v, &p->egress) : 0;
}

static int check_new(const struct dev_new *n, const struct vlan_params *p, struct extack *ext)
{
	if (!(n->given[0] & GIVEN_ID))
		return extack_set(ext, -EINVAL, "8021q: VLAN id not specified");
	if (p->id >= VID_MASK)
		return extack_set(ext, -ERANGE, "8021q: Invalid VLAN id");
	if (p->protocol != BE(ETH_P_8021Q) && p->protocol != BE(ETH_P_8021AD))
		return extack_set(ext, -EPROTONOSUPPORT, "8021q: Invalid VLAN protocol");
	if (!n->link)
		return extack_set(ext, -EINVAL, "8021q: link not specified");
	if (n->link->vlan_challenged)
		return extack_set(ext, -EOPNOTSUPP, "8021q: VLANs not supported on device");
	if (find(n->link, p->protocol, p->id))
		return extack_set(ext, -EEXIST, "8021q: VLAN device already exists");
	return check_flags(&p->bits, ext);
}

/* What a VLAN device has from the one below. */
static void inherit(struct netdev *dev, const struct netdev *lower)
{
	dev->flags = lower->flags & (IFF_BROADCAST | IFF_MULTICAST | IFF_NOARP | IFF_POINTOPOINT);
	dev->mtu = lower->mtu;
	dev->features = (lower->features & (DEV_F_SG | DEV_F_TX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 |
					    DEV_F_GSO | DEV_F_UDP_SEG)) |
			DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	dev->features_wanted = dev->features;
	dev->gso_max_size = lower->gso_max_size;
	dev->gso_max_segs = lower->gso_max_segs;
	dev->carrier = false;
	memcpy(dev->addr, lower->addr, sizeof(dev->addr));
	dev->addr_assign_type = ADDR_FROM_LOWER;
	memcpy(dev->broadcast, lower->broadcast, sizeof(dev->broadcast));
}

static int vlan_create(struct dev_core *core, const struct dev_new *n, struct netdev **out,
		       struct extack *ext)
{
	const struct vlan_params *p = n->params;
	struct netdev *dev;
	struct vlan *v;
	int err = check_new(n, p, ext);

	if (err)
		return err;
	if (n->mtu > n->link->mtu)
		return -EINVAL;
	dev = netdev_alloc(core, &vlan_kind, n->n_txq, n->n_rxq);
	if (!dev)
		return -ENOMEM;
	WRITE_ONCE(core->vlan_input, vlan_input);
	v = dev->priv;
	*v = (struct vlan){.lower = n->link,
			   .id = p->id,
			   .protocol = p->protocol,
			   .flags = VLAN_FLAG_REORDER_HDR};
	v->flags = (v->flags & ~p->bits.mask) | (p->bits.flags & p->bits.mask);
	set_ingress(v, &p->ingress);
	err = set_egress(v, &p->egress);
	inherit(dev, n->link);
	if (!err)
		err = netdev_first_address(dev, n->address, ext);
	if (!err)
		err = netdev_first_mtu(dev, n->mtu, ext);
	if (!err)
		err = netdev_link_lower(dev, n->link, ext);
	if (err)
		goto free;
	err = group_add(n->link, dev, v);
	if (err)
		goto unlink;
	err = netdev_register(dev, n->net, n->name && *n->name ? n->name : "vlan%d", n->ifindex,
			      ext);
	if (err)
		goto leave_group;
	*out = dev;
	return 0;

leave_group:
	group_del(n->link, v);
unlink:
	netdev_unlink_lower(dev);
free:
	free(v->egress);
	netdev_free(dev);
	return err;
}

static void vlan_setup(struct netdev *dev)
{
	dev->min_mtu = 0;
	dev->max_mtu = ETH_MAX_MTU;
}

const struct dev_kind vlan_kind = {
	.name = "vlan",
	.devtype = "vlan",
	.priv_size = sizeof(struct vlan),
	.params_size = sizeof(struct vlan_params),
	.params = vlan_params,
	.n_params = ARRAY_SIZE(vlan_params),
	.ops = &vlan_ops,
	.setup = vlan_setup,
	.defaults = vlan_defaults,
	.create = vlan_create,
	.change = vlan_change,
	.get = vlan_get,
};
