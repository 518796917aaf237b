/* Tests of ARP: who is answered, what is learned, what is asked, by the settings that say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ip/path_fixture.h"

struct world {
	struct fx f;
	struct net *net;
	struct netdev *a, *b;
	uint8_t frame[2000], out[2000];
};

static const uint8_t peer[6] = {2, 0xaa, 0, 0, 0, 7}, peer2[6] = {2, 0xaa, 0, 0, 0, 8};
static const uint8_t zero[6], bcast[6] = {255, 255, 255, 255, 255, 255};

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));

	fx_init(&x->f, 1024);
	x->net = fx_net(&x->f);
	x->a = fx_dev(x->net, "w1", "10.1.0.1", 24);
	x->b = fx_dev(x->net, "w2", "10.2.0.1", 24);
	fx_settle(&x->f);
	fx_tx_flush(&x->f, x->a);
	fx_tx_flush(&x->f, x->b);
	x->f.baseline = pool_in_use(x->f.weft.pool);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct world *x = *state;

	fx_fini(&x->f);
	free(x);
	return 0;
}

static void conf(struct netdev *dev, int row, int v)
{
	dev->in_dev->conf.v[row - 1] = v;
}

struct arp {
	unsigned op;
	const uint8_t *sha, *tha, *dst; /* NULL: peer, zeroes, broadcast */
	const char *sip, *tip;
};

static size_t arp_frame(uint8_t *f, const struct arp *a)
{
	uint32_t sip = fx_ip(a->sip), tip = fx_ip(a->tip);

	memcpy(f, a->dst ? a->dst : bcast, 6);
	memcpy(f + 6, a->sha ? a->sha : peer, 6);
	put_be16(f + 12, ETH_P_ARP);
	put_be16(f + 14, 1);
	put_be16(f + 16, ETH_P_IP);
	f[18] = 6;
	f[19] = 4;
	put_be16(f + 20, (uint16_t)a->op);
	memcpy(f + 22, a->sha ? a->sha : peer, 6);
	memcpy(f + 28, &sip, 4);
	memcpy(f + 32, a->tha ? a->tha : zero, 6);
	memcpy(f + 38, &tip, 4);
	return 42;
}

static void say(struct world *x, struct netdev *dev, struct arp a)
{
	fx_rx(&x->f, dev, x->frame, arp_frame(x->frame, &a));
}

/* The next frame sent on dev is this ARP message. */
static void expect(struct world *x, struct netdev *dev, struct arp a)
{
	uint8_t want[42];

	arp_frame(want, &a);
	memcpy(want + 6, dev->addr, 6);
	memcpy(want + 22, dev->addr, 6);
	assert_int_equal(fx_tx(&x->f, dev, x->out, sizeof(x->out)), 42);
	assert_memory_equal(x->out, want, 42);
}

static struct neigh *entry(struct netdev *dev, const char *ip)
{
	uint32_t key = fx_ip(ip);

	return neigh_lookup(&ip4_core(dev->net)->arp, dev, &key);
}

static const struct arp request = {.op = 1, .sip = "10.1.0.2", .tip = "10.1.0.1"};

static void answers(void **state)
{
	struct world *x = *state;

	say(x, x->a, request);
	expect(x, x->a,
	       (struct arp){
		       .op = 2, .dst = peer, .tha = peer, .sip = "10.1.0.1", .tip = "10.1.0.2"});
	assert_int_equal(entry(x->a, "10.1.0.2")->state, NUD_STALE);
	assert_memory_equal(entry(x->a, "10.1.0.2")->lladdr, peer, 6);
	/* Linux's host model: an address of another device too. */
	say(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.2", .tip = "10.2.0.1"});
	assert_int_equal(fx_tx_count(x->a), 1);
	fx_tx_flush(&x->f, x->a);
	say(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.2", .tip = "10.1.0.9"});
	say(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.2", .tip = "127.0.0.1"});
	say(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.2", .tip = "224.0.0.1"});
	say(x, x->a, (struct arp){.op = 2, .sip = "10.1.0.2", .tip = "10.1.0.1"});
	say(x, x->a, (struct arp){.op = 3, .sip = "10.1.0.2", .tip = "10.1.0.1"});
	assert_int_equal(fx_tx_count(x->a), 0);
	/* RFC 5227: a probe is answered, and teaches nothing. */
	say(x, x->b, (struct arp){.op = 1, .sip = "0.0.0.0", .tip = "10.2.0.1"});
	expect(x, x->b,
	       (struct arp){
		       .op = 2, .dst = peer, .tha = peer, .sip = "10.2.0.1", .tip = "0.0.0.0"});
	assert_null(entry(x->b, "0.0.0.0"));
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

static void arp_ignore(void **state)
{
	static const struct {
		int mode;
		const char *sip, *tip;
		bool answered;
	} table[] = {
		{0, "10.1.0.2", "10.2.0.1", true}, {1, "10.1.0.2", "10.2.0.1", false},
		{1, "10.1.0.2", "10.1.0.1", true}, {1, "10.1.9.2", "10.1.0.1", true},
		{2, "10.1.0.2", "10.1.0.1", true}, {2, "10.1.9.2", "10.1.0.1", false},
		{3, "10.1.0.2", "10.2.0.1", true}, {8, "10.1.0.2", "10.1.0.1", false},
		{5, "10.1.0.2", "10.2.0.1", true},
	};
	struct world *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		conf(x->a, IPV4_DEVCONF_ARP_IGNORE, table[i].mode);
		say(x, x->a, (struct arp){.op = 1, .sip = table[i].sip, .tip = table[i].tip});
		if (fx_tx_count(x->a) != table[i].answered)
			fail_msg("row %u", i);
		fx_tx_flush(&x->f, x->a);
	}
	conf(x->a, IPV4_DEVCONF_ARP_IGNORE, 0);
	conf(x->b, IPV4_DEVCONF_ARPFILTER, 1); /* 10.1.0.2 is not answered over b */
	say(x, x->b, (struct arp){.op = 1, .sip = "10.1.0.2", .tip = "10.2.0.1"});
	assert_int_equal(fx_tx_count(x->b), 0);
}

static void malformed(void **state)
{
	static const struct {
		unsigned at;
		uint8_t val;
	} table[] = {{15, 7},  {16, 9}, {18, 5}, {18, 0}, {18, 255},
		     {19, 16}, {19, 0}, {21, 0}, {21, 9}};
	struct world *x = *state;
	size_t n = arp_frame(x->frame, &request);
	uint64_t drops = x->f.w->drops[DROP_ARP_MALFORMED];

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		arp_frame(x->frame, &request);
		x->frame[table[i].at] = table[i].val;
		fx_rx(&x->f, x->a, x->frame, n);
	}
	assert_int_equal(x->f.w->drops[DROP_ARP_MALFORMED], drops + ARRAY_SIZE(table));
	for (size_t cut = 0; cut < n; cut++) {
		arp_frame(x->frame, &request);
		fx_rx(&x->f, x->a, x->frame, cut);
	}
	assert_int_equal(fx_tx_count(x->a), 0);
	assert_null(entry(x->a, "10.1.0.2"));
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* Unasked-for news: updates what is there; makes an entry only with arp_accept. */
static void gratuitous(void **state)
{
	struct world *x = *state;
	struct arp garp = {.op = 1, .sip = "10.1.0.2", .tip = "10.1.0.2"};

	say(x, x->a, garp);
	assert_null(entry(x->a, "10.1.0.2"));
	conf(x->a, IPV4_DEVCONF_ARP_ACCEPT, 1);
	say(x, x->a, garp);
	assert_int_equal(entry(x->a, "10.1.0.2")->state, NUD_STALE);
	conf(x->a, IPV4_DEVCONF_ARP_ACCEPT, 0);
	/* A new owner, within locktime: a gratuitous one counts, others do not. */
	garp.sha = peer2;
	say(x, x->a, garp);
	assert_memory_equal(entry(x->a, "10.1.0.2")->lladdr, peer2, 6);
	say(x, x->a,
	    (struct arp){.op = 2, .sip = "10.1.0.2", .tip = "10.1.0.1", .dst = x->a->addr});
	assert_memory_equal(entry(x->a, "10.1.0.2")->lladdr, peer2, 6);
	fx_advance(&x->f, 2 * NSEC_PER_SEC);
	say(x, x->a,
	    (struct arp){.op = 2, .sip = "10.1.0.2", .tip = "10.1.0.1", .dst = x->a->addr});
	assert_memory_equal(entry(x->a, "10.1.0.2")->lladdr, peer, 6);
	assert_int_equal(entry(x->a, "10.1.0.2")->state, NUD_REACHABLE);
	conf(x->a, IPV4_DEVCONF_DROP_GRATUITOUS_ARP, 1);
	say(x, x->a, garp);
	assert_memory_equal(entry(x->a, "10.1.0.2")->lladdr, peer, 6);
	/* arp_accept 2: only from our subnet. */
	conf(x->a, IPV4_DEVCONF_ARP_ACCEPT, 2);
	conf(x->a, IPV4_DEVCONF_DROP_GRATUITOUS_ARP, 0);
	say(x, x->a, (struct arp){.op = 1, .sip = "172.16.0.9", .tip = "172.16.0.9"});
	assert_null(entry(x->a, "172.16.0.9"));
	say(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.77", .tip = "10.1.0.77"});
	assert_non_null(entry(x->a, "10.1.0.77"));
	/* Our own announcement. */
	arp_announce(x->a, fx_ip("10.1.0.1"));
	expect(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.1", .tip = "10.1.0.1"});
}

/* An answer resolves, and what waited goes out to the address it names. */
static void resolves(void **state)
{
	struct world *x = *state;
	uint8_t payload[26] = {0};
	struct fx_ip4 h = {.to = x->b, .saddr = "10.2.0.9", .daddr = "10.1.0.2", .proto = 17};
	size_t n;

	fx_forwarding(x->b, true);
	n = fx_frame(x->frame, &h, payload, sizeof(payload));
	fx_rx(&x->f, x->b, x->frame, n);
	/* Whose packet it is does not matter to arp_announce 0: it is not ours. */
	expect(x, x->a, (struct arp){.op = 1, .sip = "10.1.0.1", .tip = "10.1.0.2"});
	assert_int_equal(entry(x->a, "10.1.0.2")->state, NUD_INCOMPLETE);
	say(x, x->a,
	    (struct arp){.op = 2,
			 .sip = "10.1.0.2",
			 .tip = "10.1.0.1",
			 .dst = x->a->addr,
			 .tha = x->a->addr});
	assert_int_equal(entry(x->a, "10.1.0.2")->state, NUD_REACHABLE);
	assert_int_equal(fx_tx(&x->f, x->a, x->out, sizeof(x->out)), n);
	assert_memory_equal(x->out, peer, 6);
	assert_int_equal(fx_tx_count(x->a), 0);
}

/* The source of a request when our own packet waits, from an address of another device. */
static void arp_announce_modes(void **state)
{
	struct world *x = *state;

	for (int mode = 0; mode <= 2; mode++) {
		struct ip4_tx tx = {.net = x->net, .saddr = fx_ip("10.2.0.1"), .proto = 200};
		char target[20];
		struct pkt *p = pkt_new(x->f.w);

		conf(x->a, IPV4_DEVCONF_ARP_ANNOUNCE, mode);
		snprintf(target, sizeof(target), "10.1.0.%d", 50 + mode);
		tx.daddr = fx_ip(target);
		assert_int_equal(pkt_append(&x->f.w->cache, p, "hello", 5), 0);
		assert_int_equal(ip4_send(x->f.w, &tx, p), 0);
		expect(x, x->a,
		       (struct arp){.op = 1, .sip = mode ? "10.1.0.1" : "10.2.0.1", .tip = target});
	}
}

static void proxy_arp(void **state)
{
	struct world *x = *state;
	struct arp ask = {.op = 1, .sip = "10.1.0.2", .tip = "10.2.0.9"};
	const struct arp answer = {
		.op = 2, .dst = peer, .tha = peer, .sip = "10.2.0.9", .tip = "10.1.0.2"};

	conf(x->a, IPV4_DEVCONF_PROXY_ARP, 1);
	say(x, x->a, ask);
	assert_int_equal(fx_tx_count(x->a), 0); /* not a router */
	fx_forwarding(x->a, true);
	say(x, x->a, ask);
	/* The owner comes first: up to 0.8 s. */
	fx_advance(&x->f, NSEC_PER_SEC);
	expect(x, x->a, answer);
	ask.dst = x->a->addr; /* asked of us alone: at once */
	say(x, x->a, ask);
	expect(x, x->a, answer);
	x->a->in_dev->arp_parms->proxy_delay = 0;
	ask.dst = NULL;
	say(x, x->a, ask);
	expect(x, x->a, answer);
	ask.tip = "10.1.0.9"; /* their own link */
	say(x, x->a, ask);
	assert_int_equal(fx_tx_count(x->a), 0);
	conf(x->a, IPV4_DEVCONF_PROXY_ARP_PVLAN, 1);
	say(x, x->a, ask);
	assert_int_equal(fx_tx_count(x->a), 1);
	fx_tx_flush(&x->f, x->a);
	/* One address, by the table of proxies. */
	conf(x->a, IPV4_DEVCONF_PROXY_ARP, 0);
	conf(x->a, IPV4_DEVCONF_PROXY_ARP_PVLAN, 0);
	uint32_t key = fx_ip("10.2.0.9");

	neigh_proxy_add(&x->f.weft.ip4->arp, x->net, x->a, &key, NTF_PROXY, 0, true);
	ask.tip = "10.2.0.9";
	say(x, x->a, ask);
	expect(x, x->a, answer);
	ask.tip = "10.2.0.8";
	say(x, x->a, ask);
	assert_int_equal(fx_tx_count(x->a), 0);
	/* What waits goes with the device. */
	x->a->in_dev->arp_parms->proxy_delay = 5 * NSEC_PER_SEC;
	ask.tip = "10.2.0.9";
	for (int i = 0; i < 100; i++)
		say(x, x->a, ask);
	assert_true(pool_in_use(x->f.weft.pool) > x->f.baseline);
	assert_true(pool_in_use(x->f.weft.pool) <= x->f.baseline + 65);
	assert_int_equal(netdev_set_flags(x->a, 0, IFF_UP, NULL), 0);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* Devices without resolution, groups, broadcasts: NOARP entries as the kernel makes them. */
static void construct(void **state)
{
	struct world *x = *state;
	struct neigh_table *t = &x->f.weft.ip4->arp;
	static const uint8_t group[6] = {1, 0, 0x5e, 0x7f, 2, 3};
	uint32_t key = fx_ip("239.255.2.3");
	int err = 0;
	struct neigh *n = neigh_get(t, x->a, &key, &err);

	assert_int_equal(n->state, NUD_NOARP);
	assert_int_equal(n->type, RTN_MULTICAST);
	assert_memory_equal(n->lladdr, group, 6);
	key = fx_ip("10.1.0.255");
	n = neigh_get(t, x->a, &key, &err);
	assert_int_equal(n->state, NUD_NOARP);
	assert_memory_equal(n->lladdr, bcast, 6);
	key = fx_ip("127.0.0.9");
	n = neigh_get(t, x->net->loopback, &key, &err);
	assert_int_equal(n->state, NUD_NOARP);
	assert_memory_equal(n->key, zero, 4); /* all of lo's neighbours are one */
	key = fx_ip("127.0.0.10");
	assert_ptr_equal(neigh_get(t, x->net->loopback, &key, &err), n);
	x->b->flags |= IFF_NOARP;
	key = fx_ip("10.2.0.7");
	n = neigh_get(t, x->b, &key, &err);
	assert_int_equal(n->state, NUD_NOARP);
	assert_memory_equal(n->lladdr, x->b->addr, 6);
	/* And such a device does not speak ARP. */
	say(x, x->b, (struct arp){.op = 1, .sip = "10.2.0.2", .tip = "10.2.0.1"});
	assert_int_equal(fx_tx_count(x->b), 0);
}

/* Down, another address, carrier: what becomes of the entries. */
static void device_events(void **state)
{
	static const uint8_t mac[6] = {2, 1, 1, 1, 1, 1};
	struct world *x = *state;

	say(x, x->a, request);
	fx_neigh(x->a, "10.1.0.3", 3);
	assert_non_null(entry(x->a, "10.1.0.2"));
	netdev_set_carrier(x->a, false);
	assert_null(entry(x->a, "10.1.0.2"));
	assert_non_null(entry(x->a, "10.1.0.3"));
	netdev_set_carrier(x->a, true);
	assert_int_equal(netdev_set_address(x->a, mac, 6, NULL), 0);
	assert_null(entry(x->a, "10.1.0.3"));
	say(x, x->a, request);
	assert_int_equal(netdev_set_flags(x->a, 0, IFF_UP, NULL), 0);
	assert_null(entry(x->a, "10.1.0.2"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers),    T(arp_ignore), T(malformed),
		T(gratuitous), T(resolves),   T(arp_announce_modes),
		T(proxy_arp),  T(construct),  T(device_events),
	};
	int err;

	rcu_register_thread();
	err = cmocka_run_group_tests_name("arp", tests, NULL, NULL);
	rcu_unregister_thread();
	return err;
}
