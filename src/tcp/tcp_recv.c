/*
 * tcp_recv: what the application reads, and what poll(2) tells it. Bytes are shown where they lie
 * (peek) and given up when they have been read (consume); urgent data stands between (tcp(7)).
 */
#include "tcp/tcp_data.h"
#include "tcp/tcp_listen.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_rcvq.h"

/* ---- the queue ---- */

static void drop_head(struct tcp_sock *tp)
{
	struct pkt *p = pktq_pop(&tp->rcvq);
	uint32_t size = tcp_rcv_truesize(p->total);

	tp->rmem -= MIN((size_t)size, tp->rmem);
	pkt_free(&tp->w->cache, p);
}

/* Gives up the packets that copied_seq has passed. */
static void trim_queue(struct tcp_sock *tp)
{
	struct pkt *p;

	while ((p = tp->rcvq.head) && !after(rcvq_seq(p) + p->total, tp->copied_seq))
		drop_head(tp);
}

void tcp_skip_byte(struct tcp_sock *tp)
{
	tp->copied_seq++;
	trim_queue(tp);
}

/* The urgent byte is not part of the stream unless asked to be: who reads on at the mark passes
 * over it. */
static void skip_urgent(struct tcp_sock *tp)
{
	if (likely(!tp->urg_data) || tp->urg_seq != tp->copied_seq || tp->in.sk.oobinline ||
	    tp->copied_seq == tp->rcv_nxt)
		return;
	tcp_skip_byte(tp);
	tp->urg_data = 0;
}

/* How many bytes from copied_seq may be read in one go. */
static uint32_t readable(const struct tcp_sock *tp)
{
	const struct pkt *last = rcvq_last(&tp->rcvq);
	uint32_t n = last ? rcvq_seq(last) + last->total - tp->copied_seq : 0;

	if (unlikely(tp->urg_data) && between(tp->urg_seq, tp->copied_seq + 1, tp->copied_seq + n))
		n = MIN(n, tp->urg_seq - tp->copied_seq);
	return n;
}

static int state_error(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;

	if (sk->error)
		return sock_take_error(sk);
	if (tp->node.state == TCP_LISTEN)
		return -ENOTCONN;
	if (sk->shut & 1)
		return 0;
	return tp->node.state == TCP_CLOSE ? -ENOTCONN : -EAGAIN;
}

ssize_t tcp_peek(struct sock *sk, struct iovec *iov, unsigned n, unsigned *count)
{
	struct tcp_sock *tp = tcp_sk(sk);
	uint32_t left, skip;
	size_t shown = 0;

	*count = 0;
	skip_urgent(tp);
	left = readable(tp);
	if (!left) {
		int err = state_error(tp);

		return err == -EAGAIN ? 0 : err;
	}
	skip = tp->copied_seq - rcvq_seq(tp->rcvq.head);
	for (const struct pkt *p = tp->rcvq.head; p && left && *count < n; p = p->next) {
		for (const struct pkt *s = p; s && left && *count < n; s = s->seg) {
			uint32_t len = s->len;

			if (skip >= len) {
				skip -= len;
				continue;
			}
			uint32_t k = MIN(len - skip, left);

			iov[(*count)++] = (struct iovec){pkt_data(s) + skip, k};
			shown += k;
			left -= k;
			skip = 0;
		}
		if (p->next)
			skip = tp->copied_seq + (uint32_t)shown - rcvq_seq(p->next);
	}
	return (ssize_t)shown;
}

void tcp_consume(struct sock *sk, size_t len)
{
	struct tcp_sock *tp = tcp_sk(sk);

	tp->copied_seq += (uint32_t)len;
	trim_queue(tp);
	if (unlikely(tp->urg_data) && after(tp->copied_seq, tp->urg_seq))
		tp->urg_data = 0;
	tcp_rcv_space_adjust(tp);
	tcp_cleanup_rbuf(tp, len);
}

/* ---- recv(2) ---- */

static ssize_t recv_urgent(struct tcp_sock *tp, void *buf, size_t len, int flags)
{
	if (tp->in.sk.oobinline || !tp->urg_data || tp->urg_data == TCP_URG_READ)
		return -EINVAL;
	if (tp->node.state == TCP_CLOSE)
		return -ENOTCONN;
	if (tp->urg_data & TCP_URG_VALID) {
		uint8_t byte = (uint8_t)tp->urg_data;

		if (!(flags & MSG_PEEK))
			tp->urg_data = TCP_URG_READ;
		if (len)
			memcpy(buf, &byte, 1);
		return len ? 1 : 0;
	}
	return tp->in.sk.shut & 1 ? 0 : -EAGAIN;
}

ssize_t tcp_recv(struct sock *sk, void *buf, size_t len, int flags)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct iovec iov[32];
	size_t done = 0;
	unsigned count;

	if (flags & MSG_OOB)
		return recv_urgent(tp, buf, len, flags);
	if (tp->node.state == TCP_LISTEN)
		return -ENOTCONN;
	if (!len)
		return 0;
	for (;;) {
		skip_urgent(tp);
		if (!readable(tp))
			break;
		ssize_t n = tcp_peek(sk, iov, ARRAY_SIZE(iov), &count);
		size_t took = 0;

		for (unsigned i = 0; i < count && done < len; i++) {
			size_t k = MIN(iov[i].iov_len, len - done);

			if (!(flags & MSG_TRUNC))
				memcpy((uint8_t *)buf + done, iov[i].iov_base, k);
			done += k;
			took += k;
		}
		if (flags & MSG_PEEK || n <= 0)
			break;
		tcp_consume(sk, took);
		/* a read ends at the urgent mark */
		if (done == len || (tp->urg_data && tp->urg_seq == tp->copied_seq))
			break;
	}
	return done ? (ssize_t)done : state_error(tp);
}

/* ---- poll(2) ---- */

uint32_t tcp_poll(const struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	uint32_t state = tp->node.state, mask = 0;

	if (state == TCP_LISTEN)
		return tp->listen && tp->listen->n_children ? SOCK_POLL_IN : 0;
	if (sk->shut == 3 || state == TCP_CLOSE)
		mask |= SOCK_POLL_HUP;
	if (sk->shut & 1)
		mask |= SOCK_POLL_IN | SOCK_POLL_RDHUP;
	if (state != TCP_SYN_SENT && (state != TCP_SYN_RECV || tp->fast_open_child)) {
		if (readable(tp) || (tp->urg_data && tp->urg_seq == tp->copied_seq &&
				     tp->rcv_nxt - tp->copied_seq > 1))
			mask |= SOCK_POLL_IN;
		if (sk->shut & 2)
			mask |= SOCK_POLL_OUT;
		else if (tcp_writable(tp, 0))
			mask |= SOCK_POLL_OUT;
		else
			tp->write_space_wanted = 1;
		if (tp->urg_data & TCP_URG_VALID)
			mask |= SOCK_POLL_PRI;
	} else if (state == TCP_SYN_SENT && tp->defer_connect) {
		mask |= SOCK_POLL_OUT;
	}
	if (sk->error)
		mask |= SOCK_POLL_ERR;
	return mask;
}
