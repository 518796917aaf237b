/*
 * cbpf: checker and interpreter.
 *
 * The machine (S. McCanne, V. Jacobson: "The BSD Packet Filter", USENIX 1993) has an accumulator,
 * an index register and 16 words of memory. Jumps only go forward, so a program of n instructions
 * ends after at most n steps; with every target checked once, the interpreter checks nothing but
 * what depends on the packet.
 *
 * A load from a negative offset means something else than bytes of the packet, as Linux has it:
 * from SKF_AD_OFF up it is a fact about the packet (ancillary), from SKF_NET_OFF up bytes counted
 * from the network header, from SKF_LL_OFF up bytes counted from the link header.
 */
#include "bpf/cbpf.h"

#include <linux/netlink.h>

#include "base/rand.h"

struct cbpf {
	uint64_t draws; /* atomic: how often SKF_AD_RANDOM was asked */
	unsigned len;
	struct sock_filter insn[];
};

/* ---- checking ---- */

static bool code_known(uint16_t code)
{
	switch (code) {
#define ALU(op)                                                                                    \
	case BPF_ALU | op | BPF_K:                                                                 \
	case BPF_ALU | op | BPF_X
		ALU(BPF_ADD)
		    : ALU(BPF_SUB)
		    : ALU(BPF_MUL)
		    : ALU(BPF_DIV)
		    : ALU(BPF_MOD)
		    : ALU(BPF_AND)
		    : ALU(BPF_OR)
		    : ALU(BPF_XOR)
		    : ALU(BPF_LSH)
		    : ALU(BPF_RSH)
		    :
#undef ALU
		      case BPF_ALU | BPF_NEG : case BPF_LD | BPF_W | BPF_ABS : case BPF_LD | BPF_H |
									       BPF_ABS
		    : case BPF_LD |
		      BPF_B | BPF_ABS : case BPF_LD | BPF_W | BPF_IND : case BPF_LD | BPF_H |
									BPF_IND
		    : case BPF_LD |
		      BPF_B | BPF_IND : case BPF_LD | BPF_W | BPF_LEN : case BPF_LD |
									BPF_IMM
		    : case BPF_LD |
		      BPF_MEM : case BPF_LDX | BPF_W |
				BPF_LEN : case BPF_LDX | BPF_B |
					  BPF_MSH : case BPF_LDX | BPF_IMM : case BPF_LDX |
									     BPF_MEM : case BPF_ST
		    : case BPF_STX
		    : case BPF_MISC |
		      BPF_TAX : case BPF_MISC | BPF_TXA : case BPF_RET | BPF_K : case BPF_RET |
										 BPF_A
		    : case BPF_JMP |
		      BPF_JA : case BPF_JMP | BPF_JEQ | BPF_K : case BPF_JMP | BPF_JEQ |
								BPF_X
		    : case BPF_JMP |
		      BPF_JGE | BPF_K : case BPF_JMP | BPF_JGE | BPF_X : case BPF_JMP | BPF_JGT |
									 BPF_K
		    : case BPF_JMP |
		      BPF_JGT | BPF_X : case BPF_JMP | BPF_JSET | BPF_K : case BPF_JMP | BPF_JSET |
									  BPF_X : return true;
	default:
		return false;
	}
}

/* The last fact that exists is SKF_AD_VLAN_TPID; each has an even number. */
static bool ancillary_known(uint32_t k)
{
	uint32_t ad = k - (uint32_t)SKF_AD_OFF;
	return ad < SKF_AD_MAX && !(ad & 3);
}

/* What one instruction may not do; its place is `at` of n. */
static bool insn_valid(const struct sock_filter *i, unsigned at, unsigned n)
{
	if (!code_known(i->code))
		return false;
	switch (i->code) {
	case BPF_ALU | BPF_DIV | BPF_K:
	case BPF_ALU | BPF_MOD | BPF_K:
		return i->k != 0;
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		return i->k < 32;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return i->k < BPF_MEMWORDS;
	case BPF_JMP | BPF_JA:
		return i->k < n - at - 1;
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
		return i->k < (uint32_t)SKF_AD_OFF || ancillary_known(i->k);
	default:
		return BPF_CLASS(i->code) != BPF_JMP || (at + i->jt + 1 < n && at + i->jf + 1 < n);
	}
}

/* Is each memory word written on every way that leads to a read of it? */
static bool memory_valid(const struct sock_filter *insn, unsigned n)
{
	uint16_t *known = malloc(n * sizeof(*known)); /* words written on all ways that jump here */
	uint16_t now = 0;
	bool ok = known != NULL;

	if (ok)
		memset(known, 0xff, n * sizeof(*known));
	for (unsigned at = 0; ok && at < n; at++) {
		const struct sock_filter *i = &insn[at];
		now &= known[at];
		switch (BPF_CLASS(i->code)) {
		case BPF_ST:
		case BPF_STX:
			now |= (uint16_t)(1u << i->k);
			break;
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(i->code) == BPF_MEM && !(now >> i->k & 1))
				ok = false;
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA) {
				known[at + 1 + i->k] &= now;
			} else {
				known[at + 1 + i->jt] &= now;
				known[at + 1 + i->jf] &= now;
			}
			now = 0xffff;
			break;
		default:
			break;
		}
	}
	free(known);
	return ok;
}

int cbpf_new(const struct sock_filter *insns, unsigned n, struct cbpf **out)
{
	*out = NULL;
	if (!n || n > BPF_MAXINSNS || BPF_CLASS(insns[n - 1].code) != BPF_RET)
		return -EINVAL;
	for (unsigned at = 0; at < n; at++)
		if (!insn_valid(&insns[at], at, n))
			return -EINVAL;
	if (!memory_valid(insns, n))
		return -EINVAL;
	struct cbpf *prog = malloc(sizeof(*prog) + n * sizeof(prog->insn[0]));
	if (!prog)
		return -ENOMEM;
	prog->draws = 0;
	prog->len = n;
	memcpy(prog->insn, insns, n * sizeof(prog->insn[0]));
	*out = prog;
	return 0;
}

void cbpf_free(struct cbpf *prog)
{
	free(prog);
}

unsigned cbpf_len(const struct cbpf *prog)
{
	return prog->len;
}

const struct sock_filter *cbpf_insns(const struct cbpf *prog)
{
	return prog->insn;
}

/* ---- loads ---- */

/* The packet a program runs on, and what only its caller knows. */
struct run {
	const struct pkt *p;
	const uint8_t *data; /* the first segment's, where most loads lie */
	uint32_t len;
	int ifindex;
	uint16_t hatype;
	uint64_t *draws;
};

static bool bytes_at(const struct pkt *p, uint64_t at, void *to, size_t size)
{
	if (likely(at + size <= p->len)) {
		memcpy(to, pkt_data(p) + at, size);
		return true;
	}
	return at + size <= p->total && pkt_copy_out(p, at, to, size) == size;
}

/* From a header that may lie in front of the data already. */
static bool header_at(const struct pkt *p, uint16_t header, uint32_t at, void *to, size_t size)
{
	uint64_t from = (uint64_t)header + at;

	if (!header)
		return false;
	if (from >= p->off)
		return bytes_at(p, from - p->off, to, size);
	if (from + size > (uint64_t)p->off + p->len)
		return false;
	memcpy(to, p->buf + from, size);
	return true;
}

static bool load(const struct pkt *p, uint32_t at, unsigned size, uint32_t *val)
{
	uint8_t b[4];
	bool ok;

	if (likely((int32_t)at >= 0))
		ok = bytes_at(p, at, b, size);
	else if ((int32_t)at >= SKF_NET_OFF)
		ok = header_at(p, p->l3, at - (uint32_t)SKF_NET_OFF, b, size);
	else if ((int32_t)at >= SKF_LL_OFF)
		ok = header_at(p, p->l2, at - (uint32_t)SKF_LL_OFF, b, size);
	else
		ok = false;
	if (ok)
		*val = size == 4 ? get_be32(b) : size == 2 ? get_be16(b) : b[0];
	return ok;
}

/* ---- ancillary ---- */

/* Offset of the netlink attribute of a type, in the attributes from `at` to `end`; 0: none. */
static uint32_t nlattr_find(const struct pkt *p, uint32_t at, uint32_t end, uint32_t type)
{
	struct nlattr a;

	while (at <= end && end - at >= sizeof(a) && bytes_at(p, at, &a, sizeof(a)) &&
	       a.nla_len >= sizeof(a) && a.nla_len <= end - at) {
		if ((a.nla_type & NLA_TYPE_MASK) == type)
			return at;
		at += (uint32_t)NLA_ALIGN(a.nla_len);
	}
	return 0;
}

/* The same inside the attribute at offset `at`. */
static uint32_t nlattr_nested(const struct pkt *p, uint32_t at, uint32_t type)
{
	struct nlattr a;

	if (!bytes_at(p, at, &a, sizeof(a)) || a.nla_len < sizeof(a) || a.nla_len > p->total - at)
		return 0;
	return nlattr_find(p, at + (uint32_t)sizeof(a), at + a.nla_len, type);
}

/* Where the payload of TCP, UDP or ICMP starts, from the data on; behind the IP header for others;
 * 0: not an IPv4 packet. */
static uint32_t payload_offset(const struct pkt *p)
{
	uint8_t ip[20], doff;

	if (p->protocol != __builtin_bswap16(0x0800) || p->l3 < p->off ||
	    !header_at(p, p->l3, 0, ip, sizeof(ip)) || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return 0;
	uint32_t l4 = (uint32_t)(p->l3 - p->off) + 4u * (ip[0] & 15);
	if (get_be16(ip + 6) & 0x1fff)
		return l4;
	switch (ip[9]) {
	case 6: /* TCP */
		return bytes_at(p, l4 + 12, &doff, 1) ? l4 + MAX(20u, (doff >> 4) * 4u) : l4;
	case 17: /* UDP */
	case 1:	 /* ICMP */
		return l4 + 8;
	default:
		return l4;
	}
}

/* Sets *a; false ends the program with 0. */
static bool ancillary(const struct run *r, uint32_t ad, uint32_t x, uint32_t *a)
{
	const struct pkt *p = r->p;
	struct rng rng;

	switch (ad) {
	case SKF_AD_PROTOCOL:
		*a = __builtin_bswap16(p->protocol);
		return true;
	case SKF_AD_PKTTYPE:
		*a = p->type;
		return true;
	case SKF_AD_IFINDEX:
		*a = (uint32_t)r->ifindex;
		return r->ifindex != 0;
	case SKF_AD_HATYPE:
		*a = r->hatype;
		return r->ifindex != 0;
	case SKF_AD_NLATTR:
		*a = nlattr_find(p, *a, p->total, x);
		return true;
	case SKF_AD_NLATTR_NEST:
		*a = nlattr_nested(p, *a, x);
		return true;
	case SKF_AD_MARK:
		*a = p->mark;
		return true;
	case SKF_AD_QUEUE:
		*a = p->queue;
		return true;
	case SKF_AD_RXHASH:
		*a = p->hash;
		return true;
	case SKF_AD_CPU: /* a program cannot see which worker it runs on */
		*a = 0;
		return true;
	case SKF_AD_ALU_XOR_X:
		*a ^= x;
		return true;
	case SKF_AD_VLAN_TAG:
		*a = p->vlan_tci;
		return true;
	case SKF_AD_VLAN_TAG_PRESENT:
		*a = !!(p->flags & PKT_VLAN);
		return true;
	case SKF_AD_VLAN_TPID:
		*a = __builtin_bswap16(p->vlan_proto);
		return true;
	case SKF_AD_PAY_OFFSET:
		*a = payload_offset(p);
		return true;
	case SKF_AD_RANDOM: /* a sequence of its own for each program: runs can be repeated */
		rng_seed(&rng, __atomic_fetch_add(r->draws, 1, __ATOMIC_RELAXED) << 32);
		*a = rng_u32(&rng);
		return true;
	default:
		return false;
	}
}

/* ---- running ---- */

/* A load that does not lie in the first segment's bytes; `fact`: at an offset that the program
 * names, which may stand for a fact (with a and x for arguments). The value, or -1: the program
 * ends with 0. */
static __attribute__((noinline)) int64_t load_other(const struct run *r, uint32_t at, unsigned size,
						    bool fact, uint32_t a, uint32_t x)
{
	bool ok;

	if (fact && at >= (uint32_t)SKF_AD_OFF)
		ok = ancillary(r, at - (uint32_t)SKF_AD_OFF, x, &a);
	else
		ok = load(r->p, at, size, &a);
	return ok ? (int64_t)a : -1;
}

static inline int64_t load_bytes(const struct run *r, uint32_t at, unsigned size, bool fact,
				 uint32_t a, uint32_t x)
{
	const uint8_t *b = r->data + at;

	if (unlikely((uint64_t)at + size > r->len))
		return load_other(r, at, size, fact, a, x);
	return size == 4 ? get_be32(b) : size == 2 ? get_be16(b) : b[0];
}

/* One case an instruction, so that each costs one jump: what its code says in fields is resolved by
 * the compiler. Against a loop that takes the fields apart, `weft-bench cbpf` shows a third of the
 * cycles. Divisors that are constants are not 0. */
#define LOAD(size_, size)                                                                          \
	case BPF_LD | BPF_ABS | size_:                                                             \
		v = load_bytes(&r, i->k, size, true, a, x);                                        \
		if (v < 0)                                                                         \
			return 0;                                                                  \
		a = (uint32_t)v;                                                                   \
		break;                                                                             \
	case BPF_LD | BPF_IND | size_:                                                             \
		v = load_bytes(&r, x + i->k, size, false, a, x);                                   \
		if (v < 0)                                                                         \
			return 0;                                                                  \
		a = (uint32_t)v;                                                                   \
		break
#define ALU(op, expr)                                                                              \
	case BPF_ALU | op | BPF_K:                                                                 \
		b = i->k;                                                                          \
		a = expr;                                                                          \
		break;                                                                             \
	case BPF_ALU | op | BPF_X:                                                                 \
		b = x;                                                                             \
		if ((op == BPF_DIV || op == BPF_MOD) && !b)                                        \
			return 0;                                                                  \
		a = expr;                                                                          \
		break
#define TEST(op, expr)                                                                             \
	case BPF_JMP | op | BPF_K:                                                                 \
		b = i->k;                                                                          \
		i += expr ? i->jt : i->jf;                                                         \
		break;                                                                             \
	case BPF_JMP | op | BPF_X:                                                                 \
		b = x;                                                                             \
		i += expr ? i->jt : i->jf;                                                         \
		break
#define SET(code, to, val)                                                                         \
	case code:                                                                                 \
		to = val;                                                                          \
		break

uint32_t cbpf_run(const struct cbpf *prog, const struct pkt *p, int ifindex, uint16_t hatype)
{
	struct run r = {.p = p,
			.data = pkt_data(p),
			.len = p->len,
			.ifindex = ifindex,
			.hatype = hatype,
			.draws = (uint64_t *)(uintptr_t)&prog->draws};
	uint32_t a = 0, x = 0, b, mem[BPF_MEMWORDS];
	int64_t v;

	for (const struct sock_filter *i = prog->insn;; i++) {
		switch (i->code) {
			LOAD(BPF_W, 4);
			LOAD(BPF_H, 2);
			LOAD(BPF_B, 1);
		case BPF_LDX | BPF_MSH | BPF_B: /* length of an IPv4 header */
			v = load_bytes(&r, i->k, 1, false, a, x);
			if (v < 0)
				return 0;
			x = 4 * (v & 15);
			break;
			SET(BPF_LD | BPF_W | BPF_LEN, a, p->total);
			SET(BPF_LDX | BPF_W | BPF_LEN, x, p->total);
			SET(BPF_LD | BPF_IMM, a, i->k);
			SET(BPF_LDX | BPF_IMM, x, i->k);
			SET(BPF_LD | BPF_MEM, a, mem[i->k]);
			SET(BPF_LDX | BPF_MEM, x, mem[i->k]);
			SET(BPF_ST, mem[i->k], a);
			SET(BPF_STX, mem[i->k], x);
			SET(BPF_MISC | BPF_TAX, x, a);
			SET(BPF_MISC | BPF_TXA, a, x);
			SET(BPF_ALU | BPF_NEG, a, -a);
			ALU(BPF_ADD, a + b);
			ALU(BPF_SUB, a - b);
			ALU(BPF_MUL, a * b);
			ALU(BPF_DIV, a / b);
			ALU(BPF_MOD, a % b);
			ALU(BPF_AND, a & b);
			ALU(BPF_OR, a | b);
			ALU(BPF_XOR, a ^ b);
			ALU(BPF_LSH, a << (b & 31));
			ALU(BPF_RSH, a >> (b & 31));
			TEST(BPF_JEQ, a == b);
			TEST(BPF_JGT, a > b);
			TEST(BPF_JGE, a >= b);
			TEST(BPF_JSET, a & b);
		case BPF_JMP | BPF_JA:
			i += i->k;
			break;
		case BPF_RET | BPF_A:
			return a;
		default: /* BPF_RET | BPF_K: what is left of the codes that were checked */
			return i->k;
		}
	}
}
