/*
 * files_vlan: /proc/net/vlan: config, and a file for each VLAN device.
 *
 * What a VLAN device is set to comes from its kind's table of parameters, as for netlink.
 */
#include "ctl/files_core.h"

#include <linux/if_vlan.h>

#include "dev/kind.h"

struct vlan_values {
	uint16_t id;
	uint32_t flags;
	struct dev_pairs ingress, egress;
};

static bool is_vlan(const struct netdev *dev)
{
	return dev->kind && dev->kind->name && !strcmp(dev->kind->name, "vlan") && dev->lower;
}

static void read_param(const struct dev_param *p, const char *params, struct vlan_values *v)
{
	if (p->attr == IFLA_VLAN_ID)
		memcpy(&v->id, params + p->off, sizeof(v->id));
	else if (p->attr == IFLA_VLAN_FLAGS)
		memcpy(&v->flags, params + p->off, sizeof(v->flags));
	else if (p->attr == IFLA_VLAN_INGRESS_QOS)
		memcpy(&v->ingress, params + p->off, sizeof(v->ingress));
	else if (p->attr == IFLA_VLAN_EGRESS_QOS)
		memcpy(&v->egress, params + p->off, sizeof(v->egress));
}

static int values(const struct netdev *dev, struct vlan_values *v)
{
	const struct dev_kind *kind = dev->kind;
	char *params = calloc(1, kind->params_size ? kind->params_size : 1);

	memset(v, 0, sizeof(*v));
	if (!params)
		return -ENOMEM;
	kind->get(dev, params);
	for (unsigned i = 0; i < kind->n_params; i++)
		read_param(&kind->params[i], params, v);
	free(params);
	return 0;
}

static int show_config(const struct file_at *at, FILE *out)
{
	struct netdev *dev;

	fputs("VLAN Dev name\t | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n", out);
	cds_list_for_each_entry (dev, &at->net->devs, net_link) {
		struct vlan_values v;
		if (!is_vlan(dev))
			continue;
		int err = values(dev, &v);
		if (err)
			return err;
		fprintf(out, "%-15s| %d  | %s\n", dev->name, v.id, dev->lower->name);
	}
	return 0;
}

static void show_maps(const struct vlan_values *v, FILE *out)
{
	uint32_t to[8] = {0};

	for (unsigned i = 0; i < v->ingress.n; i++)
		to[v->ingress.v[i].from & 7] = v->ingress.v[i].to;
	fputs("\nINGRESS priority mappings:", out);
	for (unsigned i = 0; i < 8; i++)
		fprintf(out, " %u:%u%s", i, to[i], i < 6 ? " " : "");
	fputs("\n EGRESS priority mappings: ", out);
	for (unsigned i = 0; i < v->egress.n; i++)
		fprintf(out, "%u:%u ", v->egress.v[i].from, v->egress.v[i].to);
	fputc('\n', out);
}

static int show_vlan(const struct file_at *at, FILE *out)
{
	const struct netdev *dev = at->dev;
	struct rtnl_link_stats64 s;
	struct vlan_values v;
	int err = values(dev, &v);

	if (err)
		return err;
	netdev_stats(dev, &s);
	/* of the kernel's private flags only IFF_802_1Q_VLAN has a meaning here */
	fprintf(out, "%s  VID: %d\t REORDER_HDR: %i  dev->priv_flags: %x\n", dev->name, v.id,
		(int)(v.flags & VLAN_FLAG_REORDER_HDR), 1u);
	fprintf(out, "%30s %12llu\n", "total frames received", s.rx_packets);
	fprintf(out, "%30s %12llu\n", "total bytes received", s.rx_bytes);
	fprintf(out, "%30s %12llu\n\n", "Broadcast/Multicast Rcvd", s.multicast);
	fprintf(out, "%30s %12llu\n", "total frames transmitted", s.tx_packets);
	fprintf(out, "%30s %12llu\n", "total bytes transmitted", s.tx_bytes);
	fprintf(out, "Device: %s", dev->lower->name);
	show_maps(&v, out);
	return 0;
}

static const struct file_row vlan_row = {.name = "vlan", .mode = 0600, .show = show_vlan};

static bool find(struct file_at *at, const char *name)
{
	struct netdev *dev = file_dev_find(at->net, name);

	if (!dev || !is_vlan(dev))
		return false;
	at->dev = dev;
	at->row = &vlan_row;
	return true;
}

static void list(const struct file_at *dir, const struct file_emit *e)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &dir->net->devs, net_link) {
		struct file_at at = *dir;
		if (!is_vlan(dev))
			continue;
		at.dev = dev;
		at.row = &vlan_row;
		file_emit(e, dev->name, &at);
	}
}

static const struct file_row rows[] = {
	{.name = "config", .mode = 0600, .show = show_config},
	{.name = NULL},
};
const struct file_dir files_proc_vlan = {.rows = rows, .find = find, .list = list};

/* The directory is the driver's. */
bool files_has_vlan(const struct file_at *at)
{
	return dev_kind_find(at->net->core, "vlan") != NULL;
}
