/*
 * ip_opts: the options of level IPPROTO_IP, by which a program says how its datagrams travel and
 * what it wants to be shown of those it receives. Checks and values are Linux's.
 */
#include "sock/inet.h"
#include "wire/ip4_hdr.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif

/* Options that only ask to be shown something. 0: none of them. */
static unsigned show_bit(int name)
{
	switch (name) {
	case IP_PKTINFO:
		return INET_SHOW_PKTINFO;
	case IP_RECVTTL:
		return INET_SHOW_TTL;
	case IP_RECVTOS:
		return INET_SHOW_TOS;
	case IP_RECVOPTS:
		return INET_SHOW_RECVOPTS;
	case IP_RETOPTS:
		return INET_SHOW_RETOPTS;
	case IP_PASSSEC:
		return INET_SHOW_PASSSEC;
	case IP_RECVORIGDSTADDR:
		return INET_SHOW_ORIGDST;
	case IP_CHECKSUM:
		return INET_SHOW_CHECKSUM;
	case IP_RECVFRAGSIZE:
		return INET_SHOW_FRAGSIZE;
	}
	return 0;
}

/* ---- IP_OPTIONS ---- */

/* One option of `len` bytes at o. */
static bool option_ok(const uint8_t *o, unsigned len)
{
	switch (o[0]) {
	case IPOPT_LSRR:
	case IPOPT_SSRR:
		return len >= 7 && o[2] == 4 && (len - 3) % 4 == 0;
	case IPOPT_RR:
		return len >= 3 && o[2] >= 4 && (o[2] > len || o[2] + 3u <= len);
	case IPOPT_TIMESTAMP:
		return len >= 4 && o[2] >= 5 && (o[2] > len || o[2] + 3u <= len);
	case IPOPT_RA:
		return len >= 4;
	}
	return true;
}

static int set_options(struct inet_sock *in, const void *val, size_t len)
{
	uint8_t o[40] = {0}; /* IPOPT_END up to a whole word */
	size_t i = 0;

	if (len > sizeof(o))
		return -EINVAL;
	memcpy(o, val, len);
	while (i < len && o[i] != IPOPT_END) {
		if (o[i] == IPOPT_NOOP) {
			i++;
			continue;
		}
		if (len - i < 2 || o[i + 1] < 2 || o[i + 1] > len - i ||
		    !option_ok(o + i, o[i + 1]))
			return -EINVAL;
		i += o[i + 1];
	}
	memset(o + i, 0, sizeof(o) - i);
	memcpy(in->opt, o, sizeof(o));
	in->opt_len = (uint8_t)align_up(len, 4);
	return 0;
}

/* ---- set ---- */

/* The ECN bits of a stream are TCP's. */
static int set_tos(struct inet_sock *in, int val)
{
	if (in->sk.type == SOCK_STREAM)
		val = (val & ~3) | (in->tos & 3);
	in->tos = (uint8_t)val;
	in->sk.prio = ip4_tos_prio(in->tos);
	return 0;
}

static int set_unicast_if(struct inet_sock *in, const void *val, size_t len)
{
	int ifindex;

	if (len != sizeof(ifindex))
		return -EINVAL;
	ifindex = (int)get_be32(val);
	if (ifindex && !net_dev_by_index(in->sk.net, ifindex))
		return -EADDRNOTAVAIL;
	if (ifindex && in->sk.bound_if && in->sk.bound_if != ifindex)
		return -EINVAL;
	in->uc_index = ifindex;
	return 0;
}

/* For most, no bytes at all mean 0. */
static bool needs_value(int name)
{
	switch (name) {
	case IP_TTL:
	case IP_MULTICAST_TTL:
	case IP_MINTTL:
	case IP_MULTICAST_LOOP:
	case IP_MULTICAST_ALL:
	case IP_FREEBIND:
	case IP_TRANSPARENT:
		return true;
	}
	return false;
}

/* Those that need a value, most of them in a range. */
static int set_ranged(struct inet_sock *in, int name, int val)
{
	switch (name) {
	case IP_TTL:
		if (val != -1 && (val < 1 || val > 255))
			return -EINVAL;
		in->ttl = (int16_t)val;
		return 0;
	case IP_MULTICAST_TTL:
		if (val < -1 || val > 255)
			return -EINVAL;
		in->mc_ttl = val == -1 ? 1 : (uint8_t)val;
		return 0;
	case IP_MINTTL:
		if (val < 0 || val > 255)
			return -EINVAL;
		in->minttl = (uint8_t)val;
		return 0;
	case IP_MULTICAST_LOOP:
		in->mc_loop = val;
		return 0;
	case IP_MULTICAST_ALL:
		if (val != 0 && val != 1)
			return -EINVAL;
		in->mc_all = val;
		return 0;
	case IP_FREEBIND:
		in->freebind = val;
		return 0;
	case IP_TRANSPARENT:
		in->transparent = val;
		return 0;
	}
	return -ENOPROTOOPT;
}

static int set_port_range(struct inet_sock *in, uint32_t val)
{
	uint16_t lo = (uint16_t)val, hi = (uint16_t)(val >> 16);

	if (lo && hi && lo > hi)
		return -EINVAL;
	in->port_range = val;
	return 0;
}

static int set_plain(struct inet_sock *in, int name, int val)
{
	bool raw = in->sk.type == SOCK_RAW;
	unsigned bit = show_bit(name);

	if (bit) {
		in->show = (uint16_t)(val ? in->show | bit : in->show & ~bit);
		return 0;
	}
	switch (name) {
	case IP_TOS:
		return set_tos(in, val);
	case IP_HDRINCL:
		if (!raw)
			return -ENOPROTOOPT;
		in->hdrincl = val;
		return 0;
	case IP_NODEFRAG:
		if (!raw)
			return -ENOPROTOOPT;
		in->nodefrag = val;
		return 0;
	case IP_MTU_DISCOVER:
		if (val < IP_PMTUDISC_DONT || val > IP_PMTUDISC_OMIT)
			return -EINVAL;
		in->pmtudisc = (uint8_t)val;
		return 0;
	case IP_RECVERR:
		in->recverr = val;
		return 0;
	case IP_RECVERR_RFC4884:
		if (val < 0 || val > 1)
			return -EINVAL;
		in->recverr_rfc4884 = val;
		return 0;
	case IP_BIND_ADDRESS_NO_PORT:
		in->bind_no_port = val;
		return 0;
	case IP_ROUTER_ALERT: /* raw sockets have it themselves */
		return -EINVAL;
	case IP_LOCAL_PORT_RANGE:
		return set_port_range(in, (uint32_t)val);
	}
	return -ENOPROTOOPT;
}

int ip_opts_set(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct inet_sock *in = inet_sk(sk);
	int v = 0, err;

	if (level != IPPROTO_IP)
		return -ENOPROTOOPT;
	if (name == IP_OPTIONS)
		return set_options(in, val, len);
	if (name == IP_UNICAST_IF)
		return set_unicast_if(in, val, len);
	err = ip_mc_set(in, name, val, len);
	if (err != -ENOPROTOOPT)
		return err;
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len)
		v = *(const uint8_t *)val;
	if ((!len && needs_value(name)) || (name == IP_LOCAL_PORT_RANGE && len != sizeof(v)))
		return -EINVAL;
	err = set_ranged(in, name, v);
	return err != -ENOPROTOOPT ? err : set_plain(in, name, v);
}

/* ---- get ---- */

static int get_mtu(const struct inet_sock *in, int *v)
{
	struct flow4 fl = {.daddr = in->daddr,
			   .saddr = in->saddr,
			   .oif = in->sk.bound_if,
			   .tos = in->tos & 0x1c,
			   .proto = (uint8_t)in->sk.protocol};
	struct route_result res;

	if (!in->connected || route4_output(in->sk.net, &fl, &res))
		return -ENOTCONN;
	*v = (int)(res.mtu ? res.mtu : res.dev->mtu);
	return 0;
}

static int get_int(const struct inet_sock *in, int name, int *v)
{
	unsigned bit = show_bit(name);

	if (bit) {
		*v = !!(in->show & bit);
		return 0;
	}
	switch (name) {
	case IP_TOS:
		*v = in->tos;
		break;
	case IP_TTL:
		*v = in->ttl < 0 ? in->sk.net->ip4->default_ttl : in->ttl;
		break;
	case IP_HDRINCL:
		*v = in->hdrincl;
		break;
	case IP_NODEFRAG:
		*v = in->nodefrag;
		break;
	case IP_MTU_DISCOVER:
		*v = in->pmtudisc;
		break;
	case IP_RECVERR:
		*v = in->recverr;
		break;
	case IP_RECVERR_RFC4884:
		*v = in->recverr_rfc4884;
		break;
	case IP_MULTICAST_TTL:
		*v = in->mc_ttl;
		break;
	case IP_MULTICAST_LOOP:
		*v = in->mc_loop;
		break;
	case IP_MULTICAST_ALL:
		*v = in->mc_all;
		break;
	case IP_MINTTL:
		*v = in->minttl;
		break;
	case IP_FREEBIND:
		*v = in->freebind;
		break;
	case IP_TRANSPARENT:
		*v = in->transparent;
		break;
	case IP_BIND_ADDRESS_NO_PORT:
		*v = in->bind_no_port;
		break;
	case IP_UNICAST_IF:
		*v = (int)__builtin_bswap32((uint32_t)in->uc_index);
		break;
	case IP_LOCAL_PORT_RANGE:
		*v = (int)in->port_range;
		break;
	case IP_PROTOCOL:
		*v = in->num;
		break;
	case IP_ROUTER_ALERT:
		*v = 0;
		break;
	case IP_MTU:
		return get_mtu(in, v);
	default:
		return -ENOPROTOOPT;
	}
	return 0;
}

int ip_opts_put(void *val, size_t *len, int v)
{
	/* where a byte can hold it */
	if (*len && *len < sizeof(v) && v >= 0 && v <= 255) {
		*(uint8_t *)val = (uint8_t)v;
		*len = 1;
		return 0;
	}
	*len = MIN(*len, sizeof(v));
	memcpy(val, &v, *len);
	return 0;
}

int ip_opts_get(struct sock *sk, int level, int name, void *val, size_t *len)
{
	const struct inet_sock *in = inet_sk(sk);
	int v, err;

	if (level != IPPROTO_IP)
		return -EOPNOTSUPP;
	switch (name) {
	case IP_OPTIONS:
		*len = MIN(*len, (size_t)in->opt_len);
		memcpy(val, in->opt, *len);
		return 0;
	case IP_MULTICAST_IF:
		*len = MIN(*len, sizeof(in->mc_addr));
		memcpy(val, &in->mc_addr, *len);
		return 0;
	case IP_MSFILTER:
	case MCAST_MSFILTER:
		return ip_mc_get(inet_sk(sk), name, val, len);
	}
	err = get_int(in, name, &v);
	return err ? err : ip_opts_put(val, len, v);
}
