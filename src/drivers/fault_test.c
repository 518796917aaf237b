/*
 * Tests of the fault device: every fate alone with exact accounts of what arrives, all together at
 * their rates, the same again with the same seed, time, and life on top of another device.
 *
 *	near (namespace a) ---- veth ---- far (namespace b), f0 on top of far
 */
#include "drivers/bed.h"

#include <linux/in.h>

#include "abi/kinds.h"
#include "base/csum.h"

#define PROTO	  0x88b5 /* IEEE 802 local experiments */
#define FRAME	  64
#define MANY	  20000
#define N_STATS	  9
#define PPM(frac) ((uint32_t)((frac)*WEFT_FAULT_RATE_MAX))

enum { FRAMES, PASSED, LOST, DUPLICATED, REORDERED, CORRUPTED, DELAYED, REFUSED, WAITING };
enum { IN, OUT };

/* as the parameter struct of the driver; rows of its table in GIVEN order */
struct args {
	uint32_t loss, dup, reorder, corrupt, delay, jitter, limit, direction;
	uint64_t seed;
};
#define GIVEN_ALL 0x1ff

/* What came out at an end. */
struct sink {
	unsigned n, overtaken, damaged, bits;
	uint32_t max_seq;
	uint64_t digest, at[64]; /* times of the first */
	uint16_t flags;		 /* of the last */
	uint8_t seen[MANY];
};

static struct sink *sinks[2];
static struct netdev *f0, *near, *far;

static void expected(uint8_t f[FRAME], uint32_t seq)
{
	memset(f, 0xff, 6);
	memset(f + 6, 0x02, 6);
	put_be16(f + 12, PROTO);
	for (unsigned i = 14; i < FRAME; i++)
		f[i] = (uint8_t)(i * 7);
	put_be32(f + 20, seq);
	put_be32(f + 40, seq);
	put_be32(f + 60, seq);
}

/* The number by majority: one bit may be wrong. */
static uint32_t seq_of(const uint8_t *f)
{
	uint32_t a = get_be32(f + 20), b = get_be32(f + 40), c = get_be32(f + 60);

	return (a & b) | (a & c) | (b & c);
}

static unsigned wrong_bits(const uint8_t *f, uint32_t seq)
{
	uint8_t good[FRAME];
	unsigned n = 0;

	expected(good, seq);
	for (unsigned i = 0; i < FRAME; i++)
		n += (unsigned)__builtin_popcount(f[i] ^ good[i]);
	return n;
}

static void collect(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct sink *s = sinks[dev == f0 ? IN : OUT];
	uint8_t f[FRAME];

	for (unsigned i = 0; i < b->n; i++) {
		pkt_push(b->p[i], ETH_HLEN);
		assert_int_equal(pkt_copy_out(b->p[i], 0, f, FRAME), FRAME);
		uint32_t seq = seq_of(f);
		unsigned bits = wrong_bits(f, seq);
		s->flags = b->p[i]->flags;
		if (s->n < ARRAY_SIZE(s->at))
			s->at[s->n] = w->now;
		s->n++;
		s->damaged += bits > 0;
		s->bits += bits;
		s->overtaken += seq < s->max_seq;
		s->max_seq = MAX(s->max_seq, seq);
		s->digest = (s->digest ^ seq) * 0x100000001b3 + bits;
		if (seq < MANY)
			s->seen[seq]++;
	}
	pkt_free_bulk(&w->cache, b);
}

static void fault_on(struct bed *b, const struct args *a)
{
	struct dev_new n = {.net = b->a, .name = "near", .peer_net = b->b, .peer_name = "far"};
	struct args all = *a;

	all.limit = all.limit ? all.limit : 10000;
	all.direction = all.direction ? all.direction : WEFT_FAULT_IN | WEFT_FAULT_OUT;
	assert_int_equal(dev_create(&b->core, &veth_kind, &n, &near, NULL), 0);
	far = near->ops->companion(near);
	n = (struct dev_new){
		.net = b->b, .link = far, .name = "f0", .params = &all, .given = {GIVEN_ALL}};
	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &f0, NULL), 0);
	up(near);
	up(far);
	assert_true(f0->flags & IFF_UP || netdev_set_flags(f0, IFF_UP, IFF_UP, NULL) == 0);
	assert_true(f0->carrier);
	f0->rx_handler = near->rx_handler = collect;
}

static void send_run(struct bed *b, struct netdev *dev, uint32_t from, uint32_t n)
{
	for (uint32_t seq = from; seq < from + n;) {
		struct batch batch;
		batch_init(&batch);
		for (; batch.n < 50 && seq < from + n; seq++) {
			struct pkt *p = pkt_new(&b->worker);
			uint8_t f[FRAME];
			expected(f, seq);
			assert_non_null(p);
			assert_int_equal(pkt_append(&b->worker.cache, p, f, FRAME), 0);
			p->l2 = p->off;
			batch_add(&batch, p);
		}
		netdev_xmit(&b->worker, dev, &batch);
		settle(b);
	}
}

/* Both ways, then everything that waits. */
static void exchange(struct bed *b, uint32_t n)
{
	send_run(b, near, 0, n);
	send_run(b, f0, 0, n);
	run_until(b, b->worker.now + NSEC_PER_SEC);
}

static void stats(uint64_t st[2][N_STATS])
{
	const char *const *names;

	assert_int_equal(f0->ops->ethtool_stats(f0, &names, &st[0][0]), 2 * N_STATS);
	assert_string_equal(names[0], "in_frames");
	assert_string_equal(names[2 * N_STATS - 1], "out_waiting");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(st[i][PASSED] + st[i][WAITING],
				 st[i][FRAMES] + st[i][DUPLICATED] - st[i][LOST] - st[i][REFUSED]);
}

static int fresh(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		sinks[i] = calloc(1, sizeof(*sinks[i]));
	return setup(state);
}

static int done(void **state)
{
	int err = teardown(state);

	for (unsigned i = 0; i < 2; i++)
		free(sinks[i]);
	return err;
}

static unsigned times(const struct sink *s, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += s->seen[i] == count;
	return n;
}

/* Within five standard deviations of n draws at the rate. */
static void assert_rate(uint64_t got, uint64_t n, double rate)
{
	double d = (double)got - (double)n * rate;

	assert_true(d * d <= 25 * (double)n * rate * (1 - rate));
}

static void test_none(void **state)
{
	struct bed *b = *state;
	struct args a = {.seed = 1};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	exchange(b, MANY);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sinks[i]->n, MANY);
		assert_int_equal(times(sinks[i], 1), MANY);
		assert_int_equal(sinks[i]->overtaken + sinks[i]->damaged, 0);
		assert_int_equal(st[i][PASSED], MANY);
	}
}

static void test_loss(void **state)
{
	struct bed *b = *state;
	struct args a = {.loss = PPM(0.1), .seed = 2};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	exchange(b, MANY);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_rate(st[i][LOST], MANY, 0.1);
		assert_int_equal(times(sinks[i], 0), st[i][LOST]);
		assert_int_equal(times(sinks[i], 1), MANY - st[i][LOST]);
		assert_int_equal(sinks[i]->overtaken, 0);
	}
	assert_int_equal(b->worker.drops[DROP_FAULT], st[IN][LOST] + st[OUT][LOST]);
	assert_int_not_equal(st[IN][LOST], st[OUT][LOST]); /* a sequence each */
}

static void test_dup(void **state)
{
	struct bed *b = *state;
	struct args a = {.dup = PPM(0.05), .seed = 3};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	exchange(b, MANY);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_rate(st[i][DUPLICATED], MANY, 0.05);
		assert_int_equal(times(sinks[i], 2), st[i][DUPLICATED]);
		assert_int_equal(times(sinks[i], 1), MANY - st[i][DUPLICATED]);
		assert_int_equal(sinks[i]->damaged + sinks[i]->overtaken, 0);
	}
}

static void test_reorder(void **state)
{
	struct bed *b = *state;
	struct args a = {.reorder = PPM(0.2), .seed = 4};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	exchange(b, MANY);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_rate(st[i][REORDERED], MANY, 0.2);
		assert_int_equal(times(sinks[i], 1), MANY);
		/* the very last may have waited for nobody */
		assert_true(sinks[i]->overtaken <= st[i][REORDERED] &&
			    sinks[i]->overtaken + 3 >= st[i][REORDERED]);
	}
	/* all are chosen: time lets them go, in order, and none is kept without bound */
	a.reorder = WEFT_FAULT_RATE_MAX;
	assert_int_equal(fault_kind.change(f0, &a, (uint64_t[2]){1 << 3}, NULL), 0);
	memset(sinks[IN], 0, sizeof(*sinks[IN]));
	send_run(b, near, 0, 10);
	assert_int_equal(sinks[IN]->n, 0);
	run_until(b, b->worker.now + 20 * NSEC_PER_MSEC);
	assert_int_equal(sinks[IN]->n, 10);
	send_run(b, near, 10, 100);
	assert_true(sinks[IN]->n > 10);
	run_until(b, b->worker.now + 20 * NSEC_PER_MSEC);
	assert_int_equal(sinks[IN]->n, 110);
	assert_int_equal(sinks[IN]->overtaken, 0);
}

static void test_corrupt(void **state)
{
	struct bed *b = *state;
	struct args a = {.corrupt = PPM(0.02), .dup = PPM(0.5), .seed = 5};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	exchange(b, MANY);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_rate(st[i][CORRUPTED], MANY, 0.02);
		assert_int_equal(sinks[i]->damaged, st[i][CORRUPTED]); /* never the duplicate */
		assert_int_equal(sinks[i]->bits, st[i][CORRUPTED]);
	}
}

static uint64_t run_all(void **state, uint64_t seed)
{
	struct args a = {.loss = PPM(0.03),
			 .dup = PPM(0.02),
			 .reorder = PPM(0.05),
			 .corrupt = PPM(0.01),
			 .delay = 3000,
			 .jitter = 2000,
			 .seed = seed};
	uint64_t st[2][N_STATS], digest;

	assert_int_equal(fresh(state), 0);
	struct bed *b = *state;
	fault_on(b, &a);
	for (unsigned at = 0; at < MANY; at += 500) {
		send_run(b, near, at, 500);
		send_run(b, f0, at, 500);
		run_until(b, b->worker.now + 2 * NSEC_PER_MSEC);
	}
	run_until(b, b->worker.now + NSEC_PER_SEC);
	stats(st);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(st[i][FRAMES], MANY);
		assert_int_equal(st[i][WAITING] + st[i][REFUSED], 0);
		assert_int_equal(sinks[i]->n, st[i][PASSED]);
		assert_int_equal(st[i][DELAYED], st[i][PASSED]);
		assert_int_equal(sinks[i]->damaged, st[i][CORRUPTED]);
		assert_rate(st[i][LOST], MANY, 0.03);
		assert_rate(st[i][DUPLICATED], MANY - st[i][LOST], 0.02);
		assert_rate(st[i][REORDERED], MANY - st[i][LOST], 0.05);
		assert_rate(st[i][CORRUPTED], MANY - st[i][LOST], 0.01);
	}
	digest = sinks[IN]->digest ^ (sinks[OUT]->digest << 1);
	assert_int_equal(done(state), 0);
	return digest;
}

static void test_seed(void **state)
{
	uint64_t once = run_all(state, 77);

	assert_true(once == run_all(state, 77));
	assert_true(once != run_all(state, 78));
}

static void test_delay(void **state)
{
	struct bed *b = *state;
	struct args a = {.delay = 10000, .jitter = 4000, .limit = 30, .seed = 6};
	uint64_t st[2][N_STATS], t0;
	const uint64_t slack = 2 << WHEEL_TICK_SHIFT;

	fault_on(b, &a);
	t0 = b->worker.now;
	send_run(b, near, 0, 40);
	assert_int_equal(sinks[IN]->n, 0);
	stats(st);
	assert_int_equal(st[IN][WAITING], 30);
	assert_int_equal(st[IN][REFUSED], 10);
	run_until(b, t0 + NSEC_PER_SEC);
	assert_int_equal(sinks[IN]->n, 30);
	assert_true(sinks[IN]->overtaken > 0);
	for (unsigned i = 0; i < 30; i++) {
		assert_true(sinks[IN]->at[i] >= t0 + 6 * NSEC_PER_MSEC);
		assert_true(sinks[IN]->at[i] <= t0 + 14 * NSEC_PER_MSEC + slack);
	}
	/* one way only, exact */
	a.direction = WEFT_FAULT_OUT;
	a.jitter = 0;
	assert_int_equal(fault_kind.change(f0, &a, (uint64_t[2]){1 << 6 | 1 << 7}, NULL), 0);
	t0 = b->worker.now;
	memset(sinks[IN], 0, sizeof(*sinks[IN]));
	send_run(b, near, 0, 5);
	send_run(b, f0, 0, 5);
	assert_int_equal(sinks[IN]->n, 5);
	assert_int_equal(sinks[OUT]->n, 0);
	run_until(b, t0 + 20 * NSEC_PER_MSEC);
	assert_int_equal(sinks[OUT]->n, 5);
	assert_int_equal(sinks[OUT]->overtaken, 0);
	/* what waits when the device goes down is gone */
	send_run(b, f0, 5, 5);
	netdev_set_flags(f0, 0, IFF_UP, NULL);
	stats(st);
	assert_int_equal(st[OUT][WAITING], 0);
	assert_int_equal(st[OUT][REFUSED], 5);
	run_until(b, b->worker.now + NSEC_PER_SEC);
	assert_int_equal(sinks[OUT]->n, 5);
}

/* An IPv4 TCP packet for segmentation whose checksum is still owed. */
static struct pkt *tcp_packet(struct bed *b, unsigned payload, uint16_t mss)
{
	uint8_t f[54 + 9000] = {0};
	struct pkt *p = pkt_new(&b->worker);
	uint32_t src, dst;

	memset(f, 0xff, 6);
	put_be16(f + 12, ETH_P_IP);
	f[14] = 0x45;
	put_be16(f + 16, (uint16_t)(40 + payload));
	f[22] = 64;
	f[23] = IPPROTO_TCP;
	put_be32(f + 26, 0x0a000001);
	put_be32(f + 30, 0x0a000002);
	f[46] = 0x50;
	memcpy(&src, f + 26, 4);
	memcpy(&dst, f + 30, 4);
	uint16_t sum =
		(uint16_t)~csum_fold(csum_pseudo4(src, dst, IPPROTO_TCP, (uint16_t)(20 + payload)));
	memcpy(f + 50, &sum, 2);
	assert_int_equal(pkt_append(&b->worker.cache, p, f, 54 + payload), 0);
	p->l2 = p->off;
	p->l3 = (uint16_t)(p->off + 14);
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = (uint16_t)(p->off + 34);
	p->csum_off = 16;
	p->protocol = __builtin_bswap16(ETH_P_IP);
	if (mss) {
		p->gso = PKT_GSO_TCP4;
		p->gso_size = mss;
	}
	return p;
}

static void send_one(struct bed *b, struct netdev *dev, struct pkt *p)
{
	struct batch batch;

	batch_one(&batch, p);
	netdev_xmit(&b->worker, dev, &batch);
	settle(b);
}

static void test_segments(void **state)
{
	struct bed *b = *state;
	struct args a = {.seed = 7};
	uint64_t st[2][N_STATS];

	fault_on(b, &a);
	send_one(b, near, tcp_packet(b, 9000, 1000)); /* arrives whole, over veth */
	send_one(b, f0, tcp_packet(b, 9000, 1000));
	stats(st);
	assert_int_equal(st[IN][FRAMES], 9);
	assert_int_equal(st[OUT][FRAMES], 9);
	assert_int_equal(sinks[IN]->n, 9);
	assert_int_equal(sinks[OUT]->n, 9);
	/* a checksum that is owed stays so, unless the frame is damaged */
	send_one(b, near, tcp_packet(b, 100, 0));
	assert_true(sinks[IN]->flags & PKT_CSUM_PARTIAL);
	a.corrupt = WEFT_FAULT_RATE_MAX;
	assert_int_equal(fault_kind.change(f0, &a, (uint64_t[2]){1 << 4}, NULL), 0);
	send_one(b, near, tcp_packet(b, 100, 0));
	stats(st);
	assert_int_equal(st[IN][CORRUPTED], 1);
	assert_false(sinks[IN]->flags & (PKT_CSUM_PARTIAL | PKT_CSUM_OK));
}

static void test_life(void **state)
{
	struct bed *b = *state;
	struct args a = {.seed = 9, .direction = 3, .limit = 1}, got;
	struct dev_new n = {.net = b->b, .params = &a, .given = {GIVEN_ALL}};
	struct extack ext = {0};
	struct netdev *d;

	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &d, &ext), -EINVAL);
	assert_string_equal(ext.msg, "link not specified");
	n.link = b->b->loopback;
	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &d, &ext), -EINVAL);
	assert_string_equal(ext.msg, "the device below is not an Ethernet device");
	fault_on(b, &a);
	n.link = far;
	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &d, &ext), -EBUSY);
	n.link = f0;
	f0->rx_handler = NULL;
	n.mtu = 1501;
	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &d, &ext), -ERANGE);
	n.mtu = 0;
	assert_int_equal(dev_create(&b->core, &fault_kind, &n, &d, &ext), 0);
	assert_string_equal(d->name, "fault0");
	fault_kind.get(f0, &got);
	assert_int_equal(got.seed, 9);
	assert_memory_equal(f0->addr, far->addr, 6);
	up(d);
	assert_int_equal(far->promiscuity, 1);
	netdev_set_flags(far, 0, IFF_UP, NULL);
	assert_false(netdev_running(d));
	assert_int_equal(far->promiscuity, 0);
	assert_int_equal(netdev_set_flags(f0, IFF_UP, IFF_UP, NULL), -ENETDOWN);
	up(far);
	assert_true(netdev_running(d) && d->carrier);
	assert_int_equal(netdev_set_mtu(far, 1400, NULL), 0);
	assert_int_equal(d->mtu, 1400);
	assert_int_equal(netdev_set_mtu(d, 1401, NULL), -ERANGE);
	netdev_unregister(near); /* takes all of it along */
	assert_null(net_dev_by_name(b->b, "f0"));
	assert_null(net_dev_by_name(b->b, "fault0"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(test_none),	 T(test_loss),	   T(test_dup),
		T(test_reorder), T(test_corrupt),  cmocka_unit_test(test_seed),
		T(test_delay),	 T(test_segments), T(test_life),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests_name("fault", tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
