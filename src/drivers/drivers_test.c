/*
 * Tests of the device core with real drivers: life in namespaces, names, carrier, stacks, and the
 * way of frames over veth and VLAN devices.
 */
#include "drivers/bed.h"

#include <linux/net_namespace.h>

struct seen {
	struct tap tap;
	unsigned n, n_out;
	uint8_t bytes[64];
	uint16_t flags, tci;
};

static struct netdev *pair(struct bed *b)
{
	struct dev_new n = {.net = b->a, .name = "v0", .peer_net = b->b, .peer_name = "v1"};
	struct netdev *dev = NULL;

	assert_int_equal(dev_create(&b->core, &veth_kind, &n, &dev, NULL), 0);
	return dev;
}

static struct netdev *other_end(struct netdev *dev)
{
	return dev->ops->companion(dev);
}

struct vlan_args {
	uint16_t id, protocol;
	uint32_t flags, mask;
	struct dev_pairs ingress, egress;
};

static int vlan_on(struct bed *b, struct netdev *lower, uint16_t proto, uint16_t id,
		   const char *name, struct netdev **out, struct extack *ext)
{
	struct vlan_args args = {.id = id, .protocol = __builtin_bswap16(proto), .flags = 1};
	struct dev_new n = {
		.net = lower->net, .link = lower, .name = name, .params = &args, .given = {3}};

	return dev_create(&b->core, &vlan_kind, &n, out, ext);
}

static void watch_fn(struct worker *w, struct tap *t, struct netdev *dev, struct pkt *p, bool out)
{
	struct seen *s = container_of(t, struct seen, tap);

	s->n += !out;
	s->n_out += out;
	s->flags = p->flags;
	s->tci = p->vlan_tci;
	pkt_copy_out(p, 0, s->bytes, sizeof(s->bytes));
}

static void watch(struct seen *s, struct netdev *dev)
{
	memset(s, 0, sizeof(*s));
	s->tap.protocol = __builtin_bswap16(ETH_P_ALL);
	s->tap.fn = watch_fn;
	tap_add(dev->net, dev, &s->tap);
}

static void send_frame(struct bed *b, struct netdev *dev, const uint8_t *dst, unsigned len)
{
	uint8_t frame[2000] = {0};
	struct batch batch;
	struct pkt *p = pkt_new(&b->worker);

	memcpy(frame, dst, 6);
	memcpy(frame + 6, dev->addr, 6);
	put_be16(frame + 12, ETH_P_ARP);
	frame[14] = 0x5a;
	assert_int_equal(pkt_append(&b->worker.cache, p, frame, len), 0);
	p->l2 = p->off;
	batch_one(&batch, p);
	netdev_xmit(&b->worker, dev, &batch);
	settle(b);
}

static void test_names(void **state)
{
	struct bed *b = *state;
	struct dev_new n = {.net = b->a};
	struct netdev *d0, *d1;

	assert_int_equal(dev_create(&b->core, &dummy_kind, &n, &d0, NULL), 0);
	assert_int_equal(dev_create(&b->core, &dummy_kind, &n, &d1, NULL), 0);
	assert_string_equal(d0->name, "dummy0");
	assert_string_equal(d1->name, "dummy1");
	assert_int_equal(d0->ifindex, 2);
	assert_int_equal(netdev_set_name(d1, "dummy0", NULL), -EEXIST);
	assert_int_equal(netdev_set_name(d1, "a/b", NULL), -EINVAL);
	assert_int_equal(netdev_set_name(d1, "x%d", NULL), 0);
	assert_string_equal(d1->name, "x0");
	assert_ptr_equal(net_dev_by_name(b->a, "x0"), d1);
	assert_null(net_dev_by_name(b->a, "dummy1"));
	assert_int_equal(netdev_add_altname(d1, "a-rather-long-alternative-name"), 0);
	assert_int_equal(netdev_add_altname(d0, "x0"), -EEXIST);
	assert_ptr_equal(net_dev_by_name(b->a, "a-rather-long-alternative-name"), d1);
	assert_int_equal(netdev_del_altname(d1, "x0"), -EINVAL);
	assert_int_equal(netdev_del_altname(d1, "none"), -ENOENT);
	assert_int_equal(netdev_del_altname(d1, "a-rather-long-alternative-name"), 0);
	assert_null(net_dev_by_name(b->a, "a-rather-long-alternative-name"));
	netdev_unregister(d0);
	assert_null(net_dev_by_index(b->a, 2));
	n.ifindex = d1->ifindex;
	assert_int_equal(dev_create(&b->core, &dummy_kind, &n, &d0, NULL), -EBUSY);
}

static void test_carrier(void **state)
{
	struct bed *b = *state;
	struct netdev *v0 = pair(b), *v1 = other_end(v0);

	assert_int_equal(v0->operstate, IF_OPER_LOWERLAYERDOWN);
	assert_false(v0->carrier);
	up(v0);
	assert_false(v0->carrier);
	up(v1);
	assert_true(v0->carrier && v1->carrier);
	assert_int_equal(v0->operstate, IF_OPER_UP);
	assert_true(netdev_user_flags(v0) & IFF_RUNNING);
	netdev_set_flags(v1, 0, IFF_UP, NULL);
	assert_false(v0->carrier);
	assert_false(netdev_user_flags(v0) & IFF_RUNNING);
	assert_int_equal(v0->carrier_up_count, 1);
	netdev_unregister(v1);
	assert_null(net_dev_by_name(b->a, "v0"));
	assert_int_equal(b->n_gone, 2);
}

static void test_frames(void **state)
{
	struct bed *b = *state;
	struct netdev *v0 = pair(b), *v1 = other_end(v0);
	struct rtnl_link_stats64 st;
	struct seen in, out;

	up(v0);
	send_frame(b, v0, v1->addr, 60); /* no carrier */
	up(v1);
	watch(&out, v0);
	watch(&in, v1);
	send_frame(b, v0, v1->addr, 60);
	assert_int_equal(b->n_arp, 1);
	assert_ptr_equal(b->arp_dev, v1);
	assert_int_equal(out.n_out, 1);
	assert_int_equal(in.n, 1);
	assert_int_equal(in.bytes[14], 0x5a);
	send_frame(b, v0, v1->addr, 1519); /* beyond the peer's MTU */
	assert_int_equal(b->n_arp, 1);
	netdev_stats(v1, &st);
	assert_int_equal(st.rx_packets, 1);
	assert_int_equal(st.rx_bytes, 60);
	assert_int_equal(st.rx_dropped, 1);
	netdev_stats(v0, &st);
	assert_int_equal(st.tx_packets, 1);
	assert_int_equal(st.tx_dropped, 2);
	assert_int_equal(b->worker.drops[DROP_DEV_NO_CARRIER], 1);
	tap_del(v0->net, v0, &out.tap);
	tap_del(v1->net, v1, &in.tap);
}

static void test_vlan(void **state)
{
	struct bed *b = *state;
	struct netdev *v0 = pair(b), *v1 = other_end(v0), *s0, *c0, *s1, *c1, *d;
	struct extack ext = {0};
	struct seen raw, inner;

	up(v0);
	up(v1);
	assert_int_equal(vlan_on(b, v0, ETH_P_8021AD, 100, "s0", &s0, NULL), 0);
	assert_int_equal(vlan_on(b, s0, ETH_P_8021Q, 7, "c0", &c0, NULL), 0);
	assert_int_equal(vlan_on(b, v1, ETH_P_8021AD, 100, "s1", &s1, NULL), 0);
	assert_int_equal(vlan_on(b, s1, ETH_P_8021Q, 7, "c1", &c1, NULL), 0);
	assert_int_equal(vlan_on(b, v1, ETH_P_8021AD, 100, "xx", &d, &ext), -EEXIST);
	assert_string_equal(ext.msg, "8021q: VLAN device already exists");
	assert_int_equal(vlan_on(b, v1, ETH_P_8021Q, 4095, "xx", &d, &ext), -ERANGE);
	assert_int_equal(vlan_on(b, v1, ETH_P_IP, 5, "xx", &d, &ext), -EPROTONOSUPPORT);
	assert_int_equal(vlan_on(b, b->a->loopback, ETH_P_8021Q, 5, "xx", &d, &ext), -EOPNOTSUPP);
	assert_memory_equal(c0->addr, v0->addr, 6);
	up(s0);
	up(c0);
	up(s1);
	up(c1);
	watch(&raw, v1);
	watch(&inner, c1);
	send_frame(b, c0, c1->addr, 60);
	assert_int_equal(b->n_arp, 1);
	assert_ptr_equal(b->arp_dev, c1);
	assert_int_equal(raw.n, 1);
	assert_int_equal(get_be16(raw.bytes + 12), ETH_P_8021Q); /* the inner tag, in the bytes */
	assert_true(raw.flags & PKT_VLAN);			 /* the outer one, beside them */
	assert_int_equal(raw.tci, 100);
	assert_int_equal(inner.n, 1);
	assert_int_equal(get_be16(inner.bytes + 12), ETH_P_ARP);
	tap_del(v1->net, v1, &raw.tap);
	tap_del(c1->net, c1, &inner.tap);

	/* nobody has VLAN 100 any more */
	netdev_unregister(s1);
	assert_null(net_dev_by_name(b->b, "c1"));
	assert_null(v1->vlans);
	send_frame(b, c0, v1->addr, 60);
	assert_int_equal(b->worker.drops[DROP_VLAN_UNKNOWN], 1);

	/* what is above follows what is below */
	netdev_set_flags(v0, 0, IFF_UP, NULL);
	assert_false(netdev_running(c0));
	up(v0);
	assert_true(netdev_running(c0));
	assert_int_equal(netdev_set_mtu(v0, 1400, NULL), 0);
	assert_int_equal(c0->mtu, 1400);
	assert_int_equal(netdev_set_mtu(c0, 1401, NULL), -ERANGE);
	netdev_unregister(v1);
	assert_null(net_dev_by_name(b->a, "c0"));
}

static void test_moves(void **state)
{
	struct bed *b = *state;
	struct netdev *v0 = pair(b);
	struct dev_new n = {.net = b->b, .name = "v0"};
	struct netdev *d;
	int index = v0->ifindex;

	assert_int_equal(netdev_change_net(b->a->loopback, b->b, NULL, 0, NULL), -EINVAL);
	assert_int_equal(dev_create(&b->core, &dummy_kind, &n, &d, NULL), 0);
	assert_int_equal(netdev_change_net(v0, b->b, NULL, 0, NULL), -EEXIST);
	netdev_unregister(d);
	up(v0);
	assert_int_equal(netdev_change_net(v0, b->b, "w%d", 0, NULL), 0);
	assert_ptr_equal(v0->net, b->b);
	assert_string_equal(v0->name, "w0");
	assert_false(netdev_running(v0));
	assert_null(net_dev_by_name(b->a, "v0"));
	assert_null(net_dev_by_index(b->a, index));
	assert_ptr_equal(net_dev_by_index(b->b, v0->ifindex), v0);
}

static void test_nets(void **state)
{
	struct bed *b = *state;
	struct net *c, *more[20];
	uint64_t ino;
	int err;

	pair(b);
	c = net_new(&b->nets, &err);
	ino = c->ino;
	assert_ptr_equal(net_by_ino(&b->nets, ino), c);
	assert_int_equal(net_id_of(b->a, c), NETNSA_NSID_NOT_ASSIGNED);
	assert_int_equal(net_id_alloc(b->a, c, -1), 0);
	assert_int_equal(net_id_alloc(b->a, c, 5), -EEXIST);
	assert_int_equal(net_id_alloc(b->a, b->b, 0), -ENOSPC);
	assert_int_equal(net_id_alloc(b->a, b->b, 5), 5);
	assert_int_equal(net_id_alloc(c, b->a, -1), 0);
	assert_ptr_equal(net_by_id(b->a, 5), b->b);
	assert_int_equal(net_id_alloc(b->a, b->a, -1), 1);
	net_get(c);
	net_put(c);
	assert_non_null(net_by_ino(&b->nets, ino));
	net_put(c);
	assert_null(net_by_ino(&b->nets, ino));
	assert_null(net_by_id(b->a, 0));
	for (unsigned i = 0; i < 20; i++)
		assert_non_null(more[i] = net_new(&b->nets, &err));
	assert_int_equal(b->nets.n, 22);
	/* with one end's namespace goes the pair */
	net_put(b->b);
	assert_null(net_dev_by_name(b->a, "v0"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_names), T(test_carrier), T(test_frames),
					   T(test_vlan),  T(test_moves),   T(test_nets)};

	rcu_register_thread();
	int failed = cmocka_run_group_tests_name("drivers", tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
