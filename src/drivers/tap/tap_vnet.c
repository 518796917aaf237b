/* tap_vnet: struct virtio_net_hdr (virtio 1.2, 5.1.6) from and to what a packet says of itself. */
#include "drivers/tap/tap.h"

#define GSO_UDP_L4 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */
#define TCP_FLAGS  13
#define TCP_CWR	   0x80

static bool gso_in(const struct virtio_net_hdr *h, struct pkt *p)
{
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		p->gso = PKT_GSO_TCP4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		p->gso = PKT_GSO_TCP6;
		break;
	case GSO_UDP_L4:
		p->gso = PKT_GSO_UDP;
		break;
	default:
		return false;
	}
	p->gso_size = h->gso_size;
	return h->gso_size != 0;
}

bool tap_vnet_in(const struct virtio_net_hdr *h, struct pkt *p)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		/* headers lie in the first segment, whoever made them */
		if (h->csum_start < ETH_HLEN || h->csum_start + h->csum_offset + 2u > p->len)
			return false;
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = (uint16_t)(p->off + h->csum_start);
		p->csum_off = h->csum_offset;
	} else if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		p->flags |= PKT_CSUM_OK;
	}
	return gso_in(h, p);
}

static void gso_out(const struct pkt *p, struct virtio_net_hdr *h)
{
	uint8_t tcp[TCP_FLAGS + 1] = {0};
	unsigned l4 = (p->flags & PKT_CSUM_PARTIAL ? p->csum_start : p->l4) - (unsigned)p->off;

	h->gso_size = p->gso_size;
	if (p->gso == PKT_GSO_UDP) {
		h->gso_type = GSO_UDP_L4;
		h->hdr_len = (uint16_t)(l4 + 8);
		return;
	}
	pkt_copy_out(p, l4, tcp, sizeof(tcp));
	h->hdr_len = (uint16_t)(l4 + (tcp[12] >> 4) * 4u);
	h->gso_type = p->gso == PKT_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	if (tcp[TCP_FLAGS] & TCP_CWR)
		h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}

void tap_vnet_out(const struct pkt *p, struct virtio_net_hdr *h)
{
	memset(h, 0, sizeof(*h));
	if (p->flags & PKT_CSUM_PARTIAL) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = (uint16_t)(p->csum_start - p->off);
		h->csum_offset = p->csum_off;
	}
	if (p->gso)
		gso_out(p, h);
}
