/* Tests of the packet path: headers, forwarding, errors and their quoting, echo, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ip/path_fixture.h"

/* Two links and a router between them; beyond 10.2.0.2 lies 10.3/16. */
struct world {
	struct fx f;
	struct net *net;
	struct netdev *a, *b;
	uint8_t frame[65600], out[65600];
};

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));

	fx_init(&x->f, 4096);
	x->net = fx_net(&x->f);
	x->a = fx_dev(x->net, "w1", "10.1.0.1", 24);
	x->b = fx_dev(x->net, "w2", "10.2.0.1", 24);
	fx_forwarding(x->a, true);
	fx_forwarding(x->b, true);
	assert_int_equal(fx_route(x->net, RTN_UNICAST, "10.3.0.0", 16, "10.2.0.2", x->b, 0), 0);
	fx_neigh(x->a, "10.1.0.2", 0x11);
	fx_neigh(x->b, "10.2.0.2", 0x22);
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

static uint64_t mib(struct world *x, enum ip4_mib m)
{
	return x->net->ip4->mib[0].v[m];
}

static const struct fx_ip4 *from_a(struct world *x, const char *daddr, uint8_t proto)
{
	static struct fx_ip4 h;

	h = (struct fx_ip4){.to = x->a, .saddr = "10.1.0.2", .daddr = daddr, .proto = proto};
	return &h;
}

static size_t send_a(struct world *x, const struct fx_ip4 *h, const void *payload, size_t len)
{
	size_t n = fx_frame(x->frame, h, payload, len);

	fx_rx(&x->f, x->a, x->frame, n);
	return n;
}

static uint8_t pattern[65536];

/* ---- forwarding ---- */

static void forwards(void **state)
{
	struct world *x = *state;
	size_t n = send_a(x, from_a(x, "10.3.1.1", 17), pattern, 40);
	const uint8_t want_mac[12] = {2,  0xee, 0, 0, 0, 0x22, 2, 0, 0, 0, (uint8_t)x->net->ino,
				      '2'};

	assert_int_equal(fx_tx(&x->f, x->b, x->out, sizeof(x->out)), n);
	assert_memory_equal(x->out, want_mac, 12);
	assert_int_equal(x->out[22], 63);
	assert_int_equal(csum_ip4(x->out + 14, 5), 0);
	assert_memory_equal(x->out + 14, x->frame + 14, 8);
	assert_memory_equal(x->out + 26, x->frame + 26, n - 26);
	assert_int_equal(mib(x, MIB_Ip_ForwDatagrams), 1);
	assert_int_equal(mib(x, MIB_Ip_InReceives), 1);
	assert_int_equal(fx_tx_count(x->a), 0);
}

/* The TTL's incremental checksum equals the full one for every header. */
static void ttl_checksum(void **state)
{
	struct world *x = *state;
	struct rng r;

	rng_seed(&r, 7);
	for (int i = 0; i < 3000; i++) {
		struct fx_ip4 h = *from_a(x, "10.3.1.1", (uint8_t)rng_u32(&r));

		h.ttl = (uint8_t)(2 + rng_below(&r, 254));
		h.id = (uint16_t)rng_u32(&r);
		h.tos = (uint8_t)(rng_u32(&r) & 0xfc);
		send_a(x, &h, pattern, rng_below(&r, 100));
		assert_true(fx_tx(&x->f, x->b, x->out, sizeof(x->out)) >= 34);
		assert_int_equal(csum_ip4(x->out + 14, 5), 0);
		assert_int_equal(x->out[22], h.ttl - 1);
	}
}

static void trims_padding(void **state)
{
	struct world *x = *state;
	size_t n = fx_frame(x->frame, from_a(x, "10.3.1.1", 17), pattern, 8);

	memset(x->frame + n, 0xaa, 18);
	fx_rx(&x->f, x->a, x->frame, n + 18);
	assert_int_equal(fx_tx(&x->f, x->b, x->out, sizeof(x->out)), n);
}

/* A batch for two devices leaves in order on each. */
static void forward_batch_two_devices(void **state)
{
	struct world *x = *state;
	struct netdev *c = fx_dev(x->net, "w3", "10.4.0.1", 24);
	struct batch b;
	uint8_t id[2] = {0, 1};

	fx_neigh(c, "10.4.0.2", 0x44);
	batch_init(&b);
	for (int i = 0; i < 200; i++) {
		struct fx_ip4 h = *from_a(x, i % 3 ? "10.3.0.9" : "10.4.0.2", 17);
		struct pkt *p = pkt_new(x->f.w);

		h.id = (uint16_t)i;
		size_t n = fx_frame(x->frame, &h, pattern, 20);

		pkt_append(&x->f.w->cache, p, x->frame, n);
		batch_add(&b, p);
	}
	netdev_rx(x->f.w, x->a, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(fx_tx_count(c), 67);
	assert_int_equal(fx_tx_count(x->b), 133);
	for (int i = 0; i < 200; i++) {
		assert_true(fx_tx(&x->f, i % 3 ? x->b : c, x->out, 100));
		id[0] = (uint8_t)(i >> 8);
		id[1] = (uint8_t)i;
		assert_memory_equal(x->out + 18, id, 2);
	}
}

/* ---- header checks ---- */

struct bad {
	const char *what;
	unsigned at, cut; /* byte of the IP header changed; bytes cut off the end */
	uint8_t val;
	bool resum;
	enum drop why;
	enum ip4_mib mib;
};

static void header_table(void **state)
{
	static const struct bad table[] = {
		{"version 5", 0, 0, 0x55, true, DROP_IP_INHDR, MIB_Ip_InHdrErrors},
		{"version 6", 0, 0, 0x65, true, DROP_IP_INHDR, MIB_Ip_InHdrErrors},
		{"ihl 4", 0, 0, 0x44, true, DROP_IP_INHDR, MIB_Ip_InHdrErrors},
		{"ihl 15, short", 0, 0, 0x4f, true, DROP_IP_INHDR, MIB_Ip_InHdrErrors},
		{"checksum", 10, 0, 0x00, false, DROP_IP_CSUM, MIB_IpExt_InCsumErrors},
		{"longer than frame", 2, 0, 0x7f, true, DROP_PKT_TOO_SMALL,
		 MIB_IpExt_InTruncatedPkts},
		{"cut", 0, 4, 0x45, true, DROP_PKT_TOO_SMALL, MIB_IpExt_InTruncatedPkts},
		{"shorter than header", 3, 0, 19, true, DROP_IP_INHDR, MIB_Ip_InHdrErrors},
		{"source 0/8", 12, 0, 0, true, DROP_IP_INVALID_SOURCE, N_MIBS},
		{"source 224", 12, 0, 224, true, DROP_IP_INVALID_SOURCE, N_MIBS},
		{"source 127", 12, 0, 127, true, DROP_IP_LOCALNET, N_MIBS},
		{"destination 0/8", 16, 0, 0, true, DROP_IP_INVALID_DEST, N_MIBS},
		{"destination 127", 16, 0, 127, true, DROP_IP_INVALID_DEST, N_MIBS},
		{"group not joined", 16, 0, 239, true, DROP_IP_INVALID_DEST, N_MIBS},
	};
	struct world *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const struct bad *t = &table[i];
		size_t n = fx_frame(x->frame, from_a(x, "10.3.1.1", 17), pattern, 16);
		uint64_t drops = x->f.w->drops[t->why];
		uint64_t count = t->mib < N_MIBS ? mib(x, t->mib) : 0;
		uint8_t *ip = x->frame + 14;

		ip[t->at] = t->val;
		if (t->resum) {
			unsigned ihl = ip[0] & 15;

			memset(ip + 10, 0, 2);
			uint16_t sum = csum_ip4(ip, MIN(ihl, 9u));

			memcpy(ip + 10, &sum, 2);
		}
		fx_rx(&x->f, x->a, x->frame, n - t->cut);
		if (x->f.w->drops[t->why] != drops + 1 ||
		    (t->mib < N_MIBS && mib(x, t->mib) != count + 1))
			fail_msg("%s: not dropped as expected", t->what);
		assert_int_equal(fx_tx_count(x->b), 0);
	}
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* Every length of frame, cut anywhere: nothing is forwarded or leaked. */
static void truncated(void **state)
{
	struct world *x = *state;
	size_t n = fx_frame(x->frame, from_a(x, "10.3.1.1", 17), pattern, 30);

	for (size_t cut = 0; cut < n; cut++)
		fx_rx(&x->f, x->a, x->frame, cut);
	assert_int_equal(fx_tx_count(x->b), 0);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

static void source_checks(void **state)
{
	struct world *x = *state;
	struct fx_ip4 h = *from_a(x, "10.3.1.1", 17);
	uint64_t drops = x->f.w->drops[DROP_IP_INVALID_SOURCE];

	h.saddr = "10.2.0.1"; /* our own */
	send_a(x, &h, pattern, 8);
	assert_int_equal(x->f.w->drops[DROP_IP_INVALID_SOURCE], drops + 1);
	x->a->in_dev->conf.v[IPV4_DEVCONF_ACCEPT_LOCAL - 1] = 1;
	send_a(x, &h, pattern, 8);
	assert_int_equal(fx_tx_count(x->b), 1);
	x->a->in_dev->conf.v[IPV4_DEVCONF_ACCEPT_LOCAL - 1] = 0;
	fx_tx_flush(&x->f, x->b);

	h.saddr = "10.3.7.7"; /* lies behind b */
	send_a(x, &h, pattern, 8);
	assert_int_equal(fx_tx_count(x->b), 1);
	fx_tx_flush(&x->f, x->b);
	x->a->in_dev->conf.v[IPV4_DEVCONF_RP_FILTER - 1] = 1;
	send_a(x, &h, pattern, 8);
	assert_int_equal(x->f.w->drops[DROP_IP_RPFILTER], 1);
	x->a->in_dev->conf.v[IPV4_DEVCONF_RP_FILTER - 1] = 2;
	send_a(x, &h, pattern, 8);
	assert_int_equal(fx_tx_count(x->b), 1);
	fx_tx_flush(&x->f, x->b);
	h.saddr = "172.16.0.1"; /* nowhere */
	send_a(x, &h, pattern, 8);
	assert_int_equal(x->f.w->drops[DROP_IP_RPFILTER], 2);
}

/* ---- errors ---- */

/* The answer to the frame in x->frame is this ICMP error, quoting it byte for byte. */
static void expect_error(struct world *x, size_t sent, uint8_t type, uint8_t code, uint32_t info,
			 const char *from)
{
	size_t n = fx_tx(&x->f, x->a, x->out, sizeof(x->out));
	size_t quoted = MIN(sent - 14, (size_t)576 - 28);
	const struct ip4_hdr *ip = (const struct ip4_hdr *)(x->out + 14);
	uint32_t saddr = fx_ip(from), daddr = fx_ip("10.1.0.2");

	assert_int_equal(n, 14 + 28 + quoted);
	assert_int_equal(csum_ip4(ip, 5), 0);
	assert_int_equal(get_be16(&ip->tot_len), 28 + quoted);
	assert_int_equal(ip->tos, 0xc0);
	assert_int_equal(ip->ttl, 64);
	assert_int_equal(ip->frag_off, 0);
	assert_memory_equal(&ip->saddr, &saddr, 4);
	assert_memory_equal(&ip->daddr, &daddr, 4);
	assert_int_equal(x->out[34], type);
	assert_int_equal(x->out[35], code);
	assert_int_equal(get_be32(x->out + 38), info);
	assert_int_equal(csum_fold(csum_partial(x->out + 34, n - 34, 0)), 0);
	assert_memory_equal(x->out + 42, x->frame + 14, quoted);
	assert_int_equal(fx_tx_count(x->a), 0);
}

static void errors_quote(void **state)
{
	struct world *x = *state;
	struct fx_ip4 h;
	size_t n;

	assert_int_equal(fx_route(x->net, RTN_BLACKHOLE, "10.5.0.0", 16, NULL, NULL, 0), 0);
	assert_int_equal(fx_route(x->net, RTN_UNREACHABLE, "10.6.0.0", 16, NULL, NULL, 0), 0);
	assert_int_equal(fx_route(x->net, RTN_PROHIBIT, "10.7.0.0", 16, NULL, NULL, 0), 0);

	h = *from_a(x, "10.3.1.1", 17);
	h.ttl = 1;
	n = send_a(x, &h, pattern, 1400);
	expect_error(x, n, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0, "10.1.0.1");
	n = send_a(x, from_a(x, "10.6.1.1", 17), pattern, 100);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, "10.1.0.1");
	n = send_a(x, from_a(x, "10.7.1.1", 17), pattern, 0);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0, "10.1.0.1");
	fx_advance(&x->f, 10 * NSEC_PER_SEC);
	n = send_a(x, from_a(x, "99.1.1.1", 17), pattern, 547);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, 0, "10.1.0.1");
	n = send_a(x, from_a(x, "10.2.0.1", 201), pattern, 60);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0, "10.2.0.1");
	send_a(x, from_a(x, "10.5.1.1", 17), pattern, 60);
	assert_int_equal(fx_tx_count(x->a), 0);
	assert_int_equal(x->f.w->drops[DROP_IP_BLACKHOLE], 1);
	assert_int_equal(mib(x, MIB_Icmp_OutDestUnreachs), 4);
	assert_int_equal(mib(x, MIB_Icmp_OutTimeExcds), 1);
	assert_int_equal(mib(x, MIB_IpExt_InNoRoutes), 1);
}

/* RFC 1122 3.2.2: about what no error is sent. */
static void errors_withheld(void **state)
{
	struct world *x = *state;
	struct fx_ip4 h = *from_a(x, "99.1.1.1", 1);
	uint8_t icmp[16] = {ICMP_DEST_UNREACH};

	send_a(x, &h, icmp, 16); /* about an error */
	icmp[0] = 77;
	send_a(x, &h, icmp, 16); /* about what may be one */
	send_a(x, &h, icmp, 0);	 /* about what does not say */
	h.proto = 17;
	h.frag = 10;
	send_a(x, &h, pattern, 16); /* not the first fragment */
	assert_int_equal(fx_tx_count(x->a), 0);
	h.frag = 0;
	size_t n = fx_frame(x->frame, &h, pattern, 10);

	memset(x->frame, 0xff, 6); /* a link broadcast */
	fx_rx(&x->f, x->a, x->frame, n);
	assert_int_equal(fx_tx_count(x->a), 0);
	fx_advance(&x->f, 10 * NSEC_PER_SEC); /* each of these drew on the sender's bucket */
	h.proto = 1;
	icmp[0] = ICMP_ECHO;
	n = send_a(x, &h, icmp, 16);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, 0, "10.1.0.1");
}

/* A host does not forward and says nothing. */
static void host_is_silent(void **state)
{
	struct world *x = *state;

	fx_forwarding(x->a, false);
	send_a(x, from_a(x, "10.3.1.1", 17), pattern, 10);
	send_a(x, from_a(x, "99.1.1.1", 17), pattern, 10);
	assert_int_equal(fx_tx_count(x->a) + fx_tx_count(x->b), 0);
	assert_int_equal(mib(x, MIB_Ip_InAddrErrors), 2);
	assert_int_equal(x->f.w->drops[DROP_IP_FORWARDING], 1);
}

static void rate_limits(void **state)
{
	struct world *x = *state;
	uint64_t refused;
	unsigned sent;

	x->net->ip4->icmp_msgs_burst = 1000;

	struct fx_ip4 old = *from_a(x, "10.3.1.1", 17);

	old.ttl = 1;
	for (int i = 0; i < 50; i++)
		send_a(x, &old, pattern, 10);
	assert_int_equal(fx_tx_count(x->a), 6); /* a destination saves six */
	assert_int_equal(mib(x, MIB_Icmp_OutRateLimitHost), 44);
	fx_advance(&x->f, 3 * NSEC_PER_SEC + NSEC_PER_SEC / 2);
	for (int i = 0; i < 50; i++)
		send_a(x, &old, pattern, 10);
	assert_int_equal(fx_tx_count(x->a), 9);
	fx_tx_flush(&x->f, x->a);
	/* For want of a route twice is paid: four, as Linux, when one asks every second. */
	fx_advance(&x->f, 60 * NSEC_PER_SEC);
	for (int i = 0; i < 20; i++) {
		send_a(x, from_a(x, "99.1.1.1", 17), pattern, 10);
		fx_advance(&x->f, NSEC_PER_SEC);
	}
	assert_int_equal(fx_tx_count(x->a), 4);
	fx_tx_flush(&x->f, x->a);

	/* The namespace's bucket, with the host's out of the way. */
	x->net->ip4->icmp_ratelimit = 0;
	x->net->ip4->icmp_msgs_burst = 50;
	x->net->ip4->icmp_credit = 50;
	refused = mib(x, MIB_Icmp_OutRateLimitGlobal);
	for (int i = 0; i < 500; i++)
		send_a(x, &old, pattern, 10);
	sent = fx_tx_count(x->a);
	assert_in_range(sent, 30, 90); /* each costs 0 to 2 */
	assert_int_equal(mib(x, MIB_Icmp_OutRateLimitGlobal), refused + 500 - sent);
	fx_tx_flush(&x->f, x->a);
	/* Path MTU discovery is not limited. */
	x->b->mtu = 600;
	struct fx_ip4 h = *from_a(x, "10.3.1.1", 17);

	h.frag = IP4_DF;
	for (int i = 0; i < 100; i++)
		send_a(x, &h, pattern, 900);
	assert_int_equal(fx_tx_count(x->a), 100);
}

static void mtu(void **state)
{
	struct world *x = *state;
	struct fx_ip4 h = *from_a(x, "10.3.1.1", 17);
	size_t n, at = 0;

	x->b->mtu = 700;
	h.frag = IP4_DF;
	n = send_a(x, &h, pattern, 1000);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 700, "10.1.0.1");
	assert_int_equal(mib(x, MIB_Ip_FragFails), 1);
	h.frag = 0;
	h.id = 0x1234;
	send_a(x, &h, pattern, 1400);
	assert_int_equal(fx_tx_count(x->b), 3);
	for (int i = 0; i < 3; i++) {
		n = fx_tx(&x->f, x->b, x->out, sizeof(x->out));
		uint16_t off = get_be16(x->out + 20);

		assert_int_equal(csum_ip4(x->out + 14, 5), 0);
		assert_int_equal(get_be16(x->out + 18), 0x1234);
		assert_int_equal(get_be16(x->out + 16), n - 14);
		assert_true(n - 14 <= 700);
		assert_int_equal((off & IP4_OFFSET) * 8, at);
		assert_int_equal(!!(off & IP4_MF), i < 2);
		assert_memory_equal(x->out + 34, pattern + at, n - 34);
		at += n - 34;
	}
	assert_int_equal(at, 1400);
	assert_int_equal(mib(x, MIB_Ip_FragCreates), 3);
	/* A route's own MTU. */
	assert_int_equal(fx_route(x->net, RTN_UNICAST, "10.8.0.0", 16, "10.2.0.2", x->b, 576), 0);
	send_a(x, from_a(x, "10.8.0.1", 17), pattern, 600);
	assert_int_equal(fx_tx_count(x->b), 2);
}

static void redirects(void **state)
{
	struct world *x = *state;
	struct fx_ip4 h = *from_a(x, "10.9.0.1", 17);
	size_t n;

	assert_int_equal(fx_route(x->net, RTN_UNICAST, "10.9.0.0", 16, "10.1.0.9", x->a, 0), 0);
	fx_neigh(x->a, "10.1.0.9", 0x99);
	n = send_a(x, &h, pattern, 20);
	assert_int_equal(fx_tx_count(x->a), 2);
	x->frame[22]--; /* the TTL is already less where the redirect is made */
	memset(x->frame + 24, 0, 2);
	uint16_t sum = csum_ip4(x->frame + 14, 5);

	memcpy(x->frame + 24, &sum, 2);
	struct pkt *p = pktq_pop(&fx_wire(x->a)->sent);

	pktq_push(&fx_wire(x->a)->sent, p);
	p = pktq_pop(&fx_wire(x->a)->sent);
	assert_memory_equal(pkt_data(p) + 14, x->frame + 14, n - 14);
	pkt_free(&x->f.w->cache, p);
	expect_error(x, n, ICMP_REDIRECT, ICMP_REDIR_HOST, ntohl(fx_ip("10.1.0.9")), "10.1.0.1");
	/* Nine, ever more rarely, then none. */
	for (int i = 0; i < 2000; i++) {
		send_a(x, &h, pattern, 20);
		fx_advance(&x->f, 10 * NSEC_PER_MSEC);
	}
	assert_int_equal(mib(x, MIB_Icmp_OutRedirects), 9);
}

/* ---- echo ---- */

static void echoes(void **state)
{
	struct world *x = *state;
	uint8_t m[3000];

	for (size_t len = 8; len <= 1480; len += 123) {
		memcpy(m, pattern, len);
		memset(m, 0, 4);
		m[0] = ICMP_ECHO;
		uint16_t sum = csum_fold(csum_partial(m, len, 0));

		memcpy(m + 2, &sum, 2);
		struct fx_ip4 h = *from_a(x, "10.2.0.1", 1);

		h.tos = 0x28;
		size_t n = send_a(x, &h, m, len);

		assert_int_equal(fx_tx(&x->f, x->a, x->out, sizeof(x->out)), n);
		assert_memory_equal(x->out + 26, x->frame + 30, 4);
		assert_memory_equal(x->out + 30, x->frame + 26, 4);
		assert_int_equal(x->out[15], 0x28);
		assert_int_equal(csum_ip4(x->out + 14, 5), 0);
		assert_int_equal(x->out[34], ICMP_ECHOREPLY);
		assert_int_equal(csum_fold(csum_partial(x->out + 34, len, 0)), 0);
		assert_memory_equal(x->out + 38, m + 4, len - 4);
	}
	m[2] ^= 1;
	send_a(x, from_a(x, "10.2.0.1", 1), m, 1000);
	assert_int_equal(mib(x, MIB_Icmp_InCsumErrors), 1);
	assert_int_equal(fx_tx_count(x->a), 0);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* Record route: a router writes the address of the way out; an answer has both ways. */
static void record_route(void **state)
{
	struct world *x = *state;
	uint8_t opt[20] = {IPOPT_RR, 19, 4};
	struct fx_ip4 h = *from_a(x, "10.3.1.1", 17);
	uint32_t out = fx_ip("10.2.0.1");

	h.opts = opt;
	h.opt_len = sizeof(opt);
	send_a(x, &h, pattern, 20);
	assert_int_equal(fx_tx_count(x->b), 1);
	fx_tx(&x->f, x->b, x->out, sizeof(x->out));
	assert_int_equal(csum_ip4(x->out + 14, 10), 0);
	assert_int_equal(x->out[36], 8);
	assert_memory_equal(x->out + 37, &out, 4);
	/* Full: passes as it is. */
	opt[2] = 20;
	send_a(x, &h, pattern, 20);
	fx_tx(&x->f, x->b, x->out, sizeof(x->out));
	assert_memory_equal(x->out + 34, opt, 20);
	/* A pointer that is none. */
	opt[2] = 3;
	size_t n = send_a(x, &h, pattern, 20);

	assert_int_equal(fx_tx_count(x->b), 0);
	fx_tx(&x->f, x->a, x->out, sizeof(x->out));
	(void)n;
	assert_int_equal(x->out[14] & 15, 5 + 0);
	assert_int_equal(x->out[34], ICMP_PARAMETERPROB);
	assert_int_equal(x->out[38], 22);
	assert_int_equal(mib(x, MIB_Ip_InHdrErrors), 1);
}

/* ---- unresolved next hops ---- */

static void unreachable_neighbour(void **state)
{
	struct world *x = *state;
	size_t n = send_a(x, from_a(x, "10.2.0.77", 17), pattern, 30);

	/* Three requests a second apart, then the sender hears. */
	fx_advance(&x->f, 2500 * NSEC_PER_MSEC);
	assert_int_equal(fx_tx_count(x->b), 3);
	assert_int_equal(fx_tx_count(x->a), 0);
	fx_advance(&x->f, 1000 * NSEC_PER_MSEC);
	x->frame[22]--;
	memset(x->frame + 24, 0, 2);
	uint16_t sum = csum_ip4(x->frame + 14, 5);

	memcpy(x->frame + 24, &sum, 2);
	expect_error(x, n, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, "10.1.0.1");
	fx_tx_flush(&x->f, x->b);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(forwards),	    T(ttl_checksum),
		T(trims_padding),   T(forward_batch_two_devices),
		T(header_table),    T(truncated),
		T(source_checks),   T(errors_quote),
		T(errors_withheld), T(host_is_silent),
		T(rate_limits),	    T(mtu),
		T(redirects),	    T(echoes),
		T(record_route),    T(unreachable_neighbour),
	};
	int err;

	rcu_register_thread();
	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
	err = cmocka_run_group_tests_name("ip4_path", tests, NULL, NULL);
	rcu_unregister_thread();
	return err;
}
