/*
 * tcp_sysctl: net.ipv4.tcp_*.
 *
 * Plain numbers come from tcp_sysctl.def; here are the ones with a text or a meaning beyond one
 * namespace: which algorithms of congestion control there are and who may use them, the keys of
 * Fast Open, and the limits that depend on how much memory there is. For Linux that is the
 * machine's; for us it is the pool, of which TCP's data may take three quarters.
 */
#include <ctype.h>
#include <stdio.h>

#include "net/sysctl.h"
#include "tcp/tcp_core.h"

#define TCP_PAGE 4096u

/* ---- where a value is ---- */

#define WHERE(name)                                                                                \
	static void *where_##name(struct net *net, struct netdev *dev, const char *which)          \
	{                                                                                          \
		return &tcp_net(net)->name;                                                        \
	}
#define WHERE_CORE(name)                                                                           \
	static void *where_##name(struct net *net, struct netdev *dev, const char *which)          \
	{                                                                                          \
		return &net->weft->tcp->name;                                                      \
	}

#define SYSCTL(name, value, least, most) WHERE(name)
#include "tcp/tcp_sysctl.def"
#undef SYSCTL
WHERE(tcp_comp_sack_delay_ns)
WHERE(tcp_comp_sack_slack_ns)
WHERE(tcp_notsent_lowat)
WHERE(tcp_rmem)
WHERE(tcp_wmem)
WHERE_CORE(low_latency)
WHERE_CORE(max_orphans)
WHERE_CORE(mem_pages)

static void *where_text(struct net *net, struct netdev *dev, const char *which)
{
	return tcp_net(net);
}

/* ---- congestion control ---- */

static bool is_first(const struct net *net)
{
	return !net->weft->nets->first || net->weft->nets->first == net;
}

static void show_algorithms(FILE *out, uint32_t mask)
{
	const struct cc_ops *ops;
	const char *space = "";

	for (unsigned i = 0; (ops = cc_at(i)); i++) {
		if (!(mask >> i & 1))
			continue;
		fprintf(out, "%s%s", space, ops->name);
		space = " ";
	}
	fputc('\n', out);
}

static void show_available(struct net *net, struct netdev *dev, FILE *out)
{
	show_algorithms(out, UINT32_MAX);
}

static void show_allowed(struct net *net, struct netdev *dev, FILE *out)
{
	show_algorithms(out, net->weft->tcp->cc_unrestricted);
}

static void show_ulp(struct net *net, struct netdev *dev, FILE *out)
{
	fputc('\n', out);
}

/* The row of the algorithm of this name; -ENOENT. */
static int find_row(const char *name, size_t len)
{
	const struct cc_ops *ops;

	for (unsigned i = 0; (ops = cc_at(i)); i++)
		if (strlen(ops->name) == len && !memcmp(ops->name, name, len))
			return (int)i;
	return -ENOENT;
}

static int store_allowed(struct net *net, struct netdev *dev, const char *text)
{
	const char *end = text + strcspn(text, "\n");
	uint32_t mask = 0;

	while (text < end) {
		size_t len = MIN(strcspn(text, " "), (size_t)(end - text));

		if (len) {
			int row = find_row(text, len);

			if (row < 0)
				return row;
			mask |= 1u << row;
		}
		text += len + (text + len < end);
	}
	WRITE_ONCE(net->weft->tcp->cc_unrestricted, mask);
	return 0;
}

static void show_cc(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%s\n", tcp_net(net)->cc->name);
}

/* What the first namespace takes for itself is open to all; others take only what is. */
static int store_cc(struct net *net, struct netdev *dev, const char *text)
{
	int row = find_row(text, strcspn(text, "\n"));

	if (row < 0)
		return row;
	if (is_first(net))
		net->weft->tcp->cc_unrestricted |= 1u << row;
	else if (!(net->weft->tcp->cc_unrestricted >> row & 1))
		return -EPERM;
	WRITE_ONCE(tcp_net(net)->cc, cc_at((unsigned)row));
	return 0;
}

/* ---- Fast Open's keys: words of little-endian bytes in hexadecimal ---- */

void tcp_fastopen_key_init(struct tcp_net *tn)
{
	struct rng *r = &tn->net->weft->worker[0]->rng;
	uint64_t v[2] = {rng_u64(r), rng_u64(r)};

	if (tn->has_fastopen_key)
		return;
	memcpy(tn->fastopen_key[0], v, sizeof(v));
	tn->has_fastopen_key = true;
}

static void show_key_words(FILE *out, const uint8_t *key)
{
	uint32_t v[4];

	memcpy(v, key, sizeof(v));
	fprintf(out, "%08x-%08x-%08x-%08x", v[0], v[1], v[2], v[3]);
}

static void show_keys(struct net *net, struct netdev *dev, FILE *out)
{
	const struct tcp_net *tn = tcp_net(net);

	show_key_words(out, tn->fastopen_key[0]);
	if (tn->has_fastopen_key2) {
		fputc(',', out);
		show_key_words(out, tn->fastopen_key[1]);
	}
	fputc('\n', out);
}

/* Four words, dashes between. */
static bool read_key(const char *text, uint8_t *key)
{
	uint32_t v[4];

	for (unsigned i = 0; i < 4; i++) {
		char *end;

		text += strspn(text, " \t");
		if (!isxdigit((unsigned char)*text))
			return false;
		v[i] = (uint32_t)strtoull(text, &end, 16);
		if (i < 3 && *end != '-')
			return false;
		text = end + 1;
	}
	memcpy(key, v, sizeof(v));
	return true;
}

static int store_keys(struct net *net, struct netdev *dev, const char *text)
{
	struct tcp_net *tn = tcp_net(net);
	const char *comma = strchr(text, ',');
	uint8_t key[2][16] = {0};

	if (!read_key(text, key[0]) || (comma && !read_key(comma + 1, key[1])))
		return -EINVAL;
	memcpy(tn->fastopen_key, key, sizeof(key));
	tn->has_fastopen_key = true;
	tn->has_fastopen_key2 = comma;
	return 0;
}

/* ---- the size of the hash table, as Linux tells it: negative where it is shared ---- */

static void show_ehash(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%s%llu\n", is_first(net) ? "" : "-",
		(unsigned long long)net->weft->tcp->ehash_entries);
}

/* ---- rows ---- */

#define TEXT(file, mode, scope, name, store)                                                       \
	{                                                                                          \
		"net/ipv4/" file, SYSCTL_STRING, mode, 0, 0, where_text, NULL, show_##name, store, \
			scope                                                                      \
	}
#define VALUE(file, type, least, most, field, scope)                                               \
	{                                                                                          \
		"net/ipv4/" file, type, 0644, least, most, where_##field, NULL, NULL, NULL, scope  \
	}

const struct sysctl_row tcp_sysctl[] = {
#define SYSCTL(name, value, least, most) VALUE(#name, SYSCTL_INT, least, most, name, SYSCTL_NET),
#include "tcp/tcp_sysctl.def"
#undef SYSCTL
	VALUE("tcp_comp_sack_delay_ns", SYSCTL_ULONG, 0, 0, tcp_comp_sack_delay_ns, SYSCTL_NET),
	VALUE("tcp_comp_sack_slack_ns", SYSCTL_ULONG, 0, 0, tcp_comp_sack_slack_ns, SYSCTL_NET),
	VALUE("tcp_notsent_lowat", SYSCTL_UINT, 0, UINT32_MAX, tcp_notsent_lowat, SYSCTL_NET),
	VALUE("tcp_rmem", SYSCTL_INT3, 1, INT32_MAX, tcp_rmem, SYSCTL_NET),
	VALUE("tcp_wmem", SYSCTL_INT3, 1, INT32_MAX, tcp_wmem, SYSCTL_NET),
	VALUE("tcp_low_latency", SYSCTL_INT, INT32_MIN, INT32_MAX, low_latency, SYSCTL_FIRST),
	VALUE("tcp_max_orphans", SYSCTL_INT, INT32_MIN, INT32_MAX, max_orphans, SYSCTL_FIRST),
	VALUE("tcp_mem", SYSCTL_ULONG3, 0, 0, mem_pages, SYSCTL_FIRST),
	TEXT("tcp_allowed_congestion_control", 0644, SYSCTL_FIRST_WRITES, allowed, store_allowed),
	TEXT("tcp_available_congestion_control", 0444, SYSCTL_NET, available, NULL),
	TEXT("tcp_available_ulp", 0444, SYSCTL_FIRST, ulp, NULL),
	TEXT("tcp_congestion_control", 0644, SYSCTL_NET, cc, store_cc),
	TEXT("tcp_ehash_entries", 0444, SYSCTL_NET, ehash, NULL),
	TEXT("tcp_fastopen_key", 0600, SYSCTL_NET, keys, store_keys),
	{0},
};

/* ---- defaults ---- */

static uint64_t pool_bytes(const struct weft *weft)
{
	return (uint64_t)pool_size(weft->pool) * PKT_BUF_SIZE;
}

void tcp_core_defaults(struct tcp_core *core)
{
	uint64_t half = pool_bytes(core->weft) / TCP_PAGE / 2;
	const struct cc_ops *ops;
	uint64_t entries = 512;

	core->mem_pages[0] = half / 4 * 3;
	core->mem_pages[1] = half;
	core->mem_pages[2] = core->mem_pages[0] * 2;
	while (entries < 524288 && entries < 8ULL * pool_size(core->weft->pool))
		entries *= 2;
	core->ehash_entries = entries;
	/* each holds at least the packet that its peer does not acknowledge */
	core->max_orphans = (int)MIN(entries / 2, pool_size(core->weft->pool) / 4);
	for (unsigned i = 0; (ops = cc_at(i)); i++)
		core->cc_unrestricted |= (uint32_t)ops->non_restricted << i;
}

/* A buffer's largest size: a share of the pool, so that a few connections do not fill it. */
static int share(uint64_t bytes, uint64_t least, uint64_t most)
{
	return (int)(bytes < least ? least : MIN(bytes, most));
}

void tcp_sysctl_defaults(struct tcp_net *tn)
{
	const struct weft *weft = tn->net->weft;
	uint64_t entries = weft->tcp->ehash_entries, bytes = pool_bytes(weft);
	const int rmem[] = {4096, 131072, share(bytes / 8, 131072, 32 << 20)};
	const int wmem[] = {4096, 16384, share(bytes / 16, 65536, 4 << 20)};

#define SYSCTL(name, value, least, most) tn->name = value;
#include "tcp/tcp_sysctl.def"
#undef SYSCTL
	tn->tcp_notsent_lowat = UINT32_MAX;
	tn->tcp_comp_sack_delay_ns = NSEC_PER_MSEC;
	tn->tcp_comp_sack_slack_ns = 100 * NSEC_PER_USEC;
	tn->tcp_max_tw_buckets = (int)(entries / 2);
	tn->tcp_max_syn_backlog = (int)MAX(128u, entries / 128);
	if (is_first(tn->net)) {
		memcpy(tn->tcp_rmem, rmem, sizeof(rmem));
		memcpy(tn->tcp_wmem, wmem, sizeof(wmem));
		tn->cc = &cc_cubic;
	} else {
		const struct tcp_net *first = tcp_net(weft->nets->first);

		memcpy(tn->tcp_rmem, first->tcp_rmem, sizeof(rmem));
		memcpy(tn->tcp_wmem, first->tcp_wmem, sizeof(wmem));
		tn->cc = first->cc;
	}
}
