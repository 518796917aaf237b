/*
 * Runs ip4_cases.data: commands as `ip` takes them, with what Linux answered (ip4_cases.sh records
 * it), against this stack.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>

#include "ip/ip4_test.h"

static const char *const type_names[] = {"unspec",   "unicast",	  "local",     "broadcast",
					 "anycast",  "multicast", "blackhole", "unreachable",
					 "prohibit", "throw"};

#define WORDS_MAX 24

struct words {
	char *w[WORDS_MAX];
	unsigned n, at;
};

static const char *word(struct words *w)
{
	return w->at < w->n ? w->w[w->at++] : "";
}

static const char *addr_text(uint32_t be)
{
	static char buf[4][INET_ADDRSTRLEN];
	static unsigned i;

	i = (i + 1) % 4;
	return inet_ntop(AF_INET, &be, buf[i], sizeof(buf[i]));
}

static uint32_t parse_addr(const char *s, int *len)
{
	char text[64];
	uint32_t be;

	snprintf(text, sizeof(text), "%s", strcmp(s, "default") ? s : "0.0.0.0/0");
	char *slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (len)
		*len = slash ? atoi(slash + 1) : 32;
	assert_int_equal(inet_pton(AF_INET, text, &be), 1);
	return be;
}

static void print_failure(FILE *out, int err, const struct extack *ext)
{
	if (ext && ext->msg)
		fprintf(out, "Error: %s.\n", ext->msg);
	else if (err)
		fprintf(out, "RTNETLINK answers: %s\n", strerror(-err));
}

/* ---- what is there ---- */

static const char *scope_name(unsigned scope)
{
	return scope == RT_SCOPE_HOST ? "host" : scope == RT_SCOPE_LINK ? "link" : "global";
}

static void print_metrics(FILE *out, const struct fib_info *fi)
{
	if (fi->metrics[RTAX_MTU])
		fprintf(out, " mtu %s%u", fi->metrics[RTAX_LOCK] & (1u << RTAX_MTU) ? "lock " : "",
			fi->metrics[RTAX_MTU]);
}

static void print_table(FILE *out, uint32_t table)
{
	if (table == RT_TABLE_LOCAL || table == RT_TABLE_DEFAULT)
		fprintf(out, " table %s", table == RT_TABLE_LOCAL ? "local" : "default");
	else if (table != RT_TABLE_MAIN)
		fprintf(out, " table %u", table);
}

static int print_route(const struct route *r, void *arg)
{
	const struct fib_info *fi = r->fi;
	FILE *out = arg;

	if (r->type != RTN_UNICAST)
		fprintf(out, "%s ", type_names[r->type]);
	if (!r->dst_len)
		fprintf(out, "default");
	else if (r->dst_len == 32)
		fprintf(out, "%s", addr_text(r->dst));
	else
		fprintf(out, "%s/%u", addr_text(r->dst), r->dst_len);
	if (r->tos)
		fprintf(out, " tos 0x%02x", r->tos);
	if (fi->nh.gateway)
		fprintf(out, " via %s", addr_text(fi->nh.gateway));
	if (fi->nh.dev)
		fprintf(out, " dev %s", fi->nh.dev->name);
	print_table(out, r->table);
	if (fi->protocol == RTPROT_KERNEL)
		fprintf(out, " proto kernel");
	if (fi->scope != RT_SCOPE_UNIVERSE)
		fprintf(out, " scope %s", scope_name(fi->scope));
	if (fi->prefsrc)
		fprintf(out, " src %s", addr_text(fi->prefsrc));
	if (fi->priority)
		fprintf(out, " metric %u", fi->priority);
	print_metrics(out, fi);
	/* What netlink shows as dead: what a look-up leaves out. */
	if (!fib_info_alive(fi, false))
		fprintf(out, " dead");
	if (fi->nh.flags & RTNH_F_ONLINK)
		fprintf(out, " onlink");
	if (fi->nh.flags & RTNH_F_LINKDOWN)
		fprintf(out, " linkdown");
	fprintf(out, "\n");
	return 0;
}

static void print_addrs(struct bed *b, FILE *out)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &b->net->devs, net_link) {
		struct in_ifaddr *ifa;
		if (!dev->in_dev)
			continue;
		cds_list_for_each_entry (ifa, &dev->in_dev->addrs, link) {
			fprintf(out, "%s inet %s", dev->name, addr_text(ifa->local));
			if (ifa->address != ifa->local)
				fprintf(out, " peer %s", addr_text(ifa->address));
			fprintf(out, "/%u", ifa->prefixlen);
			if (ifa->metric)
				fprintf(out, " metric %u", ifa->metric);
			if (ifa->broadcast)
				fprintf(out, " brd %s", addr_text(ifa->broadcast));
			fprintf(out, " scope %s", scope_name(ifa->scope));
			if (ifa->flags & IFA_F_SECONDARY)
				fprintf(out, " secondary");
			if (ifa->flags & IFA_F_NOPREFIXROUTE)
				fprintf(out, " noprefixroute");
			fprintf(out, " %s\n", ifa->label);
		}
	}
}

static void print_routes(struct bed *b, FILE *out)
{
	struct route4_cookie c = {0};

	route4_walk(b->net, 0, &c, print_route, out);
}

/* ---- commands ---- */

static unsigned parse_scope(const char *s)
{
	return !strcmp(s, "host") ? RT_SCOPE_HOST : !strcmp(s, "link") ? RT_SCOPE_LINK : 0;
}

static void cmd_addr(struct bed *b, struct words *w, FILE *out)
{
	const char *verb = word(w), *s;
	struct in_ifaddr ifa = {.valid_lft = UINT32_MAX, .preferred_lft = UINT32_MAX};
	struct netdev *dev = NULL;
	struct extack ext = {0};
	bool brd = false, scoped = false;
	int len = 32, err;

	if (strcmp(verb, "flush")) {
		ifa.local = ifa.address = parse_addr(word(w), &len);
		ifa.prefixlen = (uint8_t)len;
	}
	while (*(s = word(w))) {
		if (!strcmp(s, "brd")) {
			word(w);
			brd = true;
		} else if (!strcmp(s, "peer")) {
			ifa.address = parse_addr(word(w), &len);
			ifa.prefixlen = (uint8_t)len;
		} else if (!strcmp(s, "metric")) {
			ifa.metric = (uint32_t)atoi(word(w));
		} else if (!strcmp(s, "scope")) {
			ifa.scope = (uint8_t)parse_scope(word(w));
			scoped = true;
		} else if (!strcmp(s, "label")) {
			snprintf(ifa.label, sizeof(ifa.label), "%s", word(w));
		} else if (!strcmp(s, "noprefixroute")) {
			ifa.flags |= IFA_F_NOPREFIXROUTE;
		} else if (!strcmp(s, "dev")) {
			dev = net_dev_by_name(b->net, word(w));
		} else {
			fail_msg("unknown word %s", s);
		}
	}
	assert_non_null(dev);
	if (!scoped && ip4_is_loopback(ifa.local))
		ifa.scope = RT_SCOPE_HOST;
	if (brd)
		ifa.broadcast = ifa.address | htonl(~0u >> ifa.prefixlen);
	if (!strcmp(verb, "flush")) {
		while (!ip4_addr_del(dev, NULL, NULL, 0, NULL))
			;
		return;
	}
	if (!strcmp(verb, "del")) {
		err = ip4_addr_del(dev, &ifa.local, &ifa.address, ifa.prefixlen, NULL);
		if (err == -EADDRNOTAVAIL)
			ext.msg = "ipv4: Address not found";
	} else {
		err = ip4_addr_add(dev, &ifa, !strcmp(verb, "change"), !strcmp(verb, "add"), &ext);
	}
	if (err)
		print_failure(out, err, &ext);
}

/* The scope and table that `ip` chooses where none is given. */
static void route_defaults(struct route_config *cfg, bool del, bool scoped)
{
	bool host = cfg->type == RTN_LOCAL;
	bool link = cfg->type == RTN_BROADCAST || cfg->type == RTN_MULTICAST ||
		    cfg->type == RTN_ANYCAST;

	if (!cfg->table)
		cfg->table = host || cfg->type == RTN_BROADCAST || cfg->type == RTN_ANYCAST
				     ? RT_TABLE_LOCAL
				     : RT_TABLE_MAIN;
	if (scoped)
		return;
	if (host)
		cfg->scope = RT_SCOPE_HOST;
	else if (link)
		cfg->scope = RT_SCOPE_LINK;
	else if (cfg->type == RTN_UNICAST || !cfg->type)
		cfg->scope = del ? RT_SCOPE_NOWHERE : cfg->has_gateway ? 0 : RT_SCOPE_LINK;
}

static uint32_t parse_table(const char *s)
{
	return !strcmp(s, "local")     ? RT_TABLE_LOCAL
	       : !strcmp(s, "main")    ? RT_TABLE_MAIN
	       : !strcmp(s, "default") ? RT_TABLE_DEFAULT
				       : (uint32_t)atoi(s);
}

static void route_option(struct bed *b, struct words *w, const char *s, struct route_config *cfg,
			 bool *scoped)
{
	if (!strcmp(s, "via")) {
		cfg->gateway = parse_addr(word(w), NULL);
		cfg->has_gateway = true;
	} else if (!strcmp(s, "dev")) {
		cfg->oif = net_dev_by_name(b->net, word(w))->ifindex;
		cfg->has_oif = true;
	} else if (!strcmp(s, "src")) {
		cfg->prefsrc = parse_addr(word(w), NULL);
	} else if (!strcmp(s, "metric")) {
		cfg->priority = (uint32_t)atoi(word(w));
	} else if (!strcmp(s, "tos")) {
		cfg->tos = (uint8_t)strtol(word(w), NULL, 16);
	} else if (!strcmp(s, "table")) {
		cfg->table = parse_table(word(w));
	} else if (!strcmp(s, "scope")) {
		cfg->scope = (uint8_t)parse_scope(word(w));
		*scoped = true;
	} else if (!strcmp(s, "onlink")) {
		cfg->nh_flags |= RTNH_F_ONLINK;
	} else if (!strcmp(s, "mtu")) {
		s = word(w);
		if (!strcmp(s, "lock")) {
			cfg->metrics[RTAX_LOCK] |= 1u << RTAX_MTU;
			s = word(w);
		}
		cfg->metrics[RTAX_MTU] = (uint32_t)atoi(s);
	} else {
		fail_msg("unknown word %s", s);
	}
}

/* Is fi what the digest has for addr, so that the TOS did not matter? */
static bool fib4_says(struct bed *b, uint32_t addr, const struct fib_info *fi)
{
	uint32_t host = ntohl(addr), val;

	route4_lookup_bulk(b->net, &host, &val, 1);
	return val && fib_info_by_id(b->weft.ip4, val) == fi;
}

static void cmd_route_get(struct bed *b, struct words *w, FILE *out)
{
	const char *dst = word(w), *s;
	struct flow4 fl = {.daddr = parse_addr(dst, NULL)};
	struct route_result res;

	while (*(s = word(w))) {
		if (!strcmp(s, "from"))
			fl.saddr = parse_addr(word(w), NULL);
		else if (!strcmp(s, "oif"))
			fl.oif = net_dev_by_name(b->net, word(w))->ifindex;
		else if (!strcmp(s, "tos"))
			fl.tos = (uint8_t)strtol(word(w), NULL, 16);
	}
	if (route4_output(b->net, &fl, &res)) {
		print_failure(out, res.err, NULL);
		return;
	}
	if (res.type != RTN_UNICAST)
		fprintf(out, "%s ", type_names[res.type]);
	fprintf(out, "%s", dst);
	if (fl.saddr)
		fprintf(out, " from %s", addr_text(fl.saddr));
	/* Shown only where a route was chosen by it. */
	if (fl.tos && res.fi && !fib4_says(b, fl.daddr, res.fi))
		fprintf(out, " tos 0x%02x", fl.tos);
	if (res.fi && res.fi->nh.gateway && res.gateway != fl.daddr)
		fprintf(out, " via %s", addr_text(res.gateway));
	fprintf(out, " dev %s", res.dev->name);
	if (res.table)
		print_table(out, res.table);
	if (!fl.saddr)
		fprintf(out, " src %s", addr_text(res.saddr));
	fprintf(out, "\n");
}

static int drop_table(const struct route *r, void *arg)
{
	*(struct route_config *)arg = (struct route_config){
		.table = r->table,
		.dst = r->dst,
		.dst_len = r->dst_len,
		.scope = RT_SCOPE_NOWHERE,
	};
	return 1;
}

static void cmd_route(struct bed *b, struct words *w, FILE *out)
{
	const char *verb = word(w), *s;
	struct route_config cfg = {.type = RTN_UNICAST, .protocol = RTPROT_BOOT};
	bool del = !strcmp(verb, "del"), scoped = false;
	struct extack ext = {0};
	int len, err;

	if (!strcmp(verb, "get")) {
		cmd_route_get(b, w, out);
		return;
	}
	if (!strcmp(verb, "flush")) {
		struct route4_cookie c = {0};
		word(w);
		uint32_t table = parse_table(word(w));
		for (; route4_walk(b->net, table, &c, drop_table, &cfg);
		     c = (struct route4_cookie){0})
			assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
		return;
	}
	cfg.nl_flags = !strcmp(verb, "add")	  ? NLM_F_CREATE | NLM_F_EXCL
		       : !strcmp(verb, "append")  ? NLM_F_CREATE | NLM_F_APPEND
		       : !strcmp(verb, "prepend") ? NLM_F_CREATE
		       : !strcmp(verb, "replace") ? NLM_F_CREATE | NLM_F_REPLACE
						  : NLM_F_REPLACE;
	if (del)
		cfg.type = cfg.protocol = 0;
	s = word(w);
	for (unsigned t = 1; t < ARRAY_SIZE(type_names); t++) {
		if (!strcmp(s, type_names[t])) {
			cfg.type = (uint8_t)t;
			s = word(w);
			break;
		}
	}
	cfg.dst = parse_addr(s, &len);
	cfg.dst_len = (uint8_t)len;
	while (*(s = word(w)))
		route_option(b, w, s, &cfg, &scoped);
	route_defaults(&cfg, del, scoped);
	err = del ? route4_del(b->net, &cfg, &ext) : route4_add(b->net, &cfg, &ext);
	if (err)
		print_failure(out, err, &ext);
}

static void cmd_link(struct bed *b, struct words *w)
{
	struct netdev *dev;
	const char *s;

	word(w); /* set */
	dev = net_dev_by_name(b->net, word(w));
	assert_non_null(dev);
	s = word(w);
	if (!strcmp(s, "up") || !strcmp(s, "down")) {
		netdev_set_flags(dev, s[0] == 'u' ? IFF_UP : 0, IFF_UP, NULL);
	} else if (!strcmp(s, "mtu")) {
		netdev_set_mtu(dev, (unsigned)atoi(word(w)), NULL);
	} else if (!strcmp(s, "name")) {
		assert_int_equal(netdev_set_name(dev, word(w), NULL), 0);
	}
}

static void command(struct bed *b, char *line, FILE *out)
{
	struct words w = {0};
	char *save = NULL;
	const char *verb;

	for (char *s = strtok_r(line, " \n", &save); s && w.n < WORDS_MAX;
	     s = strtok_r(NULL, " \n", &save))
		w.w[w.n++] = s;
	verb = word(&w);
	if (!strcmp(verb, "routes")) {
		print_routes(b, out);
	} else if (!strcmp(verb, "addrs")) {
		print_addrs(b, out);
	} else if (!strcmp(verb, "peer")) {
		struct netdev *dev = net_dev_by_name(b->net, word(&w));
		netdev_set_carrier(dev, !strcmp(word(&w), "up"));
	} else if (!strcmp(verb, "sysctl")) {
		char *value = strchr(w.w[1], '=');
		*value++ = 0;
		assert_int_equal(bed_sysctl(b, w.w[1], value), 0);
	} else {
		verb = word(&w);
		if (!strcmp(verb, "addr"))
			cmd_addr(b, &w, out);
		else if (!strcmp(verb, "route"))
			cmd_route(b, &w, out);
		else
			cmd_link(b, &w);
	}
}

static struct bed *fresh(struct bed *old)
{
	struct bed *b;

	if (old)
		bed_free(old);
	b = bed_new();
	bed_dev(b, "v0");
	bed_dev(b, "v1");
	return b;
}

static FILE *open_cases(void)
{
	return fopen(SOURCE_DIR "/src/ip/ip4_cases.data", "r");
}

/* Reads the answer that follows a command; the next command's line is left in `line`. */
static bool read_answer(FILE *in, char **line, size_t *size, FILE *want, unsigned *no)
{
	bool more;

	while ((more = getline(line, size, in) > 0)) {
		++*no;
		if (**line == '>' || **line == '#')
			break;
		if (**line != '\n')
			fputs(*line, want);
	}
	return more;
}

static void test_cases(void **state)
{
	FILE *in = open_cases();
	char *line = NULL, cmd[256];
	size_t size = 0;
	unsigned no = 1, n = 0, bad = 0;
	struct bed *b = fresh(NULL);

	assert_non_null(in);
	bool more = getline(&line, &size, in) > 0;
	while (more) {
		char *got = NULL, *want = NULL;
		size_t got_size, want_size;
		FILE *got_f = open_memstream(&got, &got_size);
		FILE *want_f = open_memstream(&want, &want_size);
		unsigned at = no;
		bool is_cmd = line[0] == '>';
		if (!strncmp(line, "##", 2))
			b = fresh(b);
		snprintf(cmd, sizeof(cmd), "%s", line);
		if (is_cmd)
			command(b, line + 2, got_f);
		more = read_answer(in, &line, &size, want_f, &no);
		fclose(got_f);
		fclose(want_f);
		if (is_cmd && strcmp(got, want)) {
			print_message("line %u: %swant:\n%sgot:\n%s", at, cmd, want, got);
			bad++;
		}
		n += is_cmd;
		free(got);
		free(want);
	}
	free(line);
	fclose(in);
	bed_free(b);
	assert_true(n > 100);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
	int ret;

	rcu_register_thread();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return ret;
}
