/*
 * tcp_listen: listen(2), accept(2), and the queue between them.
 *
 * A listener has a request for each SYN (bounded by the backlog, then cookies) and a queue of
 * children whose handshake is done. The queue takes one more than the backlog says, as in every
 * BSD. A listener that goes takes all of them along; peers of children get an RST.
 */
#include "tcp/tcp_listen.h"

enum { TFO_SERVER = 0x2, TFO_SERVER_WITHOUT_OPTION = 0x400 };

/* Fast Open for all listeners, when the settings say so. */
static void enable_fastopen(struct tcp_sock *tp, unsigned backlog)
{
	struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!(tn->tcp_fastopen & TFO_SERVER) || !(tn->tcp_fastopen & TFO_SERVER_WITHOUT_OPTION) ||
	    tp->fo_qlen_max)
		return;
	tp->fo_qlen_max = backlog;
	tcp_fastopen_key_init(tn);
}

static int listen_start(struct tcp_sock *tp, unsigned backlog)
{
	struct tcp_listen *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&l->children);
	CDS_INIT_LIST_HEAD(&l->reqs);
	CDS_INIT_LIST_HEAD(&l->fo_reqs);
	CDS_INIT_LIST_HEAD(&l->fo_rst);
	l->backlog = backlog;
	memset(&tp->ack, 0, sizeof(tp->ack));
	tp->ack.rcv_mss = TCP_MIN_MSS;
	/* Whether the port may be had depends on the state: set, but not found by anybody yet. */
	tp->node.state = TCP_LISTEN;
	tp->in.sk.listens = true;
	tp->listen = l;
	err = tcp_port_get(tp, tp->in.num);
	if (!err)
		err = tcp_listener_add(tp);
	if (!err)
		return 0;
	tp->node.state = TCP_CLOSE;
	tp->listen = NULL;
	free(l);
	return err;
}

int tcp_listen(struct sock *sk, int backlog)
{
	struct tcp_sock *tp = tcp_sk(sk);
	unsigned n = MIN((unsigned)backlog, (unsigned)sock_somaxconn(sk->net));

	if (tp->ss_state != SS_UNCONNECTED ||
	    !(TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN))))
		return -EINVAL;
	if (tp->node.state == TCP_LISTEN) {
		tp->listen->backlog = n;
		return 0;
	}
	enable_fastopen(tp, n);
	return listen_start(tp, n);
}

int tcp_accept(struct sock *sk, struct sock **out)
{
	struct tcp_sock *tp = tcp_sk(sk), *child;
	struct tcp_listen *l = tp->listen;

	if (tp->node.state != TCP_LISTEN)
		return -EINVAL;
	if (cds_list_empty(&l->children))
		return -EAGAIN;
	child = cds_list_first_entry(&l->children, struct tcp_sock, accept_link);
	cds_list_del_init(&child->accept_link);
	l->n_children--;
	child->parent = NULL;
	child->ss_state = SS_CONNECTED;
	*out = &child->in.sk;
	return 0;
}

void tcp_accept_add(struct tcp_sock *listener, struct tcp_sock *child)
{
	struct tcp_listen *l = listener->listen;

	child->parent = listener;
	cds_list_add_tail(&child->accept_link, &l->children);
	l->n_children++;
}

unsigned tcp_accept_queue_len(const struct tcp_sock *tp)
{
	return tp->listen ? tp->listen->n_children + tp->in.sk.accept_handed : 0;
}

unsigned tcp_listen_backlog(const struct tcp_sock *tp)
{
	return tp->listen ? tp->listen->backlog : 0;
}

/* Nobody will accept it any more. */
static void child_forget(struct tcp_sock *child)
{
	cds_list_del_init(&child->accept_link);
	child->parent = NULL;
	tcp_child_gone(child);
	tcp_disconnect(child);
	sock_put(&child->in.sk);
}

void tcp_listen_stop(struct tcp_sock *tp)
{
	struct tcp_listen *l = tp->listen;
	struct tcp_sock *child, *next_child;
	struct tcp_req *r, *next;

	if (!l)
		return;
	tcp_listener_del(tp);
	cds_list_for_each_entry_safe (r, next, &l->reqs, link)
		tcp_req_drop(r);
	cds_list_for_each_entry_safe (child, next_child, &l->children, accept_link)
		child_forget(child);
	tcp_fastopen_listen_stop(tp);
	tp->listen = NULL;
	free(l);
}
