/* tcp_table, tcp_port, tcp_listener: seeded duels with naive twins: flat arrays and the rules of
 * bind(2) and connect(2) applied to everybody in them. */
#include "tcp/tcp_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N_SOCKS 48
#define LOW	40000
#define N_PORTS 16
#define HOUR	(3600 * NSEC_PER_SEC)
#define ADDR(n) ((uint32_t)(n) << 24 | 10)
#define PORT(n) __builtin_bswap16((uint16_t)(n))

/* ---- what stands around the tables ---- */

static struct {
	struct weft weft;
	struct worker w;
	struct net net[2];
	struct ip4_net ip4;
	struct ip4_mibs mib;
	struct tcp_net tn[2];
	struct tcp_core core;
	struct rng rng;
} bed;

void sock_filter_free(struct cbpf *f)
{
	cbpf_free(f);
}

void tcp_tw_end(struct tcp_tw *tw)
{
	tcp_hash_del(&bed.core, &tw->node);
	tcp_port_tw_put(tw);
	rcu_free(tw);
}

static void bed_init(uint64_t seed)
{
	memset(&bed, 0, sizeof(bed));
	rng_seed(&bed.rng, seed);
	rng_seed(&bed.w.rng, seed + 1);
	bed.w.weft = &bed.weft;
	bed.w.now = HOUR;
	bed.weft.worker[0] = &bed.w;
	bed.weft.key = (struct hash_key){{seed, 2}};
	bed.weft.tcp = &bed.core;
	bed.core.weft = &bed.weft;
	bed.ip4.mib = &bed.mib;
	bed.ip4.local_port_range[0] = LOW;
	bed.ip4.local_port_range[1] = LOW + N_PORTS - 1;
	for (unsigned i = 0; i < 2; i++) {
		bed.net[i].weft = &bed.weft;
		bed.net[i].ino = i + 1;
		bed.net[i].ip4 = &bed.ip4;
		bed.net[i].tcp = &bed.tn[i];
		bed.tn[i].net = &bed.net[i];
		tcp_table_net_init(&bed.tn[i]);
	}
	assert_int_equal(tcp_table_init(&bed.core), 0);
}

static void bed_fini(void)
{
	for (unsigned i = 0; i < 2; i++)
		tcp_table_net_fini(&bed.tn[i]);
	tcp_table_fini(&bed.core);
	rcu_barrier();
}

static struct tcp_sock *sock_make(unsigned net, uint32_t addr)
{
	struct tcp_sock *tp = calloc(1, sizeof(*tp));

	assert_non_null(tp);
	tp->w = &bed.w;
	tp->in.sk.net = &bed.net[net];
	tp->in.sk.weft = &bed.weft;
	tp->in.rcv_saddr = tp->in.saddr = addr;
	tp->node.net = &bed.net[net];
	tp->node.state = TCP_CLOSE;
	return tp;
}

static void sock_end(struct tcp_sock *tp)
{
	tcp_listener_del(tp);
	tcp_hash_del(&bed.core, &tp->node);
	tcp_port_put(tp);
	rcu_free(tp);
}

/* ---- connections ---- */

static bool same_place(const struct tcp_sock *a, const struct tcp_node *b, int ifindex)
{
	const struct tcp_node *n = &a->node;

	return n->net == b->net && n->laddr == b->laddr && n->raddr == b->raddr &&
	       n->lport == b->lport && n->rport == b->rport &&
	       (!a->in.sk.bound_if || a->in.sk.bound_if == ifindex);
}

static void random_ends(struct tcp_node *n)
{
	n->net = &bed.net[rng_below(&bed.rng, 2)];
	n->laddr = ADDR(rng_below(&bed.rng, 2));
	n->raddr = ADDR(rng_below(&bed.rng, 2));
	n->lport = PORT(rng_below(&bed.rng, 3));
	n->rport = PORT(rng_below(&bed.rng, 3));
}

static struct tcp_sock *twin_find(struct tcp_sock **t, const struct tcp_node *n, int ifindex)
{
	for (unsigned i = 0; i < N_SOCKS; i++)
		if (t[i] && same_place(t[i], n, ifindex))
			return t[i];
	return NULL;
}

static void conn_add(struct tcp_sock **slot, struct tcp_sock **all)
{
	struct tcp_sock *tp = sock_make(0, 0);

	random_ends(&tp->node);
	tp->in.sk.bound_if = (int)rng_below(&bed.rng, 3);
	bool taken = twin_find(all, &tp->node, tp->in.sk.bound_if);
	int err = tcp_hash_add(&bed.core, &tp->node, NULL);

	assert_int_equal(err, taken ? -EADDRINUSE : 0);
	if (err)
		free(tp);
	else
		*slot = tp;
}

static void conn_replace(struct tcp_sock **slot)
{
	struct tcp_sock *old = *slot, *tp = sock_make(0, 0);

	tp->node = old->node;
	tp->node.hashed = false;
	tp->in.sk.bound_if = old->in.sk.bound_if;
	assert_int_equal(tcp_hash_add(&bed.core, &tp->node, &old->node), 0);
	assert_false(old->node.hashed);
	rcu_free(old);
	*slot = tp;
}

static void test_conns(void **state)
{
	struct tcp_sock *all[N_SOCKS] = {0};
	struct tcp_node n;

	bed_init(1);
	for (unsigned round = 0; round < 50000; round++) {
		struct tcp_sock **slot = &all[rng_below(&bed.rng, N_SOCKS)];

		if (!*slot) {
			conn_add(slot, all);
		} else if (rng_below(&bed.rng, 2)) {
			conn_replace(slot);
		} else {
			sock_end(*slot);
			*slot = NULL;
		}
		random_ends(&n);
		int ifindex = (int)rng_below(&bed.rng, 3);
		struct tcp_node *got =
			tcp_lookup(&bed.core, n.net, n.laddr, n.lport, n.raddr, n.rport, ifindex);
		assert_true(!got == !twin_find(all, &n, ifindex));
		if (got)
			assert_true(
				same_place(container_of(got, struct tcp_sock, node), &n, ifindex));
	}
	for (unsigned i = 0; i < N_SOCKS; i++)
		if (all[i])
			sock_end(all[i]);
	bed_fini();
}

/* A socket that connects again gets its node back into the table. */
static void test_conn_again(void **state)
{
	bed_init(2);
	struct tcp_sock *tp = sock_make(0, ADDR(1));

	for (unsigned i = 0; i < 3; i++) {
		tp->node.rport = PORT(i + 1);
		assert_int_equal(tcp_hash_add(&bed.core, &tp->node, NULL), 0);
		assert_ptr_equal(tcp_lookup(&bed.core, tp->node.net, 0, 0, 0, PORT(i + 1), 0),
				 &tp->node);
		tcp_hash_del(&bed.core, &tp->node);
	}
	sock_end(tp);
	bed_fini();
}

/* ---- bind ---- */

static bool twin_conflict(const struct tcp_sock *a, const struct tcp_sock *b, bool explicit_port)
{
	const struct sock *x = &a->in.sk, *y = &b->in.sk;
	bool addr_aside = a->in.rcv_saddr && b->in.rcv_saddr && a->in.rcv_saddr != b->in.rcv_saddr;
	bool dev_aside = x->bound_if && y->bound_if && x->bound_if != y->bound_if;
	bool both_reuse = x->reuseaddr && y->reuseaddr && b->node.state != TCP_LISTEN;
	bool both_port = x->reuseport && y->reuseport && x->uid == y->uid;

	if (addr_aside || dev_aside || x->net != y->net)
		return false;
	return !(explicit_port && (both_reuse || both_port));
}

static bool twin_may_bind(struct tcp_sock **t, const struct tcp_sock *tp, unsigned num,
			  bool explicit_port)
{
	for (unsigned i = 0; i < N_SOCKS; i++)
		if (t[i] && t[i] != tp && t[i]->in.num == num &&
		    twin_conflict(tp, t[i], explicit_port))
			return false;
	return true;
}

static struct tcp_sock *random_sock(bool ports)
{
	struct tcp_sock *tp = sock_make(rng_below(&bed.rng, 2), ADDR(rng_below(&bed.rng, 3)));

	if (tp->in.rcv_saddr == ADDR(0))
		tp->in.rcv_saddr = tp->in.saddr = 0;
	if (ports) {
		tp->in.sk.reuseport = rng_below(&bed.rng, 4);
		tp->in.sk.uid = rng_below(&bed.rng, 2);
	} else {
		tp->in.sk.reuseaddr = rng_below(&bed.rng, 4);
		tp->in.sk.bound_if = (int)rng_below(&bed.rng, 3);
	}
	return tp;
}

static void bind_chosen(struct tcp_sock *tp, struct tcp_sock **all)
{
	int err = tcp_port_get(tp, 0);
	unsigned n_free[2] = {0, 0};

	for (unsigned i = 0; i < N_PORTS; i++)
		n_free[i & 1] += twin_may_bind(all, tp, LOW + i, false);
	if (err) {
		assert_int_equal(err, -EADDRINUSE);
		assert_int_equal(n_free[0] + n_free[1], 0);
		return;
	}
	assert_true(tp->in.num >= LOW && tp->in.num < LOW + N_PORTS);
	assert_true(twin_may_bind(all, tp, tp->in.num, false));
	/* the odd ones first, where all the range is looked through at once */
	if (!tp->in.sk.reuseaddr && n_free[1])
		assert_true((tp->in.num - LOW) & 1);
}

static void bind_duel(bool ports, uint64_t seed)
{
	struct tcp_sock *all[N_SOCKS] = {0};
	unsigned n_ok = 0, n_refused = 0;

	bed_init(seed);
	for (unsigned round = 0; round < 60000; round++) {
		struct tcp_sock **slot = &all[rng_below(&bed.rng, N_SOCKS)], *tp = *slot;

		if (tp && tp->node.state != TCP_LISTEN && rng_below(&bed.rng, 2)) {
			/* listen(2) asks again */
			tp->node.state = TCP_LISTEN;
			bool may = twin_may_bind(all, tp, tp->in.num, true);

			assert_int_equal(tcp_port_get(tp, tp->in.num), may ? 0 : -EADDRINUSE);
			if (!may)
				tp->node.state = TCP_CLOSE;
			continue;
		}
		if (tp) {
			sock_end(tp);
			*slot = NULL;
			continue;
		}
		tp = random_sock(ports);
		if (!rng_below(&bed.rng, 3)) {
			bind_chosen(tp, all);
		} else {
			unsigned num = LOW + rng_below(&bed.rng, N_PORTS);
			bool may = twin_may_bind(all, tp, num, true);

			assert_int_equal(tcp_port_get(tp, (uint16_t)num), may ? 0 : -EADDRINUSE);
		}
		if (tp->port) {
			*slot = tp;
			n_ok++;
		} else {
			free(tp);
			n_refused++;
		}
	}
	assert_true(n_ok > 1000 && n_refused > 1000);
	for (unsigned i = 0; i < N_SOCKS; i++)
		if (all[i])
			sock_end(all[i]);
	for (unsigned i = 0; i < N_PORTS; i++)
		assert_null(tcp_port_find(&bed.tn[0], (uint16_t)(LOW + i)));
	bed_fini();
}

static void test_bind_reuseaddr(void **state)
{
	bind_duel(false, 3);
}

static void test_bind_reuseport(void **state)
{
	bind_duel(true, 4);
}

/* ---- connect ---- */

static bool twin_may_connect(struct tcp_sock **t, const struct tcp_sock *tp, unsigned num)
{
	for (unsigned i = 0; i < N_SOCKS; i++) {
		const struct tcp_sock *s = t[i];

		if (!s || s == tp || s->in.num != num || s->in.sk.net != tp->in.sk.net)
			continue;
		if (!s->connect_bind)
			return false;
		if (s->in.rcv_saddr == tp->in.rcv_saddr && s->in.daddr == tp->in.daddr &&
		    s->in.dport == tp->in.dport)
			return false;
	}
	return true;
}

static void connect_one(struct tcp_sock **slot, struct tcp_sock **all)
{
	struct tcp_sock *tp = sock_make(0, ADDR(1));
	unsigned n_free[2] = {0, 0};

	tp->in.daddr = ADDR(2);
	tp->in.dport = PORT(1 + rng_below(&bed.rng, 3));
	tp->node.state = TCP_SYN_SENT;
	for (unsigned i = 0; i < N_PORTS; i++)
		n_free[i & 1] += twin_may_connect(all, tp, LOW + i);
	int err = tcp_hash_connect(tp);

	if (err) {
		assert_int_equal(err, -EADDRNOTAVAIL);
		assert_int_equal(n_free[0] + n_free[1], 0);
		free(tp);
		return;
	}
	assert_true(twin_may_connect(all, tp, tp->in.num));
	assert_true(tp->in.num >= LOW && tp->in.num < LOW + N_PORTS);
	/* the even ones first */
	if (n_free[0])
		assert_false((tp->in.num - LOW) & 1);
	*slot = tp;
}

static void test_connect(void **state)
{
	struct tcp_sock *all[N_SOCKS] = {0};

	bed_init(5);
	for (unsigned round = 0; round < 60000; round++) {
		struct tcp_sock **slot = &all[rng_below(&bed.rng, N_SOCKS)];

		if (*slot) {
			sock_end(*slot);
			*slot = NULL;
		} else if (rng_below(&bed.rng, 8)) {
			connect_one(slot, all);
		} else {
			*slot = random_sock(false);
			(*slot)->in.sk.net = &bed.net[0];
			if (tcp_port_get(*slot, 0)) {
				free(*slot);
				*slot = NULL;
			}
		}
	}
	for (unsigned i = 0; i < N_SOCKS; i++)
		if (all[i])
			sock_end(all[i]);
	bed_fini();
}

static struct tcp_tw *tw_make(struct tcp_sock *tp)
{
	struct tcp_tw *tw = calloc(1, sizeof(*tw));

	assert_non_null(tw);
	tw->node = tp->node;
	tw->node.state = TCP_TIME_WAIT;
	tw->node.hashed = false;
	tw->ts_recent = 7;
	tw->ts_recent_stamp = 100;
	tw->snd_nxt = 1000;
	tw->entry_stamp = bed.w.now;
	tcp_port_tw(tw, tp);
	assert_int_equal(tcp_hash_add(&bed.core, &tw->node, &tp->node), 0);
	sock_end(tp);
	return tw;
}

static struct tcp_sock *connecting(void)
{
	struct tcp_sock *tp = sock_make(0, ADDR(1));

	tp->in.daddr = ADDR(2);
	tp->in.dport = PORT(80);
	tp->node.state = TCP_SYN_SENT;
	return tp;
}

/* A place in TIME-WAIT is given on by tcp_tw_reuse, after its delay, and with time stamps. */
static void test_time_wait(void **state)
{
	struct tcp_sock *tp;
	uint16_t num;

	bed_init(6);
	bed.ip4.local_port_range[1] = LOW; /* one port */
	tp = connecting();
	assert_int_equal(tcp_hash_connect(tp), 0);
	num = tp->in.num;
	tw_make(tp);
	tp = connecting();
	assert_int_equal(tcp_hash_connect(tp), -EADDRNOTAVAIL);
	bed.tn[0].tcp_tw_reuse = 1;
	bed.tn[0].tcp_tw_reuse_delay = 1000;
	assert_int_equal(tcp_hash_connect(tp), -EADDRNOTAVAIL);
	bed.w.now += 2 * NSEC_PER_SEC;
	bed.tn[0].tcp_tw_reuse = 2; /* on the loopback alone */
	assert_int_equal(tcp_hash_connect(tp), -EADDRNOTAVAIL);
	bed.tn[0].tcp_tw_reuse = 1;
	assert_int_equal(tcp_hash_connect(tp), 0);
	assert_int_equal(tp->in.num, num);
	assert_int_equal(tp->write_seq, 1000 + 65535 + 2);
	assert_int_equal(tp->rx_opt.ts_recent, 7);
	assert_int_equal(bed.mib.v[MIB_TcpExt_TWRecycled], 1);
	sock_end(tp);
	bed_fini();
}

/* With the whole range in use by one pair of hosts, a search still ends soon. */
static void test_full_range(void **state)
{
	enum { FROM = 32768, TO = 60999 };
	struct tcp_sock **all = calloc(TO - FROM + 1, sizeof(*all)), *tp;
	unsigned n = 0;

	assert_non_null(all);
	bed_init(7);
	bed.ip4.local_port_range[0] = FROM;
	bed.ip4.local_port_range[1] = TO;
	while (n <= TO - FROM) {
		tp = connecting();
		assert_int_equal(tcp_hash_connect(tp), 0);
		all[n++] = tp;
	}
	tp = connecting();
	assert_int_equal(tcp_hash_connect(tp), -EADDRNOTAVAIL);
	/* another peer: every port can be shared */
	tp->in.dport = PORT(81);
	assert_int_equal(tcp_hash_connect(tp), 0);
	sock_end(tp);
	while (n)
		sock_end(all[--n]);
	free(all);
	bed_fini();
}

/* ---- listeners ---- */

static struct tcp_sock *listener(uint32_t addr, int bound_if, bool reuseport)
{
	struct tcp_sock *tp = sock_make(0, addr);

	tp->in.sk.bound_if = bound_if;
	tp->in.sk.reuseport = reuseport;
	tp->node.state = TCP_LISTEN;
	assert_int_equal(tcp_port_get(tp, 80), 0);
	assert_int_equal(tcp_listener_add(tp), 0);
	return tp;
}

static struct tcp_sock *look(uint32_t laddr, uint16_t rport, int ifindex, const struct pkt *p)
{
	struct netdev dev = {.ifindex = ifindex};

	return tcp_lookup_listener(&bed.w, &bed.net[0], laddr, PORT(80), ADDR(9), PORT(rport), &dev,
				   p);
}

static void test_best(void **state)
{
	bed_init(8);
	struct tcp_sock *dev = listener(0, 3, false);
	struct tcp_sock *addr = listener(ADDR(1), 4, false),
			*addr_dev = listener(ADDR(1), 5, false);

	assert_null(look(ADDR(1), 1, 2, NULL));
	assert_ptr_equal(look(ADDR(1), 1, 3, NULL), dev);
	assert_ptr_equal(look(ADDR(1), 1, 4, NULL), addr);
	assert_ptr_equal(look(ADDR(1), 1, 5, NULL), addr_dev);
	assert_null(look(ADDR(2), 1, 5, NULL));
	/* bound anew while it listens */
	addr->in.sk.bound_if = 0;
	assert_ptr_equal(look(ADDR(1), 1, 9, NULL), addr);
	assert_ptr_equal(look(ADDR(1), 1, 5, NULL), addr_dev);
	sock_end(addr);
	sock_end(addr_dev);
	sock_end(dev);
	assert_null(look(ADDR(1), 1, 3, NULL));
	bed_fini();
}

/* The group's members, by Linux's rule: the last takes the place of one that leaves. */
static void test_group(void **state)
{
	struct tcp_sock *m[8], *got;
	unsigned n = 0, hits;
	uint32_t seen;

	bed_init(9);
	for (unsigned round = 0; round < 2000; round++) {
		if (n < 8 && (!n || rng_below(&bed.rng, 2))) {
			m[n++] = listener(0, 0, true);
		} else {
			unsigned i = rng_below(&bed.rng, n);

			sock_end(m[i]);
			m[i] = m[--n];
		}
		if (!n) {
			assert_null(look(ADDR(1), 1, 1, NULL));
			continue;
		}
		seen = 0;
		for (unsigned port = 1; port <= 200; port++) {
			got = look(ADDR(1), (uint16_t)port, 1, NULL);
			assert_ptr_equal(got, look(ADDR(1), (uint16_t)port, 1, NULL));
			for (unsigned i = 0; i < n; i++)
				seen |= (got == m[i]) << i;
		}
		hits = (unsigned)__builtin_popcount(seen);
		assert_int_equal(hits, n);
	}
	while (n)
		sock_end(m[--n]);
	bed_fini();
}

/* A program that returns the first byte of the segment's data. */
static void test_group_program(void **state)
{
	static const struct sock_filter first_byte[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
							BPF_STMT(BPF_RET | BPF_A, 0)};
	static uint8_t buf[PKT_BUF_SIZE];
	struct pkt p = {.buf = buf, .off = PKT_HEADROOM, .len = 21, .total = 21};
	struct tcp_sock *m[4];
	struct cbpf **at;

	bed_init(10);
	buf[PKT_HEADROOM + 12] = 5 << 4;
	for (unsigned i = 0; i < 4; i++) {
		m[i] = sock_make(0, 0);
		m[i]->in.sk.reuseport = true;
		assert_null(tcp_reuse_prog(&m[i]->in.sk));
		/* the group has the first one's */
		assert_int_equal(cbpf_new(first_byte, 2, &m[i]->in.sk.reuse_cbpf), 0);
		m[i]->node.state = TCP_LISTEN;
		assert_int_equal(tcp_port_get(m[i], 80), 0);
		assert_int_equal(tcp_listener_add(m[i]), 0);
		assert_null(m[i]->in.sk.reuse_cbpf);
	}
	for (uint8_t i = 0; i < 4; i++) {
		buf[PKT_HEADROOM + 20] = i;
		assert_ptr_equal(look(ADDR(1), 1, 1, &p), m[i]);
	}
	buf[PKT_HEADROOM + 20] = 200; /* nobody: the hash decides */
	assert_ptr_equal(look(ADDR(1), 1, 1, &p), look(ADDR(1), 1, 1, NULL));
	at = tcp_reuse_prog(&m[2]->in.sk);
	assert_non_null(at);
	assert_ptr_equal(at, tcp_reuse_prog(&m[0]->in.sk));
	for (unsigned i = 0; i < 4; i++)
		sock_end(m[i]);
	bed_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conns),	       cmocka_unit_test(test_conn_again),
		cmocka_unit_test(test_bind_reuseaddr), cmocka_unit_test(test_bind_reuseport),
		cmocka_unit_test(test_connect),	       cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_full_range),     cmocka_unit_test(test_best),
		cmocka_unit_test(test_group),	       cmocka_unit_test(test_group_program),
	};
	rcu_register_thread();
	int err = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return err;
}
