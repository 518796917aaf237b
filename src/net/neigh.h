/*
 * neigh: neighbour tables: who has which link address (the states NUD_* of linux/neighbour.h).
 *
 * One table a protocol and instance (ARP now, ND later); entries are hashed by (device, address),
 * with the instance's key, and belong to a device. Workers look up under RCU (htab.h: one line of
 * the table, one of the entry), whole batches in the steps of neigh_hash(), neigh_prefetch(),
 * neigh_guess() and neigh_find(), and use `hh`, the link header ready to copy, when there is one;
 * an entry without one is worked on by control (worker 0): the packet is posted there, queued on
 * the entry (unres_qlen_bytes), and a solicitation goes out.
 *
 * States (RFC 4861 7.3 as Linux applies it to IPv4):
 *   NUD_NONE        just made; first packet moves it to INCOMPLETE
 *   NUD_INCOMPLETE  solicited, packets queue; answer -> REACHABLE; probes spent -> FAILED
 *   NUD_REACHABLE   hh valid; unused for reachable_time -> STALE
 *   NUD_STALE       hh valid; a packet sent -> DELAY
 *   NUD_DELAY       hh valid; confirmation -> REACHABLE; delay_first_probe_time -> PROBE
 *   NUD_PROBE       hh valid; unicast probes; answer -> REACHABLE; spent -> FAILED
 *   NUD_FAILED      no hh; packets are answered with host unreachable; used again -> INCOMPLETE
 *   NUD_NOARP       hh valid for ever (devices without resolution, multicast, broadcast)
 *   NUD_PERMANENT   hh valid until the user deletes it
 *
 * gc: an entry unused for gc_stale_time goes; above gc_thresh2 for 5 s and above gc_thresh3 at once
 * unreferenced entries are pushed out, oldest first, PERMANENT ones never; when that frees nothing,
 * no entry is made (NEIGH_CREATEFAIL).
 */
#pragma once

#include <linux/neighbour.h>

#include "base/htab.h"
#include "base/rand.h"
#include "net/net.h"
#include "run/worker.h"

#define NEIGH_KEY_MAX 16

/* linux/neighbour.h leaves these sets to the kernel's own header. */
#define NUD_IN_TIMER  (NUD_INCOMPLETE | NUD_REACHABLE | NUD_DELAY | NUD_PROBE)
#define NUD_VALID     (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define NUD_CONNECTED (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE)

struct neigh_table;

/* The link header of a resolved entry: immutable, replaced whole through RCU. */
struct neigh_hh {
	uint8_t len;	 /* bytes of header, 0 to 30: it ends at hdr + 32 */
	uint8_t hdr[32]; /* right-aligned, so that stores of a fixed size copy it */
	struct rcu_head rcu;
} __attribute__((aligned(CACHE_LINE)));

/* Settings, per device with a default: /proc/sys/net/ipv4/neigh/DEV, `ip ntable`. Times in ns. */
struct neigh_parms {
	struct cds_list_head link;
	struct netdev *dev; /* NULL: the namespace's default */
	struct net *net;
	uint64_t base_reachable_time, reachable_time, retrans_time, gc_staletime;
	uint64_t delay_probe_time, anycast_delay, proxy_delay, locktime, interval_probe_time;
	int ucast_probes, mcast_probes, app_probes, mcast_reprobes, proxy_qlen;
	int queue_len_bytes;
	struct cds_lfht_node node;    /* in table->parms_hash */
	struct cds_list_head entries; /* struct neigh.dev_link: what belongs to dev, by id */
	unsigned n_entries;
	unsigned n_proxied; /* answers of dev waiting in table->proxy_queue */
	struct rcu_head rcu;
};

struct neigh {
	/* line 0: what a packet on its way looks at */
	struct netdev *dev;
	uint8_t key[NEIGH_KEY_MAX]; /* network order; table->key_len bytes */
	struct neigh_hh *hh;	    /* RCU; NULL: resolve first */
	uint64_t used;		    /* ns, stored by workers */
	uint8_t state;		    /* NUD_* */
	bool dead;
	uint8_t type;	  /* RTN_UNICAST, ... */
	uint8_t flags;	  /* NTF_* */
	uint8_t protocol; /* RTPROT_* */
	uint32_t hash;	  /* of dev and key */

	struct neigh_table *table;
	uint64_t confirmed, updated;
	uint32_t flags_ext;
	uint8_t lladdr[NETDEV_ALEN];
	unsigned refs; /* control: next hops that point here */
	int probes;
	struct timer timer;
	struct pkt_queue queue; /* control's: waiting for an answer */
	struct neigh_parms *parms;
	size_t queue_bytes;    /* memory the queue holds */
	struct worker_msg msg; /* to control: a STALE entry was used */
	unsigned msg_state;    /* NEIGH_MSG_*, atomic */
	struct cds_list_head gc_link, dev_link;
	struct cds_list_head managed_link; /* in table->managed while NTF_EXT_MANAGED is set */
	uint64_t id;			   /* by order of making */
	struct rcu_head rcu;
} __attribute__((aligned(CACHE_LINE)));

static_assert(offsetof(struct neigh, table) <= CACHE_LINE,
	      "a packet meets one line of a neighbour");

struct neigh_proxy {
	struct cds_list_head link;
	struct net *net;
	struct netdev *dev; /* NULL: any */
	uint8_t key[NEIGH_KEY_MAX];
	uint8_t flags, protocol;
	bool permanent; /* outlives the loss of the carrier */
	uint64_t id;	/* by order of making */
};

/* Statistics as in RTM_GETNEIGHTBL and /proc/net/stat/arp_cache. */
struct neigh_stats {
	uint64_t allocs, destroys, hash_grows, res_failed, lookups, hits;
	uint64_t rcv_probes_mcast, rcv_probes_ucast, periodic_gc_runs, forced_gc_runs, table_fulls;
	uint64_t unres_discards;
};

struct neigh_ops {
	int family; /* AF_INET */
	uint8_t key_len;
	const char *id; /* "arp_cache" */
	/* Sends a solicitation: unicast to n->lladdr or broadcast. src_hint borrows, may be NULL.
	 */
	void (*solicit)(struct worker *w, struct neigh *n, struct pkt *src_hint, bool unicast);
	/* Fills the state of a new entry that needs no resolution (NUD_NOARP and lladdr), or leaves
	 * NUD_NONE; -errno refuses. */
	int (*construct)(struct neigh *n);
	/* A packet that waited in vain: host unreachable to its sender. Takes. */
	void (*unreachable)(struct worker *w, struct neigh *n, struct pkt *p);
	/* A request whose answer was delayed (neigh_proxy_enqueue) is due. Takes. Optional. */
	void (*proxy_redo)(struct worker *w, struct pkt *p);
};

/* What a worker found last, by the address: packets go to few next hops at a time. */
enum { NEIGH_FOUND = 8 };
struct neigh_found {
	uint64_t gen; /* 0: nothing */
	const struct netdev *dev;
	struct neigh *n;
	uint32_t key;
};

struct neigh_table {
	const struct neigh_ops *ops;
	struct weft *weft;
	struct worker *w0;
	struct event_chain *events;
	struct htab hash;
	uint64_t gen; /* atomic: what was found before an entry went is found anew */
	struct neigh_found (*found)[NEIGH_FOUND]; /* of each worker */
	struct cds_list_head parms;		  /* all, defaults included */
	struct cds_list_head proxies;
	struct cds_list_head gc_list; /* oldest first; not PERMANENT, not extern learned */
	unsigned entries, gc_entries;
	int gc_thresh1, gc_thresh2, gc_thresh3;
	uint64_t gc_interval, last_flush, last_rand;
	struct timer gc_timer;
	struct neigh_stats stats;
	struct cds_lfht *parms_hash;	/* by device, or by namespace for its default */
	struct cds_list_head gc_cursor; /* where the periodic collection stands in gc_list */
	bool gc_running;		/* a collection is spread over several ticks */
	struct pkt_queue proxy_queue;	/* by time due (cb[0]) */
	struct timer proxy_timer;
	struct cds_list_head managed; /* entries that are kept resolved */
	struct timer managed_timer;   /* every interval_probe_time while there are any */
	uint64_t last_id;
};

int neigh_table_init(struct neigh_table *t, const struct neigh_ops *ops, struct weft *weft,
		     struct worker *w0, struct event_chain *events);
void neigh_table_fini(struct neigh_table *t);

/* A copy of the default settings for dev (or for a namespace's default when dev is NULL). */
struct neigh_parms *neigh_parms_new(struct neigh_table *t, struct net *net, struct netdev *dev);
void neigh_parms_free(struct neigh_table *t, struct neigh_parms *p);
struct neigh_parms *neigh_parms_default(struct neigh_table *t, struct net *net);
/* base_reachable_time changed: a new reachable_time, from half to one and a half of it. */
void neigh_parms_randomise(struct neigh_table *t, struct neigh_parms *p);

/* Workers, under RCU: borrows; NULL: there is none. */
static inline struct neigh *neigh_lookup(struct neigh_table *t, const struct netdev *dev,
					 const void *key);
/* Control: finds or makes; NULL with *err = -ENOBUFS, -EINVAL, ... */
struct neigh *neigh_get(struct neigh_table *t, struct netdev *dev, const void *key, int *err);
/* The same for what will be PERMANENT or extern learned: no threshold keeps it out. */
struct neigh *neigh_get_exempt(struct neigh_table *t, struct netdev *dev, const void *key,
			       int *err);

/* Control: news about an entry. lladdr NULL: unchanged. flags NEIGH_UPDATE_F_*. `state` NUD_*. */
#define NEIGH_UPDATE_OVERRIDE	   1 /* a different lladdr replaces the old one */
#define NEIGH_UPDATE_WEAK_OVERRIDE 2 /* a different lladdr makes a valid entry STALE */
#define NEIGH_UPDATE_ADMIN	   4 /* from the user */
/* Of NEIGH_UPDATE_ADMIN alone: */
#define NEIGH_UPDATE_OVERRIDE_ISROUTER 8 /* NTF_ROUTER becomes what ISROUTER says */
#define NEIGH_UPDATE_ISROUTER	       16
#define NEIGH_UPDATE_EXT_LEARNED       32  /* sets NTF_EXT_LEARNED, which its absence clears */
#define NEIGH_UPDATE_MANAGED	       64  /* sets NTF_EXT_MANAGED, which its absence clears */
#define NEIGH_UPDATE_USE	       128 /* will be resolved: state and lladdr are left alone */
int neigh_update(struct neigh *n, const uint8_t *lladdr, uint8_t state, unsigned flags);
/* Control: what a solicitation says about its sender: makes the entry, STALE. Borrows; may be NULL.
 */
struct neigh *neigh_heard(struct neigh_table *t, struct netdev *dev, const void *key,
			  const uint8_t *lladdr);
/* Control: starts resolution without a packet (`ip neigh add ... nud probe`, NTF_USE). */
void neigh_probe_start(struct neigh *n);
/* Control: the entry works (an upper layer heard from it). Any worker may call it too. */
void neigh_confirm(struct neigh *n, uint64_t now);
/* Control: takes p, sends it when n is resolved. p's data starts at l3. */
void neigh_resolve(struct worker *w, struct neigh *n, struct pkt *p);
/* Control: removes; packets waiting are dropped (NEIGH_DEAD). For `ip neigh del` the kernel first
 * sets NUD_FAILED (neigh_update with ADMIN|OVERRIDE), so that listeners see both. */
void neigh_del(struct neigh *n);
/* Control: who keeps a pointer beyond an RCU section (a next hop) holds the memory, not the entry:
 * it may still be collected (n->dead), and then is to be let go and looked up again. */
void neigh_hold(struct neigh *n);
void neigh_put(struct neigh *n); /* NULL is fine */
/* Any worker: a packet went out by a STALE entry: control is told, once. */
void neigh_used_stale(struct worker *w, struct neigh *n);
/* Control: removes what belongs to dev; `carrier`: keeps PERMANENT entries. */
void neigh_flush_dev(struct neigh_table *t, struct netdev *dev, bool carrier);
/* Control: dev's own address changed: all its entries go, as in Linux; they come back with headers
 * that carry the new address. */
void neigh_dev_addr(struct neigh_table *t, struct netdev *dev);

/* Makes or changes one: 0 or -ENOBUFS. protocol 0: unchanged. */
int neigh_proxy_add(struct neigh_table *t, struct net *net, struct netdev *dev, const void *key,
		    uint8_t flags, uint8_t protocol, bool permanent);
int neigh_proxy_del(struct neigh_table *t, struct net *net, struct netdev *dev, const void *key);
struct neigh_proxy *neigh_proxy_find(struct neigh_table *t, struct net *net, struct netdev *dev,
				     const void *key);

/* Control: a request received by parms->dev is answered later (up to proxy_delay, randomly), so
 * that the owner of the address comes first; ops->proxy_redo gets it then. Takes. */
void neigh_proxy_enqueue(struct neigh_table *t, struct neigh_parms *parms, struct pkt *p);
/* Control: forgets delayed answers (dev NULL: all), and the proxies of dev, with `all` the
 * permanent ones too. */
void neigh_proxy_flush(struct neigh_table *t, struct netdev *dev, bool all);

/* ---- look-ups ---- */

static inline uint32_t neigh_hash(const struct neigh_table *t, const struct netdev *dev,
				  const void *key)
{
	const struct hash_key *k = &t->w0->key;

	if (likely(t->ops->key_len == 4)) {
		uint32_t a;

		memcpy(&a, key, 4);
		uint64_t v = a | (uint64_t)((uintptr_t)dev >> 6) << 32;

		v = (v ^ k->k[0]) * 0x9e3779b97f4a7c15ULL;
		return hash_u64((v ^ v >> 32) + k->k[1]);
	}
	return (uint32_t)siphash(key, t->ops->key_len, k) ^ hash_u64((uintptr_t)dev);
}

static inline void neigh_prefetch(const struct neigh_table *t, uint32_t hash)
{
	htab_prefetch(&t->hash, hash);
}

/* Most likely the one, if neigh_is() says so: to prefetch. NULL: nobody knows. */
static inline struct neigh *neigh_guess(const struct neigh_table *t, uint32_t hash)
{
	return htab_guess(&t->hash, hash);
}

static inline bool neigh_is(const struct neigh *n, const struct netdev *dev, const void *key,
			    unsigned len)
{
	return n->dev == dev && !memcmp(n->key, key, len);
}

struct neigh_match {
	const struct netdev *dev;
	const void *key;
	unsigned len;
};

static inline bool neigh_matches(const void *entry, const void *arg)
{
	const struct neigh_match *m = arg;

	if (likely(m->len == 4))
		return neigh_is(entry, m->dev, m->key, 4);
	return neigh_is(entry, m->dev, m->key, m->len);
}

/* hash: neigh_hash(t, dev, key). */
static inline struct neigh *neigh_find(struct neigh_table *t, uint32_t hash,
				       const struct netdev *dev, const void *key)
{
	const struct neigh_match m = {dev, key, t->ops->key_len};

	return htab_find(&t->hash, hash, neigh_matches, &m);
}

static inline struct neigh *neigh_lookup(struct neigh_table *t, const struct netdev *dev,
					 const void *key)
{
	return neigh_find(t, neigh_hash(t, dev, key), dev, key);
}

/* The same for a packet alone. */
static inline struct neigh *neigh_lookup_one(struct worker *w, struct neigh_table *t,
					     const struct netdev *dev, const void *key)
{
	uint64_t gen = __atomic_load_n(&t->gen, __ATOMIC_ACQUIRE);
	struct neigh_found *found;
	struct neigh *n;
	uint32_t a;

	if (unlikely(t->ops->key_len != sizeof(a)))
		return neigh_lookup(t, dev, key);
	memcpy(&a, key, sizeof(a));
	found = &t->found[w->id][hash_u64(a) % NEIGH_FOUND];
	if (likely(found->gen == gen && found->dev == dev && found->key == a))
		return found->n;
	n = neigh_lookup(t, dev, key);
	if (n)
		*found = (struct neigh_found){gen, dev, n, a};
	return n;
}

/* A packet that has a valid entry: puts the header in front and marks the use. Workers. False when
 * there is no header (resolve) or no headroom could be had. */
static inline bool neigh_header(struct worker *w, struct neigh *n, struct pkt *p)
{
	struct neigh_hh *hh = rcu_dereference(n->hh);
	if (unlikely(!hh || !pkt_writable(&w->cache, p, 32)))
		return false;
	if (likely(hh->len == ETH_HLEN)) {
		/* two stores that overlap: no line in front of the frame is touched */
		uint8_t *to = pkt_push(p, ETH_HLEN);

		memcpy(to, hh->hdr + 32 - ETH_HLEN, 8);
		memcpy(to + ETH_HLEN - 8, hh->hdr + 32 - 8, 8);
	} else {
		memcpy(pkt_data(p) - 32, hh->hdr, 32);
		pkt_push(p, hh->len);
	}
	p->l2 = p->off;
	if (READ_ONCE(n->used) != w->now)
		WRITE_ONCE(n->used, w->now);
	if (unlikely(READ_ONCE(n->state) == NUD_STALE))
		neigh_used_stale(w, n);
	return true;
}
