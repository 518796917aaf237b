/*
 * tcp_send: the application's half: what it writes goes into segments of the send queue, pushed as
 * Nagle and the windows allow; shutdown and close (RFC 9293 3.10.4, RFC 2525 2.17).
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_data.h"
#include "tcp/tcp_input.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_rcvq.h"

#define SEG_BYTES_MAX (65535u - 20 - 60)

/* ---- the send buffer ---- */

void tcp_sndbuf_expand(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t per = MAX((uint32_t)tp->rx_opt.mss_clamp, (uint32_t)tp->mss_cache) + 320 + 320;
	uint32_t n = MAX(MAX(TCP_INIT_CWND, tp->snd_cwnd), tp->reordering + 1), size = 256;

	while (size < per)
		size *= 2;
	uint64_t mem = (uint64_t)n * (size + 256);

	mem *= tp->cc && tp->cc->sndbuf_expand ? tp->cc->sndbuf_expand(tp) : 2;
	if (tp->in.sk.sndbuf < mem)
		tp->in.sk.sndbuf = MIN(mem, (uint64_t)tn->tcp_wmem[2]);
}

/* TCP_NOTSENT_LOWAT: is less than that waiting? who is woken asks for half of it (shift 1). */
static bool notsent_ok(const struct tcp_sock *tp, unsigned shift)
{
	uint32_t lowat =
		tp->notsent_lowat ? tp->notsent_lowat : tcp_net(tp->in.sk.net)->tcp_notsent_lowat;

	return (uint64_t)(tp->write_seq - tp->snd_nxt) << shift < lowat;
}

bool tcp_writable(const struct tcp_sock *tp, unsigned shift)
{
	size_t sndbuf = tp->in.sk.sndbuf;

	return sndbuf > tp->wmem && sndbuf - tp->wmem >= tp->wmem >> 1 && notsent_ok(tp, shift) &&
	       !tcp_scarce(tp, tp->wmem);
}

size_t tcp_sendspace(const struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (!(TCPF(tp->node.state) & (TCPF(TCP_ESTABLISHED) | TCPF(TCP_CLOSE_WAIT))) &&
	    !tp->fast_open_child)
		return 0;
	if (likely(tp->wmem < sk->sndbuf && notsent_ok(tp, 0) && !tcp_scarce(tp, tp->wmem)))
		return sk->sndbuf - tp->wmem;
	tp->write_space_wanted = 1;
	return 0;
}

void tcp_write_space(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;

	if (!tp->write_space_wanted)
		return;
	if (!(sk->buf_lock & SOCK_SNDBUF_LOCK) && tcp_packets_in_flight(tp) < tp->snd_cwnd) {
		tcp_sndbuf_expand(tp);
		tp->snd_cwnd_stamp = tcp_now(tp);
	}
	if (!tcp_writable(tp, 1))
		return;
	tp->write_space_wanted = 0;
	if (tp->chrono_type == TCP_CHRONO_SNDBUF_LIMITED)
		tcp_chrono_stop(tp, TCP_CHRONO_SNDBUF_LIMITED);
	tcp_data_ready(tp);
}

void tcp_data_ready(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;

	if (!tp->orphan && sk->wake)
		sk->wake(sk);
}

/* ---- writing ---- */

static bool forced_push(const struct tcp_sock *tp)
{
	return after(tp->write_seq, tp->pushed_seq + (tp->max_window >> 1));
}

static void mark_push(struct tcp_sock *tp, struct tcp_seg *s)
{
	s->flags |= TCPHDR_PSH;
	tp->pushed_seq = tp->write_seq;
}

/* May this connection be written to now? 0 or -errno. */
static int may_send(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;
	uint32_t state = TCPF(tp->node.state);

	if (sk->error)
		return sock_take_error(sk);
	if (!(state & (TCPF(TCP_ESTABLISHED) | TCPF(TCP_CLOSE_WAIT))) && !tp->fast_open_child)
		return state & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)) ? -EAGAIN : -EPIPE;
	return sk->shut & 2 ? -EPIPE : 0;
}

static uint32_t size_goal(const struct tcp_sock *tp, uint32_t mss)
{
	uint32_t half = tp->max_window >> 1, goal = SEG_BYTES_MAX;

	if (half && goal > half)
		goal = MAX(half, 68u - tp->tcp_header_len);
	return MAX(goal / mss * mss, mss);
}

/* Adds to the last segment that waits what still fits; bytes taken, -ENOBUFS. */
static ssize_t append(struct tcp_sock *tp, const uint8_t *data, size_t len, uint32_t goal)
{
	struct tcp_seg *s = tp->n_rtx < tp->sndq.n ? segs_last(&tp->sndq) : NULL;

	if (!s || s->eor || s->p->total >= goal || s->flags & TCPHDR_FIN)
		return 0;
	size_t n = MIN(len, (size_t)(goal - s->p->total));

	if (pkt_append(&tp->w->cache, s->p, data, n))
		return -ENOBUFS;
	tp->wmem -= s->truesize;
	s->truesize = tcp_seg_truesize(s->p->total);
	tp->wmem += s->truesize;
	s->end_seq += (uint32_t)n;
	s->flags &= ~TCPHDR_PSH;
	tp->write_seq += (uint32_t)n;
	return (ssize_t)n;
}

static int queue_pkt(struct tcp_sock *tp, struct pkt *p)
{
	struct tcp_seg *s = tcp_seg_new(tp, p, TCPHDR_ACK);
	bool idle = !tp->sndq.n;

	if (tp->nonagle & TCP_NAGLE_PUSH)
		tp->nonagle &= ~TCP_NAGLE_PUSH;
	tcp_cwnd_restart_if_idle(tp);
	if (tcp_queue_seg(tp, s))
		return -ENOBUFS;
	if (idle)
		tcp_chrono_start(tp, TCP_CHRONO_BUSY);
	return 0;
}

static int add_segment(struct tcp_sock *tp, const uint8_t *data, size_t len)
{
	struct pkt *p = pkt_new(tp->w);

	if (!p)
		return -ENOBUFS;
	if (pkt_append(&tp->w->cache, p, data, len) || queue_pkt(tp, p)) {
		pkt_free(&tp->w->cache, p);
		return -ENOBUFS;
	}
	return 0;
}

static void push_end(struct tcp_sock *tp, uint32_t mss, int flags)
{
	struct tcp_seg *s = segs_last(&tp->sndq);

	if (s && tp->n_rtx < tp->sndq.n) {
		if (!(flags & MSG_MORE) || forced_push(tp))
			mark_push(tp, s);
		if (flags & MSG_OOB)
			tp->snd_up = tp->write_seq;
		if (flags & MSG_EOR)
			s->eor = true;
	}
	if (tp->n_rtx < tp->sndq.n)
		tcp_push(tp, mss, flags & MSG_MORE ? TCP_NAGLE_CORK : tp->nonagle);
}

/* In between: do not let the window run dry while the application writes a lot. */
static void push_some(struct tcp_sock *tp, uint32_t mss)
{
	if (forced_push(tp)) {
		mark_push(tp, segs_last(&tp->sndq));
		tcp_push(tp, mss, TCP_NAGLE_PUSH);
	} else if (tp->sndq.n - tp->n_rtx == 1) {
		tcp_write_xmit(tp, mss, TCP_NAGLE_PUSH, 1);
	}
}

ssize_t tcp_send_stream(struct tcp_sock *tp, const uint8_t *data, size_t len, int flags)
{
	int err = may_send(tp);
	size_t done = 0;
	ssize_t n;

	if (!err)
		err = tcp_errq_begin(tp, flags, len);
	if (err)
		return err;
	tcp_rate_check_app_limited(tp);
	uint32_t mss = tcp_current_mss(tp);
	uint32_t goal = flags & MSG_OOB ? mss : size_goal(tp, mss);

	while (done < len) {
		n = append(tp, data + done, len - done, goal);
		if (!n) {
			/* the buffer's limit is asked for whole segments only */
			if (!tcp_sendspace(&tp->in.sk))
				break;
			n = (ssize_t)MIN(len - done, (size_t)goal);
			err = add_segment(tp, data + done, (size_t)n);
			if (err)
				break;
		} else if (n < 0) {
			err = (int)n;
			break;
		}
		done += (size_t)n;
		if (done < len && segs_last(&tp->sndq)->p->total >= goal)
			push_some(tp, mss);
	}
	if (done)
		tcp_errq_sent(tp, flags);
	if (done || !len)
		push_end(tp, mss, done < len ? flags & ~MSG_MORE : flags);
	return done ? (ssize_t)done : err ? err : len ? -EAGAIN : 0;
}

ssize_t tcp_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (unlikely(m->flags & MSG_FASTOPEN || tp->defer_connect))
		return tcp_sendmsg_fastopen(tp, m);
	return tcp_send_stream(tp, m->data, m->len, m->flags);
}

int tcp_send_pkt(struct sock *sk, struct pkt *p, int flags)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int err = may_send(tp);
	struct tcp_seg *last = segs_last(&tp->sndq);

	if (!err && p->total <= PKT_BUF_SIZE && last && tp->n_rtx < tp->sndq.n) {
		/* what is small joins what waits */
		uint32_t mss = tcp_current_mss(tp), goal = size_goal(tp, mss), len = p->total;
		uint8_t buf[PKT_BUF_SIZE];

		if (!last->eor && last->p->total + len <= goal) {
			pkt_copy_out(p, 0, buf, len);
			if (append(tp, buf, len, goal) == (ssize_t)len) {
				pkt_free(&tp->w->cache, p);
				push_end(tp, mss, flags);
				return 0;
			}
		}
	}
	if (!err) {
		tcp_rate_check_app_limited(tp);
		err = queue_pkt(tp, p);
	}
	if (err) {
		pkt_free(&tp->w->cache, p);
		return err;
	}
	push_end(tp, tcp_current_mss(tp), flags);
	return 0;
}

/* ---- shutdown and close ---- */

/* The state that a close leads to. True: a FIN is due. */
static bool close_state(struct tcp_sock *tp)
{
	switch (tp->node.state) {
	case TCP_ESTABLISHED:
	case TCP_SYN_RECV:
		tcp_set_state(tp, TCP_FIN_WAIT1);
		return true;
	case TCP_CLOSE_WAIT:
		tcp_set_state(tp, TCP_LAST_ACK);
		return true;
	case TCP_SYN_SENT:
	case TCP_LISTEN:
		tcp_set_state(tp, TCP_CLOSE);
		return false;
	}
	return false;
}

int tcp_shutdown(struct sock *sk, int how)
{
	struct tcp_sock *tp = tcp_sk(sk);
	uint32_t bits = (uint32_t)how + 1;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (tp->ss_state == SS_CONNECTING)
		tp->ss_state = TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV) |
						       TCPF(TCP_CLOSE))
				       ? SS_DISCONNECTING
				       : SS_CONNECTED;
	switch (tp->node.state) {
	case TCP_CLOSE:
		return -ENOTCONN;
	case TCP_LISTEN:
		if (!(bits & 1))
			break;
		/* fall through */
	case TCP_SYN_SENT:
		tcp_disconnect(tp);
		tp->ss_state = SS_UNCONNECTED;
		break;
	default:
		sk->shut |= bits;
		if (bits & 2 &&
		    TCPF(tp->node.state) &
			    (TCPF(TCP_ESTABLISHED) | TCPF(TCP_SYN_RECV) | TCPF(TCP_CLOSE_WAIT)) &&
		    close_state(tp))
			tcp_send_fin(tp);
	}
	tcp_data_ready(tp);
	return 0;
}

/* FIN_WAIT2 of a socket that nobody has: for how long? True: nothing is left to do. */
static bool orphan_fin_wait2(struct tcp_sock *tp)
{
	if (tp->linger2 < 0) {
		tcp_send_active_reset(tp);
		tcp_set_state(tp, TCP_CLOSE);
		tcp_mib(tp)[MIB_TcpExt_TCPAbortOnLinger]++;
		return false;
	}
	uint64_t tmo = tcp_fin_time(tp);

	if (tmo > TCP_TIMEWAIT_LEN) {
		tcp_reset_keepalive_timer(tp, tmo - TCP_TIMEWAIT_LEN);
		return false;
	}
	tcp_time_wait(tp, TCP_FIN_WAIT2, tmo);
	return true;
}

static size_t unread(const struct tcp_sock *tp)
{
	size_t n = 0;

	for (const struct pkt *p = tp->rcvq.head; p; p = p->next)
		n += p->total;
	return n;
}

void tcp_release(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct tcp_core *core = sk->weft->tcp;
	size_t lost = unread(tp);

	inet_sock_release(&tp->in);
	core->n_socks--;
	sk->shut = 3;
	if (tp->node.state == TCP_LISTEN) {
		tcp_set_state(tp, TCP_CLOSE);
		tcp_listen_stop(tp);
	}
	tcp_fastopen_active_disable_ofo_check(tp);
	tcp_data_purge(tp);
	if (tp->node.state == TCP_CLOSE) {
		/* it has ended already */
	} else if (lost) {
		/* RFC 2525 2.17: what was not read is said to be lost */
		tcp_mib(tp)[MIB_TcpExt_TCPAbortOnClose]++;
		tcp_send_active_reset(tp);
		tcp_set_state(tp, TCP_CLOSE);
	} else if (!sk->linger) {
		tcp_mib(tp)[MIB_TcpExt_TCPAbortOnData]++;
		tcp_disconnect(tp);
	} else if (close_state(tp)) {
		tcp_send_fin(tp);
	}
	/* from here on it lives for the protocol's sake alone */
	tp->orphan = true;
	core->n_orphans++;
	sock_get(sk);
	if (tp->node.state == TCP_FIN_WAIT2 && orphan_fin_wait2(tp))
		return;
	if (tp->node.state != TCP_CLOSE && (int)core->n_orphans > core->max_orphans) {
		tcp_send_active_reset(tp);
		tcp_set_state(tp, TCP_CLOSE);
		tcp_mib(tp)[MIB_TcpExt_TCPAbortOnMemory]++;
	}
	if (tp->node.state == TCP_CLOSE)
		tcp_destroy(tp);
}
