/*
 * ip4_options: options of the IPv4 header (RFC 791 3.1, RFC 1812 5.2.4, RFC 2113).
 *
 * A list of octets: END and NOOP of one, all others with a length. Each is known by its offset from
 * the IP header's start, so that it can be found again when an address is to be written. Record
 * route and time stamp are filled in twice by a router: on arrival with the address a reply would
 * come from, which moves the pointer on, and on departure with the address of the way out, written
 * over it.
 */
#include "ip/ip4_path.h"

#define HDR 20

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static void store32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static void header_sum(uint8_t *hdr)
{
	struct ip4_hdr *ip = (struct ip4_hdr *)hdr;

	ip->check = 0;
	ip->check = csum_ip4(ip, ip->ihl);
}

static uint32_t day_ms(const struct worker *w)
{
	return (uint32_t)((w->now + (uint64_t)w->wall) / NSEC_PER_MSEC % 86400000);
}

/* ---- one option: 0 or the octet at fault, plus one ---- */

static unsigned rr_fault(const uint8_t *opt)
{
	if (opt[1] < 3)
		return 1 + 1;
	if (opt[2] < 4 || (opt[2] <= opt[1] && opt[2] + 3 > opt[1]))
		return 2 + 1;
	return 0;
}

static unsigned srr_fault(const uint8_t *opt)
{
	return opt[1] < 3 ? 1 + 1 : opt[2] < 4 ? 2 + 1 : 0;
}

static unsigned ts_fault(const uint8_t *opt)
{
	unsigned kind = opt[1] >= 4 ? opt[3] & 15 : 0;
	unsigned need = kind == IPOPT_TS_TSANDADDR || kind == IPOPT_TS_PRESPEC ? 8 : 4;

	if (opt[1] < 4)
		return 1 + 1;
	if (opt[2] < 5 || (opt[2] <= opt[1] && opt[2] + need - 1 > opt[1]))
		return 2 + 1;
	/* no room, and no more can be counted */
	if (opt[2] > opt[1] && kind != IPOPT_TS_PRESPEC && (opt[3] & 0xf0) == 0xf0)
		return 3 + 1;
	return 0;
}

/* ---- parsing ---- */

static unsigned parse_srr(uint8_t *opt, unsigned at, struct ip4_opt *o)
{
	unsigned bad = srr_fault(opt);

	if (bad || o->srr) /* one is enough */
		return bad ? bad : 0 + 1;
	o->srr = (uint8_t)at;
	o->strict = opt[0] == IPOPT_SSRR;
	return 0;
}

static unsigned parse_rr(uint8_t *opt, unsigned at, struct ip4_opt *o, uint32_t spec)
{
	unsigned bad = rr_fault(opt);

	if (bad || o->rr)
		return o->rr ? 0 + 1 : bad;
	if (opt[2] <= opt[1]) {
		store32(opt + opt[2] - 1, spec);
		opt[2] = (uint8_t)(opt[2] + 4);
		o->changed = o->rr_need = true;
	}
	o->rr = (uint8_t)at;
	return 0;
}

/* Writes the time (and, with addr, the address before it) at the pointer. */
static void ts_write(uint8_t *opt, bool addr, uint32_t spec, uint32_t ms)
{
	uint8_t *at = opt + opt[2] - 1;

	if (addr) {
		store32(at, spec);
		at += 4;
	}
	put_be32(at, ms);
	opt[2] = (uint8_t)(opt[2] + (addr ? 8 : 4));
}

/* There is room: signs, if it is for us to sign. */
static void ts_sign(struct worker *w, struct net *net, uint8_t *opt, struct ip4_opt *o,
		    uint32_t spec)
{
	bool addr = false;

	switch (opt[3] & 15) {
	case IPOPT_TS_TSONLY:
		break;
	case IPOPT_TS_TSANDADDR:
		addr = o->ts_need_addr = true;
		break;
	case IPOPT_TS_PRESPEC:
		/* only the one who is named */
		spec = load32(opt + opt[2] - 1);
		if (ip4_addr_type(net, spec) != RTN_LOCAL)
			return;
		addr = true;
		break;
	default:
		return; /* a kind nobody knows passes */
	}
	o->ts_need_time = o->changed = true;
	ts_write(opt, addr, spec, day_ms(w));
}

static unsigned parse_ts(struct worker *w, struct net *net, uint8_t *opt, unsigned at,
			 struct ip4_opt *o, uint32_t spec, bool arrived)
{
	unsigned bad = ts_fault(opt);

	if (bad || o->ts)
		return o->ts ? 0 + 1 : bad;
	if (opt[2] <= opt[1]) {
		ts_sign(w, net, opt, o, spec);
	} else if (arrived && (opt[3] & 15) != IPOPT_TS_PRESPEC) {
		/* no room: one more who could not sign */
		opt[3] = (uint8_t)(opt[3] + 0x10);
		o->changed = true;
	}
	o->ts = (uint8_t)at;
	return 0;
}

/* What follows the end is padding, and made so. */
static bool clear_padding(uint8_t *from, const uint8_t *end)
{
	bool changed = false;

	for (; from < end; from++) {
		changed |= *from != IPOPT_END;
		*from = IPOPT_END;
	}
	return changed;
}

int ip4_options_parse(struct worker *w, struct net *net, uint8_t *hdr, struct ip4_opt *o,
		      uint32_t spec_dst, bool arrived)
{
	unsigned end = (hdr[0] & 15) * 4u, at = HDR;

	memset(o, 0, sizeof(*o));
	o->optlen = (uint8_t)(end - HDR);
	while (at < end) {
		uint8_t *opt = hdr + at;
		unsigned bad = 0;

		if (opt[0] == IPOPT_END) {
			o->changed |= clear_padding(opt + 1, hdr + end);
			break;
		}
		if (opt[0] == IPOPT_NOOP) {
			at++;
			continue;
		}
		if (at + 1 >= end || opt[1] < 2 || at + opt[1] > end)
			return (int)at;
		switch (opt[0]) {
		case IPOPT_SSRR:
		case IPOPT_LSRR:
			bad = parse_srr(opt, at, o);
			break;
		case IPOPT_RR:
			bad = parse_rr(opt, at, o, spec_dst);
			break;
		case IPOPT_TIMESTAMP:
			bad = parse_ts(w, net, opt, at, o, spec_dst, arrived);
			break;
		case IPOPT_RA:
			if (opt[1] < 4)
				bad = 1 + 1;
			else if (!opt[2] && !opt[3])
				o->router_alert = (uint8_t)at;
			break;
		case IPOPT_CIPSO:
			/* A label (FIPS 188) of a domain that nobody can define here: what it asks
			 * for is not known, so that it cannot be kept to. */
			bad = (opt[1] < 8 ? 1 : 2) + 1;
			break;
		default:
			break; /* unknown ones pass */
		}
		if (bad)
			return (int)(at + bad - 1);
		at += opt[1];
	}
	return 0;
}

/* ---- source routes ---- */

void ip4_options_forward(struct net *net, struct pkt *p, struct ip4_opt *o,
			 const struct netdev *out, uint32_t nexthop)
{
	uint8_t *hdr = pkt_l3(p), *opt;
	uint32_t own = ip4_select_source(net, out, nexthop, RT_SCOPE_UNIVERSE);

	if (o->rr_need) {
		opt = hdr + o->rr;
		store32(opt + opt[2] - 5, own);
		o->changed = true;
	}
	if (o->srr_hit) {
		unsigned ptr;

		opt = hdr + o->srr;
		/* The entry that names the next hop becomes the destination; our address takes its
		 * place. */
		for (ptr = opt[2]; load32(opt + ptr - 1) != o->nexthop;)
			ptr += 4;
		store32(hdr + offsetof(struct ip4_hdr, daddr), o->nexthop);
		store32(opt + ptr - 1, own);
		opt[2] = (uint8_t)(ptr + 4);
		o->changed = true;
		/* A stamp's address is that of the side it came in by, unless the source sends it
		 * elsewhere. */
		if (o->ts_need_addr)
			store32(hdr + o->ts + hdr[o->ts + 2] - 9, own);
	}
	if (o->changed)
		header_sum(hdr);
}

/* ---- answers ---- */

/* The route back: the hops so far, in reverse, ending with who sent the packet. */
static unsigned echo_srr(const uint8_t *hdr, const uint8_t *opt, uint8_t *to, uint32_t *faddr)
{
	const struct ip4_hdr *ip = (const struct ip4_hdr *)hdr;
	unsigned ptr = opt[2] > opt[1] ? opt[1] + 1u : opt[2], n;

	if (ptr < 4 + 4)
		return 0;
	n = (ptr - 4) / 4; /* hops recorded */
	*faddr = load32(opt + 3 + 4 * (n - 1));
	if (*faddr == ip->daddr) { /* ourselves, by a list that ends here */
		if (--n == 0)
			return 0;
		*faddr = load32(opt + 3 + 4 * (n - 1));
	}
	to[0] = opt[0];
	to[1] = (uint8_t)(3 + 4 * n);
	to[2] = 4;
	/* As IP_OPTIONS wants it: the first hop first, which ip4_send() takes off. */
	for (unsigned i = 0; i < n; i++)
		store32(to + 3 + 4 * i, load32(opt + 3 + 4 * (n - 1 - i)));
	return to[1];
}

/* What of one option goes back: bytes written; or -1: the sender was told of a fault in it. */
static int echo_one(const uint8_t *hdr, const uint8_t *opt, uint8_t *to, uint32_t *faddr)
{
	switch (opt[0]) {
	case IPOPT_RR:
		if (rr_fault(opt))
			return -1;
		break;
	case IPOPT_TIMESTAMP:
		if (ts_fault(opt))
			return -1;
		break;
	case IPOPT_LSRR:
	case IPOPT_SSRR:
		return srr_fault(opt) ? -1 : (int)echo_srr(hdr, opt, to, faddr);
	case IPOPT_CIPSO:
		break;
	default:
		return 0;
	}
	memcpy(to, opt, opt[1]);
	return opt[1];
}

unsigned ip4_options_echo(const uint8_t *hdr, uint8_t *out, uint32_t *faddr)
{
	unsigned end = (hdr[0] & 15) * 4u, at = HDR, n = 0;

	*faddr = 0;
	while (at < end && hdr[at] != IPOPT_END) {
		const uint8_t *opt = hdr + at;

		if (opt[0] == IPOPT_NOOP) {
			at++;
			continue;
		}
		if (at + 1 >= end || opt[1] < 2 || at + opt[1] > end)
			break;
		int more = echo_one(hdr, opt, out + n, faddr);
		if (more < 0)
			break;
		n += (unsigned)more;
		at += opt[1];
		if (opt[0] == IPOPT_CIPSO) /* the fault itself goes back, nothing after it */
			break;
	}
	while (n & 3)
		out[n++] = IPOPT_END;
	return n;
}

void ip4_options_fragment(uint8_t *hdr)
{
	unsigned end = (hdr[0] & 15) * 4u, at = HDR;

	while (at < end && hdr[at] != IPOPT_END) {
		unsigned len = 1;

		if (hdr[at] != IPOPT_NOOP) {
			if (at + 1 >= end || hdr[at + 1] < 2 || at + hdr[at + 1] > end)
				return;
			len = hdr[at + 1];
			if (!IPOPT_COPIED(hdr[at]))
				memset(hdr + at, IPOPT_NOOP, len);
		}
		at += len;
	}
}
