/*
 * route4_trie: the prefixes of one routing table, with all their routes.
 *
 * A path-compressed binary trie (a Patricia trie, Morrison 1968): a node stands for a prefix and
 * has at most two children, the next longer prefixes that begin with its bits and a 0 or a 1. A
 * node without routes exists only where two branches fork, so n prefixes take fewer than 2n nodes.
 * Nodes in the order "node, child 0, child 1" are in order of prefix, then length: that is the
 * order of dumps.
 *
 * One writer; every change is one pointer store, so RCU readers see the trie before or after it. A
 * node taken out keeps its pointers until the grace period is over.
 */
#include "ip/ip4_core.h"

static uint32_t mask_of(unsigned len)
{
	return len ? ~0u << (32 - len) : 0;
}

static unsigned bit_at(uint32_t addr, unsigned pos)
{
	return (addr >> (31 - pos)) & 1;
}

static bool covers(const struct route4_node *n, uint32_t addr)
{
	return ((addr ^ n->prefix) & mask_of(n->len)) == 0;
}

static struct route4_node *node_new(uint32_t prefix, unsigned len)
{
	struct route4_node *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->prefix = prefix & mask_of(len);
	n->len = (uint8_t)len;
	CDS_INIT_LIST_HEAD(&n->routes);
	return n;
}

static void node_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct route4_node, rcu));
}

struct route4_table *route4_table_new(uint32_t id)
{
	struct route4_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->id = id;
	t->root = node_new(0, 0);
	if (!t->root) {
		free(t);
		return NULL;
	}
	CDS_INIT_LIST_HEAD(&t->link);
	return t;
}

void route4_table_free(struct route4_table *t)
{
	if (!t)
		return;
	/* Without routes only the root is left. */
	assert(!t->root->child[0] && !t->root->child[1]);
	free(t->root);
	free(t);
}

/* Puts a new node for (prefix, len) in front of `old`, which shares its first `common` bits. */
static struct route4_node *node_split(struct route4_node **slot, struct route4_node *old,
				      uint32_t prefix, unsigned len, unsigned common)
{
	struct route4_node *n = node_new(prefix, len);
	if (!n)
		return NULL;
	if (common == len) {
		n->child[bit_at(old->prefix, len)] = old;
		rcu_assign_pointer(*slot, n);
		return n;
	}
	struct route4_node *fork = node_new(prefix, common);
	if (!fork) {
		free(n);
		return NULL;
	}
	fork->child[bit_at(old->prefix, common)] = old;
	fork->child[bit_at(prefix, common)] = n;
	rcu_assign_pointer(*slot, fork);
	return n;
}

struct route4_node *route4_node_get(struct route4_table *t, uint32_t prefix, unsigned len,
				    bool make)
{
	struct route4_node *n = t->root;

	while (n->len != len) {
		struct route4_node **slot = &n->child[bit_at(prefix, n->len)];
		struct route4_node *c = *slot;
		if (!c) {
			if (!make)
				return NULL;
			c = node_new(prefix, len);
			if (c)
				rcu_assign_pointer(*slot, c);
			return c;
		}
		uint32_t diff = c->prefix ^ prefix;
		unsigned common = diff ? (unsigned)__builtin_clz(diff) : 32;
		common = MIN(common, len);
		if (common < c->len)
			return make ? node_split(slot, c, prefix, len, common) : NULL;
		n = c;
	}
	return n;
}

void route4_node_gone(struct route4_table *t, struct route4_node *n)
{
	struct route4_node **slot = NULL, **above = NULL, *parent = NULL;

	if (n == t->root)
		return;
	for (struct route4_node *i = t->root; i != n; i = *slot) {
		above = slot;
		parent = i;
		slot = &i->child[bit_at(n->prefix, i->len)];
	}
	if (n->child[0] && n->child[1])
		return; /* still a fork */
	struct route4_node *child = n->child[0] ? n->child[0] : n->child[1];
	rcu_assign_pointer(*slot, child);
	call_rcu(&n->rcu, node_free_rcu);
	if (child || parent == t->root || !cds_list_empty(&parent->routes))
		return;
	/* The parent was a fork and has one branch left. */
	rcu_assign_pointer(*above, parent->child[0] ? parent->child[0] : parent->child[1]);
	call_rcu(&parent->rcu, node_free_rcu);
}

static struct route4_node *first_with_routes(struct route4_node *n)
{
	while (n && cds_list_empty(&n->routes))
		n = n->child[0] ? n->child[0] : n->child[1];
	return n;
}

struct route4_node *route4_node_from(struct route4_table *t, uint32_t prefix, unsigned len)
{
	struct route4_node *n = t->root, *later = NULL;

	while (n) {
		if (n->prefix > prefix || (n->prefix == prefix && n->len >= len))
			return first_with_routes(n);
		if (!covers(n, prefix) || n->len == 32)
			break;
		/* n comes before the wanted place, what follows is among its children. */
		unsigned b = bit_at(prefix, n->len);
		if (!b && n->child[1])
			later = n->child[1];
		n = n->child[b];
	}
	return first_with_routes(later);
}

unsigned route4_node_cover(struct route4_table *t, uint32_t addr, struct route4_node **out)
{
	struct route4_node *n = rcu_dereference(t->root);
	unsigned k = 0;

	while (n && covers(n, addr)) {
		if (!cds_list_empty(&n->routes))
			out[k++] = n;
		if (n->len == 32)
			break;
		n = rcu_dereference(n->child[bit_at(addr, n->len)]);
	}
	return k;
}
