/*
 * packet_opt: the options of level SOL_PACKET, with Linux's checks.
 */
#include "packet/packet_core.h"

#include <linux/virtio_net.h>

#define SOL_PACKET_ 263

/* Linux 6.5 and 6.6: not in every system's header yet. */
enum { OPT_VNET_HDR_SZ = 24 };

static bool has_ring(const struct packet_sock *po)
{
	return po->rx.mem || po->tx.mem;
}

static int set_vnet(struct packet_sock *po, int name, int val)
{
	if (po->sk.type != SOCK_RAW)
		return -EINVAL;
	if (name == OPT_VNET_HDR_SZ) {
		if (val && val != (int)sizeof(struct virtio_net_hdr) &&
		    val != (int)sizeof(struct virtio_net_hdr_mrg_rxbuf))
			return -EINVAL;
	} else {
		val = val ? (int)sizeof(struct virtio_net_hdr) : 0;
	}
	if (has_ring(po))
		return -EBUSY;
	po->vnet_hdr_sz = (uint8_t)val;
	return 0;
}

/* What may not change under a ring. */
static int set_layout(struct packet_sock *po, int name, int val)
{
	switch (name) {
	case PACKET_VERSION:
		if (val < TPACKET_V1 || val > TPACKET_V3)
			return -EINVAL;
		break;
	case PACKET_RESERVE:
		if (val < 0)
			return -EINVAL;
		break;
	}
	if (has_ring(po))
		return -EBUSY;
	switch (name) {
	case PACKET_VERSION:
		po->version = val;
		break;
	case PACKET_RESERVE:
		po->reserve = (uint32_t)val;
		break;
	case PACKET_LOSS:
		po->loss = val;
		break;
	case PACKET_TX_HAS_OFF:
		po->has_off = val;
		break;
	}
	return 0;
}

static int set_ignore_outgoing(struct packet_sock *po, int val)
{
	if (val < 0 || val > 1)
		return -EINVAL;
	po->ignore_outgoing = val;
	if (po->hook)
		WRITE_ONCE(po->hook->ignore_outgoing, po->ignore_outgoing);
	return 0;
}

static int set_int(struct packet_sock *po, int name, int val)
{
	switch (name) {
	case PACKET_COPY_THRESH:
		po->copy_thresh = (uint32_t)val;
		return 0;
	case PACKET_TIMESTAMP:
		po->tstamp = val;
		return 0;
	case PACKET_QDISC_BYPASS:
		po->qdisc_bypass = val;
		return 0;
	case PACKET_IGNORE_OUTGOING:
		return set_ignore_outgoing(po, val);
	case PACKET_VERSION:
	case PACKET_RESERVE:
	case PACKET_LOSS:
	case PACKET_TX_HAS_OFF:
		return set_layout(po, name, val);
	}
	return -ENOPROTOOPT;
}

static int set_fanout(struct packet_sock *po, const void *val, size_t len)
{
	struct fanout_args args = {0};

	if (len != sizeof(int) && len != sizeof(args))
		return -EINVAL;
	memcpy(&args, val, len);
	return packet_fanout_add(po, &args);
}

int packet_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct packet_sock *po = packet_sk(sk);
	int v = 0;

	if (level != SOL_PACKET_)
		return -ENOPROTOOPT;
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	switch (name) {
	case PACKET_ADD_MEMBERSHIP:
	case PACKET_DROP_MEMBERSHIP:
		return packet_mc_set(po, val, len, name == PACKET_ADD_MEMBERSHIP);
	case PACKET_RX_RING:
	case PACKET_TX_RING:
		return packet_ring_set(po, val, len, name == PACKET_TX_RING);
	case PACKET_FANOUT:
		return set_fanout(po, val, len);
	case PACKET_FANOUT_DATA:
		return packet_fanout_data(po, val, len);
	case PACKET_AUXDATA:
	case PACKET_ORIGDEV:
	case PACKET_VNET_HDR:
	case OPT_VNET_HDR_SZ:
		if (len < sizeof(v))
			return -EINVAL;
		if (name == PACKET_AUXDATA)
			po->auxdata = v;
		else if (name == PACKET_ORIGDEV)
			po->origdev = v;
		else
			return set_vnet(po, name, v);
		return 0;
	case PACKET_COPY_THRESH:
	case PACKET_TIMESTAMP:
	case PACKET_QDISC_BYPASS:
	case PACKET_IGNORE_OUTGOING:
	case PACKET_VERSION:
	case PACKET_RESERVE:
	case PACKET_LOSS:
	case PACKET_TX_HAS_OFF:
		return len == sizeof(v) ? set_int(po, name, v) : -EINVAL;
	}
	return -ENOPROTOOPT;
}

/* ---- get ---- */

static int put(void *val, size_t *len, const void *from, size_t n)
{
	*len = MIN(*len, n);
	memcpy(val, from, *len);
	return 0;
}

/* Reading forgets. */
static int get_statistics(struct packet_sock *po, void *val, size_t *len)
{
	struct tpacket_stats_v3 st = {0};
	uint32_t drops = (uint32_t)__atomic_exchange_n(&po->n_drops, 0, __ATOMIC_RELAXED);

	st.tp_packets = (uint32_t)__atomic_exchange_n(&po->n_packets, 0, __ATOMIC_RELAXED) + drops;
	st.tp_drops = drops;
	st.tp_freeze_q_cnt = (uint32_t)po->r3.freezes;
	po->r3.freezes = 0;
	return put(val, len, &st,
		   po->version == TPACKET_V3 ? sizeof(st) : sizeof(struct tpacket_stats));
}

static int get_hdrlen(void *val, size_t *len)
{
	int v;

	if (*len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	switch (v) {
	case TPACKET_V1:
		v = sizeof(struct tpacket_hdr);
		break;
	case TPACKET_V2:
		v = sizeof(struct tpacket2_hdr);
		break;
	case TPACKET_V3:
		v = sizeof(struct tpacket3_hdr);
		break;
	default:
		return -EINVAL;
	}
	return put(val, len, &v, sizeof(v));
}

int packet_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	struct packet_sock *po = packet_sk(sk);
	struct tpacket_rollover_stats roll;
	int v, err;

	if (level != SOL_PACKET_)
		return -ENOPROTOOPT;
	switch (name) {
	case PACKET_STATISTICS:
		return get_statistics(po, val, len);
	case PACKET_HDRLEN:
		return get_hdrlen(val, len);
	case PACKET_ROLLOVER_STATS:
		err = packet_fanout_stats(po, &roll);
		return err ? err : put(val, len, &roll, sizeof(roll));
	case PACKET_AUXDATA:
		v = po->auxdata;
		break;
	case PACKET_ORIGDEV:
		v = po->origdev;
		break;
	case PACKET_VNET_HDR:
		v = !!po->vnet_hdr_sz;
		break;
	case OPT_VNET_HDR_SZ:
		v = po->vnet_hdr_sz;
		break;
	case PACKET_VERSION:
		v = po->version;
		break;
	case PACKET_RESERVE:
		v = (int)po->reserve;
		break;
	case PACKET_LOSS:
		v = po->loss;
		break;
	case PACKET_TIMESTAMP:
		v = po->tstamp;
		break;
	case PACKET_FANOUT:
		v = (int)packet_fanout_opt(po);
		break;
	case PACKET_IGNORE_OUTGOING:
		v = po->ignore_outgoing;
		break;
	case PACKET_TX_HAS_OFF:
		v = po->has_off;
		break;
	case PACKET_QDISC_BYPASS:
		v = po->qdisc_bypass;
		break;
	case PACKET_COPY_THRESH:
		v = (int)po->copy_thresh;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return put(val, len, &v, sizeof(v));
}
