/*
 * tcp: the socket calls, and the life of the module.
 */
#include "tcp/tcp_core.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "ip/ip4_core.h"
#include "net/sysctl.h"
#include "tcp/tcp_rcvq.h"

static int tcp_sock_init(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	sk->protocol = IPPROTO_TCP;
	inet_sock_init(&tp->in);
	tcp_init_sock(tp);
	sk->weft->tcp->n_socks++;
	return 0;
}

/* SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK: tcp(7). */
static int tcp_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	bool listens = tp->node.state == TCP_LISTEN;
	int v;

	switch (cmd) {
	case FIONREAD:
		if (listens)
			return -EINVAL;
		v = 0;
		for (const struct pkt *p = tp->rcvq.head; p; p = p->next)
			v = (int)(rcvq_seq(p) + p->total - tp->copied_seq);
		if (tp->urg_data && tp->urg_seq == tp->copied_seq && v)
			v--;
		break;
	case SIOCATMARK:
		v = tp->urg_data && tp->urg_seq == tp->copied_seq;
		break;
	case TIOCOUTQ:
		if (listens)
			return -EINVAL;
		v = (int)(tp->write_seq - tp->snd_una);
		break;
	case SIOCOUTQNSD:
		if (listens)
			return -EINVAL;
		v = (int)(tp->write_seq - tp->snd_nxt);
		break;
	default:
		return inet_ioctl(sk, cmd, arg, len);
	}
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(arg, &v, sizeof(v));
	return 0;
}

static const struct sock_stream_ops stream_ops = {
	.listen = tcp_listen,
	.accept = tcp_accept,
	.sendspace = tcp_sendspace,
	.send_pkt = tcp_send_pkt,
	.peek = tcp_peek,
	.consume = tcp_consume,
	.recv = tcp_recv,
	.poll = tcp_poll,
	.accepted_name = tcp_accepted_name,
};

static const struct sock_ops tcp_ops = {
	.size = sizeof(struct tcp_sock),
	.init = tcp_sock_init,
	.release = tcp_release,
	.bind = tcp_bind,
	.connect = tcp_connect,
	.getname = tcp_getname,
	.sendmsg = tcp_sendmsg,
	.setsockopt = tcp_setsockopt,
	.getsockopt = tcp_getsockopt,
	.option_set = tcp_sock_option,
	.reuse_prog = tcp_reuse_prog,
	.ioctl = tcp_ioctl,
	.shutdown = tcp_shutdown,
	.stream = &stream_ops,
};

static const struct inet_row tcp_row = {
	.type = SOCK_STREAM, .protocol = IPPROTO_TCP, .main = true, .ops = &tcp_ops};

/* ---- a namespace's part ---- */

int tcp_net_init(struct net *net)
{
	struct tcp_net *tn = calloc(1, sizeof(*tn));

	if (!tn)
		return -ENOMEM;
	tn->net = net;
	net->tcp = tn;
	tcp_table_net_init(tn);
	tcp_sysctl_defaults(tn);
	return 0;
}

void tcp_net_fini(struct net *net)
{
	tcp_tw_purge(net);
	tcp_table_net_fini(tcp_net(net));
	free(net->tcp);
	net->tcp = NULL;
}

/* ---- the instance ---- */

int tcp_init(struct weft *weft)
{
	struct tcp_core *core = calloc(1, sizeof(*core));
	int err;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	tcp_core_defaults(core);
	err = tcp_table_init(core);
	if (err)
		goto free_core;
	err = tcp_metrics_init(core);
	if (err)
		goto fini_table;
	weft->tcp = core;
	err = sysctl_add(weft->sysctls, tcp_sysctl);
	if (!err)
		err = inet_register(weft, &tcp_row);
	if (err)
		goto fini_metrics;
	core->proto.input = tcp_input;
	core->proto.error = tcp_error;
	ip4_hooks(weft)->proto[IPPROTO_TCP] = &core->proto;
	return 0;
fini_metrics:
	weft->tcp = NULL;
	tcp_metrics_fini(core);
fini_table:
	tcp_table_fini(core);
free_core:
	free(core);
	return err;
}

void tcp_stop(struct weft *weft)
{
	struct cds_lfht_node *at;
	struct cds_lfht_iter it;

	if (!weft->tcp)
		return;
	rcu_read_lock();
	cds_lfht_for_each (weft->tcp->conns, &it, at) {
		struct tcp_node *n = container_of(at, struct tcp_node, node);

		if (n->state == TCP_TIME_WAIT || n->state == TCP_NEW_SYN_RECV)
			continue; /* these end with their namespace and their listener */
		struct tcp_sock *tp = container_of(n, struct tcp_sock, node);

		if (tp->orphan)
			tcp_destroy(tp);
	}
	rcu_read_unlock();
	sock_put_late(weft);
}

void tcp_fini(struct weft *weft)
{
	struct tcp_core *core = weft->tcp;

	if (!core)
		return;
	ip4_hooks(weft)->proto[IPPROTO_TCP] = NULL;
	tcp_metrics_fini(core);
	tcp_table_fini(core);
	free(core);
	weft->tcp = NULL;
}
