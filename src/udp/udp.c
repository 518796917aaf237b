/*
 * udp: the socket calls, and the life of the module.
 */
#include "udp/udp_core.h"

#include <linux/udp.h>

/* Of UDP-Lite, which shares its options with UDP. */
enum { UDPLITE_SEND_CSCOV_ = 10, UDPLITE_RECV_CSCOV_ = 11 };

/* ---- struct sock_ops ---- */

static int udp_sock_init(struct sock *sk)
{
	sk->protocol = IPPROTO_UDP;
	inet_sock_init(inet_sk(sk));
	return 0;
}

static void udp_release(struct sock *sk)
{
	struct udp_sock *us = udp_sk(sk);

	if (us->cork)
		free(us->cork->data);
	free(us->cork);
	us->cork = NULL;
	udp_unhash(us);
	inet_sock_release(&us->in);
}

static int udp_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct udp_sock *us = udp_sk(sk);
	bool group;
	int err;

	err = inet_check_bind(&us->in, a, len, &group);
	if (err)
		return err;
	if (!inet_port_allowed(&us->in, __builtin_bswap16(sin->sin_port)))
		return -EACCES;
	if (us->port || us->in.connected)
		return -EINVAL;
	us->in.rcv_saddr = sin->sin_addr.s_addr;
	us->in.saddr = group ? 0 : us->in.rcv_saddr;
	if (sin->sin_port || !us->in.bind_no_port) {
		if (udp_port_get(us, __builtin_bswap16(sin->sin_port))) {
			us->in.rcv_saddr = us->in.saddr = 0;
			return -EADDRINUSE;
		}
	}
	us->in.addr_bound = us->in.rcv_saddr;
	us->in.port_bound = sin->sin_port;
	return 0;
}

static int disconnect(struct udp_sock *us)
{
	inet_disconnect(&us->in);
	if (us->in.port_bound)
		return udp_rehash(us);
	udp_unhash(us);
	return 0;
}

static int udp_abort(struct sock *sk, int err)
{
	sock_error(sk, err);
	return disconnect(udp_sk(sk));
}

static int udp_connect(struct sock *sk, const struct sockaddr *a, size_t len)
{
	struct udp_sock *us = udp_sk(sk);
	int err;

	if (len < sizeof(a->sa_family))
		return -EINVAL;
	if (a->sa_family == AF_UNSPEC)
		return disconnect(us);
	if (!us->port && udp_port_get(us, 0))
		return -EAGAIN;
	err = inet_connect(&us->in, a, len);
	return err ? err : udp_rehash(us);
}

static int udp_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct udp_sock *us = udp_sk(sk);
	int v;

	if (level != IPPROTO_UDP)
		return ip_opts_set(sk, level, name, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	switch (name) {
	case UDP_CORK:
		us->corked = v;
		return v ? 0 : udp_uncork(us);
	case UDP_SEGMENT:
		if (v < 0 || v > UINT16_MAX)
			return -EINVAL;
		us->gso_size = (uint16_t)v;
		return 0;
	case UDP_GRO:
		us->gro = v;
		return 0;
	case UDP_NO_CHECK6_TX:
		us->no_check6_tx = v;
		return 0;
	case UDP_NO_CHECK6_RX:
		us->no_check6_rx = v;
		return 0;
	case UDP_ENCAP:
		if (v && v != UDP_ENCAP_L2TPINUDP)
			return -ENOPROTOOPT;
		us->encap = (uint8_t)v;
		return 0;
	}
	return -ENOPROTOOPT;
}

static int udp_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	const struct udp_sock *us = udp_sk(sk);
	int v;

	if (level != IPPROTO_UDP)
		return ip_opts_get(sk, level, name, val, len);
	switch (name) {
	case UDP_CORK:
		v = us->corked;
		break;
	case UDP_SEGMENT:
		v = us->gso_size;
		break;
	case UDP_GRO:
		v = us->gro;
		break;
	case UDP_NO_CHECK6_TX:
		v = us->no_check6_tx;
		break;
	case UDP_NO_CHECK6_RX:
		v = us->no_check6_rx;
		break;
	case UDP_ENCAP:
		v = us->encap;
		break;
	case UDPLITE_SEND_CSCOV_:
	case UDPLITE_RECV_CSCOV_:
		v = 0;
		break;
	default:
		return -ENOPROTOOPT;
	}
	*len = MIN(*len, sizeof(v));
	memcpy(val, &v, *len);
	return 0;
}

static struct cbpf **udp_reuse_prog(struct sock *sk)
{
	struct udp_group *g = udp_sk(sk)->group;

	return g ? &g->prog : NULL;
}

static void udp_rebind(struct sock *sk)
{
	udp_changed(sk->weft->udp);
}

static const struct sock_ops udp_ops = {
	.size = sizeof(struct udp_sock),
	.init = udp_sock_init,
	.release = udp_release,
	.bind = udp_bind,
	.connect = udp_connect,
	.getname = inet_getname,
	.sendmsg = udp_sendmsg,
	.setsockopt = udp_setsockopt,
	.getsockopt = udp_getsockopt,
	.ioctl = inet_ioctl,
	.shutdown = inet_shutdown,
	.abort = udp_abort,
	.reuse_prog = udp_reuse_prog,
	.rebind = udp_rebind,
};

static const struct inet_row udp_row = {
	.type = SOCK_DGRAM, .protocol = IPPROTO_UDP, .main = true, .ops = &udp_ops};

void udp_show(struct net *net, FILE *out)
{
	inet_show_head(out, 5, true);
	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk))
		if (sk->ops == &udp_ops && udp_sk(sk)->port)
			inet_show_line(out, inet_sk(sk), 5, inet_sk(sk)->num & 4095, true);
}

struct sock *udp_find(struct net *net, uint32_t laddr, uint16_t lport, uint32_t raddr,
		      uint16_t rport, int ifindex)
{
	const struct udp_flow f = {.net = net,
				   .raddr = raddr,
				   .laddr = laddr,
				   .rport = rport,
				   .lport = lport,
				   .ifindex = ifindex};
	struct udp_sock *us = udp_lookup(net->weft->worker[0], &f, NULL);

	return us ? &us->in.sk : NULL;
}

/* ---- the instance ---- */

int udp_init(struct weft *weft)
{
	struct udp_core *core = calloc(1, sizeof(*core));
	int err;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	err = udp_table_init(core);
	if (err)
		goto free_core;
	err = inet_register(weft, &udp_row);
	if (err)
		goto fini_table;
	core->proto.input = udp_input;
	core->proto.error = udp_error;
	ip4_hooks(weft)->proto[IPPROTO_UDP] = &core->proto;
	weft->udp = core;
	return 0;
fini_table:
	udp_table_fini(core);
free_core:
	free(core);
	return err;
}

void udp_fini(struct weft *weft)
{
	if (!weft->udp)
		return;
	ip4_hooks(weft)->proto[IPPROTO_UDP] = NULL;
	udp_table_fini(weft->udp);
	free(weft->udp);
	weft->udp = NULL;
}
