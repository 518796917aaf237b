/*
 * cmsg: control messages, in the order and the shapes of Linux's udp_recvmsg, ping_recvmsg,
 * packet_recvmsg and netlink_recvmsg.
 */
#include "msg.h"

#include <asm/socket.h>
#include <linux/errqueue.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* ---- to the program ---- */

struct writer {
	struct msghdr *m;
	uint8_t *at;
	size_t left;
};

static void put(struct writer *w, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};

	if (w->left < sizeof(h)) {
		w->m->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (w->left < h.cmsg_len) {
		w->m->msg_flags |= MSG_CTRUNC;
		h.cmsg_len = w->left;
	}
	memcpy(w->at, &h, sizeof(h));
	memcpy(w->at + sizeof(h), data, h.cmsg_len - sizeof(h));
	size_t used = MIN(CMSG_SPACE(len), w->left);
	w->at += used;
	w->left -= used;
}

static void put_time(struct writer *w, const struct weft_dgram *d)
{
	struct timespec ts = {.tv_sec = (time_t)(d->tstamp / NSEC_PER_SEC),
			      .tv_nsec = (long)(d->tstamp % NSEC_PER_SEC)};
	struct timeval tv = {.tv_sec = ts.tv_sec,
			     .tv_usec = (suseconds_t)(ts.tv_nsec / (long)NSEC_PER_USEC)};

	if (d->cmsgs & WEFT_CMSG_TIMESTAMPNS)
		put(w, SOL_SOCKET, SO_TIMESTAMPNS_OLD, &ts, sizeof(ts));
	else if (d->cmsgs & WEFT_CMSG_TIMESTAMP)
		put(w, SOL_SOCKET, SO_TIMESTAMP_OLD, &tv, sizeof(tv));
	if (d->cmsgs & WEFT_CMSG_TIMESTAMPING) {
		const struct scm_timestamping st = {.ts = {ts}};
		put(w, SOL_SOCKET, SO_TIMESTAMPING_OLD, &st, sizeof(st));
	}
}

static void put_inet(struct writer *w, const struct weft_dgram *d)
{
	int gso = d->gso_size, ttl = (uint8_t)d->ttl_tos;
	uint8_t tos = (uint8_t)(d->ttl_tos >> 8);

	if (d->cmsgs & WEFT_CMSG_GRO)
		put(w, SOL_UDP, UDP_GRO, &gso, sizeof(gso));
	if (d->cmsgs & WEFT_CMSG_PKTINFO) {
		const struct in_pktinfo info = {.ipi_ifindex = d->ifindex,
						.ipi_spec_dst.s_addr = d->spec_dst,
						.ipi_addr.s_addr = d->dst};
		put(w, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (d->cmsgs & WEFT_CMSG_TTL)
		put(w, SOL_IP, IP_TTL, &ttl, sizeof(ttl));
	if (d->cmsgs & WEFT_CMSG_TOS)
		put(w, SOL_IP, IP_TOS, &tos, sizeof(tos));
	if (d->cmsgs & WEFT_CMSG_RETOPTS)
		put(w, SOL_IP, IP_RETOPTS, d->opts, MIN((size_t)d->opts_len, sizeof(d->opts)));
	if (d->cmsgs & WEFT_CMSG_EXTERR) {
		struct {
			struct sock_extended_err ee;
			struct sockaddr_in offender;
		} e = {.ee = {.ee_errno = d->ee_errno,
			      .ee_origin = d->ee_origin,
			      .ee_type = d->ee_type,
			      .ee_code = d->ee_code,
			      .ee_info = d->ee_info,
			      .ee_data = d->ee_data}};
		memcpy(&e.offender, d->offender, sizeof(e.offender));
		put(w, SOL_IP, IP_RECVERR, &e, sizeof(e));
	}
}

static void put_packet(struct writer *w, const struct weft_dgram *d)
{
	const struct tpacket_auxdata aux = {.tp_status = d->aux_status,
					    .tp_len = d->aux_len,
					    .tp_snaplen = d->aux_snaplen,
					    .tp_mac = d->aux_mac,
					    .tp_net = d->aux_net,
					    .tp_vlan_tci = d->aux_vlan_tci,
					    .tp_vlan_tpid = d->aux_vlan_tpid};

	if (d->cmsgs & WEFT_CMSG_AUXDATA)
		put(w, SOL_PACKET, PACKET_AUXDATA, &aux, sizeof(aux));
}

static void put_netlink(struct writer *w, const struct weft_dgram *d)
{
	const struct nl_pktinfo info = {.group = d->group};
	const struct ucred kernel = {0};

	if (d->cmsgs & WEFT_CMSG_NLPKTINFO)
		put(w, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof(info));
	if (d->cmsgs & WEFT_CMSG_NSID)
		put(w, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &d->nsid, sizeof(d->nsid));
	if (d->cmsgs & WEFT_CMSG_CREDS)
		put(w, SOL_SOCKET, SCM_CREDENTIALS, &kernel, sizeof(kernel));
}

void msg_put_control(struct msghdr *m, const struct shim_sock *s, const struct weft_dgram *d)
{
	struct writer w = {m, m->msg_control, m->msg_control ? m->msg_controllen : 0};

	if (d->cmsgs) {
		put_time(&w, d);
		if (d->cmsgs & WEFT_CMSG_RXQ_OVFL)
			put(&w, SOL_SOCKET, SO_RXQ_OVFL, &d->drops, sizeof(d->drops));
		if (s->family == AF_PACKET)
			put_packet(&w, d);
		else if (s->family == AF_NETLINK)
			put_netlink(&w, d);
		else
			put_inet(&w, d);
	}
	m->msg_controllen = w.at ? (size_t)(w.at - (uint8_t *)m->msg_control) : 0;
}

/* ---- from the program ---- */

/* A number that may be a byte or an int. */
static int get_int(const struct cmsghdr *c, int *v)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);

	if (len == sizeof(*v))
		memcpy(v, CMSG_DATA(c), sizeof(*v));
	else if (len == 1)
		*v = *CMSG_DATA(c);
	else
		return -EINVAL;
	return 0;
}

static int get_pktinfo(const struct cmsghdr *c, struct weft_dgram *d)
{
	struct in_pktinfo info;

	if (c->cmsg_len != CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	d->cmsgs |= WEFT_CMSG_PKTINFO;
	d->ifindex = info.ipi_ifindex;
	d->spec_dst = info.ipi_spec_dst.s_addr;
	return 0;
}

static int get_ip(const struct cmsghdr *c, struct weft_dgram *d)
{
	int v;

	switch (c->cmsg_type) {
	case IP_PKTINFO:
		return get_pktinfo(c, d);
	case IP_TTL:
		if (c->cmsg_len != CMSG_LEN(sizeof(v)) || get_int(c, &v) || v < 1 || v > 255)
			return -EINVAL;
		d->cmsgs |= WEFT_CMSG_TTL;
		d->ttl_tos = (d->ttl_tos & ~0xffu) | (uint32_t)v;
		return 0;
	case IP_TOS:
		if (get_int(c, &v) || v < 0 || v > 255)
			return -EINVAL;
		d->cmsgs |= WEFT_CMSG_TOS;
		d->ttl_tos = (d->ttl_tos & 0xffu) | (uint32_t)v << 8;
		return 0;
	case IP_RETOPTS:
		d->opts_len = (uint8_t)MIN(c->cmsg_len - CMSG_LEN(0), sizeof(d->opts));
		memcpy(d->opts, CMSG_DATA(c), d->opts_len);
		d->cmsgs |= WEFT_CMSG_RETOPTS;
		return 0;
	}
	return -EINVAL;
}

static int get_udp(const struct cmsghdr *c, struct weft_dgram *d)
{
	if (c->cmsg_type != UDP_SEGMENT || c->cmsg_len != CMSG_LEN(sizeof(d->gso_size)))
		return -EINVAL;
	memcpy(&d->gso_size, CMSG_DATA(c), sizeof(d->gso_size));
	return 0;
}

int msg_get_control(const struct msghdr *m, const struct shim_sock *s, struct weft_dgram *d)
{
	int err = 0;

	if (!m->msg_control || m->msg_controllen < sizeof(struct cmsghdr))
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c && !err;
	     c = CMSG_NXTHDR((struct msghdr *)m, c)) {
		size_t left =
			m->msg_controllen - (size_t)((uint8_t *)c - (uint8_t *)m->msg_control);
		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > left)
			return -EINVAL;
		if (s->family != AF_INET)
			continue;
		if (c->cmsg_level == SOL_IP)
			err = get_ip(c, d);
		else if (c->cmsg_level == SOL_UDP && s->protocol == IPPROTO_UDP)
			err = get_udp(c, d);
	}
	return err;
}
