/*
 * ip4_pmtu: what ICMP has told about the MTU of paths (RFC 1191), by destination.
 *
 * A fixed number of buckets of a few entries each, so that outsiders who send ICMP errors cannot
 * make it grow: a full bucket gives up the entry that would expire first. Control writes; workers
 * read entries under a sequence count of the bucket and never wait: a torn read counts as "none
 * known".
 */
#include <arpa/inet.h>
#include <linux/icmp.h>

#include "ip/ip4_core.h"
#include "wire/ip4_hdr.h"

#define IP_MAX_MTU 65535u

#define PMTU_BUCKETS 1024u
#define PMTU_DEPTH   5

struct pmtu_entry {
	uint32_t daddr, mtu; /* daddr 0: free */
	uint32_t fib_id;     /* of the route it was learnt on: void on another */
	uint64_t expires;
};

struct pmtu_bucket {
	uint32_t seq; /* odd: being written */
	struct pmtu_entry e[PMTU_DEPTH];
};

struct pmtu_cache {
	uint32_t n; /* 0: empty, which saves the look-up */
	struct hash_key key;
	struct pmtu_bucket b[PMTU_BUCKETS];
};

int pmtu_net_init(struct net *net)
{
	/* Made with the first news: most namespaces never hear any. */
	net->ip4->routes->pmtu = NULL;
	return 0;
}

void pmtu_net_fini(struct net *net)
{
	free(net->ip4->routes->pmtu);
	net->ip4->routes->pmtu = NULL;
}

static struct pmtu_bucket *bucket_of(struct pmtu_cache *c, uint32_t daddr)
{
	return &c->b[siphash(&daddr, sizeof(daddr), &c->key) % PMTU_BUCKETS];
}

static void entry_write(struct pmtu_bucket *b, struct pmtu_entry *e, const struct pmtu_entry *val)
{
	__atomic_store_n(&b->seq, b->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	WRITE_ONCE(e->daddr, val->daddr);
	WRITE_ONCE(e->mtu, val->mtu);
	WRITE_ONCE(e->fib_id, val->fib_id);
	WRITE_ONCE(e->expires, val->expires);
	__atomic_store_n(&b->seq, b->seq + 1, __ATOMIC_RELEASE);
}

/* The entry of daddr, else a free one, else the one that goes first. */
static struct pmtu_entry *entry_for(struct pmtu_bucket *b, uint32_t daddr, uint64_t now)
{
	struct pmtu_entry *best = &b->e[0];

	for (unsigned i = 0; i < PMTU_DEPTH; i++) {
		struct pmtu_entry *e = &b->e[i];
		if (e->daddr == daddr)
			return e;
		if (!e->daddr || e->expires < best->expires)
			best = e;
	}
	return best;
}

static struct pmtu_cache *cache_get(struct net *net)
{
	struct route4_tables *ts = net->ip4->routes;
	struct pmtu_cache *c = ts->pmtu;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->key = net->weft->key;
	rcu_assign_pointer(ts->pmtu, c);
	return c;
}

static const struct fib_info *route_to(struct net *net, uint32_t daddr)
{
	uint32_t host = ntohl(daddr), val;

	route4_lookup_bulk(net, &host, &val, 1);
	return val ? fib_info_by_id(ip4_core(net), val) : NULL;
}

void route4_update_pmtu(struct net *net, uint32_t daddr, uint32_t mtu, uint64_t now)
{
	const struct fib_info *fi = daddr ? route_to(net, daddr) : NULL;
	uint32_t was = fi ? route4_mtu(net, fi, daddr, now) : 0;
	struct pmtu_cache *c;

	/* News only make a path narrower, and not narrower than is believable. */
	if (!fi || was < mtu || (fi->metrics[RTAX_LOCK] & (1u << RTAX_MTU)))
		return;
	if (mtu < (uint32_t)net->ip4->min_pmtu)
		mtu = MIN(was, (uint32_t)net->ip4->min_pmtu);
	c = cache_get(net);
	if (!c)
		return;
	struct pmtu_bucket *b = bucket_of(c, daddr);
	struct pmtu_entry val = {daddr, mtu, fi->id, now + net->ip4->mtu_expires};
	entry_write(b, entry_for(b, daddr, now), &val);
	WRITE_ONCE(c->n, 1);
	WRITE_ONCE(net->ip4->routes->pmtu_gen, net->ip4->routes->pmtu_gen + 1);
}

void route4_pmtu_error(struct worker *w, struct net *net, const struct ip4_hdr *inner, uint8_t type,
		       uint8_t code, uint32_t info)
{
	if (type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED && info)
		route4_update_pmtu(net, inner->daddr, info, w->now);
}

/* fib_id 0: whatever route it was learnt on. */
static uint32_t pmtu_find(struct net *net, uint32_t daddr, uint32_t fib_id, uint64_t now,
			  uint64_t *expires)
{
	struct pmtu_cache *c = rcu_dereference(net->ip4->routes->pmtu);

	if (likely(!c || !READ_ONCE(c->n)))
		return 0;
	struct pmtu_bucket *b = bucket_of(c, daddr);
	uint32_t seq = __atomic_load_n(&b->seq, __ATOMIC_ACQUIRE), mtu = 0;
	for (unsigned i = 0; i < PMTU_DEPTH; i++) {
		struct pmtu_entry *e = &b->e[i];
		if (READ_ONCE(e->daddr) == daddr && READ_ONCE(e->expires) > now &&
		    (!fib_id || READ_ONCE(e->fib_id) == fib_id))
			mtu = READ_ONCE(e->mtu), *expires = READ_ONCE(e->expires);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if ((seq & 1) || __atomic_load_n(&b->seq, __ATOMIC_RELAXED) != seq)
		return 0;
	return mtu;
}

uint32_t route4_pmtu(struct net *net, uint32_t daddr, uint64_t now, uint64_t *expires)
{
	return pmtu_find(net, daddr, 0, now, expires);
}

int route4_pmtu_walk(struct net *net, unsigned *at, uint64_t now,
		     int (*fn)(const struct route4_pmtu *m, void *arg), void *arg)
{
	const struct pmtu_cache *c = net->ip4->routes->pmtu;

	for (; c && c->n && *at < PMTU_BUCKETS * PMTU_DEPTH; ++*at) {
		const struct pmtu_entry *e = &c->b[*at / PMTU_DEPTH].e[*at % PMTU_DEPTH];
		const struct fib_info *fi =
			e->daddr && e->expires > now ? route_to(net, e->daddr) : NULL;
		if (!fi || fi->id != e->fib_id)
			continue;
		int ret = fn(&(struct route4_pmtu){fi, e->daddr, e->mtu, e->expires}, arg);
		if (ret)
			return ret;
	}
	return 0;
}

void pmtu_flush(struct net *net)
{
	struct pmtu_cache *c = net->ip4->routes->pmtu;

	if (!c || !c->n)
		return;
	for (unsigned i = 0; i < PMTU_BUCKETS; i++)
		for (unsigned k = 0; k < PMTU_DEPTH; k++)
			entry_write(&c->b[i], &c->b[i].e[k], &(struct pmtu_entry){0});
	WRITE_ONCE(c->n, 0);
	WRITE_ONCE(net->ip4->routes->pmtu_gen, net->ip4->routes->pmtu_gen + 1);
}

unsigned pmtu_count(const struct net *net)
{
	const struct pmtu_cache *c = net->ip4->routes->pmtu;
	unsigned n = 0;

	if (!c || !c->n)
		return 0;
	for (unsigned i = 0; i < PMTU_BUCKETS; i++)
		for (unsigned k = 0; k < PMTU_DEPTH; k++)
			n += c->b[i].e[k].daddr != 0;
	return n;
}

uint32_t route4_mtu(struct net *net, const struct fib_info *fi, uint32_t daddr, uint64_t now)
{
	uint32_t mtu, path;
	uint64_t expires;

	if (!fi->nh.dev)
		return 0;
	mtu = READ_ONCE(fi->nh.dev->mtu);
	/* A locked MTU is the user's last word. */
	if (fi->metrics[RTAX_MTU] && (fi->metrics[RTAX_LOCK] & (1u << RTAX_MTU)))
		return MIN(fi->metrics[RTAX_MTU], IP_MAX_MTU);
	path = pmtu_find(net, daddr, fi->id, now, &expires);
	if (path)
		return MIN(path, mtu);
	if (fi->metrics[RTAX_MTU])
		mtu = fi->metrics[RTAX_MTU];
	return MIN(mtu, IP_MAX_MTU);
}
