/*
 * tcp_info: what is told of connections: TCP_INFO, /proc/net/tcp, the TCP line of sockstat.
 *
 * The layout and the units are the kernel's (linux/tcp.h; Documentation/networking/proc_net_tcp).
 * Files are written by control while workers go on: a line is of one moment as far as its numbers
 * go, the list is not.
 */
#include "tcp/tcp_core.h"

#define USER_HZ	 100
#define TCP_PAGE 4096u

/* ---- TCP_INFO ---- */

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

/* ---- /proc/net/tcp ---- */

struct table {
	FILE *out;
	uint64_t now;
	unsigned slot;
};

/* A line ends in blanks, so that its length is known (TMPSZ). */
#define LINE_WIDTH 149

static unsigned long to_clock(uint64_t ns)
{
	return (unsigned long)(ns / (NSEC_PER_SEC / USER_HZ));
}

static unsigned long until(const struct table *t, uint64_t expires)
{
	return expires > t->now ? to_clock(expires - t->now) : 0;
}

/* Both ends; ports be. */
struct ends {
	uint32_t laddr, raddr;
	uint16_t lport, rport;
};

static struct ends ends_of(const struct tcp_node *n)
{
	return (struct ends){n->laddr, n->raddr, n->lport, n->rport};
}

static void put_ends(char *to, size_t room, const struct ends *e)
{
	snprintf(to, room, "%08X:%04X %08X:%04X", e->laddr, __builtin_bswap16(e->lport), e->raddr,
		 __builtin_bswap16(e->rport));
}

/* Which timer runs, as the column "tr" counts them. */
static unsigned timer_of(const struct tcp_sock *tp, uint64_t *expires)
{
	switch (tp->icsk_pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_REO_TIMEOUT:
	case ICSK_TIME_LOSS_PROBE:
		*expires = tp->rto_timer.expires;
		return 1;
	case ICSK_TIME_PROBE0:
		*expires = tp->rto_timer.expires;
		return 4;
	}
	*expires = tp->keep_timer.expires;
	return timer_pending(&tp->keep_timer) ? 2 : 0;
}

static void sock_line(struct table *t, const struct tcp_sock *tp, const struct ends *e)
{
	const struct sock *sk = &tp->in.sk;
	bool listens = tp->node.state == TCP_LISTEN;
	bool pingpong = tp->ack.pingpong >= tcp_net(sk->net)->tcp_pingpong_thresh;
	int32_t unread = (int32_t)(tp->rcv_nxt - tp->copied_seq);
	uint32_t rx = listens ? tcp_accept_queue_len(tp) : (uint32_t)MAX(unread, 0);
	int ssthresh = tcp_in_initial_slowstart(tp) ? -1 : (int)tp->snd_ssthresh;
	uint64_t expires = 0;
	unsigned timer = timer_of(tp, &expires);
	char ends[32], line[256];

	put_ends(ends, sizeof(ends), e);
	snprintf(line, sizeof(line),
		 "%4u: %s %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %u %016lx %lu %lu %u %u %d",
		 t->slot++, ends, tp->node.state, tp->write_seq - tp->snd_una, rx, timer,
		 timer ? until(t, expires) : 0, tp->retransmits, sk->uid, tp->probes_out,
		 tp->orphan || tp->parent ? 0 : sock_ino(sk), sk->refs + 1, (unsigned long)sk->id,
		 to_clock(tp->rto), to_clock(tp->ack.ato),
		 (unsigned)(tp->ack.quick << 1) | pingpong, tp->snd_cwnd,
		 listens ? (int)tp->fo_qlen_max : ssthresh);
	fprintf(t->out, "%-*s\n", LINE_WIDTH, line);
}

/* Neither has an inode; a request's timer is the one that ends it, and counts as number 1. */
static void short_line(struct table *t, const struct tcp_node *n, unsigned state, unsigned timer,
		       uint64_t expires, unsigned timeouts, uint32_t uid, unsigned refs)
{
	const struct ends e = ends_of(n);
	char ends[32], line[256];

	put_ends(ends, sizeof(ends), &e);
	snprintf(line, sizeof(line), "%4u: %s %02X %08X:%08X %02X:%08lX %08X %5u %8d %d %u %016lx",
		 t->slot++, ends, state, 0, 0, timer, until(t, expires), timeouts, uid, 0, 0, refs,
		 (unsigned long)hash_u64((uintptr_t)n));
	fprintf(t->out, "%-*s\n", LINE_WIDTH, line);
}

static void node_line(struct table *t, const struct tcp_node *n)
{
	const struct tcp_req *req;
	const struct tcp_tw *tw;
	struct ends e;

	switch (n->state) {
	case TCP_TIME_WAIT:
		tw = container_of(n, const struct tcp_tw, node);
		short_line(t, n, tw->substate_fin_wait2 ? TCP_FIN_WAIT2 : TCP_TIME_WAIT, 3,
			   tw->timer.expires, 0, 0, 3);
		return;
	case TCP_NEW_SYN_RECV:
		req = container_of(n, const struct tcp_req, node);
		short_line(t, n, TCP_SYN_RECV, 1, req->timer.expires, req->num_timeout,
			   req->listener ? req->listener->in.sk.uid : 0, 0);
		return;
	default:
		e = ends_of(n);
		sock_line(t, container_of(n, const struct tcp_sock, node), &e);
	}
}

static bool is_listener(const struct sock *sk)
{
	return sk->family == AF_INET && sk->type == SOCK_STREAM && sk->protocol == IPPROTO_TCP &&
	       tcp_sk(sk)->node.state == TCP_LISTEN;
}

/* Calls fn for all that is in the hash of connections. */
static void walk_conns(struct net *net, void (*fn)(struct table *t, const struct tcp_node *n),
		       struct table *t)
{
	struct cds_lfht_node *at;
	struct cds_lfht_iter it;

	rcu_read_lock();
	cds_lfht_for_each (net->weft->tcp->conns, &it, at) {
		const struct tcp_node *n = container_of(at, struct tcp_node, node);

		if (n->net == net)
			fn(t, n);
	}
	rcu_read_unlock();
}

void tcp_show(struct net *net, FILE *out)
{
	struct table t = {.out = out, .now = net->weft->worker[0]->now};
	struct sock *sk = NULL;

	fprintf(out, "%-*s\n", LINE_WIDTH,
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
		"  timeout inode");
	while ((sk = sock_next(net, sk))) {
		const struct inet_sock *in = inet_sk(sk);
		const struct ends e = {.laddr = in->rcv_saddr, .lport = in->sport};

		if (is_listener(sk))
			sock_line(&t, tcp_sk(sk), &e);
	}
	walk_conns(net, node_line, &t);
}

static void count_sock(struct table *t, const struct tcp_node *n)
{
	t->slot += n->state != TCP_TIME_WAIT && n->state != TCP_NEW_SYN_RECV;
}

/* Orphans, sockets and memory are the machine's in every namespace. */
void tcp_show_sockstat(struct net *net, FILE *out)
{
	const struct tcp_core *core = net->weft->tcp;
	struct sock *sk = NULL;
	struct table t = {0};

	while ((sk = sock_next(net, sk)))
		t.slot += is_listener(sk);
	walk_conns(net, count_sock, &t);
	fprintf(out, "TCP: inuse %u orphan %u tw %u alloc %u mem %llu\n", t.slot, core->n_orphans,
		tcp_net(net)->n_tw, core->n_socks,
		(unsigned long long)((core->memory + TCP_PAGE - 1) / TCP_PAGE));
}
