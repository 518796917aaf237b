/* net: namespaces: life, ids, look-ups. */
#include "net/net.h"

#include <linux/net_namespace.h>

#include "run/instance.h"

#define FIRST_INO 4026531840ULL /* where Linux begins, so that tools show familiar numbers */

/* ---- the set ---- */

void net_set_init(struct net_set *s, struct weft *weft, struct dev_core *core,
		  const struct net_module *modules)
{
	memset(s, 0, sizeof(*s));
	s->weft = weft;
	s->core = core;
	s->modules = modules;
	s->last_ino = FIRST_INO;
	CDS_INIT_LIST_HEAD(&s->nets);
}

void net_set_fini(struct net_set *s)
{
	struct net *net, *next;

	cds_list_for_each_entry_safe (net, next, &s->nets, link) {
		net->refs = 1;
		net_put(net);
	}
	rcu_hash_free(s->by_ino);
	s->by_ino = NULL;
}

static int match_ino(struct cds_lfht_node *n, const void *key)
{
	return container_of(n, struct net, ino_node)->ino == *(const uint64_t *)key;
}

struct net *net_by_ino(struct net_set *s, uint64_t ino)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	if (!s->by_ino)
		return NULL;
	cds_lfht_lookup(s->by_ino, hash_u64(ino), match_ino, &ino, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct net, ino_node) : NULL;
}

/* ---- life ---- */

static void net_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct net, reap.rcu));
}

static void free_tables(struct net *net)
{
	rcu_hash_free(net->by_index);
	rcu_hash_free(net->by_name);
}

/* Undoes the first n modules, in mirror order. */
static void fini_modules(struct net *net, unsigned n)
{
	const struct net_module *m = net->weft->nets->modules;

	while (n-- > 0)
		m[n].fini(net);
}

static unsigned count_modules(const struct net_set *s)
{
	unsigned n = 0;

	while (s->modules[n].name)
		n++;
	return n;
}

static void delete_devices(struct net *net)
{
	while (!cds_list_empty(&net->devs))
		netdev_unregister(cds_list_entry(net->devs.prev, struct netdev, net_link));
}

static void forget_ids(struct net *net)
{
	struct nsid *i, *next;

	cds_list_for_each_entry_safe (i, next, &net->nsids, link) {
		cds_list_del(&i->link);
		cds_list_del(&i->peer_link);
		free(i);
	}
	cds_list_for_each_entry_safe (i, next, &net->named_by, peer_link) {
		struct event e = {
			.type = EVENT_NSID, .net = i->net, .arg = (uint64_t)(int64_t)i->id};

		cds_list_del(&i->link);
		cds_list_del(&i->peer_link);
		event_emit(net->weft->events, &e);
		free(i);
	}
}

static struct net *net_alloc(struct net_set *s)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return NULL;
	net->weft = s->weft;
	net->core = s->core;
	net->refs = 1;
	CDS_INIT_LIST_HEAD(&net->devs);
	CDS_INIT_LIST_HEAD(&net->taps);
	CDS_INIT_LIST_HEAD(&net->nsids);
	CDS_INIT_LIST_HEAD(&net->named_by);
	net->by_index = cds_lfht_new(8, 8, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	net->by_name = cds_lfht_new(8, 8, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	if (!net->by_index || !net->by_name) {
		free_tables(net);
		free(net);
		return NULL;
	}
	return net;
}

static void set_join(struct net_set *s, struct net *net)
{
	net->ino = s->last_ino++;
	cds_list_add_tail_rcu(&net->link, &s->nets);
	cds_lfht_add(s->by_ino, hash_u64(net->ino), &net->ino_node);
	s->n++;
	if (!s->first)
		s->first = net;
}

static int add_loopback(struct net *net)
{
	struct netdev *lo = netdev_alloc(net->core, net->core->kinds[0], 1, 1);
	int err;

	if (!lo)
		return -ENOMEM;
	err = netdev_register(lo, net, "lo", 1, NULL);
	if (err)
		netdev_free(lo);
	else
		net->loopback = lo;
	return err;
}

/* Takes a namespace down, whatever came to life of it: n modules. */
static void net_end(struct net *net, unsigned n)
{
	struct net_set *s = net->weft->nets;

	net->dying = true;
	forget_ids(net);
	delete_devices(net);
	net->loopback = NULL;
	net_event(net, EVENT_NET_DEL, NULL, NULL, 0);
	fini_modules(net, n);
	cds_list_del_rcu(&net->link);
	cds_lfht_del(s->by_ino, &net->ino_node);
	s->n--;
	if (s->first == net)
		s->first = NULL;
	free_tables(net);
	dev_reap(net->core, &net->reap, net_free_rcu);
}

struct net *net_new(struct net_set *s, int *err)
{
	struct net *net;
	unsigned n = 0, all = count_modules(s);

	*err = -ENOMEM;
	if (!s->by_ino)
		s->by_ino = cds_lfht_new(8, 8, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	if (!s->by_ino)
		return NULL;
	net = net_alloc(s);
	if (!net)
		return NULL;
	set_join(s, net);
	for (; n < all; n++)
		if ((*err = s->modules[n].init(net)))
			goto end;
	*err = add_loopback(net);
	if (*err)
		goto end;
	net_event(net, EVENT_NET_NEW, NULL, NULL, 0);
	return net;
end:
	net_end(net, n);
	return NULL;
}

struct net *net_get(struct net *net)
{
	net->refs++;
	return net;
}

void net_put(struct net *net)
{
	if (!net || --net->refs || net->dying)
		return;
	net_end(net, count_modules(net->weft->nets));
}

/* ---- ids ---- */

int net_id_of(struct net *net, struct net *peer)
{
	struct nsid *i;

	/* whichever list is shorter would do; a namespace is named by few */
	cds_list_for_each_entry (i, &peer->named_by, peer_link)
		if (i->net == net)
			return i->id;
	return NETNSA_NSID_NOT_ASSIGNED;
}

int net_id_alloc(struct net *net, struct net *peer, int id)
{
	struct cds_list_head *at = &net->nsids;
	struct nsid *i, *new;
	int next = 0;

	if (net_id_of(net, peer) >= 0)
		return -EEXIST;
	cds_list_for_each_entry (i, &net->nsids, link) {
		if (id >= 0 ? i->id > id : i->id > next)
			break;
		if (i->id == id)
			return -ENOSPC;
		next = i->id + 1;
		at = &i->link;
	}
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->id = id >= 0 ? id : next;
	new->net = net;
	new->peer = peer;
	cds_list_add(&new->link, at);
	cds_list_add_tail(&new->peer_link, &peer->named_by);

	struct event e = {.type = EVENT_NSID, .net = net, .arg = (uint64_t) new->id, .arg2 = 1};
	event_emit(net->weft->events, &e);
	return new->id;
}

struct net *net_by_id(struct net *net, int id)
{
	struct nsid *i;

	cds_list_for_each_entry (i, &net->nsids, link)
		if (i->id == id)
			return i->peer;
	return NULL;
}

/* ---- events ---- */

void net_event(struct net *net, enum event_type type, struct netdev *dev, void *obj, uint64_t arg)
{
	struct event e = {.type = type, .net = net, .dev = dev, .obj = obj, .arg = arg};

	event_emit(net->weft->events, &e);
}
