/*
 * tcp_window: the window we offer, and the receive buffer behind it.
 *
 * The window never shrinks once offered, grows as the sender shows that it fills it (rcv_ssthresh,
 * a slow start of the receiver's), and avoids silly sizes (RFC 9293 3.8.6.2.2). Of the buffer only
 * a share is window: scaling_ratio, in 256ths, is measured from how large packets of the sender's
 * size are in memory. The buffer itself is tuned to twice what the application reads in a round
 * trip, up to tcp_rmem[2] (Fisk & Feng, "Dynamic right-sizing in TCP").
 */
#include "tcp/tcp_data.h"
#include "tcp/tcp_output.h"

static uint32_t full_space(const struct tcp_sock *tp)
{
	return tcp_win_from_space(tp, (int64_t)tp->in.sk.rcvbuf);
}

uint32_t tcp_free_window(const struct tcp_sock *tp)
{
	return tcp_win_from_space(tp, (int64_t)tp->in.sk.rcvbuf - (int64_t)tp->rmem);
}

static uint64_t space_from_win(const struct tcp_sock *tp, uint64_t win)
{
	return (win << 8) / tp->scaling_ratio;
}

/* ---- the window ---- */

uint32_t tcp_new_window(struct tcp_sock *tp)
{
	uint32_t mss = tp->ack.rcv_mss, space = tcp_free_window(tp), allowed = full_space(tp);
	uint32_t full = MIN(tp->window_clamp, allowed), scale = tp->rx_opt.rcv_wscale;

	if (mss > full) {
		mss = full;
		if (!mss)
			return 0;
	}
	if (space < full >> 1) {
		tp->ack.quick = 0;
		space &= ~((1u << scale) - 1);
		if (space < allowed >> 4 || space < mss)
			return 0;
	}
	space = MIN(space, tp->rcv_ssthresh);
	if (scale)
		return (uint32_t)align_up(space, 1u << scale);
	uint32_t window = tp->rcv_wnd;

	if ((int64_t)window <= (int64_t)space - mss || window > space)
		window = space - space % mss;
	else if (mss == full && space > window + (full >> 1))
		window = space;
	return window;
}

uint32_t tcp_select_window(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t old = tp->rcv_wnd, scale = tp->rx_opt.rcv_wscale, cur, win;

	if (unlikely(tp->ack.pending & ICSK_ACK_NOMEM)) {
		tp->rcv_wnd = 0;
		tp->rcv_wup = tp->rcv_nxt;
		return 0;
	}
	cur = tcp_receive_window(tp);
	win = tcp_new_window(tp);
	if (win < cur) {
		if (!win)
			tcp_mib(tp)[MIB_TcpExt_TCPWantZeroWindowAdv]++;
		win = (uint32_t)align_up(cur, 1u << scale);
	}
	tp->rcv_wnd = win;
	tp->rcv_wup = tp->rcv_nxt;
	win = MIN(win,
		  !scale && tn->tcp_workaround_signed_windows ? MAX_TCP_WINDOW : 65535u << scale);
	win >>= scale;
	if (!win && old)
		tcp_mib(tp)[MIB_TcpExt_TCPToZeroWindowAdv]++;
	else if (win && !old)
		tcp_mib(tp)[MIB_TcpExt_TCPFromZeroWindowAdv]++;
	return win;
}

/* ---- growth ---- */

/* Would segments with the overhead of this one fit a window that is larger? */
static uint32_t grow_by(const struct tcp_sock *tp, uint32_t len, uint32_t truesize)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t size = tcp_win_from_space(tp, truesize) >> 1;
	uint32_t window = tcp_win_from_space(tp, tn->tcp_rmem[2]) >> 1;

	while (tp->rcv_ssthresh <= window) {
		if (size <= len)
			return 2u * tp->ack.rcv_mss;
		size >>= 1;
		window >>= 1;
	}
	return 0;
}

void tcp_grow_window(struct tcp_sock *tp, uint32_t len, uint32_t truesize)
{
	int64_t room = (int64_t)MIN(tp->window_clamp, tcp_free_window(tp)) - tp->rcv_ssthresh;
	uint32_t incr;

	if (room <= 0)
		return;
	incr = tcp_win_from_space(tp, truesize) <= len ? 2u * tp->advmss
						       : grow_by(tp, len, truesize);
	if (!incr)
		return;
	incr = MAX(incr, 2 * len);
	tp->rcv_ssthresh += (uint32_t)MIN(room, (int64_t)incr);
	tp->ack.quick |= 1;
}

/* The buffer is full: make it larger while that is allowed, and ask for less. */
void tcp_clamp_window(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct sock *sk = &tp->in.sk;

	tp->ack.quick = 0;
	if (sk->rcvbuf < (size_t)tn->tcp_rmem[2] && !(sk->buf_lock & SOCK_RCVBUF_LOCK))
		sk->rcvbuf = MIN(tp->rmem, (size_t)tn->tcp_rmem[2]);
	if (tp->rmem > sk->rcvbuf)
		tp->rcv_ssthresh = MIN(tp->window_clamp, 2u * tp->advmss);
}

void tcp_init_buffer_space(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t maxwin;
	int app = tn->tcp_app_win;

	if (!(tp->in.sk.buf_lock & SOCK_SNDBUF_LOCK))
		tcp_sndbuf_expand(tp);
	tp->rcvq_space.time = tcp_now(tp);
	tp->rcvq_space.seq = tp->copied_seq;
	maxwin = full_space(tp);
	if (tp->window_clamp >= maxwin) {
		tp->window_clamp = maxwin;
		if (app && maxwin > 4u * tp->advmss)
			tp->window_clamp = MAX(maxwin - (maxwin >> app), 4u * tp->advmss);
	}
	if (app && tp->window_clamp > 2u * tp->advmss && tp->window_clamp + tp->advmss > maxwin)
		tp->window_clamp = MAX(2u * tp->advmss, maxwin - tp->advmss);
	tp->rcv_ssthresh = MIN(tp->rcv_ssthresh, tp->window_clamp);
	tp->snd_cwnd_stamp = tcp_now(tp);
	tp->rcvq_space.space = MIN(MIN(tp->rcv_ssthresh, tp->rcv_wnd), TCP_INIT_CWND * tp->advmss);
}

/* ---- the receiver's view of the round trip ---- */

static void rtt_update(struct tcp_sock *tp, uint32_t sample, bool by_window)
{
	uint32_t rtt = tp->rcv_rtt_est.rtt_us;

	if (!rtt)
		rtt = sample << 3;
	else if (!by_window)
		rtt += sample - (rtt >> 3);
	else
		rtt = MIN(rtt, sample << 3); /* a window's time is an upper bound */
	tp->rcv_rtt_est.rtt_us = rtt;
}

void tcp_rcv_rtt_measure(struct tcp_sock *tp)
{
	uint64_t now = tcp_now(tp);

	if (tp->rcv_rtt_est.time) {
		if (before(tp->rcv_nxt, tp->rcv_rtt_est.seq))
			return;
		uint64_t us = (now - tp->rcv_rtt_est.time) / NSEC_PER_USEC;

		rtt_update(tp, (uint32_t)MAX(us, 1ULL), true);
	}
	tp->rcv_rtt_est.seq = tp->rcv_nxt + tp->rcv_wnd;
	tp->rcv_rtt_est.time = now;
}

void tcp_rcv_rtt_measure_ts(struct tcp_sock *tp, uint32_t len)
{
	uint32_t echo = tp->rx_opt.rcv_tsecr;

	if (echo == tp->rcv_rtt_last_tsecr)
		return;
	tp->rcv_rtt_last_tsecr = echo;
	if (len < tp->ack.rcv_mss)
		return;
	int64_t us = tcp_rtt_tsopt_us(tp, 0);

	if (us >= 0)
		rtt_update(tp, (uint32_t)MAX(us, (int64_t)1), false);
}

void tcp_rcv_space_adjust(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint64_t now = tcp_now(tp), us = (now - tp->rcvq_space.time) / NSEC_PER_USEC;
	struct sock *sk = &tp->in.sk;

	if (!tp->rcv_rtt_est.rtt_us || us < tp->rcv_rtt_est.rtt_us >> 3)
		return;
	uint32_t copied = tp->copied_seq - tp->rcvq_space.seq;

	if (copied > tp->rcvq_space.space) {
		if (tn->tcp_moderate_rcvbuf && !(sk->buf_lock & SOCK_RCVBUF_LOCK)) {
			/* twice the round trip's worth, and room for the rate to double */
			uint64_t win = ((uint64_t)copied << 1) + 16u * tp->advmss;
			uint64_t grow = win * (copied - tp->rcvq_space.space) /
					MAX(tp->rcvq_space.space, 1u);
			uint64_t buf = MIN(space_from_win(tp, win + (grow << 1)),
					   (uint64_t)tn->tcp_rmem[2]);

			if (buf > sk->rcvbuf) {
				sk->rcvbuf = buf;
				tp->window_clamp = tcp_win_from_space(tp, (int64_t)buf);
			}
		}
		tp->rcvq_space.space = copied;
	}
	tp->rcvq_space.seq = tp->copied_seq;
	tp->rcvq_space.time = now;
}

/* ---- after a read ---- */

void tcp_cleanup_rbuf(struct tcp_sock *tp, size_t copied)
{
	bool ack = false, talks = tcp_pingpong(tp);
	uint8_t pending = tp->ack.pending;

	if (pending & ICSK_ACK_SCHED)
		ack = tp->rcv_nxt - tp->rcv_wup > tp->ack.rcv_mss ||
		      (copied &&
		       ((pending & ICSK_ACK_PUSHED2) || ((pending & ICSK_ACK_PUSHED) && !talks)) &&
		       !tp->rmem);
	/* or when the window has opened by at least as much again */
	if (copied && !ack && !(tp->in.sk.shut & 1)) {
		uint32_t now = tcp_receive_window(tp);

		if (2 * (uint64_t)now <= tp->window_clamp) {
			uint32_t win = tcp_new_window(tp);

			ack = win && win >= 2 * now;
		}
	}
	if (ack)
		tcp_send_ack(tp);
}
