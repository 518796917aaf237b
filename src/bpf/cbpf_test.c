/*
 * cbpf beside two others that know the machine: libpcap's bpf_filter() (values to the last bit) and
 * the kernel below, asked through SO_ATTACH_FILTER on a socket pair: which programs it takes, and
 * what they keep of a datagram.
 */
#include "bpf/cbpf.h"

#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "pkt/pool.h"

struct bed {
	struct pool *pool;
	struct pool_cache cache;
};

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	b->pool = pool_new(256);
	pool_cache_init(&b->cache, b->pool);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;
	pool_cache_fini(&b->cache);
	pool_free(b->pool);
	free(b);
	return 0;
}

/* A packet of these bytes, cut into segments of odd sizes when `cut`. */
static struct pkt *packet(struct bed *b, const uint8_t *bytes, unsigned len, unsigned cut)
{
	struct pkt *first = NULL, **at = &first;
	unsigned done = 0;

	do {
		struct pkt *p = pkt_alloc(&b->cache);
		unsigned n = cut ? MIN(cut, len - done) : len;
		assert_non_null(p);
		memcpy(pkt_data(p), bytes + done, n);
		p->len = (uint16_t)n;
		done += n;
		*at = p;
		at = &p->seg;
	} while (done < len);
	first->total = len;
	return first;
}

static void test_filters(void **state)
{
	static const char *const filters[] = {
		"ip",
		"tcp port 80",
		"udp and dst portrange 1000-40000",
		"icmp[icmptype] == icmp-echo",
		"host 10.0.0.1 and not port 22",
		"net 10.0.0.0/8",
		"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
		"ip[2:2] > 60 and ip[8] < 64",
		"ether multicast",
		"vlan 5 and ip",
		"arp or rarp",
		"greater 100",
		"ip6 and tcp port 443",
		"(tcp[12] & 0xf0) >> 2 >= 20",
		"len % 3 == 1",
		"ip[6:2] & 0x1fff = 0",
	};
	static const uint8_t eth[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
	struct bed *b = *state;
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	unsigned matched = 0, all = 0;
	struct rng g;

	rng_seed(&g, 3);
	for (unsigned f = 0; f < ARRAY_SIZE(filters); f++) {
		struct bpf_program prog;
		struct cbpf *mine;
		assert_int_equal(pcap_compile(pcap, &prog, filters[f], 1, 0), 0);
		assert_int_equal(
			cbpf_new((const struct sock_filter *)prog.bf_insns, prog.bf_len, &mine), 0);
		for (unsigned i = 0; i < 3000; i++, all++) {
			uint8_t frame[300];
			unsigned len = 1 + rng_below(&g, 300);
			for (unsigned j = 0; j < len; j++)
				frame[j] = (uint8_t)rng_u32(&g);
			if (rng_below(&g, 8) && len >= 34) { /* mostly something that looks right */
				static const uint16_t types[] = {0x800, 0x800,	0x800,
								 0x806, 0x86dd, 0x8100};
				static const uint8_t protos[] = {1, 6, 6, 17, 17, 2};
				memcpy(frame, eth, 14);
				put_be16(frame + 12, types[rng_below(&g, 6)]);
				frame[14] = (uint8_t)(0x45 + rng_below(&g, 2));
				put_be16(frame + 20,
					 rng_below(&g, 4) ? 0 : 0x2000 | rng_below(&g, 9));
				frame[23] = protos[rng_below(&g, 6)];
				put_be32(frame + 26, 0x0a000000 + rng_below(&g, 3));
				if (len >= 38)
					put_be16(frame + 36, rng_below(&g, 2) ? 80 : 22);
			}
			struct pkt *p = packet(b, frame, len, rng_below(&g, 3) ? 0 : 7);
			uint32_t want = bpf_filter(prog.bf_insns, frame, len, len);
			assert_int_equal(cbpf_run(mine, p, 1, 1), want);
			matched += !!want;
			pkt_free(&b->cache, p);
		}
		cbpf_free(mine);
		pcap_freecode(&prog);
	}
	/* neither always nor never */
	assert_in_range(matched, all / 50, all - all / 50);
	pcap_close(pcap);
}

static const uint16_t codes[] = {
	BPF_LD | BPF_W | BPF_ABS,
	BPF_LD | BPF_H | BPF_ABS,
	BPF_LD | BPF_B | BPF_ABS,
	BPF_LD | BPF_W | BPF_IND,
	BPF_LD | BPF_H | BPF_IND,
	BPF_LD | BPF_B | BPF_IND,
	BPF_LD | BPF_W | BPF_LEN,
	BPF_LD | BPF_IMM,
	BPF_LD | BPF_MEM,
	BPF_LDX | BPF_W | BPF_LEN,
	BPF_LDX | BPF_B | BPF_MSH,
	BPF_LDX | BPF_IMM,
	BPF_LDX | BPF_MEM,
	BPF_ST,
	BPF_STX,
	BPF_ALU | BPF_ADD,
	BPF_ALU | BPF_SUB,
	BPF_ALU | BPF_MUL,
	BPF_ALU | BPF_DIV,
	BPF_ALU | BPF_MOD,
	BPF_ALU | BPF_AND,
	BPF_ALU | BPF_OR,
	BPF_ALU | BPF_XOR,
	BPF_ALU | BPF_LSH,
	BPF_ALU | BPF_RSH,
	BPF_ALU | BPF_NEG,
	BPF_JMP | BPF_JA,
	BPF_JMP | BPF_JEQ,
	BPF_JMP | BPF_JGT,
	BPF_JMP | BPF_JGE,
	BPF_JMP | BPF_JSET,
	BPF_RET | BPF_K,
	BPF_RET | BPF_A,
	BPF_MISC | BPF_TAX,
	BPF_MISC | BPF_TXA,
};

/* A program that is mostly valid, or (`wild`) often not. */
static unsigned draw(struct rng *g, struct sock_filter *insn, unsigned len, bool wild)
{
	unsigned n = 1 + rng_below(g, 24);

	for (unsigned i = 0; i < n; i++) {
		struct sock_filter *f = &insn[i];
		unsigned left = n - i - 1;
		f->code = codes[rng_below(g, ARRAY_SIZE(codes))];
		bool jump = BPF_CLASS(f->code) == BPF_JMP, alu = BPF_CLASS(f->code) == BPF_ALU;
		if ((alu || jump) && f->code != (BPF_JMP | BPF_JA) && BPF_OP(f->code) != BPF_NEG &&
		    rng_below(g, 2))
			f->code |= BPF_X;
		f->k = rng_below(g, 3) ? rng_below(g, len + 4) : rng_u32(g);
		if (BPF_CLASS(f->code) == BPF_ST || BPF_CLASS(f->code) == BPF_STX ||
		    BPF_MODE(f->code) == BPF_MEM)
			f->k = rng_below(g, 2);
		if (alu && (BPF_OP(f->code) == BPF_LSH || BPF_OP(f->code) == BPF_RSH))
			f->k &= 31;
		f->jt = left ? (uint8_t)rng_below(g, left) : 0;
		f->jf = left ? (uint8_t)rng_below(g, left) : 0;
		if (f->code == (BPF_JMP | BPF_JA))
			f->k = left ? rng_below(g, left) : 0;
		if (wild && !rng_below(g, 12)) {
			switch (rng_below(g, 4)) {
			case 0:
				f->code = (uint16_t)rng_below(g, 0x120);
				break;
			case 1:
				f->k = (uint32_t)SKF_AD_OFF + rng_below(g, 80);
				break;
			case 2:
				f->jt = (uint8_t)rng_below(g, n + 2);
				break;
			default:
				f->k = rng_below(g, 40);
			}
		}
	}
	if (!wild || rng_below(g, 8))
		insn[n - 1] = (struct sock_filter){BPF_RET | BPF_A, 0, 0, 0};
	return n;
}

static void test_programs(void **state)
{
	struct bed *b = *state;
	struct sock_filter insn[32];
	unsigned ran = 0, kept = 0;
	struct rng g;

	rng_seed(&g, 17);
	for (unsigned i = 0; i < 60000; i++) {
		uint8_t bytes[64];
		unsigned len = 1 + rng_below(&g, 64), n = draw(&g, insn, len, false);
		struct cbpf *prog;
		bool differs = false;
		for (unsigned j = 0; j < n;
		     j++) /* where libpcap is not as Linux is: shifts, wraps */
			differs |= insn[j].code == (BPF_ALU | BPF_LSH | BPF_X) ||
				   insn[j].code == (BPF_ALU | BPF_RSH | BPF_X) ||
				   (BPF_CLASS(insn[j].code) == BPF_LD &&
				    BPF_MODE(insn[j].code) == BPF_IND);
		if (differs || cbpf_new(insn, n, &prog))
			continue;
		assert_int_equal(cbpf_len(prog), n);
		assert_memory_equal(cbpf_insns(prog), insn, n * sizeof(insn[0]));
		for (unsigned j = 0; j < len; j++)
			bytes[j] = (uint8_t)rng_u32(&g);
		struct pkt *p = packet(b, bytes, len, rng_below(&g, 2) ? 0 : 5);
		uint32_t want = bpf_filter((const struct bpf_insn *)insn, bytes, len, len);
		assert_int_equal(cbpf_run(prog, p, 0, 0), want);
		kept += !!want;
		ran++;
		pkt_free(&b->cache, p);
		cbpf_free(prog);
	}
	assert_true(ran > 5000 && kept > 1000);
}

static int attach(int fd, struct sock_filter *insn, unsigned n)
{
	struct sock_fprog prog = {(unsigned short)n, insn};
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno : 0;
}

static void test_kernel(void **state)
{
	struct sock_filter insn[32], accept = {BPF_RET | BPF_K, 0, 0, 1000};
	struct bed *b = *state;
	unsigned taken = 0, refused = 0, ran = 0;
	struct rng g;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd) || attach(fd[1], &accept, 1))
		skip();
	rng_seed(&g, 23);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[64], got[64];
		unsigned len = 1 + rng_below(&g, 64), n = draw(&g, insn, len, i & 1);
		struct cbpf *prog;
		int theirs = attach(fd[1], insn, n), ours = cbpf_new(insn, n, &prog);
		bool run = !ours;
		assert_int_equal(ours, theirs);
		taken += !theirs;
		refused += !!theirs;
		for (unsigned j = 0; j < n; j++) /* facts that differ between the two packets */
			if (insn[j].k >= (uint32_t)SKF_LL_OFF && BPF_CLASS(insn[j].code) == BPF_LD)
				run = false;
		if (run) {
			for (unsigned j = 0; j < len; j++)
				bytes[j] = (uint8_t)rng_u32(&g);
			struct pkt *p = packet(b, bytes, len, 0);
			uint32_t mine = cbpf_run(prog, p, 0, 0);
			assert_int_equal(send(fd[0], bytes, len, 0), len);
			ssize_t theirs_len = recv(fd[1], got, sizeof(got), 0);
			assert_int_equal(MAX(theirs_len, 0), MIN(mine, len));
			pkt_free(&b->cache, p);
			ran++;
		}
		cbpf_free(prog);
	}
	assert_true(taken > 1000 && refused > 1000 && ran > 1000);
	close(fd[0]);
	close(fd[1]);
}

static uint32_t ask(struct pkt *p, int32_t k, uint16_t size, int ifindex)
{
	struct sock_filter insn[] = {
		{BPF_LDX | BPF_IMM, 0, 0, 0x0f},
		{BPF_LD | BPF_IMM, 0, 0, 0xff},
		{(uint16_t)(BPF_LD | size | BPF_ABS), 0, 0, (uint32_t)k},
		{BPF_RET | BPF_A, 0, 0, 0},
	};
	struct cbpf *prog;
	assert_int_equal(cbpf_new(insn, ARRAY_SIZE(insn), &prog), 0);
	uint32_t val = cbpf_run(prog, p, ifindex, 772);
	cbpf_free(prog);
	return val;
}

static void test_ancillary(void **state)
{
	struct bed *b = *state;
	uint8_t frame[60] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45, 0xc0};
	frame[14 + 9] = 17;
	struct pkt *p = packet(b, frame, sizeof(frame), 0);

	p->l2 = p->off;
	p->l3 = (uint16_t)(p->off + 14);
	p->protocol = __builtin_bswap16(0x0800);
	p->type = PACKET_OTHERHOST;
	p->mark = 0x1234;
	p->queue = 3;
	p->hash = 0xabcd;
	p->flags |= PKT_VLAN;
	p->vlan_tci = 0x2005;
	p->vlan_proto = __builtin_bswap16(0x88a8);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_PROTOCOL, BPF_H, 7), 0x0800);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_PKTTYPE, BPF_B, 7), PACKET_OTHERHOST);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_IFINDEX, BPF_W, 7), 7);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_IFINDEX, BPF_W, 0), 0);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_HATYPE, BPF_W, 7), 772);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_MARK, BPF_W, 7), 0x1234);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_QUEUE, BPF_W, 7), 3);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_RXHASH, BPF_W, 7), 0xabcd);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_ALU_XOR_X, BPF_W, 7), 0xf0);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_VLAN_TAG, BPF_W, 7), 0x2005);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT, BPF_W, 7), 1);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_VLAN_TPID, BPF_W, 7), 0x88a8);
	assert_int_equal(ask(p, SKF_AD_OFF + SKF_AD_PAY_OFFSET, BPF_W, 7), 14 + 20 + 8);
	assert_int_equal(ask(p, SKF_NET_OFF + 1, BPF_B, 7), 0xc0);
	assert_int_equal(ask(p, SKF_LL_OFF + 1, BPF_H, 7), 0x0203);
	assert_int_equal(ask(p, SKF_LL_OFF + 59, BPF_H, 7), 0);
	assert_int_equal(ask(p, -1 - 0x200000, BPF_H, 7), 0);
	/* the data starts at the network header: the link header is still there */
	pkt_pull(p, 14);
	assert_int_equal(ask(p, 0, BPF_H, 7), 0x45c0);
	assert_int_equal(ask(p, SKF_NET_OFF, BPF_H, 7), 0x45c0);
	assert_int_equal(ask(p, SKF_LL_OFF, BPF_W, 7), 0x01020304);
	assert_int_equal(ask(p, SKF_LL_OFF + 13, BPF_H, 7), 0x0045);
	pkt_free(&b->cache, p);
}

/* SKF_AD_NLATTR finds an attribute by type, SKF_AD_NLATTR_NEST one inside another. */
static void test_nlattr(void **state)
{
	struct bed *b = *state;
	/* a header of 4; type 1 of 5 octets (padded to 8); type 2, nested, with type 9 in it */
	static const uint8_t bytes[] = {0,  0, 0, 0,	5, 0, 1, 0, 7, 0, 0, 0,
					12, 0, 2, 0x80, 8, 0, 9, 0, 1, 2, 3, 4};
	struct sock_filter insn[] = {
		{BPF_LD | BPF_IMM, 0, 0, 4},
		{BPF_LDX | BPF_IMM, 0, 0, 2},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)},
		{BPF_LDX | BPF_IMM, 0, 0, 9},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR_NEST)},
		{BPF_RET | BPF_A, 0, 0, 0},
	};
	struct pkt *p = packet(b, bytes, sizeof(bytes), 0);
	struct cbpf *prog;

	assert_int_equal(cbpf_new(insn, ARRAY_SIZE(insn), &prog), 0);
	assert_int_equal(cbpf_run(prog, p, 1, 1), 16);
	cbpf_free(prog);
	insn[3].k = 8; /* not in there */
	assert_int_equal(cbpf_new(insn, ARRAY_SIZE(insn), &prog), 0);
	assert_int_equal(cbpf_run(prog, p, 1, 1), 0);
	cbpf_free(prog);
	pkt_free(&b->cache, p);
}

static void test_checker(void **state)
{
	struct sock_filter ret = {BPF_RET | BPF_K, 0, 0, 1};
	struct sock_filter *many = calloc(BPF_MAXINSNS + 1, sizeof(*many));
	struct sock_filter two[2] = {{BPF_LD | BPF_MEM, 0, 0, 3}, ret};
	struct cbpf *prog;

	assert_int_equal(cbpf_new(&ret, 0, &prog), -EINVAL);
	assert_null(prog);
	for (unsigned i = 0; i <= BPF_MAXINSNS; i++)
		many[i] = ret;
	assert_int_equal(cbpf_new(many, BPF_MAXINSNS + 1, &prog), -EINVAL);
	assert_int_equal(cbpf_new(many, BPF_MAXINSNS, &prog), 0);
	cbpf_free(prog);
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL); /* read before written */
	two[0] = (struct sock_filter){BPF_ST, 0, 0, BPF_MEMWORDS};
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL);
	two[0] = (struct sock_filter){BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0};
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL);
	two[0] = (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, 1};
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL);
	two[0] = (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, UINT32_MAX};
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL);
	two[0] = (struct sock_filter){BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0};
	assert_int_equal(cbpf_new(two, 2, &prog), -EINVAL);
	assert_int_equal(cbpf_new(two, 1, &prog), -EINVAL); /* does not end */
	free(many);
	cbpf_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ancillary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nlattr, setup, teardown),
		cmocka_unit_test(test_checker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
