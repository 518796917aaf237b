/*
 * sock_diag_packet: packet sockets.
 */
#include "ctl/sock_diag_core.h"

#include <linux/packet_diag.h>

#include "packet/packet_core.h"

static const struct packet_diag_req *request(const struct nl_req *r)
{
	return mnl_nlmsg_get_payload(r->nlh);
}

static void put_info(struct nlmsghdr *nlh, const struct packet_sock *po)
{
	struct packet_diag_info info = {
		.pdi_index = (uint32_t)po->ifindex,
		.pdi_version = (uint32_t)po->version,
		.pdi_reserve = po->reserve,
		.pdi_copy_thresh = po->copy_thresh,
		.pdi_tstamp = (uint32_t)po->tstamp,
	};

	info.pdi_flags = (po->running ? PDI_RUNNING : 0) | (po->auxdata ? PDI_AUXDATA : 0) |
			 (po->origdev ? PDI_ORIGDEV : 0) | (po->vnet_hdr_sz ? PDI_VNETHDR : 0) |
			 (po->loss ? PDI_LOSS : 0);
	mnl_attr_put(nlh, PACKET_DIAG_INFO, sizeof(info), &info);
}

static void put_members(struct nlmsghdr *nlh, const struct packet_sock *po, unsigned room)
{
	struct nlattr *nest = nl_nest(nlh, PACKET_DIAG_MCLIST);
	const struct packet_member *m;

	cds_list_for_each_entry (m, &po->members, link) {
		struct packet_diag_mclist l = {.pdmc_index = (uint32_t)m->req.ifindex,
					       .pdmc_count = m->count,
					       .pdmc_type = m->req.type,
					       .pdmc_alen = m->req.alen};

		if (!room--)
			break;
		memcpy(l.pdmc_addr, m->req.addr, MIN(sizeof(l.pdmc_addr), sizeof(m->req.addr)));
		memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(l)), &l, sizeof(l));
	}
	mnl_attr_nest_end(nlh, nest);
}

static void put_ring(struct nlmsghdr *nlh, uint16_t type, const struct packet_sock *po,
		     const struct packet_ring *ring)
{
	struct packet_diag_ring r = {
		.pdr_block_size = ring->block_size,
		.pdr_block_nr = ring->block_nr,
		.pdr_frame_size = ring->frame_size,
		.pdr_frame_nr = ring->frame_nr,
	};

	if (!ring->mem || (po->version > TPACKET_V2 && type == PACKET_DIAG_TX_RING))
		return;
	if (po->version > TPACKET_V2) {
		r.pdr_retire_tmo = (uint32_t)(po->r3.retire_tov / NSEC_PER_MSEC);
		r.pdr_sizeof_priv = po->r3.sizeof_priv;
		r.pdr_features = po->r3.feature_req_word;
	}
	mnl_attr_put(nlh, type, sizeof(r), &r);
}

static unsigned n_members(const struct packet_sock *po)
{
	const struct packet_member *m;
	unsigned n = 0;

	cds_list_for_each_entry (m, &po->members, link)
		n++;
	return n;
}

static size_t filter_size(const struct sock *sk)
{
	return sk->filter ? cbpf_len(sk->filter) * sizeof(struct sock_filter) : 0;
}

static int fill(struct nl_dump *d, struct sock *sk)
{
	const struct packet_diag_req *req = request(&d->req);
	const struct packet_sock *po = packet_sk(sk);
	unsigned show = req->pdiag_show, members;
	struct packet_diag_msg *m;
	struct nlmsghdr *nlh;

	if (sk->family != AF_PACKET)
		return 0;
	members = show & PACKET_SHOW_MCLIST ? n_members(po) : 0;
	nlh = nl_dump_msg(d, SOCK_DIAG_BY_FAMILY,
			  sizeof(*m) + 256 + members * sizeof(struct packet_diag_mclist) +
				  (show & PACKET_SHOW_FILTER ? filter_size(sk) : 0));
	if (!nlh)
		return 1;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->pdiag_family = AF_PACKET;
	m->pdiag_type = (uint8_t)sk->type;
	m->pdiag_num = __builtin_bswap16(po->num);
	m->pdiag_ino = (uint32_t)sock_ino(sk);
	sock_diag_cookie(sk->id, m->pdiag_cookie);
	if (show & PACKET_SHOW_INFO) {
		put_info(nlh, po);
		mnl_attr_put_u32(nlh, PACKET_DIAG_UID, sk->uid);
	}
	if (show & PACKET_SHOW_MCLIST)
		put_members(nlh, po, members);
	if (show & PACKET_SHOW_RING_CFG) {
		put_ring(nlh, PACKET_DIAG_RX_RING, po, &po->rx);
		put_ring(nlh, PACKET_DIAG_TX_RING, po, &po->tx);
	}
	if ((show & PACKET_SHOW_FANOUT) && po->fanout)
		mnl_attr_put_u32(nlh, PACKET_DIAG_FANOUT, packet_fanout_opt(po));
	if (show & PACKET_SHOW_MEMINFO)
		sock_diag_put_meminfo(nlh, PACKET_DIAG_MEMINFO, sk, sock_rmem(sk), 0);
	if ((show & PACKET_SHOW_FILTER) && sk->filter)
		mnl_attr_put(nlh, PACKET_DIAG_FILTER, filter_size(sk), cbpf_insns(sk->filter));
	nl_dump_end(d, nlh, true);
	return 0;
}

static int dump(struct nl_dump *d)
{
	return sock_diag_dump(d, fill);
}

static int check(struct nl_req *r)
{
	return request(r)->sdiag_protocol ? -EINVAL : 0;
}

const struct sock_diag_family sock_diag_packet = {
	.family = AF_PACKET,
	.req_size = sizeof(struct packet_diag_req),
	.dump = {.dump = dump, .start = sock_diag_dump_start},
	.check = check,
};
