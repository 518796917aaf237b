/* pcap: the device. See pcap.h. */
#include "drivers/pcap/pcap.h"

#include "abi/kinds.h"
#include "drivers/kinds.h"
#include "run/instance.h"

#define FILE_MAX 1023 /* length of a file's name */

struct pcap_params {
	char replay[FILE_MAX + 1], record[FILE_MAX + 1];
	uint32_t speed, loop;
};

struct pcap_dev {
	struct replay replay;
	struct record record;
	char *replay_name, *record_name;
};

/* ---- packets ---- */

static void count(struct worker *w, struct netdev *dev, const struct pkt *p)
{
	struct dev_count *c = dev_counter(dev, w);

	c->tx_packets++;
	c->tx_bytes += p->total;
}

static void record_one(struct worker *w, struct netdev *dev, struct pkt *p, uint64_t when)
{
	struct pcap_dev *d = dev->priv;

	if (record_frame(w, &d->record, p, when)) {
		count(w, dev, p);
		pkt_free(&w->cache, p);
		return;
	}
	dev_counter(dev, w)->tx_dropped++;
	pkt_drop(w, p, DROP_DEV_READY);
}

/* Sent on another worker. */
static void posted(struct worker *w, struct pkt *p)
{
	if (netdev_running(p->dev))
		record_one(w, p->dev, p, p->cb[0]);
	else
		pkt_drop(w, p, DROP_DEV_DOWN);
}

static void pcap_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	const struct pcap_dev *d = dev->priv;
	uint64_t when = w->now + (uint64_t)w->wall;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		if (d->record.fd < 0) {
			count(w, dev, p);
			pkt_free(&w->cache, p);
		} else if (!w->id) {
			record_one(w, dev, p, when);
		} else {
			p->dev = dev;
			p->cb[0] = when;
			worker_post(dev->core->workers[0], p, posted);
		}
	}
	b->n = 0;
}

/* ---- state ---- */

static int pcap_open_dev(struct netdev *dev, struct extack *ext)
{
	struct pcap_dev *d = dev->priv;
	int err = record_start(&d->record);

	if (err)
		return err;
	err = replay_start(&d->replay);
	if (err)
		record_stop(&d->record);
	return err;
}

static void pcap_stop(struct netdev *dev)
{
	struct pcap_dev *d = dev->priv;

	replay_stop(&d->replay);
	record_stop(&d->record);
}

static void wipe(struct pcap_dev *d)
{
	replay_close(&d->replay);
	record_close(&d->record);
	free(d->replay_name);
	free(d->record_name);
	d->replay_name = d->record_name = NULL;
}

static void pcap_fini(struct netdev *dev)
{
	wipe(dev->priv);
}

static const char *const stat_names[] = {
	"replay_frames", "replay_cut",	  "replay_oversize",
	"replay_passes", "replay_errors", "replay_active",
	"record_frames", "record_lost",	  NULL,
};

static unsigned pcap_ethtool_stats(const struct netdev *dev, const char *const **names,
				   uint64_t *vals)
{
	const struct pcap_dev *d = dev->priv;
	const struct replay *r = &d->replay;
	const uint64_t now[] = {r->n_frames, r->n_cut,	     r->n_oversize,	 r->n_passes,
				r->n_errors, r->cap != NULL, d->record.n_frames, d->record.n_lost};

	static_assert(ARRAY_SIZE(stat_names) == ARRAY_SIZE(now) + 1, "a name for each");
	*names = stat_names;
	if (vals)
		memcpy(vals, now, sizeof(now));
	return ARRAY_SIZE(now);
}

static const struct netdev_ops pcap_ops = {
	.xmit = pcap_xmit,
	.open = pcap_open_dev,
	.stop = pcap_stop,
	.fini = pcap_fini,
	.ethtool_stats = pcap_ethtool_stats,
};

/* ---- settings ---- */

#define ROW(attr, type, member, min, max, name, unit)                                              \
	{                                                                                          \
		WEFT_PCAP_##attr, PARAM_##type, PARAM_CREATE,                                      \
			offsetof(struct pcap_params, member), min, max, name, unit                 \
	}
static const struct dev_param pcap_params[] = {
	ROW(REPLAY, STRING, replay, 0, FILE_MAX, "replay", NULL),
	ROW(RECORD, STRING, record, 0, FILE_MAX, "record", NULL),
	ROW(SPEED, U32, speed, 0, 1000000, "speed", "percent"),
	ROW(LOOP, U32, loop, 0, 0, "loop", NULL),
};
#undef ROW

static void pcap_defaults(void *params)
{
	struct pcap_params *p = params;

	p->speed = 100;
	p->loop = 1;
}

static void pcap_get(const struct netdev *dev, void *params)
{
	const struct pcap_dev *d = dev->priv;
	struct pcap_params *p = params;

	if (d->replay_name)
		strcpy(p->replay, d->replay_name);
	if (d->record_name)
		strcpy(p->record, d->record_name);
	p->speed = d->replay.speed;
	p->loop = d->replay.loops;
}

static int open_files(struct pcap_dev *d, const struct pcap_params *p, struct extack *ext)
{
	int err = 0;

	if (!*p->replay && !*p->record)
		return extack_set(ext, -EINVAL, "no file to replay or to record to");
	if (*p->replay) {
		err = replay_open(&d->replay, p->replay, ext);
		d->replay_name = strdup(p->replay);
		if (!err && !d->replay_name)
			err = -ENOMEM;
	}
	if (!err && *p->record) {
		err = record_open(&d->record, p->record, d->replay.fd, ext);
		d->record_name = strdup(p->record);
		if (!err && !d->record_name)
			err = -ENOMEM;
	}
	return err;
}

static int pcap_create_dev(struct dev_core *core, const struct dev_new *n, struct netdev **out,
			   struct extack *ext)
{
	const struct pcap_params *p = n->params;
	struct netdev *dev = netdev_alloc(core, &pcap_kind, n->n_txq, n->n_rxq);
	struct pcap_dev *d;
	int err;

	if (!dev)
		return -ENOMEM;
	d = dev->priv;
	d->replay = (struct replay){.dev = dev, .fd = -1, .speed = p->speed, .loops = p->loop};
	d->record.fd = -1;
	err = netdev_first_address(dev, n->address, ext);
	if (!err)
		err = netdev_first_mtu(dev, n->mtu, ext);
	if (!err)
		err = open_files(d, p, ext);
	if (!err)
		err = netdev_register(dev, n->net, n->name && *n->name ? n->name : "pcap%d",
				      n->ifindex, ext);
	if (err) {
		wipe(d);
		netdev_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

static void pcap_setup(struct netdev *dev)
{
	/* no offloads: what is recorded is what a wire would carry */
	dev->features = DEV_F_SG | DEV_F_LLTX;
	dev->max_mtu = ETH_MAX_MTU;
	netdev_random_address(dev);
}

const struct dev_kind pcap_kind = {
	.name = "pcap",
	.priv_size = sizeof(struct pcap_dev),
	.params_size = sizeof(struct pcap_params),
	.params = pcap_params,
	.n_params = ARRAY_SIZE(pcap_params),
	.ops = &pcap_ops,
	.setup = pcap_setup,
	.defaults = pcap_defaults,
	.create = pcap_create_dev,
	.get = pcap_get,
};
