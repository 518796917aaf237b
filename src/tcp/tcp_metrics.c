/*
 * tcp_metrics: what is remembered of a peer when a connection to it has ended (RFC 9040): its RTT,
 * how far the window could grow, how much it reorders, and its Fast Open cookie.
 *
 * The cache is one for the instance and has a fixed size: a table of sets of five records, of which
 * the one written longest ago makes room. Connections of all workers use it, a few times in their
 * life. A set is held by whoever exchanged its `busy`; who finds it held does not wait, but goes on
 * as if nothing were known, or forgets what it had to say: it is a cache. Memory is touched as it
 * is used.
 *
 * A record that is an hour old starts afresh from its route's metrics, as a new one does.
 */
#include "tcp/tcp_metrics.h"

#define N_SETS	 8192u
#define SET_SIZE 5
#define MAX_AGE	 (3600 * NSEC_PER_SEC)

struct set {
	uint32_t busy;
	struct tcp_metrics_entry e[SET_SIZE];
};

int tcp_metrics_init(struct tcp_core *core)
{
	core->metrics = calloc(N_SETS, sizeof(struct set));
	return core->metrics ? 0 : -ENOMEM;
}

void tcp_metrics_fini(struct tcp_core *core)
{
	free(core->metrics);
	core->metrics = NULL;
}

static bool hold(struct set *s)
{
	return !__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE);
}

static void leave(struct set *s)
{
	__atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
}

static struct set *set_of(const struct net *net, uint32_t raddr, uint32_t laddr)
{
	struct set *sets = net->weft->tcp->metrics;
	const uint64_t key[] = {net->ino, (uint64_t)raddr << 32 | laddr};

	return &sets[siphash(key, sizeof(key), &net->weft->key) % N_SETS];
}

static struct tcp_metrics_entry *find(struct set *s, const struct net *net, uint32_t raddr,
				      uint32_t laddr)
{
	for (unsigned i = 0; i < SET_SIZE; i++) {
		struct tcp_metrics_entry *e = &s->e[i];

		if (e->net_ino == net->ino && e->raddr == raddr && e->laddr == laddr)
			return e;
	}
	return NULL;
}

/* What the route's metrics say of the path; Fast Open's part is left. */
static void take_route(struct tcp_metrics_entry *e, const struct fib_info *fi, uint64_t now)
{
	static const uint8_t rtax[TCP_METRICS_KEPT] = {RTAX_RTT, RTAX_RTTVAR, RTAX_SSTHRESH,
						       RTAX_CWND, RTAX_REORDERING};

	e->stamp = now;
	e->lock = 0;
	for (unsigned i = 0; i < TCP_METRICS_KEPT; i++) {
		e->val[i] = fi ? fi->metrics[rtax[i]] : 0;
		if (fi && fi->metrics[RTAX_LOCK] >> rtax[i] & 1)
			e->lock |= 1u << i;
	}
	/* ms there, us here */
	e->val[TCP_METRIC_RTT] *= 1000;
	e->val[TCP_METRIC_RTTVAR] *= 1000;
}

static struct tcp_metrics_entry *oldest(struct set *s)
{
	struct tcp_metrics_entry *old = &s->e[0];

	for (unsigned i = 0; i < SET_SIZE; i++) {
		if (!s->e[i].net_ino)
			return &s->e[i];
		if (s->e[i].stamp < old->stamp)
			old = &s->e[i];
	}
	return old;
}

/* The socket's record, its set held: leave() when done. NULL: there is none, or not now. */
static struct tcp_metrics_entry *get(struct tcp_sock *tp, bool create, struct set **held)
{
	const struct net *net = tp->in.sk.net;
	struct set *s = set_of(net, tp->in.daddr, tp->in.saddr);
	struct tcp_metrics_entry *e;
	struct route_result res;

	if (tcp_ip4.route(tp, &res) || !hold(s))
		return NULL;
	e = find(s, net, tp->in.daddr, tp->in.saddr);
	if (e && tcp_now(tp) - e->stamp > MAX_AGE) {
		take_route(e, res.fi, tcp_now(tp));
	} else if (!e && create) {
		e = oldest(s);
		*e = (struct tcp_metrics_entry){
			.net_ino = net->ino, .raddr = tp->in.daddr, .laddr = tp->in.saddr};
		take_route(e, res.fi, tcp_now(tp));
	}
	*held = s;
	if (!e)
		leave(s);
	return e;
}

static void set(struct tcp_metrics_entry *e, unsigned m, uint32_t v)
{
	if (!(e->lock >> m & 1))
		e->val[m] = v;
}

/* ---- at a connection's start ---- */

/* The RTT of the handshake is that of small packets: the RTO is not set by it alone where a larger
 * one is known; and where it gave none (the SYN was repeated), the RTO is careful (RFC 6298 5.7).
 */
static void seed_rto(struct tcp_sock *tp, uint32_t rtt)
{
	if (rtt > tp->srtt_us) {
		uint64_t ns = (uint64_t)rtt / 8 * NSEC_PER_USEC;
		int least = tcp_net(tp->in.sk.net)->tcp_rto_min_us;

		tp->rto = ns + MAX(2 * ns, (uint64_t)least * NSEC_PER_USEC);
	} else if (!tp->srtt_us) {
		tp->rttvar_us = (uint32_t)(TCP_TIMEOUT_FALLBACK / NSEC_PER_USEC);
		tp->mdev_us = tp->mdev_max_us = tp->rttvar_us;
		tp->rto = TCP_TIMEOUT_FALLBACK;
	}
}

void tcp_metrics_load(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct tcp_metrics_entry *e, copy = {0};
	struct set *s;
	uint32_t ssthresh;

	e = get(tp, false, &s);
	if (e) {
		copy = *e;
		leave(s);
	}
	/* the handshake may have lowered it */
	tp->snd_ssthresh = TCP_INF_SSTHRESH;
	if (copy.lock >> TCP_METRIC_CWND & 1)
		tp->snd_cwnd_clamp = copy.val[TCP_METRIC_CWND];
	ssthresh = copy.val[TCP_METRIC_SSTHRESH];
	if (ssthresh && !tn->tcp_no_ssthresh_metrics_save)
		tp->snd_ssthresh = MIN(ssthresh, tp->snd_cwnd_clamp);
	if (copy.val[TCP_METRIC_REORDERING])
		tp->reordering = copy.val[TCP_METRIC_REORDERING];
	seed_rto(tp, copy.val[TCP_METRIC_RTT]);
}

/* ---- at its end ---- */

/* A larger RTT is believed at once, a smaller one by and by: too large does less harm. */
static void save_rtt(struct tcp_metrics_entry *e, const struct tcp_sock *tp)
{
	uint32_t rtt = e->val[TCP_METRIC_RTT], var = e->val[TCP_METRIC_RTTVAR], dev;
	int32_t m = (int32_t)(rtt - tp->srtt_us);

	set(e, TCP_METRIC_RTT, m <= 0 ? tp->srtt_us : rtt - (uint32_t)(m >> 3));
	dev = (uint32_t)(m < 0 ? -m : m) >> 1;
	dev = MAX(dev, tp->mdev_us);
	set(e, TCP_METRIC_RTTVAR, dev >= var ? dev : var - ((var - dev) >> 2));
}

static void save_window(struct tcp_metrics_entry *e, const struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t ssthresh = e->val[TCP_METRIC_SSTHRESH], cwnd = e->val[TCP_METRIC_CWND];
	uint32_t reordering = e->val[TCP_METRIC_REORDERING];

	if (tcp_in_initial_slowstart(tp)) {
		/* slow start has not ended: the path bears at least this */
		if (ssthresh && tp->snd_cwnd >> 1 > ssthresh)
			ssthresh = tp->snd_cwnd >> 1;
		cwnd = MAX(cwnd, tp->snd_cwnd);
	} else if (!tcp_in_slow_start(tp) && tp->ca_state == TCP_CA_Open) {
		ssthresh = MAX(tp->snd_cwnd >> 1, tp->snd_ssthresh);
		cwnd = (cwnd + tp->snd_cwnd) >> 1;
	} else {
		/* the window says nothing now */
		cwnd = (cwnd + tp->snd_ssthresh) >> 1;
		if (ssthresh)
			ssthresh = MAX(ssthresh, tp->snd_ssthresh);
		if (reordering < tp->reordering && tp->reordering != (uint32_t)tn->tcp_reordering)
			reordering = tp->reordering;
	}
	if (!tn->tcp_no_ssthresh_metrics_save)
		set(e, TCP_METRIC_SSTHRESH, ssthresh);
	set(e, TCP_METRIC_CWND, cwnd);
	set(e, TCP_METRIC_REORDERING, reordering);
}

void tcp_metrics_save(struct tcp_sock *tp)
{
	bool measured = !tp->backoff && tp->srtt_us;
	struct tcp_metrics_entry *e;
	struct set *s;

	if (tcp_net(tp->in.sk.net)->tcp_no_metrics_save)
		return;
	e = get(tp, measured, &s);
	if (!e)
		return;
	if (measured) {
		save_rtt(e, tp);
		save_window(e, tp);
		e->stamp = tcp_now(tp);
	} else {
		/* nothing came back in time: what was known may be wrong */
		set(e, TCP_METRIC_RTT, 0);
	}
	leave(s);
}

bool tcp_metrics_peer_ok(struct net *net, uint32_t raddr, uint32_t laddr)
{
	struct set *s = set_of(net, raddr, laddr);
	struct tcp_metrics_entry *e;
	bool ok;

	if (!hold(s))
		return false;
	e = find(s, net, raddr, laddr);
	ok = e && e->val[TCP_METRIC_RTT];
	leave(s);
	return ok;
}

/* ---- Fast Open ---- */

void tcp_metrics_fastopen_get(struct tcp_sock *tp, uint16_t *mss, struct tcp_fo_cookie *c)
{
	struct set *s;
	struct tcp_metrics_entry *e = get(tp, false, &s);

	if (!e)
		return;
	if (e->fo_mss)
		*mss = e->fo_mss;
	*c = e->fo_cookie;
	if (c->len <= 0 && e->fo_try_exp == 1)
		c->exp = true;
	leave(s);
}

static void fastopen_update(struct tcp_sock *tp, uint16_t mss, const struct tcp_fo_cookie *c,
			    bool syn_lost, uint8_t try_exp)
{
	struct set *s;
	struct tcp_metrics_entry *e = get(tp, true, &s);

	if (!e)
		return;
	if (mss)
		e->fo_mss = mss;
	if (c && c->len > 0)
		e->fo_cookie = *c;
	else if (try_exp > e->fo_try_exp && e->fo_cookie.len <= 0 && !e->fo_cookie.exp)
		e->fo_try_exp = try_exp;
	e->fo_syn_loss = syn_lost ? (uint16_t)MIN(e->fo_syn_loss + 1, 1023) : 0;
	if (syn_lost)
		e->fo_last_syn_loss = tcp_now(tp);
	leave(s);
}

void tcp_metrics_fastopen_set(struct tcp_sock *tp, uint16_t mss, const struct tcp_fo_cookie *c)
{
	fastopen_update(tp, mss, c, false, 0);
}

void tcp_metrics_fastopen_failed(struct tcp_sock *tp, uint16_t mss, bool syn_lost, uint8_t try_exp)
{
	fastopen_update(tp, mss, NULL, syn_lost, try_exp);
}

/* ---- lists ---- */

bool tcp_metrics_next(struct net *net, size_t *pos, struct tcp_metrics_entry *out)
{
	struct set *sets = net->weft->tcp->metrics;

	for (; *pos < (size_t)N_SETS * SET_SIZE; ++*pos) {
		struct set *s = &sets[*pos / SET_SIZE];
		const struct tcp_metrics_entry *e = &s->e[*pos % SET_SIZE];

		if (READ_ONCE(e->net_ino) != net->ino || !hold(s))
			continue;
		*out = *e;
		leave(s);
		++*pos;
		return true;
	}
	return false;
}

unsigned tcp_metrics_flush(struct net *net, uint32_t raddr, bool laddr_given, uint32_t laddr)
{
	struct set *sets = net->weft->tcp->metrics;
	unsigned n = 0;

	for (unsigned i = 0; i < N_SETS * SET_SIZE; i++) {
		struct set *s = &sets[i / SET_SIZE];
		struct tcp_metrics_entry *e = &s->e[i % SET_SIZE];

		if (READ_ONCE(e->net_ino) != net->ino || (raddr && e->raddr != raddr) ||
		    (laddr_given && e->laddr != laddr) || !hold(s))
			continue;
		*e = (struct tcp_metrics_entry){0};
		n++;
		leave(s);
	}
	return n;
}
