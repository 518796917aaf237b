/* files: the whole tree of a made-up instance is walked, shown and written to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "ctl/files.h"
#include "dev/kind.h"
#include "ip/ip4_core.h"
#include "net/sysctl.h"
#include "weft.h"

struct bed {
	struct weft *weft;
	struct net *net;
	unsigned n_files, n_dirs, n_links, n_written;
};

/* What a file says; NULL with *err. */
static char *read_file(struct net *net, const char *path, int *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	*err = files_show(net, path, out);
	assert_int_equal(fclose(out), 0);
	if (*err) {
		free(text);
		return NULL;
	}
	return text;
}

static void expect(struct net *net, const char *path, const char *want)
{
	int err;
	char *text = read_file(net, path, &err);

	if (err)
		fail_msg("%s: %s", path, strerror(-err));
	if (strcmp(text, want))
		fail_msg("%s is\n%s, not\n%s", path, text, want);
	free(text);
}

static int put(struct net *net, const char *path, const char *text)
{
	return files_store(net, path, text, strlen(text));
}

static struct netdev *make(struct bed *b, const char *kind, const char *name, struct netdev *link)
{
	struct dev_core *core = b->weft->dev;
	const struct dev_kind *k = dev_kind_find(core, kind);
	_Alignas(8) char params[4096] = {0};
	struct netdev *dev;
	struct dev_new n = {.net = b->net, .link_net = b->net, .link = link, .name = name};

	assert_non_null(k);
	assert_true(k->params_size <= sizeof(params));
	if (k->defaults)
		k->defaults(params);
	if (link) {
		for (unsigned i = 0; i < k->n_params; i++)
			if (!strcmp(k->params[i].name, "id"))
				memcpy(params + k->params[i].off, &(uint16_t){10}, 2);
		n.given[0] = ~0ULL;
	}
	n.params = params;
	assert_int_equal(dev_create(core, k, &n, &dev, NULL), 0);
	return dev;
}

static int setup(void **state)
{
	struct weft_config c = {.n_packets = 1024, .seed = 1, .now = NSEC_PER_SEC};
	struct bed *b = calloc(1, sizeof(*b));
	int err;

	assert_non_null(b);
	b->weft = weft_new(&c, &err);
	assert_non_null(b->weft);
	b->net = b->weft->nets->first;
	struct netdev *v = make(b, "veth", "v0", NULL);
	make(b, "dummy", "d0", NULL);
	make(b, "vlan", "v0.10", v);
	netdev_set_flags(b->net->loopback, IFF_UP, IFF_UP, NULL);
	netdev_set_flags(v, IFF_UP, IFF_UP, NULL);
	struct in_ifaddr ifa = {.local = htonl(0x0a000001),
				.address = htonl(0x0a000001),
				.prefixlen = 24,
				.broadcast = htonl(0x0a0000ff),
				.valid_lft = UINT32_MAX,
				.preferred_lft = UINT32_MAX,
				.flags = IFA_F_PERMANENT};
	assert_int_equal(ip4_addr_add(v, &ifa, false, false, NULL), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	net_put(b->net);
	weft_free(b->weft);
	free(b);
	return 0;
}

/* ---- the whole tree ---- */

struct walk {
	struct bed *b;
	const char *dir;
	unsigned depth;
	void (*leaf)(struct bed *b, const char *path, const struct file_stat *st);
};

static void visit(void *arg, const char *name, const struct file_stat *st)
{
	struct walk *w = arg, below;
	struct file_stat again;
	char path[512];

	assert_true(w->depth < 12);
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	assert_int_equal(files_stat(w->b->net, path, &again), 0);
	assert_int_equal(again.kind, st->kind);
	assert_int_equal(again.mode, st->mode);
	assert_string_equal(again.target, st->target);
	switch (st->kind) {
	case FILE_DIR:
		w->b->n_dirs++;
		below = (struct walk){w->b, path, w->depth + 1, w->leaf};
		assert_int_equal(files_list(w->b->net, path, visit, &below), 0);
		break;
	case FILE_LINK:
		w->b->n_links++;
		assert_true(st->target[0]);
		break;
	case FILE_REG:
		w->b->n_files++;
		w->leaf(w->b, path, st);
		break;
	case FILE_NONE:
		fail_msg("%s is listed and is not there", path);
	}
}

static void walk(struct bed *b, const char *dir,
		 void (*leaf)(struct bed *b, const char *path, const struct file_stat *st))
{
	struct walk w = {b, dir, 0, leaf};

	assert_int_equal(files_list(b->net, dir, visit, &w), 0);
}

static void leaf_shows(struct bed *b, const char *path, const struct file_stat *st)
{
	int err;
	char *text = read_file(b->net, path, &err);

	if (!(st->mode & 0444))
		assert_int_equal(err, -EACCES);
	else if (err) /* as the kernel's attributes of such devices */
		assert_true(err == -EINVAL || err == -EIO || err == -ENOENT);
	else if (text[0])
		assert_int_equal(text[strlen(text) - 1], '\n');
	if (getenv("FILES_DUMP"))
		printf("=== %s (%o) %s\n%s", path, st->mode, err ? strerror(-err) : "",
		       text ? text : "");
	free(text);
	assert_int_equal(files_list(b->net, path, NULL, NULL), -ENOTDIR);
}

static void test_every_file_shows(void **state)
{
	struct bed *b = *state;

	walk(b, "/proc/net", leaf_shows);
	assert_true(b->n_files > 20);
	walk(b, "/proc/sys/net", leaf_shows);
	walk(b, "/sys/class/net", leaf_shows);
	assert_true(b->n_links >= 5); /* lo, v0, its peer, v0.10, d0 */
	walk(b, "/sys/devices/virtual/net", leaf_shows);
	assert_true(b->n_files > 500);
}

static void leaf_garbage(struct bed *b, const char *path, const struct file_stat *st)
{
	static const char *const garbage[] = {"x\n", "1x\n", "-\n", "99999999999999999999\n",
					      "\n",  "0x\n"};
	int err, err2;
	char *was = read_file(b->net, path, &err);

	for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
		int got = put(b->net, path, garbage[i]);

		if (!(st->mode & 0222)) {
			assert_int_equal(got, -EACCES);
			continue;
		}
		/* takes anything: it is a trigger, and shows nothing */
		if (!(st->mode & 0444))
			continue;
		/* an empty list is one */
		if (!got && strcmp(garbage[i], "\n"))
			fail_msg("%s takes '%s'", path, garbage[i]);
		if (!got)
			assert_int_equal(put(b->net, path, was), 0);
		char *now = read_file(b->net, path, &err2);
		assert_int_equal(err, err2);
		if (was && strcmp(was, now) && (got || strcmp(now, "\n")))
			fail_msg("%s: '%s' changed %s to %s", path, garbage[i], was, now);
		free(was);
		was = now;
		b->n_written++;
	}
	free(was);
}

static void test_garbage_is_refused(void **state)
{
	struct bed *b = *state;

	walk(b, "/proc/sys/net", leaf_garbage);
	assert_true(b->n_written > 500);
	walk(b, "/proc/net", leaf_garbage);
}

/* Writing back what a file says is always taken and changes nothing. */
static void leaf_same(struct bed *b, const char *path, const struct file_stat *st)
{
	int err;
	char *was = read_file(b->net, path, &err);

	if (err || !(st->mode & 0222))
		return free(was);
	err = put(b->net, path, was);
	if (err)
		fail_msg("%s refuses its own %s: %s", path, was, strerror(-err));
	expect(b->net, path, was);
	free(was);
}

static void test_own_value_is_taken(void **state)
{
	walk(*state, "/proc/sys/net", leaf_same);
}

/* ---- paths ---- */

static void test_bad_paths(void **state)
{
	static const char *const none[] = {
		"/proc/net/nothing",
		"/proc/netx",
		"/proc/net/stat/nothing",
		"/proc/sys/net/ipv4/nothing",
		"/proc/sys/net/ipv4/conf/nodev/forwarding",
		"/proc/sys/net/ipv4/conf/%s",
		"/proc/sys/net/ipv4/neigh/all",
		"/proc/sys/net/ipv4/neigh/v0/gc_thresh1",
		"/sys/class/net/nodev",
		"/sys/class/net/v0/nothing",
		"/sys/class/net/v0/queues/rx-1",
		"/sys/class/net/v0/queues/rx-00",
		"/sys/class/net/v0/queues/rx-",
		"/sys/class/net/v0/lower_d0",
		"/sys/class/net/v0/upper_d0",
		"/sys/class/net/v0/upper_v0.10/upper_v0",
		"/sys/class/net/bonding_masters",
		"/etc/passwd",
		"",
	};
	struct bed *b = *state;
	struct file_stat st;
	char name[300] = "/proc/net/";
	int err;

	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		st.kind = FILE_REG;
		assert_int_equal(files_stat(b->net, none[i], &st), 0);
		if (st.kind != FILE_NONE)
			fail_msg("'%s' is there", none[i]);
		assert_null(read_file(b->net, none[i], &err));
		assert_int_equal(err, -ENOENT);
		assert_int_equal(put(b->net, none[i], "1"), -ENOENT);
		assert_int_equal(files_list(b->net, none[i], NULL, NULL), -ENOENT);
	}
	assert_int_equal(files_stat(b->net, "/proc/net/dev/x", &st), -ENOTDIR);
	assert_null(read_file(b->net, "/proc/net", &err));
	assert_int_equal(err, -EISDIR);
	assert_int_equal(put(b->net, "/sys/class/net/v0", "1"), -EISDIR);
	memset(name + 10, 'a', 280);
	assert_int_equal(files_stat(b->net, name, &st), -ENAMETOOLONG);
}

static void test_links(void **state)
{
	struct bed *b = *state;
	struct file_stat st;

	files_stat(b->net, "/sys/class/net/v0", &st);
	assert_int_equal(st.kind, FILE_LINK);
	assert_string_equal(st.target, "../../devices/virtual/net/v0");
	files_stat(b->net, "/sys/class/net/v0/upper_v0.10", &st);
	assert_int_equal(st.kind, FILE_LINK);
	assert_string_equal(st.target, "../v0.10");
	expect(b->net, "/sys/class/net/v0/upper_v0.10/lower_v0/subsystem/d0/type", "1\n");
	expect(b->net, "/sys/devices/virtual/net/v0.10/uevent",
	       "DEVTYPE=vlan\nINTERFACE=v0.10\nIFINDEX=5\n");
	/* an alternative name is no file */
	assert_int_equal(netdev_add_altname(net_dev_by_name(b->net, "v0"), "other"), 0);
	files_stat(b->net, "/sys/class/net/other", &st);
	assert_int_equal(st.kind, FILE_NONE);
	files_stat(b->net, "/proc/sys/net/ipv4/conf/other", &st);
	assert_int_equal(st.kind, FILE_NONE);
}

/* ---- values ---- */

static void test_attributes(void **state)
{
	struct bed *b = *state;
	struct netdev *v = net_dev_by_name(b->net, "v0");

	expect(b->net, "/sys/class/net/lo/address", "00:00:00:00:00:00\n");
	expect(b->net, "/sys/class/net/lo/operstate", "unknown\n");
	expect(b->net, "/sys/class/net/lo/name_assign_type", "2\n");
	expect(b->net, "/sys/class/net/v0/name_assign_type", "3\n");
	expect(b->net, "/sys/class/net/v0/flags", "0x1003\n");
	expect(b->net, "/sys/class/net/v0/speed", "10000\n");
	expect(b->net, "/sys/class/net/v0/duplex", "full\n");
	assert_int_equal(put(b->net, "/sys/class/net/v0/mtu", "1400\n"), 0);
	assert_int_equal(v->mtu, 1400);
	assert_int_equal(put(b->net, "/sys/class/net/v0/mtu", "0x500"), 0);
	assert_int_equal(v->mtu, 0x500);
	assert_int_equal(put(b->net, "/sys/class/net/v0/mtu", "12\n"), -EINVAL);
	assert_int_equal(put(b->net, "/sys/class/net/v0/mtu", "x\n"), -EINVAL);
	assert_int_equal(put(b->net, "/sys/class/net/v0/mtu", "1 2\n"), -EINVAL);
	assert_int_equal(put(b->net, "/sys/class/net/v0/tx_queue_len", "99999999999"), -ERANGE);
	assert_int_equal(put(b->net, "/sys/class/net/v0/carrier", "1\n"), -EOPNOTSUPP);
	assert_int_equal(put(b->net, "/sys/class/net/d0/carrier", "0\n"), -EINVAL); /* down */
	assert_int_equal(put(b->net, "/sys/class/net/v0/ifalias", "uplink\n"), 0);
	expect(b->net, "/sys/class/net/v0/ifalias", "uplink\n");
	assert_int_equal(put(b->net, "/sys/class/net/v0/ifalias", "\n"), 0);
	expect(b->net, "/sys/class/net/v0/ifalias", "");
	assert_int_equal(put(b->net, "/sys/class/net/v0/flags", "0x1002\n"), 0);
	assert_false(netdev_running(v));
	assert_int_equal(put(b->net, "/sys/class/net/v0/queues/rx-0/rps_cpus", "x\n"), -EINVAL);
	assert_int_equal(put(b->net, "/sys/class/net/v0/address", "1\n"), -EACCES);
}

static void test_proc(void **state)
{
	struct bed *b = *state;
	char line[320];

	snprintf(line, sizeof(line), "%-127s\n%-127s\n",
		 "Iface\tDestination\tGateway "
		 "\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
		 "v0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0");
	/* v0's peer is down: no carrier, and the route is as good as gone for packets, yet listed
	 */
	expect(b->net, "/proc/net/route", line);
	expect(b->net, "/proc/self/net/igmp",
	       "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
	       "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
	       "3\tv0        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
	       "5\tv0.10     :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n");
	expect(b->net, "/proc/net/vlan/config",
	       "VLAN Dev name\t | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n"
	       "v0.10          | 10  | v0\n");
	expect(b->net, "/proc/net/fib_trie",
	       "Main:\n  |-- 10.0.0.0\n     /24 link UNICAST\n"
	       "Local:\n"
	       "  +-- 0.0.0.0/1 1 0 0\n"
	       "     +-- 10.0.0.0/24 1 0 0\n"
	       "        |-- 10.0.0.1\n           /32 host LOCAL\n"
	       "        |-- 10.0.0.255\n           /32 link BROADCAST\n"
	       "     +-- 127.0.0.0/8 1 0 0\n"
	       "        +-- 127.0.0.0/31 1 0 0\n"
	       "           |-- 127.0.0.0\n              /8 host LOCAL\n"
	       "           |-- 127.0.0.1\n              /32 host LOCAL\n"
	       "        |-- 127.255.255.255\n           /32 link BROADCAST\n");
}

static void test_sysctl(void **state)
{
	struct bed *b = *state;
	struct netdev *v = net_dev_by_name(b->net, "v0");

	expect(b->net, "/proc/sys/net/ipv4/ip_forward", "0\n");
	assert_int_equal(put(b->net, "/proc/sys/net/ipv4/ip_forward", "1\n"), 0);
	expect(b->net, "/proc/sys/net/ipv4/conf/v0/forwarding", "1\n");
	assert_int_equal(put(b->net, "/proc/sys/net/ipv4/conf/v0/rp_filter", "2\n"), 0);
	assert_int_equal(ip4_conf(v, IPV4_DEVCONF_RP_FILTER), 2);
	expect(b->net, "/proc/sys/net/ipv4/conf/default/rp_filter", "0\n");
	assert_int_equal(put(b->net, "/proc/sys/net/ipv4/neigh/v0/ucast_solicit", "7\n"), 0);
	expect(b->net, "/proc/sys/net/ipv4/neigh/v0/ucast_solicit", "7\n");
	expect(b->net, "/proc/sys/net/ipv4/neigh/default/ucast_solicit", "3\n");
	assert_int_equal(put(b->net, "/proc/sys/net/ipv4/ip_default_ttl", "300\n"), -EINVAL);
	const char *ports = "/proc/sys/net/ipv4/ip_local_reserved_ports";
	expect(b->net, ports, "\n");
	assert_int_equal(put(b->net, ports, "9000-9002,80, 65535\n"), -EINVAL);
	assert_int_equal(put(b->net, ports, "9000-9002,80,65535\n"), 0);
	expect(b->net, ports, "80,9000-9002,65535\n");
	assert_int_equal(put(b->net, ports, "65536\n"), -EINVAL);
	assert_int_equal(put(b->net, ports, "5-4\n"), -EINVAL);
	expect(b->net, ports, "80,9000-9002,65535\n");
	assert_int_equal(put(b->net, ports, "\n"), 0);
	expect(b->net, ports, "\n");
}

/* What is the machine's is read-only in other namespaces, or not there. */
static void test_scopes(void **state)
{
	struct bed *b = *state;
	struct file_stat st;
	int err;

	assert_int_equal(put(b->net, "/proc/sys/net/ipv4/conf/default/rp_filter", "1\n"), 0);
	assert_int_equal(put(b->net, "/proc/sys/net/core/rmem_max", "300000\n"), 0);
	struct net *net = net_new(b->weft->nets, &err);
	assert_non_null(net);
	expect(net, "/proc/sys/net/core/rmem_max", "300000\n");
	assert_int_equal(put(net, "/proc/sys/net/core/rmem_max", "400000\n"), -EACCES);
	files_stat(net, "/proc/sys/net/core/rmem_max", &st);
	assert_int_equal(st.mode, 0444);
	files_stat(net, "/proc/sys/net/core/netdev_max_backlog", &st);
	assert_int_equal(st.kind, FILE_NONE);
	files_stat(b->net, "/proc/sys/net/core/netdev_max_backlog", &st);
	assert_int_equal(st.kind, FILE_REG);
	files_stat(net, "/proc/net/stat/arp_cache", &st);
	assert_int_equal(st.kind, FILE_NONE);
	expect(net, "/proc/sys/net/ipv4/conf/default/rp_filter", "1\n"); /* inherited */
	files_stat(net, "/sys/class/net/v0", &st);
	assert_int_equal(st.kind, FILE_NONE);
	net_put(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_file_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_value_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sysctl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scopes, setup, teardown),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
