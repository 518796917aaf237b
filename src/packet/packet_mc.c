/*
 * packet_mc: what a packet socket asks of a device's receive filter: promiscuous mode, all of
 * multicast, one more address. Each request is counted and undone with the socket.
 */
#include "packet/packet_core.h"

/* Applies (add) or undoes a request. 0 or -errno; other types ask for nothing, as in Linux. */
static int apply(struct netdev *dev, const struct packet_mreq_max *req, bool add)
{
	switch (req->type) {
	case PACKET_MR_MULTICAST:
	case PACKET_MR_UNICAST:
		if (req->alen != dev->addr_len)
			return -EINVAL;
		return add ? netdev_maddr_add(dev, req->addr) : netdev_maddr_del(dev, req->addr);
	case PACKET_MR_PROMISC:
		netdev_promiscuity(dev, add ? 1 : -1);
		return 0;
	case PACKET_MR_ALLMULTI:
		netdev_allmulti(dev, add ? 1 : -1);
		return 0;
	}
	return 0;
}

static struct packet_member *find(struct packet_sock *po, const struct packet_mreq_max *req)
{
	struct packet_member *m;

	cds_list_for_each_entry (m, &po->members, link)
		if (m->req.ifindex == req->ifindex && m->req.type == req->type &&
		    m->req.alen == req->alen && !memcmp(m->req.addr, req->addr, req->alen))
			return m;
	return NULL;
}

static void drop(struct packet_sock *po, struct packet_member *m)
{
	struct netdev *dev = net_dev_by_index(po->sk.net, m->req.ifindex);

	if (dev)
		apply(dev, &m->req, false);
	cds_list_del(&m->link);
	free(m);
}

static int add_member(struct packet_sock *po, const struct packet_mreq_max *req)
{
	struct netdev *dev = net_dev_by_index(po->sk.net, req->ifindex);
	struct packet_member *m;
	int err;

	if (!dev)
		return -ENODEV;
	if (req->alen > dev->addr_len)
		return -EINVAL;
	m = find(po, req);
	if (m) {
		m->count++;
		return 0;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOBUFS;
	m->req = *req;
	m->count = 1;
	err = apply(dev, req, true);
	if (err) {
		free(m);
		return err;
	}
	cds_list_add(&m->link, &po->members);
	return 0;
}

int packet_mc_set(struct packet_sock *po, const void *val, size_t len, bool add)
{
	struct packet_mreq_max req = {0};
	struct packet_member *m;

	if (len < sizeof(struct packet_mreq))
		return -EINVAL;
	memcpy(&req, val, MIN(len, sizeof(req)));
	if (len < req.alen + offsetof(struct packet_mreq_max, addr))
		return -EINVAL;
	if (req.alen > sizeof(req.addr))
		return -EINVAL;
	if (add)
		return add_member(po, &req);
	m = find(po, &req);
	if (m && !--m->count)
		drop(po, m);
	return 0;
}

void packet_mc_flush(struct packet_sock *po, const struct netdev *dev)
{
	struct packet_member *m, *next;

	cds_list_for_each_entry_safe (m, next, &po->members, link)
		if (!dev || m->req.ifindex == dev->ifindex)
			drop(po, m);
}
