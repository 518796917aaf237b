/*
 * files_fib_trie: /proc/net/fib_trie and fib_triestat: the routing tables as a trie.
 *
 * Shown is the path-compressed binary trie over the addresses that prefixes begin with: a leaf an
 * address with all its prefixes, an inner node where the addresses below it part for the first
 * time. It is worked out from the table's routes in order; Linux levels some of its inner nodes,
 * ours all have two children.
 */
#include <arpa/inet.h>

#include "ctl/files_core.h"
#include "ip/ip4_core.h"

struct leaf {
	uint32_t key;	/* host order */
	unsigned first; /* of its routes */
	unsigned n;
};

struct trie {
	struct leaf *leaf;
	const struct route **route;
	unsigned n_leaves, n_routes, room_leaves, room_routes;
	bool full; /* out of memory */

	/* filled by the walk */
	FILE *out; /* NULL: only count */
	unsigned n_inner, max_depth;
	uint64_t total_depth;
};

static int grow(void **at, unsigned *room, unsigned n, size_t size)
{
	if (n < *room)
		return 0;
	unsigned more = *room ? *room * 2 : 64;
	void *p = realloc(*at, more * size);
	if (!p)
		return -ENOMEM;
	*at = p;
	*room = more;
	return 0;
}

static int add(const struct route *r, void *arg)
{
	struct trie *t = arg;
	uint32_t key = ntohl(r->dst);

	if (grow((void **)&t->route, &t->room_routes, t->n_routes, sizeof(*t->route)) ||
	    grow((void **)&t->leaf, &t->room_leaves, t->n_leaves, sizeof(*t->leaf))) {
		t->full = true;
		return -ENOMEM;
	}
	if (!t->n_leaves || t->leaf[t->n_leaves - 1].key != key)
		t->leaf[t->n_leaves++] = (struct leaf){key, t->n_routes, 0};
	t->leaf[t->n_leaves - 1].n++;
	t->route[t->n_routes++] = r;
	return 0;
}

/* ---- showing ---- */

static const char *scope_name(unsigned scope, char buf[32])
{
	switch (scope) {
	case RT_SCOPE_UNIVERSE:
		return "universe";
	case RT_SCOPE_SITE:
		return "site";
	case RT_SCOPE_LINK:
		return "link";
	case RT_SCOPE_HOST:
		return "host";
	case RT_SCOPE_NOWHERE:
		return "nowhere";
	}
	snprintf(buf, 32, "scope=%u", scope);
	return buf;
}

static const char *type_name(unsigned type, char buf[32])
{
	static const char *const names[] = {"UNSPEC",	"UNICAST",   "LOCAL",	  "BROADCAST",
					    "ANYCAST",	"MULTICAST", "BLACKHOLE", "UNREACHABLE",
					    "PROHIBIT", "THROW",     "NAT",	  "XRESOLVE"};

	if (type < ARRAY_SIZE(names))
		return names[type];
	snprintf(buf, 32, "type %u", type);
	return buf;
}

static void print_addr(FILE *out, unsigned depth, const char *mark, uint32_t key)
{
	char addr[INET_ADDRSTRLEN];
	uint32_t be = htonl(key);

	inet_ntop(AF_INET, &be, addr, sizeof(addr));
	fprintf(out, "%*s  %s %s", 3 * (int)depth, "", mark, addr);
}

static void show_leaf(struct trie *t, const struct leaf *l, unsigned depth)
{
	char a[32], b[32];

	t->total_depth += depth;
	t->max_depth = MAX(t->max_depth, depth);
	if (!t->out)
		return;
	print_addr(t->out, depth, "|--", l->key);
	fputc('\n', t->out);
	for (unsigned i = 0; i < l->n; i++) {
		const struct route *r = t->route[l->first + i];

		fprintf(t->out, "%*s  /%u %s %s", 3 * (int)(depth + 1), "", r->dst_len,
			scope_name(r->fi->scope, a), type_name(r->type, b));
		if (r->tos)
			fprintf(t->out, " tos=%d", r->tos);
		fputc('\n', t->out);
	}
}

/* Where the addresses of leaves lo to hi - 1 part: they share so many bits. */
static unsigned shared(const struct trie *t, unsigned lo, unsigned hi)
{
	return (unsigned)__builtin_clz(t->leaf[lo].key ^ t->leaf[hi - 1].key);
}

/* The first leaf whose bit at `pos` is set. */
static unsigned part(const struct trie *t, unsigned lo, unsigned hi, unsigned pos)
{
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if (t->leaf[mid].key >> (31 - pos) & 1)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Is this child an inner node that parts at the very next bit? */
static bool is_full(const struct trie *t, unsigned lo, unsigned hi, unsigned pos)
{
	return hi - lo > 1 && shared(t, lo, hi) == pos + 1;
}

/* Recurs at most 32 deep: each step parts at a later bit. */
static void show_node(struct trie *t, unsigned lo, unsigned hi, unsigned depth)
{
	if (hi - lo == 1) {
		show_leaf(t, &t->leaf[lo], depth);
		return;
	}
	unsigned pos = shared(t, lo, hi), mid = part(t, lo, hi, pos);

	t->n_inner++;
	if (t->out) {
		uint32_t mask = pos ? ~0u << (32 - pos) : 0;

		print_addr(t->out, depth, "+--", t->leaf[lo].key & mask);
		fprintf(t->out, "/%u 1 %d 0\n", pos,
			is_full(t, lo, mid, pos) + is_full(t, mid, hi, pos));
	}
	show_node(t, lo, mid, depth + 1);
	show_node(t, mid, hi, depth + 1);
}

/* The name of a table, and its trie walked, with text or without. False: it is empty. */
static bool table(struct net *net, const struct route4_table *tb, struct trie *t, FILE *out,
		  FILE *text)
{
	struct route4_cookie c = {0};

	memset(t, 0, sizeof(*t));
	t->out = text;
	route4_walk(net, tb->id, &c, add, t);
	if (!t->n_leaves || t->full)
		return false;
	if (tb->id == RT_TABLE_LOCAL)
		fputs("Local:\n", out);
	else if (tb->id == RT_TABLE_MAIN)
		fputs("Main:\n", out);
	else
		fprintf(out, "Id %u:\n", tb->id);
	show_node(t, 0, t->n_leaves, 0);
	return true;
}

static void trie_free(struct trie *t)
{
	free(t->leaf);
	free(t->route);
}

void files_fib_trie(struct net *net, FILE *out)
{
	const struct route4_table *tb;
	struct trie t;

	cds_list_for_each_entry (tb, &net->ip4->routes->tables, link) {
		table(net, tb, &t, out, out);
		trie_free(&t);
	}
}

static void show_stats(const struct trie *t, FILE *out)
{
	uint64_t avg = t->total_depth * 100 / t->n_leaves;
	size_t bytes = sizeof(struct route4_node) * (t->n_leaves + t->n_inner) +
		       sizeof(struct route) * t->n_routes;

	fprintf(out, "\tAver depth:     %u.%02u\n", (unsigned)(avg / 100), (unsigned)(avg % 100));
	fprintf(out, "\tMax depth:      %u\n", t->max_depth);
	fprintf(out, "\tLeaves:         %u\n", t->n_leaves);
	fprintf(out, "\tPrefixes:       %u\n", t->n_routes);
	fprintf(out, "\tInternal nodes: %u\n\t", t->n_inner);
	if (t->n_inner)
		fprintf(out, "  1: %u", t->n_inner);
	fprintf(out, "\n\tPointers: %u\n", 2 * t->n_inner);
	fprintf(out, "Null ptrs: %u\n", 0u);
	fprintf(out, "Total size: %zu  kB\n", (bytes + 1023) / 1024);
}

void files_fib_triestat(struct net *net, FILE *out)
{
	const struct route4_table *tb;
	struct trie t;

	fprintf(out, "Basic info: size of leaf: %zu bytes, size of tnode: %zu bytes.\n",
		sizeof(struct route4_node), sizeof(struct route4_node));
	cds_list_for_each_entry (tb, &net->ip4->routes->tables, link) {
		if (table(net, tb, &t, out, NULL))
			show_stats(&t, out);
		trie_free(&t);
	}
}
