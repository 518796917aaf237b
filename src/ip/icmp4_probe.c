/*
 * icmp4_probe: who asks, by an extended echo (RFC 8335), about an interface of ours.
 *
 * The interface is named by name, index or address in the one object behind the header; the answer
 * is the request with its type changed, and the state of the interface, or why there is none, in
 * its header. Only interfaces of the host that is asked are spoken of (the L bit). Off by default
 * (icmp_echo_enable_probe).
 */
#include "ip/ip4_path.h"
#include "net/net.h"

#define AFI_IP	1 /* the IANA's numbers of address families */
#define AFI_IP6 2

/* Finds the interface that the object names; false: the object makes no sense. */
static bool named(struct net *net, uint8_t ctype, struct view ident, struct netdev **dev)
{
	size_t len = ident.left;
	char name[IFNAMSIZ] = "";

	switch (ctype) {
	case ICMP_EXT_ECHO_CTYPE_NAME:
		if (len >= IFNAMSIZ)
			return false;
		memcpy(name, view_take(&ident, len), len);
		*dev = net_dev_by_name(net, name);
		return true;
	case ICMP_EXT_ECHO_CTYPE_INDEX:
		if (len != sizeof(uint32_t))
			return false;
		*dev = net_dev_by_index(net, (int)view_be32(&ident));
		return true;
	case ICMP_EXT_ECHO_CTYPE_ADDR:
		break;
	default:
		return false;
	}
	unsigned afi = view_be16(&ident), addr_len = view_u8(&ident);
	uint32_t addr;

	view_u8(&ident); /* reserved */
	if (!view_ok(&ident) || len != 4 + addr_len)
		return false;
	if (afi == AFI_IP6)
		return addr_len == 16; /* no interface has one */
	if (afi != AFI_IP || addr_len != sizeof(addr))
		return false;
	memcpy(&addr, view_take(&ident, sizeof(addr)), sizeof(addr));
	*dev = ip4_addr_dev(net, addr);
	return true;
}

static uint8_t status(const struct netdev *dev)
{
	const struct in_dev *in = in_dev_get(dev);
	uint8_t bits = dev->flags & IFF_UP ? ICMP_EXT_ECHOREPLY_ACTIVE : 0;

	if (in && !cds_list_empty(&((struct in_dev *)in)->addrs))
		bits |= ICMP_EXT_ECHOREPLY_IPV4;
	return bits;
}

bool icmp4_probe(struct net *net, const struct pkt *p, struct icmphdr *head)
{
	uint8_t obj[sizeof(struct icmp_ext_echo_iio)];
	uint8_t *seq = (uint8_t *)&head->un.echo.sequence;
	struct netdev *dev = NULL;
	size_t at = sizeof(*head) + sizeof(struct icmp_ext_hdr);

	if (!READ_ONCE(net->ip4->icmp_echo_enable_probe) || !(seq[1] & 1))
		return false;
	seq[1] = 0;
	head->type = ICMP_EXT_ECHOREPLY;
	head->code = ICMP_EXT_CODE_MAL_QUERY;

	struct view v = view_of(obj, p->total > at ? pkt_copy_out(p, at, obj, sizeof(obj)) : 0);
	size_t len = view_be16(&v);

	view_u8(&v); /* the object's class: not looked at */
	uint8_t ctype = view_u8(&v);

	if (!view_ok(&v) || len <= sizeof(struct icmp_extobj_hdr))
		return true;
	len -= sizeof(struct icmp_extobj_hdr);
	const uint8_t *ident = view_take(&v, len);

	if (!ident || !named(net, ctype, view_of(ident, len), &dev))
		return true;
	head->code = dev ? 0 : ICMP_EXT_CODE_NO_IF;
	if (dev)
		seq[1] = status(dev);
	return true;
}
