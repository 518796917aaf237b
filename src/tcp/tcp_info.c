/*
 * tcp_info: TCP_INFO. The layout and the units are the kernel's (linux/tcp.h).
 */
#include "tcp/tcp_core.h"

static uint32_t to_us(uint64_t ns)
{
	return (uint32_t)(ns / NSEC_PER_USEC);
}

static uint32_t ms_since(const struct tcp_sock *tp, uint64_t t)
{
	return (uint32_t)((tcp_now(tp) - t) / NSEC_PER_MSEC);
}

static uint8_t option_flags(const struct tcp_sock *tp)
{
	uint8_t flags = 0;

	if (tp->rx_opt.tstamp_ok)
		flags |= TCPI_OPT_TIMESTAMPS;
	if (tp->rx_opt.sack_ok)
		flags |= TCPI_OPT_SACK;
	if (tp->rx_opt.wscale_ok)
		flags |= TCPI_OPT_WSCALE;
	if (tp->ecn_flags & TCP_ECN_OK)
		flags |= TCPI_OPT_ECN;
	if (tp->ecn_flags & TCP_ECN_SEEN)
		flags |= TCPI_OPT_ECN_SEEN;
	if (tp->syn_data_acked)
		flags |= TCPI_OPT_SYN_DATA;
	return flags;
}

/* How long it was busy, and of that limited by the peer's window and by the send buffer. */
static void fill_chrono(const struct tcp_sock *tp, struct tcp_info *info)
{
	uint64_t us[3], total = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t ns = tp->chrono_stat[i];

		if (tp->chrono_type == i + 1)
			ns += tcp_now(tp) - tp->chrono_start;
		us[i] = ns / NSEC_PER_USEC;
		total += us[i];
	}
	info->tcpi_busy_time = total;
	info->tcpi_rwnd_limited = us[1];
	info->tcpi_sndbuf_limited = us[2];
}

static void fill_state(const struct tcp_sock *tp, struct tcp_info *info)
{
	info->tcpi_ca_state = tp->ca_state;
	info->tcpi_retransmits = tp->retransmits;
	info->tcpi_probes = tp->probes_out;
	info->tcpi_backoff = tp->backoff;
	info->tcpi_options = option_flags(tp);
	if (tp->rx_opt.wscale_ok) {
		info->tcpi_snd_wscale = tp->rx_opt.snd_wscale & 15;
		info->tcpi_rcv_wscale = tp->rx_opt.rcv_wscale & 15;
	}
	info->tcpi_fastopen_client_fail = tp->fastopen_client_fail & 3;
	info->tcpi_rto = to_us(tp->rto);
	info->tcpi_ato = to_us(MIN(tp->ack.ato, TCP_DELACK_MAX));
	info->tcpi_unacked = tp->packets_out;
	info->tcpi_sacked = tp->sacked_out;
	info->tcpi_lost = tp->lost_out;
	info->tcpi_retrans = tp->retrans_out;
	info->tcpi_last_data_sent = ms_since(tp, tp->lsndtime);
	info->tcpi_last_data_recv = ms_since(tp, tp->ack.lrcvtime);
	info->tcpi_last_ack_recv = ms_since(tp, tp->rcv_tstamp);
}

static void fill_metrics(const struct tcp_sock *tp, struct tcp_info *info)
{
	info->tcpi_snd_mss = tp->mss_cache;
	info->tcpi_rcv_mss = tp->ack.rcv_mss;
	info->tcpi_pmtu = tp->pmtu_cookie;
	info->tcpi_rcv_ssthresh = tp->rcv_ssthresh;
	info->tcpi_rtt = tp->srtt_us >> 3;
	info->tcpi_rttvar = tp->mdev_us >> 2;
	info->tcpi_snd_ssthresh = tp->snd_ssthresh;
	info->tcpi_advmss = tp->advmss;
	info->tcpi_rcv_rtt = tp->rcv_rtt_est.rtt_us >> 3;
	info->tcpi_rcv_space = tp->rcvq_space.space;
	info->tcpi_min_rtt = tcp_min_rtt_us(tp);
	info->tcpi_snd_wnd = tp->snd_wnd;
	info->tcpi_delivery_rate_app_limited = tp->rate_app_limited;
	if (tp->rate_delivered && tp->rate_interval_us)
		info->tcpi_delivery_rate = (uint64_t)tp->rate_delivered * tp->mss_cache * 1000000 /
					   tp->rate_interval_us;
}

static void fill_counters(const struct tcp_sock *tp, struct tcp_info *info)
{
	int32_t notsent = (int32_t)(tp->write_seq - tp->snd_nxt);

	info->tcpi_total_retrans = tp->total_retrans;
	info->tcpi_bytes_acked = tp->bytes_acked;
	info->tcpi_bytes_received = tp->bytes_received;
	info->tcpi_notsent_bytes = (uint32_t)MAX(0, notsent);
	info->tcpi_segs_out = tp->segs_out;
	info->tcpi_segs_in = tp->segs_in;
	info->tcpi_data_segs_in = tp->data_segs_in;
	info->tcpi_data_segs_out = tp->data_segs_out;
	info->tcpi_delivered = tp->delivered;
	info->tcpi_delivered_ce = tp->delivered_ce;
	info->tcpi_bytes_sent = tp->bytes_sent;
	info->tcpi_bytes_retrans = tp->bytes_retrans;
	info->tcpi_dsack_dups = tp->dsack_dups;
	info->tcpi_reord_seen = tp->reord_seen;
	info->tcpi_rcv_ooopack = tp->rcv_ooopack;
}

void tcp_get_info(struct tcp_sock *tp, union tcp_info_full *full)
{
	struct tcp_info *info = &full->base;

	memset(full, 0, sizeof(*full));
	*info = (struct tcp_info){
		.tcpi_state = tp->node.state,
		.tcpi_pacing_rate = tp->pacing_rate,
		.tcpi_max_pacing_rate = tp->max_pacing_rate,
		.tcpi_reordering = tp->reordering,
		.tcpi_snd_cwnd = tp->snd_cwnd,
	};
	/* of a listener two fields mean other things: connections that wait, and how many may */
	if (tp->node.state == TCP_LISTEN) {
		info->tcpi_unacked = tcp_accept_queue_len(tp);
		info->tcpi_sacked = tcp_listen_backlog(tp);
		return;
	}
	fill_state(tp, info);
	fill_metrics(tp, info);
	fill_counters(tp, info);
	fill_chrono(tp, info);
	full->rcv_wnd = tcp_receive_window(tp);
	full->total_rto = tp->total_rto;
}
