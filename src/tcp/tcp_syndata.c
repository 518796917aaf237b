/*
 * tcp_syndata: Fast Open, the client's half (RFC 7413 4.2): data goes in the SYN when the peer has
 * given a cookie for that, else the SYN asks for one. What of the data the SYN-ACK does not
 * acknowledge is sent again at once.
 */
#include "tcp/tcp_output.h"

#define TFO_CLIENT_ENABLE 1
#define OPTION_SPACE	  40u

int tcp_send_syn_data(struct tcp_sock *tp)
{
	struct tcp_seg *syn = segs_at(&tp->sndq, 0);
	struct tcp_fo_cookie c = {.len = 0};
	struct pool_cache *cache = &tp->w->cache;
	struct pkt *p = NULL;
	uint16_t mss = 0;
	int err;

	if (!tp->fo_cookie)
		tp->fo_cookie = calloc(1, sizeof(*tp->fo_cookie));
	if (!tp->fo_cookie)
		return tcp_transmit_seg(tp, syn);
	bool data = tcp_fastopen_cookie_check(tp, &mss, &c);

	*tp->fo_cookie = c;
	if (!data)
		goto plain;
	tp->rx_opt.mss_clamp = (uint16_t)tcp_mss_clamp(tp, mss ? mss : tp->advmss);
	tcp_sync_mss(tp, tp->pmtu_cookie);
	uint32_t space = tcp_mtu_to_mss(tp, tp->pmtu_cookie) + tp->tcp_header_len - 20;
	size_t len = MIN((size_t)(space - OPTION_SPACE), tp->fo_msg->len);

	p = pkt_alloc(cache);
	if (!p || pkt_append(cache, p, tp->fo_msg->data, len))
		goto plain;
	struct tcp_seg *s = tcp_seg_new(tp, p, TCPHDR_ACK | TCPHDR_PSH);

	if (tcp_queue_seg(tp, s))
		goto plain;
	tp->n_rtx++;
	tp->packets_out++;
	tp->fo_copied = len;
	tp->syn_data = len > 0;
	tcp_mib(tp)[MIB_TcpExt_TCPOrigDataSent]++;
	err = tcp_transmit_syn_data(tp, syn, s);
	goto done;
plain:
	pkt_free(cache, p);
	if (tp->fo_cookie->len > 0)
		tp->fo_cookie->len = 0;
	err = tcp_transmit_seg(tp, syn);
done:
	/* sent again, a SYN has neither option nor data */
	tp->fo_cookie->len = -1;
	return err;
}

ssize_t tcp_sendmsg_fastopen(struct tcp_sock *tp, const struct sock_msg *m)
{
	const struct sockaddr *a = m->name;
	int err;

	if (!(tcp_net(tp->in.sk.net)->tcp_fastopen & TFO_CLIENT_ENABLE) ||
	    (a && m->name_len >= sizeof(a->sa_family) && a->sa_family == AF_UNSPEC))
		return -EOPNOTSUPP;
	if (tp->fo_msg)
		return -EALREADY;
	err = tcp_errq_begin(tp, m->flags, m->len);
	if (err)
		return err;
	tp->fo_msg = m;
	tp->fo_copied = 0;
	if (tp->defer_connect) {
		tp->defer_connect = false;
		err = tcp_connect_start(tp);
		if (!err)
			err = -EINPROGRESS;
	} else {
		err = tcp_stream_connect(&tp->in.sk, a, m->name_len, true);
	}
	tp->fo_msg = NULL;
	if (err == -EINPROGRESS && tp->fo_copied) {
		tcp_errq_sent(tp, m->flags);
		return (ssize_t)tp->fo_copied;
	}
	if (err)
		return err;
	return tcp_send_stream(tp, m->data, m->len, m->flags & ~MSG_FASTOPEN);
}

/* What the SYN-ACK tells of how Fast Open works with this peer, for the next connection. */
static void remember(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_fo_cookie *foc,
		     bool data)
{
	uint16_t mss = tp->rx_opt.mss_clamp;
	bool exp = tp->fo_cookie && tp->fo_cookie->exp;

	if (mss == tp->rx_opt.user_mss) {
		/* what the peer said, not what the program made of it */
		struct tcp_rx_opts opt = {0};

		tcp_parse_opts((struct tcp_rx *)rx, &opt, false, NULL, tcp_net(tp->in.sk.net));
		mss = opt.mss_clamp;
	}
	if (!tp->syn_fastopen)
		foc->len = -1; /* not asked for */
	if (tp->syn_fastopen && tp->total_retrans && foc->len < 0 && data)
		tcp_metrics_fastopen_failed(tp, mss, true, 0);
	else if (tp->syn_fastopen && !tp->total_retrans && foc->len < 0 && !tp->syn_data)
		tcp_metrics_fastopen_failed(tp, mss, false, exp ? 2 : 1);
	else
		tcp_metrics_fastopen_set(tp, mss, foc);
}

bool tcp_fastopen_synack(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_fo_cookie *foc)
{
	if (!tp->syn_fastopen && !tp->syn_data)
		return false;
	bool unacked = tp->syn_data && tp->n_rtx;

	remember(tp, rx, foc, unacked);
	tcp_fastopen_free(tp);
	if (unacked) {
		tp->fastopen_client_fail =
			tp->total_retrans ? TFO_SYN_RETRANSMITTED : TFO_DATA_NOT_ACKED;
		for (unsigned i = 0; i < tp->n_rtx; i++)
			tcp_mark_seg_lost(tp, segs_at(&tp->sndq, i));
		tcp_xmit_retransmit_queue(tp);
		tcp_mib(tp)[MIB_TcpExt_TCPFastOpenActiveFail]++;
		return true;
	}
	tp->syn_data_acked = tp->syn_data;
	if (tp->syn_data_acked) {
		tcp_mib(tp)[MIB_TcpExt_TCPFastOpenActive]++;
		if (tp->delivered > 1)
			tp->delivered--;
	}
	return false;
}
