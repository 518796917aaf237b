/*
 * files_queues: /sys/class/net/<dev>/queues: a directory for each queue in use.
 *
 * Workers take what they are given: no queue can be told to spread its packets over CPUs, nor be
 * limited. So these masks read as empty, and only emptiness can be stored.
 */
#include "ctl/files_core.h"

#include <ctype.h>

static int show_zero(const struct file_at *at, FILE *out)
{
	fputs("0\n", out);
	return 0;
}

/* On devices made with one queue the kernel has nothing to tell here. */
static int show_if_many(const struct file_at *at, FILE *out)
{
	return at->dev->num_txq_max > 1 ? show_zero(at, out) : -ENOENT;
}

/* A CPU mask: groups of hexadecimal digits with commas between. */
static int store_mask(const struct file_at *at, const char *text, size_t len)
{
	bool any = false, set = false;

	for (; *text && *text != '\n'; text++) {
		if (*text == ',')
			continue;
		if (!isxdigit((unsigned char)*text))
			return -EINVAL;
		any = true;
		set |= *text != '0';
	}
	if (!any || *text == ',' || (*text && text[1]))
		return -EINVAL;
	return set ? -EOPNOTSUPP : 0;
}

static int store_number(const struct file_at *at, const char *text, size_t len)
{
	unsigned long v;
	int err = file_read_ulong(text, &v);

	return err ? err : v ? -EOPNOTSUPP : 0;
}

static int store_rate(const struct file_at *at, const char *text, size_t len)
{
	return -EOPNOTSUPP; /* as of any driver that cannot limit */
}

static const struct file_row rx_rows[] = {
	{.name = "rps_cpus", .mode = 0644, .show = show_zero, .store = store_mask},
	{.name = "rps_flow_cnt", .mode = 0644, .show = show_zero, .store = store_number},
	{.name = NULL},
};

static const struct file_row tx_rows[] = {
	{.name = "traffic_class", .mode = 0444, .show = show_if_many},
	{.name = "tx_maxrate", .mode = 0644, .show = show_zero, .store = store_rate},
	{.name = "tx_timeout", .mode = 0444, .show = show_zero},
	{.name = "xps_cpus", .mode = 0644, .show = show_if_many, .store = store_mask},
	{.name = "xps_rxqs", .mode = 0644, .show = show_zero, .store = store_mask},
	{.name = NULL},
};

static const struct file_dir rx_dir = {.rows = rx_rows}, tx_dir = {.rows = tx_rows};
static const struct file_row rx_row = {.mode = 0755, .dir = &rx_dir};
static const struct file_row tx_row = {.mode = 0755, .dir = &tx_dir};

static bool find(struct file_at *at, const char *name)
{
	bool rx = !strncmp(name, "rx-", 3);
	char again[32];

	if (!rx && strncmp(name, "tx-", 3))
		return false;
	unsigned long i = strtoul(name + 3, NULL, 10);
	if (i >= (rx ? at->dev->n_rxq : at->dev->n_txq))
		return false;
	/* no other spelling of the number is a name */
	snprintf(again, sizeof(again), "%cx-%lu", rx ? 'r' : 't', i);
	if (strcmp(again, name))
		return false;
	at->index = (unsigned)i;
	at->row = rx ? &rx_row : &tx_row;
	return true;
}

static void list_kind(const struct file_at *dir, const struct file_emit *e, char kind, unsigned n,
		      const struct file_row *row)
{
	for (unsigned i = 0; i < n; i++) {
		struct file_at at = *dir;
		char name[32];

		at.index = i;
		at.row = row;
		snprintf(name, sizeof(name), "%cx-%u", kind, i);
		file_emit(e, name, &at);
	}
}

static void list(const struct file_at *dir, const struct file_emit *e)
{
	list_kind(dir, e, 'r', dir->dev->n_rxq, &rx_row);
	list_kind(dir, e, 't', dir->dev->n_txq, &tx_row);
}

const struct file_dir files_queues = {.find = find, .list = list};
