/*
 * icmp4_limit: how much ICMP an instance says, as Linux limits it.
 *
 * Two token buckets guard the types in icmp_ratemask: one a namespace (icmp_msgs_per_sec, with a
 * random price a message, so that nobody can count through it what others were told), and one a
 * destination (one message a icmp_ratelimit, six saved up). Destinations are remembered in a table
 * of fixed size, four to a set; a newcomer takes the place of the one least recently told
 * something. Control only: workers post their ICMP errors there.
 */
#include "ip/ip4_path.h"

#define BURST_FACTOR 6
static bool limited(const struct net *net, uint8_t type, uint8_t code)
{
	if (type > NR_ICMP_TYPES)
		return false;
	/* Path MTU discovery must get through. */
	if (type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED)
		return false;
	return READ_ONCE(net->ip4->icmp_ratemask) & (1u << type);
}

bool icmp4_allow_global(struct worker *w, struct net *net, uint8_t type, uint8_t code)
{
	struct ip4_net *ip4 = net->ip4;
	uint64_t burst = (uint64_t)MAX(ip4->icmp_msgs_burst, 0);

	if (!limited(net, type, code))
		return true;
	if (!ip4->icmp_stamp) { /* the first: full */
		ip4->icmp_stamp = w->now ? w->now : 1;
		ip4->icmp_credit = (uint32_t)burst;
	}
	uint64_t delta = MIN(w->now - ip4->icmp_stamp, NSEC_PER_SEC);

	if (delta >= NSEC_PER_SEC / 50) {
		uint64_t more = (uint64_t)MAX(ip4->icmp_msgs_per_sec, 0) * delta / NSEC_PER_SEC;

		if (more) {
			ip4->icmp_credit = (uint32_t)MIN(ip4->icmp_credit + more, burst);
			ip4->icmp_stamp = w->now;
		}
	}
	if (!ip4->icmp_credit) {
		ip4_mib(net, w)[MIB_Icmp_OutRateLimitGlobal]++;
		return false;
	}
	uint32_t price = rng_below(&w->rng, 3);

	ip4->icmp_credit -= MIN(price, ip4->icmp_credit);
	return true;
}

static struct icmp4_peer *peer_get(struct worker *w, struct net *net, uint32_t daddr)
{
	struct icmp4_peer *all = ip4_core(net)->path->peer, *set, *oldest;
	uint64_t key[2] = {(uintptr_t)net, daddr};

	set = all + siphash(key, sizeof(key), &w->key) % (ICMP4_PEERS / ICMP4_PEER_WAYS) *
			    ICMP4_PEER_WAYS;
	oldest = set;
	for (unsigned i = 0; i < ICMP4_PEER_WAYS; i++) {
		if (set[i].net == net && set[i].daddr == daddr)
			return &set[i];
		if (!set[i].net || (oldest->net && set[i].last < oldest->last))
			oldest = &set[i];
	}
	*oldest = (struct icmp4_peer){
		.net = net,
		.daddr = daddr,
		.token = UINT64_MAX / 2, /* silent for long: full, whatever the rate is */
		.last = w->now,
	};
	return oldest;
}

bool icmp4_allow_peer(struct worker *w, struct net *net, const struct netdev *out, uint32_t daddr,
		      uint8_t type, uint8_t code)
{
	uint64_t cost = (uint64_t)MAX(READ_ONCE(net->ip4->icmp_ratelimit), 0) * NSEC_PER_MSEC;

	if (!limited(net, type, code) || (out->flags & IFF_LOOPBACK) || !cost)
		return true;
	struct icmp4_peer *p = peer_get(w, net, daddr);

	p->token = MIN(p->token + (w->now - p->last), BURST_FACTOR * cost);
	p->last = w->now;
	if (p->token < cost) {
		ip4_mib(net, w)[MIB_Icmp_OutRateLimitHost]++;
		return false;
	}
	p->token -= cost;
	return true;
}

static uint64_t jiffies(int v)
{
	return (uint64_t)MAX(v, 0) * IP4_JIFFY;
}

/* A packet without a route draws on its sender's bucket too. */
bool icmp4_allow_route_error(struct worker *w, struct net *net, uint32_t saddr)
{
	const struct ip4_core *core = ip4_core(net);
	struct icmp4_peer *p = peer_get(w, net, saddr);
	uint64_t cost = jiffies(core->error_cost);

	p->token = MIN(p->token + (w->now - p->last), jiffies(core->error_burst));
	p->last = w->now;
	if (p->token < cost)
		return false;
	p->token -= cost;
	return true;
}

/* A host that does not heed redirects is told ever more rarely, then not at all for a while. */
bool icmp4_allow_redirect(struct worker *w, struct net *net, uint32_t daddr)
{
	const struct ip4_core *core = ip4_core(net);
	struct icmp4_peer *p = peer_get(w, net, daddr);
	uint32_t most = (uint32_t)MAX(core->redirect_number, 0);

	if (p->n_redirects && w->now > p->redirect_last + jiffies(core->redirect_silence))
		p->n_redirects = 0;
	if (p->n_redirects >= most) {
		p->redirect_last = w->now;
		return false;
	}
	/* beyond 32 doublings any load is for ever */
	if (p->n_redirects &&
	    w->now <= p->redirect_last + (jiffies(core->redirect_load) << MIN(p->n_redirects, 32u)))
		return false;
	p->redirect_last = w->now;
	p->n_redirects++;
	return true;
}

/* ---- what the packet path shares ---- */

struct ip4_path *ip4_path_new(struct weft *weft)
{
	struct ip4_path *path = calloc(1, sizeof(*path));
	struct rng rng;

	if (!path)
		return NULL;
	rng_seed(&rng, weft->config.seed ^ 0x69703469645f5f5fULL);
	for (unsigned i = 0; i < IP4_IDS; i++)
		path->id[i] = rng_u32(&rng);
	for (unsigned i = 0; i < weft->n_workers; i++) {
		struct ip4_frag_worker *f = calloc(1, sizeof(*f));

		if (!f) {
			ip4_path_free(weft, path);
			return NULL;
		}
		for (unsigned h = 0; h < IP4_FRAG_HASH; h++)
			CDS_INIT_LIST_HEAD(&f->hash[h]);
		path->frag[i] = f;
	}
	return path;
}

void ip4_path_free(struct weft *weft, struct ip4_path *path)
{
	if (!path)
		return;
	for (unsigned i = 0; i < weft->n_workers; i++)
		free(path->frag[i]);
	free(path);
}
