/*
 * files_sys: /sys/class/net and /sys/devices/virtual/net: the attributes of devices.
 *
 * What can be set here is set by the same functions as over netlink. Attributes of hardware that
 * no device has (phys_*), and of NAPI, are as on a kernel's virtual devices: absent, or zero and
 * not to be changed.
 */
#include "ctl/files_core.h"

#include <ctype.h>
#include <linux/ethtool.h>

#include "dev/kind.h"

#define SHOW(name)  static int show_##name(const struct file_at *at, FILE *out)
#define STORE(name) static int store_##name(const struct file_at *at, const char *text, size_t len)

/* ---- numbers ---- */

/* An attribute that is one number: show_<name> by format and expression over `d`. */
#define NUMBER(name, format, expr)                                                                 \
	SHOW(name)                                                                                 \
	{                                                                                          \
		const struct netdev *d = at->dev;                                                  \
		fprintf(out, format "\n", expr);                                                   \
		return 0;                                                                          \
	}

NUMBER(addr_assign_type, "%d", d->addr_assign_type)
NUMBER(addr_len, "%d", d->addr_len)
NUMBER(carrier_changes, "%u", d->carrier_up_count + d->carrier_down_count)
NUMBER(carrier_down_count, "%u", d->carrier_down_count)
NUMBER(carrier_up_count, "%u", d->carrier_up_count)
NUMBER(flags, "0x%x", d->flags)
NUMBER(ifindex, "%d", d->ifindex)
NUMBER(link_mode, "%d", d->linkmode)
NUMBER(mtu, "%u", d->mtu)
NUMBER(name_assign_type, "%d", d->name_assign_type)
NUMBER(netdev_group, "%u", d->group)
NUMBER(proto_down, "%d", d->proto_down)
NUMBER(tx_queue_len, "%u", d->txqlen)
NUMBER(type, "%d", d->type)

/* No device has several behind one address, nor ports, nor NAPI instances. */
SHOW(zero)
{
	fputs("0\n", out);
	return 0;
}

SHOW(dev_id)
{
	fputs("0x0\n", out);
	return 0;
}

static int only_zero(const char *text)
{
	unsigned long v;
	int err = file_read_ulong(text, &v);

	return err ? err : v ? -EOPNOTSUPP : 0;
}

STORE(zero)
{
	return only_zero(text);
}

/* ---- addresses, links ---- */

static int show_bytes(const uint8_t *a, unsigned n, FILE *out)
{
	for (unsigned i = 0; i < n; i++)
		fprintf(out, i ? ":%02x" : "%02x", a[i]);
	fputc('\n', out);
	return 0;
}

SHOW(address)
{
	return show_bytes(at->dev->addr, at->dev->addr_len, out);
}

SHOW(broadcast)
{
	return show_bytes(at->dev->broadcast, at->dev->addr_len, out);
}

SHOW(iflink)
{
	struct net *net = at->dev->net;
	int index = at->dev->ops->iflink ? at->dev->ops->iflink(at->dev, &net) : 0;

	fprintf(out, "%d\n", index ? index : at->dev->ifindex);
	return 0;
}

static int show_when_up(const struct netdev *dev, bool value, FILE *out)
{
	if (!netdev_running(dev))
		return -EINVAL;
	fprintf(out, "%d\n", value);
	return 0;
}

SHOW(carrier)
{
	return show_when_up(at->dev, at->dev->carrier, out);
}

SHOW(dormant)
{
	return show_when_up(at->dev, at->dev->dormant, out);
}

SHOW(testing)
{
	return show_when_up(at->dev, at->dev->testing, out);
}

SHOW(operstate)
{
	static const char *const names[] = {"unknown", "notpresent", "down", "lowerlayerdown",
					    "testing", "dormant",    "up"};
	unsigned state = netdev_running(at->dev) ? at->dev->operstate : IF_OPER_DOWN;

	if (state >= ARRAY_SIZE(names))
		return -EINVAL;
	fprintf(out, "%s\n", names[state]);
	return 0;
}

SHOW(speed)
{
	const struct netdev *src = netdev_link_source(at->dev);

	if (!netdev_running(at->dev) || !src)
		return -EINVAL;
	fprintf(out, "%d\n", (int)src->speed);
	return 0;
}

SHOW(duplex)
{
	const struct netdev *src = netdev_link_source(at->dev);

	if (!netdev_running(at->dev) || !src)
		return -EINVAL;
	fprintf(out, "%s\n",
		src->duplex == DUPLEX_FULL   ? "full"
		: src->duplex == DUPLEX_HALF ? "half"
					     : "unknown");
	return 0;
}

SHOW(ifalias)
{
	if (at->dev->alias)
		fprintf(out, "%s\n", at->dev->alias);
	return 0;
}

SHOW(uevent)
{
	const struct dev_kind *kind = at->dev->kind;

	if (kind && kind->devtype)
		fprintf(out, "DEVTYPE=%s\n", kind->devtype);
	fprintf(out, "INTERFACE=%s\nIFINDEX=%d\n", at->dev->name, at->dev->ifindex);
	return 0;
}

/* ---- stores ---- */

/* A number that a setter takes. */
#define STORE_NUMBER(name, set)                                                                    \
	STORE(name)                                                                                \
	{                                                                                          \
		unsigned long v;                                                                   \
		int err = file_read_ulong(text, &v);                                               \
		return err ? err : (set);                                                          \
	}

static int set_mtu(struct netdev *dev, unsigned long v)
{
	return v > INT32_MAX ? -EINVAL : netdev_set_mtu(dev, (unsigned)v, NULL);
}

static int set_carrier(struct netdev *dev, unsigned long v)
{
	if (!dev->ops->set_carrier)
		return -EOPNOTSUPP;
	return netdev_running(dev) ? dev->ops->set_carrier(dev, v != 0) : -EINVAL;
}

static int set_proto_down(struct netdev *dev, unsigned long v)
{
	return dev->proto_down_ok ? netdev_set_proto_down(dev, v != 0) : -EOPNOTSUPP;
}

STORE_NUMBER(mtu, set_mtu(at->dev, v))
STORE_NUMBER(flags, netdev_set_flags(at->dev, (unsigned)v, ~0u, NULL))
STORE_NUMBER(tx_queue_len, v != (unsigned)v ? -ERANGE : netdev_set_txqlen(at->dev, (uint32_t)v))
STORE_NUMBER(netdev_group, netdev_set_group(at->dev, (uint32_t)v))
STORE_NUMBER(proto_down, set_proto_down(at->dev, v))

/* Who cannot says so before it looks at what he was told. */
STORE(carrier)
{
	unsigned long v;

	if (!at->dev->ops->set_carrier)
		return -EOPNOTSUPP;
	int err = file_read_ulong(text, &v);
	return err ? err : set_carrier(at->dev, v);
}

STORE(threaded)
{
	unsigned long v;
	int err = file_read_ulong(text, &v);

	if (err)
		return err;
	return v > 1 ? -EINVAL : -EOPNOTSUPP; /* it has no NAPI */
}

STORE(ifalias)
{
	if (len && text[len - 1] == '\n')
		len--;
	return netdev_set_alias(at->dev, text, len);
}

/* Nobody listens to made-up events; what is none is refused all the same. */
STORE(uevent)
{
	static const char *const actions[] = {"add",	"remove",  "change", "move",
					      "online", "offline", "bind",   "unbind"};
	size_t n = strcspn(text, " \n");

	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		if (strlen(actions[i]) == n && !memcmp(actions[i], text, n))
			return 0;
	return -EINVAL;
}

/* ---- statistics ---- */

#define STATS(X)                                                                                   \
	X(collisions)                                                                              \
	X(multicast)                                                                               \
	X(rx_bytes)                                                                                \
	X(rx_compressed)                                                                           \
	X(rx_crc_errors)                                                                           \
	X(rx_dropped)                                                                              \
	X(rx_errors)                                                                               \
	X(rx_fifo_errors)                                                                          \
	X(rx_frame_errors)                                                                         \
	X(rx_length_errors)                                                                        \
	X(rx_missed_errors)                                                                        \
	X(rx_nohandler)                                                                            \
	X(rx_over_errors)                                                                          \
	X(rx_packets)                                                                              \
	X(tx_aborted_errors)                                                                       \
	X(tx_bytes)                                                                                \
	X(tx_carrier_errors)                                                                       \
	X(tx_compressed)                                                                           \
	X(tx_dropped)                                                                              \
	X(tx_errors)                                                                               \
	X(tx_fifo_errors)                                                                          \
	X(tx_heartbeat_errors)                                                                     \
	X(tx_packets)                                                                              \
	X(tx_window_errors)

#define X(name)                                                                                    \
	SHOW(stat_##name)                                                                          \
	{                                                                                          \
		struct rtnl_link_stats64 s;                                                        \
		netdev_stats(at->dev, &s);                                                         \
		fprintf(out, "%llu\n", s.name);                                                    \
		return 0;                                                                          \
	}
STATS(X)
#undef X

static const struct file_row stat_rows[] = {
#define X(name_) {.name = #name_, .mode = 0444, .show = show_stat_##name_},
	STATS(X)
#undef X
		{.name = NULL},
};
static const struct file_dir stat_dir = {.rows = stat_rows};

/* ---- power: virtual devices are not managed ---- */

SHOW(power_control)
{
	fputs("auto\n", out);
	return 0;
}

STORE(power_control)
{
	size_t n = strcspn(text, "\n");

	if (n == 4 && !memcmp(text, "auto", n))
		return 0;
	return n == 2 && !memcmp(text, "on", n) ? -EOPNOTSUPP : -EINVAL;
}

SHOW(power_status)
{
	fputs("unsupported\n", out);
	return 0;
}

SHOW(power_delay)
{
	return -EIO;
}

STORE(power_delay)
{
	return -EIO;
}

static const struct file_row power_rows[] = {
	{.name = "autosuspend_delay_ms",
	 .mode = 0644,
	 .show = show_power_delay,
	 .store = store_power_delay},
	{.name = "control", .mode = 0644, .show = show_power_control, .store = store_power_control},
	{.name = "runtime_active_time", .mode = 0444, .show = show_zero},
	{.name = "runtime_status", .mode = 0444, .show = show_power_status},
	{.name = "runtime_suspended_time", .mode = 0444, .show = show_zero},
	{.name = NULL},
};
static const struct file_dir power_dir = {.rows = power_rows};

/* ---- a device's directory ---- */

static void subsystem_target(const struct file_at *at, char *to, size_t room)
{
	snprintf(to, room, "../../../../class/net");
}

static void subsystem_follow(struct file_at *at)
{
	at->dev = NULL;
	at->row = &files_sys_roots[0];
}

#define RO(n)                                                                                      \
	{                                                                                          \
		.name = #n, .mode = 0444, .show = show_##n                                         \
	}
#define RW(n)                                                                                      \
	{                                                                                          \
		.name = #n, .mode = 0644, .show = show_##n, .store = store_##n                     \
	}
#define DIR_(n, d)                                                                                 \
	{                                                                                          \
		.name = n, .mode = 0755, .dir = &(d)                                               \
	}

static const struct file_row dev_rows[] = {
	RO(addr_assign_type),
	RO(addr_len),
	RO(address),
	RO(broadcast),
	RW(carrier),
	RO(carrier_changes),
	RO(carrier_down_count),
	RO(carrier_up_count),
	RO(dev_id),
	{.name = "dev_port", .mode = 0444, .show = show_zero},
	RO(dormant),
	RO(duplex),
	RW(flags),
	{.name = "gro_flush_timeout", .mode = 0644, .show = show_zero, .store = store_zero},
	RW(ifalias),
	RO(ifindex),
	RO(iflink),
	RO(link_mode),
	RW(mtu),
	RO(name_assign_type),
	{.name = "napi_defer_hard_irqs", .mode = 0644, .show = show_zero, .store = store_zero},
	RW(netdev_group),
	RO(operstate),
	DIR_("power", power_dir),
	RW(proto_down),
	DIR_("queues", files_queues),
	RO(speed),
	DIR_("statistics", stat_dir),
	{.name = "subsystem", .mode = 0777, .target = subsystem_target, .follow = subsystem_follow},
	RO(testing),
	{.name = "threaded", .mode = 0644, .show = show_zero, .store = store_threaded},
	RW(tx_queue_len),
	RO(type),
	RW(uevent),
	{.name = NULL},
};

/* Devices above and below are links, as long as they are in the same namespace. */
static void adjacent_target(const struct file_at *at, char *to, size_t room)
{
	snprintf(to, room, "../%s", at->other->name);
}

static void adjacent_follow(struct file_at *at);
static const struct file_row adjacent_row = {
	.mode = 0777, .target = adjacent_target, .follow = adjacent_follow};

static void list_adjacent(const struct file_at *dir, const struct file_emit *e, const char *prefix,
			  struct netdev *other)
{
	struct file_at at = *dir;
	char name[32];

	if (!other || other->net != dir->net)
		return;
	at.row = &adjacent_row;
	at.other = other;
	snprintf(name, sizeof(name), "%s%s", prefix, other->name);
	file_emit(e, name, &at);
}

static void list_dev(const struct file_at *dir, const struct file_emit *e)
{
	struct netdev *upper;

	list_adjacent(dir, e, "lower_", dir->dev->lower);
	cds_list_for_each_entry (upper, &dir->dev->uppers, lower_link)
		list_adjacent(dir, e, "upper_", upper);
	if (dir->dev->master) {
		list_adjacent(dir, e, "upper_", dir->dev->master);
		struct file_at at = *dir;
		at.row = &adjacent_row;
		at.other = dir->dev->master;
		file_emit(e, "master", &at);
	}
}

static bool find_adjacent(struct file_at *at, const char *name)
{
	struct netdev *dev = at->dev, *other;

	if (!strcmp(name, "master")) {
		other = dev->master;
	} else {
		bool up = !strncmp(name, "upper_", 6);
		if (!up && strncmp(name, "lower_", 6))
			return false;
		other = file_dev_find(at->net, name + 6);
		if (other &&
		    (up ? other->lower != dev && dev->master != other : dev->lower != other))
			return false;
	}
	if (!other || other->net != at->net)
		return false;
	at->row = &adjacent_row;
	at->other = other;
	return true;
}

static const struct file_dir dev_dir = {.rows = dev_rows, .find = find_adjacent, .list = list_dev};
static const struct file_row dev_row = {.mode = 0755, .dir = &dev_dir};

static void adjacent_follow(struct file_at *at)
{
	at->dev = at->other;
	at->row = &dev_row;
}

/* ---- the two directories of devices ---- */

static void class_target(const struct file_at *at, char *to, size_t room)
{
	snprintf(to, room, "../../devices/virtual/net/%s", at->dev->name);
}

static void class_follow(struct file_at *at)
{
	at->row = &dev_row;
}

static const struct file_row class_row = {
	.mode = 0777, .target = class_target, .follow = class_follow};

static bool find_dev(struct file_at *at, const char *name, const struct file_row *row)
{
	struct netdev *dev = file_dev_find(at->net, name);

	if (!dev)
		return false;
	at->dev = dev;
	at->row = row;
	return true;
}

static void list_devs(const struct file_at *dir, const struct file_emit *e,
		      const struct file_row *row)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &dir->net->devs, net_link) {
		struct file_at at = *dir;
		at.dev = dev;
		at.row = row;
		file_emit(e, dev->name, &at);
	}
}

static bool class_find(struct file_at *at, const char *name)
{
	return find_dev(at, name, &class_row);
}

static void class_list(const struct file_at *dir, const struct file_emit *e)
{
	list_devs(dir, e, &class_row);
}

static bool virtual_find(struct file_at *at, const char *name)
{
	return find_dev(at, name, &dev_row);
}

static void virtual_list(const struct file_at *dir, const struct file_emit *e)
{
	list_devs(dir, e, &dev_row);
}

static const struct file_dir class_net = {.find = class_find, .list = class_list};
static const struct file_dir virtual_net = {.find = virtual_find, .list = virtual_list};

const struct file_row files_sys_roots[] = {
	DIR_("/sys/class/net", class_net),
	DIR_("/sys/devices/virtual/net", virtual_net),
	{.name = NULL},
};
