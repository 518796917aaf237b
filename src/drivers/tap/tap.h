/*
 * tap: a TAP device of the host and its counterpart here: what the host sends on its end is
 * received here, and the other way round.
 *
 * A device has N queues; each is a descriptor of /dev/net/tun (IFF_MULTI_QUEUE) and belongs to a
 * worker: queue i to worker 1 + i mod n of n threads, or to worker 0 where there are none. The
 * worker reads its queues by turns. One that stayed empty for a while is left alone until epoll
 * reports it, so an idle instance sleeps. Any worker may send: it takes a queue of its own (by
 * flow), so that the host's answers, which follow the flow, come back to the same worker.
 *
 * Every frame carries a virtio_net_hdr (tap_vnet.c), by which checksums and segmentation are left
 * to whoever is last to touch the packet: large packets pass whole in both directions. What the
 * host may hand over is told it by TUNSETOFFLOAD, from the features RX_CSUM and GRO; what may be
 * handed to it are TX_CSUM, TSO and UDP_SEG.
 *
 * When the host's end is deleted, the worker that notices posts to control, which takes the
 * descriptors out and the carrier off. Setting the device up again makes the host's end anew.
 *
 * Files: tap.c the device, tap_queue.c the queues, tap_host.c what is asked of the host's kernel,
 * tap_vnet.c the header. Memory: queues belong to the device; packets set aside for reading to the
 * queue, until it stops.
 */
#pragma once

#include <linux/virtio_net.h>

#include "dev/netdev.h"

#define TAP_QUEUES_MAX 256 /* the kernel's */
/* Segments to hold the largest packet: all but the first use the whole buffer. */
#define TAP_SEGS (1 + (PKT_MAX_TOTAL - PKT_MAX_SEG + PKT_BUF_SIZE - 1) / PKT_BUF_SIZE)

struct tap_queue {
	struct rx_queue rx;
	struct netdev *dev;
	struct worker *worker;
	unsigned index;
	unsigned empty; /* reads in a row that found nothing */
	struct virtio_net_hdr hdr;
	struct pkt *spare[TAP_SEGS]; /* to read into; NULL: used up */
	uint64_t rx_packets, tx_packets;
};

/* Tells control that the host's end is gone. Outlives the device while it is under way. */
struct tap_news {
	struct worker_msg msg;
	struct netdev *dev; /* NULL: went meanwhile */
	int under_way;	    /* atomic */
};

struct tap_dev {
	char wanted[IFNAMSIZ]; /* name of the host's end as asked for */
	char host[IFNAMSIZ];   /* as it is */
	unsigned n;
	struct tap_queue *q; /* [n] */
	struct tap_news *news;
	char **stat_names; /* [2 n], then NULL */
	bool attached;	   /* the host's end exists and we hold it */
};

/* ---- tap_queue.c ---- */
/* Starts reading (control; the device has descriptors). 0 or -errno. */
int tap_queues_start(struct tap_dev *t);
/* No worker reads any more when it returns. */
void tap_queues_stop(struct tap_dev *t);
void tap_xmit(struct worker *w, struct netdev *dev, struct batch *b);
/* Any worker: the host's end is gone. */
void tap_lost(struct netdev *dev);

/* ---- tap_host.c: control ---- */
/* Opens all queues; the host's end is made if it does not exist. 0 or -errno. */
int tap_host_open(struct netdev *dev, struct extack *ext);
void tap_host_close(struct tap_dev *t);
/* Says what of the features the host may count on. 0 or -errno. */
int tap_host_offload(const struct tap_dev *t, uint32_t features);
/* Does the host's kernel take large UDP packets? */
bool tap_host_udp_seg(const struct tap_dev *t);
/* The host's end is told whether there is carrier; false: it is gone. */
bool tap_host_carrier(const struct tap_dev *t, bool on);
/* Throws away what waits to be read. */
void tap_host_drain(const struct tap_dev *t);

/* ---- tap_vnet.c ---- */
/* Takes the header's meaning over to a received frame; false: the header makes no sense. Borrows.
 */
bool tap_vnet_in(const struct virtio_net_hdr *h, struct pkt *p);
/* The header of a frame to be sent. Borrows. */
void tap_vnet_out(const struct pkt *p, struct virtio_net_hdr *h);
