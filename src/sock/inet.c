/*
 * inet: the AF_INET family; binding, connecting and naming of its sockets.
 */
#include "sock/inet.h"

#include <stdio.h>

#include "ip/ip4_core.h"
#include "sock/sock_core.h"

#define IPPROTO_LIMIT 263 /* IPPROTO_MAX of Linux since MPTCP */

/* ---- the family ---- */

int inet_register(struct weft *weft, const struct inet_row *row)
{
	struct sock_core *core = weft->sock;

	if (core->n_inet_rows == INET_ROWS_MAX)
		return -ENOBUFS;
	core->inet_row[core->n_inet_rows++] = row;
	return 0;
}

/* As the kernel walks inetsw: a row of the type, its protocol equal or either of them wild. */
static const struct sock_ops *inet_find(struct net *net, int type, int protocol, int *err)
{
	const struct sock_core *core = net->weft->sock;

	if (protocol < 0 || protocol >= IPPROTO_LIMIT) {
		*err = -EINVAL;
		return NULL;
	}
	*err = -ESOCKTNOSUPPORT;
	for (unsigned i = 0; i < core->n_inet_rows; i++) {
		const struct inet_row *r = core->inet_row[i];

		if (r->type != type)
			continue;
		if (protocol ? r->any || r->protocol == protocol : r->main)
			return r->ops;
		*err = -EPROTONOSUPPORT;
	}
	return NULL;
}

int inet_family_init(struct weft *weft)
{
	const struct sock_family f = {.family = AF_INET, .find = inet_find};

	return sock_register(weft, &f);
}

/* ---- life ---- */

void inet_sock_init(struct inet_sock *in)
{
	const struct ip4_net *ip4 = in->sk.net->ip4;

	in->ttl = -1;
	in->mc_ttl = 1;
	in->mc_loop = in->mc_all = true;
	in->pmtudisc = ip4->no_pmtu_disc ? IP_PMTUDISC_DONT : IP_PMTUDISC_WANT;
	CDS_INIT_LIST_HEAD(&in->members);
}

void inet_sock_release(struct inet_sock *in)
{
	ip_mc_release(in);
	free(in->way);
	in->way = NULL;
}

/* ---- names ---- */

int inet_check_addr(const struct inet_sock *in, uint32_t addr, bool *group)
{
	unsigned type;

	*group = false;
	if (!addr)
		return 0;
	if (ip4_is_multicast(addr) || addr == UINT32_MAX) {
		*group = true;
		return 0;
	}
	type = ip4_addr_type(in->sk.net, addr);
	*group = type == RTN_BROADCAST || type == RTN_MULTICAST;
	if (*group || type == RTN_LOCAL || in->freebind || in->transparent ||
	    READ_ONCE(in->sk.net->ip4->nonlocal_bind))
		return 0;
	return -EADDRNOTAVAIL;
}

int inet_check_bind(const struct inet_sock *in, const struct sockaddr *a, size_t len, bool *group)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;

	if (len < sizeof(*sin))
		return -EINVAL;
	/* AF_UNSPEC is taken for AF_INET with any address: old programs rely on it. */
	if (sin->sin_family != AF_INET && (sin->sin_family || sin->sin_addr.s_addr))
		return -EAFNOSUPPORT;
	return inet_check_addr(in, sin->sin_addr.s_addr, group);
}

bool inet_port_allowed(const struct inet_sock *in, uint16_t num)
{
	return !num || in->sk.privileged || !in->sk.uid ||
	       num >= READ_ONCE(in->sk.net->ip4->unprivileged_port_start);
}

int inet_connect(struct inet_sock *in, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct net *net = in->sk.net;
	struct route_result res;
	int err;

	if (len < sizeof(*sin))
		return -EINVAL;
	if (sin->sin_family != AF_INET)
		return -EAFNOSUPPORT;
	struct flow4 fl = {
		.daddr = sin->sin_addr.s_addr,
		.saddr = in->saddr,
		.oif = in->sk.bound_if,
		.mark = in->sk.mark,
		.tos = in->tos & 0x1c,
		.scope = in->sk.dontroute ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.proto = (uint8_t)in->sk.protocol,
		.flags = in->transparent || in->hdrincl ? FLOW4_ANYSRC : 0,
		.dport = sin->sin_port,
		.sport = in->sport,
	};
	if (ip4_is_multicast(fl.daddr)) {
		fl.oif = fl.oif ? fl.oif : in->mc_index;
		fl.saddr = fl.saddr ? fl.saddr : in->mc_addr;
	} else if (!fl.oif) {
		fl.oif = in->uc_index;
	}
	err = route4_output(net, &fl, &res);
	if (err) {
		if (err == -ENETUNREACH)
			ip4_mib(net, net->weft->worker[0])[MIB_Ip_OutNoRoutes]++;
		return err;
	}
	if (res.type == RTN_BROADCAST && !in->sk.broadcast)
		return -EACCES;
	if (!in->saddr)
		in->saddr = res.saddr;
	if (!in->rcv_saddr)
		in->rcv_saddr = res.saddr;
	in->daddr = fl.daddr ? fl.daddr : res.saddr;
	in->dport = sin->sin_port;
	in->connected = true;
	return 0;
}

void inet_disconnect(struct inet_sock *in)
{
	in->connected = false;
	in->daddr = 0;
	in->dport = 0;
	in->sk.bound_if = 0;
	if (!in->addr_bound)
		in->rcv_saddr = in->saddr = 0;
}

int inet_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len)
{
	const struct inet_sock *in = inet_sk(sk);
	struct sockaddr_in sin = {.sin_family = AF_INET};

	if (peer) {
		if (!in->dport || !in->connected)
			return -ENOTCONN;
		sin.sin_port = in->dport;
		sin.sin_addr.s_addr = in->daddr;
	} else {
		sin.sin_port = in->sport;
		sin.sin_addr.s_addr = in->rcv_saddr ? in->rcv_saddr : in->saddr;
	}
	memcpy(a, &sin, MIN(*len, sizeof(sin)));
	*len = sizeof(sin);
	return 0;
}

int inet_shutdown(struct sock *sk, int how)
{
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	sk->shut |= (uint32_t)how + 1;
	if (sk->wake)
		sk->wake(sk);
	return inet_sk(sk)->connected ? 0 : -ENOTCONN;
}

int inet_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	return -515; /* ENOIOCTLCMD: the queue's sizes are sock's, the rest the devices' */
}

void inet_show_head(FILE *out, int width, bool pad)
{
	char line[160];

	snprintf(line, sizeof(line),
		 "%*s  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
		 "  timeout inode ref pointer drops",
		 width, "sl");
	fprintf(out, "%-*s\n", pad ? 127 : 0, line);
}

void inet_show_line(FILE *out, const struct inet_sock *in, int width, unsigned slot, bool pad)
{
	const struct sock *sk = &in->sk;
	char line[200];

	snprintf(line, sizeof(line),
		 "%*u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08X %08X %5u %8d %lu %u %016lx %lu",
		 width, slot, in->rcv_saddr, in->num, in->daddr, __builtin_bswap16(in->dport),
		 in->connected ? 1 : 7, 0, (unsigned)sock_rmem(sk), 0, 0, 0, sk->uid, 0,
		 sock_ino(sk), sk->refs + 1, (unsigned long)sk->id, (unsigned long)sk->rx_drops);
	fprintf(out, "%-*s\n", pad ? 127 : 0, line);
}
