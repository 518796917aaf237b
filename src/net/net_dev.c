/*
 * net_dev: devices in namespaces: entering, leaving, moving, and being found.
 *
 * Names and indices have a hash table each. A device that leaves is first made unreachable, then
 * its news is spread, and its memory goes when no packet can name it any more (struct dev_reap).
 */
#include "dev/kind.h"
#include "net/net.h"
#include "run/instance.h"

/* ---- tables ---- */

static unsigned long name_hash(const struct net *net, const char *name)
{
	return siphash(name, strlen(name), &net->weft->key);
}

static int match_name(struct cds_lfht_node *n, const void *key)
{
	return !strcmp(container_of(n, struct dev_name, node)->name, key);
}

static struct dev_name *find_name(const struct net *net, const char *name)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	cds_lfht_lookup(net->by_name, name_hash(net, name), match_name, name, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct dev_name, node) : NULL;
}

static struct dev_name *add_name(struct net *net, struct netdev *dev, const char *name)
{
	struct dev_name *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->dev = dev;
	strncpy(e->name, name, sizeof(e->name) - 1);
	cds_lfht_add(net->by_name, name_hash(net, name), &e->node);
	return e;
}

static void del_name(struct net *net, struct dev_name *e)
{
	cds_lfht_del(net->by_name, &e->node);
	rcu_free(e);
}

struct netdev *net_dev_by_name(const struct net *net, const char *name)
{
	struct dev_name *e = find_name(net, name);

	return e ? e->dev : NULL;
}

static int match_index(struct cds_lfht_node *n, const void *key)
{
	return container_of(n, struct netdev, index_node)->ifindex == *(const int *)key;
}

struct netdev *net_dev_by_index(const struct net *net, int ifindex)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *n;

	if (ifindex <= 0)
		return NULL;
	cds_lfht_lookup(net->by_index, hash_u64((uint64_t)ifindex), match_index, &ifindex, &it);
	n = cds_lfht_iter_get_node(&it);
	return n ? container_of(n, struct netdev, index_node) : NULL;
}

static int free_index(struct net *net)
{
	do {
		if (++net->last_ifindex <= 0)
			net->last_ifindex = 1;
	} while (net_dev_by_index(net, net->last_ifindex));
	return net->last_ifindex;
}

/* Fills a "%d" in; the first number that is free. */
static int choose_name(const struct net *net, const char *pattern, char name[IFNAMSIZ])
{
	const char *p = strchr(pattern, '%');

	if (!netdev_name_valid(pattern))
		return -EINVAL;
	if (!p) {
		if (find_name(net, pattern))
			return -EEXIST;
		snprintf(name, IFNAMSIZ, "%s", pattern);
		return 0;
	}
	if (p[1] != 'd' || strchr(p + 2, '%'))
		return -EINVAL;
	for (unsigned i = 0; i < 8 * 4096; i++) {
		int n = snprintf(name, IFNAMSIZ, "%.*s%u%s", (int)(p - pattern), pattern, i, p + 2);
		if (n >= IFNAMSIZ)
			break;
		if (!find_name(net, name))
			return 0;
	}
	return -ENFILE;
}

/* ---- entering and leaving the tables ---- */

static int enlist_altnames(struct netdev *dev, struct net *net)
{
	struct altname *a;

	cds_list_for_each_entry (a, &dev->altnames, link) {
		a->entry = add_name(net, dev, a->name);
		if (!a->entry)
			return -ENOMEM;
	}
	return 0;
}

static void delist_names(struct netdev *dev, struct net *net)
{
	struct altname *a;

	cds_list_for_each_entry (a, &dev->altnames, link) {
		if (a->entry)
			del_name(net, a->entry);
		a->entry = NULL;
	}
	if (dev->name_entry)
		del_name(net, dev->name_entry);
	dev->name_entry = NULL;
}

static int enlist(struct netdev *dev, struct net *net)
{
	struct netdev *before;

	dev->name_entry = add_name(net, dev, dev->name);
	if (!dev->name_entry || enlist_altnames(dev, net)) {
		delist_names(dev, net);
		return -ENOMEM;
	}
	cds_lfht_add(net->by_index, hash_u64((uint64_t)dev->ifindex), &dev->index_node);
	/* new indices are the highest nearly always */
	cds_list_for_each_entry_reverse (before, &net->devs, net_link)
		if (before->ifindex < dev->ifindex)
			break;
	cds_list_add_rcu(&dev->net_link, &before->net_link);
	net->n_devs++;
	net->dev_seq++;
	dev->net = net;
	dev->net_seq = &net->dev_seq;
	dev->all_taps = &net->taps;
	dev->n_all_taps = &net->n_taps;
	return 0;
}

static void delist(struct netdev *dev)
{
	struct net *net = dev->net;

	delist_names(dev, net);
	cds_lfht_del(net->by_index, &dev->index_node);
	cds_list_del_rcu(&dev->net_link);
	net->n_devs--;
	net->dev_seq++;
}

int netdev_register(struct netdev *dev, struct net *net, const char *name, int ifindex,
		    struct extack *ext)
{
	int err = choose_name(net, name, dev->name);

	if (err)
		return err;
	if (ifindex < 0)
		return -EINVAL;
	if (ifindex && net_dev_by_index(net, ifindex))
		return -EBUSY;
	dev->name_assign_type = dev->kind->permanent ? NET_NAME_PREDICTABLE
				: strchr(name, '%')  ? NET_NAME_ENUM
						     : NET_NAME_USER;
	dev->net = net;
	err = dev->ops->init ? dev->ops->init(dev, ext) : 0;
	if (err)
		return err;
	dev->ifindex = ifindex ? ifindex : free_index(net);
	if (dev->addr_assign_type == NET_ADDR_PERM)
		memcpy(dev->perm_addr, dev->addr, sizeof(dev->perm_addr));
	err = enlist(dev, net);
	if (err) {
		if (dev->ops->fini)
			dev->ops->fini(dev);
		return err;
	}
	dev->registered = true;
	if (!dev->carrier)
		netdev_refresh_operstate(dev);
	netdev_event(dev, EVENT_DEV_NEW, 0);
	return 0;
}

/* ---- going ---- */

static void netdev_free_rcu(struct rcu_head *h)
{
	netdev_free(container_of(h, struct netdev, reap.rcu));
}

/* Lists dev after everything stacked on it, and whatever goes with it. */
static struct netdev **collect(struct netdev *dev, struct netdev **tail)
{
	struct netdev *upper;

	if (dev->dismantling)
		return tail;
	dev->dismantling = true;
	cds_list_for_each_entry (upper, &dev->uppers, lower_link)
		tail = collect(upper, tail);
	dev->reg_link = NULL;
	*tail = dev;
	tail = &dev->reg_link;
	if (dev->ops->companion) {
		struct netdev *other = dev->ops->companion(dev);
		if (other)
			tail = collect(other, tail);
	}
	return tail;
}

static void leave(struct netdev *dev)
{
	netdev_event(dev, EVENT_DEV_DEL, 0);
	delist(dev);
	netdev_event(dev, EVENT_DEV_GONE, (uint64_t)dev->ifindex);
	dev->registered = false;
	netdev_backlog_purge(dev->core->workers[0], dev);
}

void netdev_unregister(struct netdev *dev)
{
	struct netdev *list = NULL, *next;

	collect(dev, &list);
	for (struct netdev *d = list; d; d = d->reg_link)
		netdev_set_flags(d, 0, IFF_UP, NULL);
	for (struct netdev *d = list; d; d = d->reg_link)
		leave(d);
	if (dev->core->n_workers > 1)
		synchronize_rcu();
	for (struct netdev *d = list; d; d = next) {
		next = d->reg_link;
		netdev_unlink_lower(d);
		if (d->ops->fini)
			d->ops->fini(d);
		d->net_seq = NULL;
		dev_reap(d->core, &d->reap, netdev_free_rcu);
	}
}

/* ---- moving ---- */

static int check_move(struct netdev *dev, struct net *net, const char *pattern, int ifindex,
		      char name[IFNAMSIZ], struct extack *ext)
{
	struct altname *a;
	int err;

	if (dev->features & DEV_F_NETNS_LOCAL)
		return extack_set(ext, -EINVAL, "The interface netns is immutable");
	err = choose_name(net, pattern ? pattern : dev->name, name);
	if (err == -EEXIST)
		return extack_set(ext, err,
				  "An interface with the same name exists in the target netns");
	if (err)
		return err;
	cds_list_for_each_entry (a, &dev->altnames, link)
		if (find_name(net, a->name))
			return extack_set(
				ext, -EEXIST,
				"An interface with the altname exists in the target netns");
	if (ifindex && net_dev_by_index(net, ifindex))
		return extack_set(ext, -EBUSY,
				  "An interface with the same ifindex exists in the target netns");
	return 0;
}

int netdev_change_net(struct netdev *dev, struct net *net, const char *pattern, int ifindex,
		      struct extack *ext)
{
	struct net *old = dev->net;
	char name[IFNAMSIZ];
	int index, err;

	if (net == old)
		return 0;
	err = check_move(dev, net, pattern, ifindex, name, ext);
	if (err)
		return err;
	index = ifindex ? ifindex : dev->ifindex;
	if (net_dev_by_index(net, index))
		index = free_index(net);
	netdev_set_flags(dev, 0, IFF_UP, NULL);
	netdev_event(dev, EVENT_DEV_DEL, 0);
	delist(dev);
	netdev_backlog_purge(dev->core->workers[0], dev);
	synchronize_rcu(); /* before its nodes enter other tables */
	dev->net = net;
	net_event(old, EVENT_DEV_GONE, dev, NULL, (uint64_t)index);
	dev->ifindex = index;
	memcpy(dev->name, name, sizeof(name));
	err = enlist(dev, net);
	if (err) { /* out of memory for a name: it has no namespace to be in */
		dev->registered = false;
		if (dev->ops->fini)
			dev->ops->fini(dev);
		dev_reap(dev->core, &dev->reap, netdev_free_rcu);
		return err;
	}
	netdev_event(dev, EVENT_DEV_NEW, 0);
	return 0;
}

/* ---- names ---- */

int netdev_set_name(struct netdev *dev, const char *pattern, struct extack *ext)
{
	struct net *net = dev->net;
	struct dev_name *e;
	char name[IFNAMSIZ];
	int err;

	if (!strcmp(pattern, dev->name))
		return 0;
	err = choose_name(net, pattern, name);
	if (err)
		return err;
	e = add_name(net, dev, name);
	if (!e)
		return -ENOMEM;
	del_name(net, dev->name_entry);
	dev->name_entry = e;
	memcpy(dev->name, name, sizeof(name));
	dev->name_assign_type = NET_NAME_RENAMED;
	netdev_event(dev, EVENT_DEV_NAME, 0);
	return 0;
}

int netdev_add_altname(struct netdev *dev, const char *name)
{
	struct altname *a;
	size_t len = strlen(name);

	if (!len || len >= ALTIFNAMSIZ)
		return -EINVAL;
	if (find_name(dev->net, name))
		return -EEXIST;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	memcpy(a->name, name, len);
	a->entry = add_name(dev->net, dev, name);
	if (!a->entry) {
		free(a);
		return -ENOMEM;
	}
	cds_list_add_tail(&a->link, &dev->altnames);
	if (netdev_running(dev))
		netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return 0;
}

int netdev_del_altname(struct netdev *dev, const char *name)
{
	struct dev_name *e = find_name(dev->net, name);
	struct altname *a;

	if (!e)
		return -ENOENT;
	cds_list_for_each_entry (a, &dev->altnames, link) {
		if (a->entry != e)
			continue;
		cds_list_del(&a->link);
		del_name(dev->net, e);
		free(a);
		if (netdev_running(dev))
			netdev_event(dev, EVENT_DEV_CHANGE, 0);
		return 0;
	}
	return -EINVAL; /* its own name, or another device's */
}

/* ---- taps ---- */

void tap_add(struct net *net, struct netdev *dev, struct tap *t)
{
	unsigned *n = dev ? &dev->n_taps : &net->n_taps;

	cds_list_add_tail_rcu(&t->link, dev ? &dev->taps : &net->taps);
	WRITE_ONCE(*n, *n + 1);
}

void tap_del(struct net *net, struct netdev *dev, struct tap *t)
{
	unsigned *n = dev ? &dev->n_taps : &net->n_taps;

	cds_list_del_rcu(&t->link);
	WRITE_ONCE(*n, *n - 1);
}
