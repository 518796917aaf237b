/*
 * dgram: the header in front of every datagram that passes between an application's descriptor and
 * the daemon.
 *
 * A datagram socket of weft (netlink, packet, raw, ping, UDP) is one end of an AF_UNIX SEQPACKET
 * pair. Each record on it is this header, then the payload. The shim strips it and turns its
 * fields into msg_name, control messages and flags; the daemon fills it. Fixed size, so that
 * MSG_PEEK and MSG_TRUNC can be worked out from the record's length. Native byte order: both ends
 * are on one machine and of one version (checked in the handshake).
 */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>

enum weft_dgram_kind {
	WEFT_DGRAM_DATA,  /* a datagram */
	WEFT_DGRAM_ERROR, /* so_error is set: whoever receives asks for it (SO_ERROR) */
	WEFT_DGRAM_ERRQ,  /* a message for the error queue; to the program: there is another */
	WEFT_DGRAM_WAKE,  /* a packet ring has frames; no payload, never shown to the program */
};

/* Which of the fields below the socket's options ask to be shown as control messages. */
enum weft_dgram_cmsg {
	WEFT_CMSG_TIMESTAMP = 1 << 0,	/* SO_TIMESTAMP */
	WEFT_CMSG_TIMESTAMPNS = 1 << 1, /* SO_TIMESTAMPNS */
	WEFT_CMSG_TTL = 1 << 2,		/* IP_TTL */
	WEFT_CMSG_TOS = 1 << 3,		/* IP_TOS */
	WEFT_CMSG_PKTINFO = 1 << 4,	/* IP_PKTINFO: ifindex, spec_dst, dst */
	WEFT_CMSG_AUXDATA = 1 << 5,	/* PACKET_AUXDATA */
	WEFT_CMSG_NLPKTINFO = 1 << 6,	/* NETLINK_PKTINFO: group */
	WEFT_CMSG_NSID = 1 << 7,	/* NETLINK_LISTEN_ALL_NSID: nsid */
	WEFT_CMSG_EXTERR = 1 << 8,	/* IP_RECVERR: ee and offender */
	WEFT_CMSG_RETOPTS = 1 << 9,	/* IP_RETOPTS: opts */
	WEFT_CMSG_RXQ_OVFL = 1 << 10,	/* SO_RXQ_OVFL: drops */
	WEFT_CMSG_TIMESTAMPING = 1 << 11,
	WEFT_CMSG_CREDS = 1 << 12, /* SO_PASSCRED on netlink */
	WEFT_CMSG_GRO = 1 << 13,   /* UDP_GRO: gso_size */
};

struct weft_dgram {
	uint8_t kind;	    /* enum weft_dgram_kind */
	uint8_t name_len;   /* 0: no address */
	uint16_t cmsgs;	    /* enum weft_dgram_cmsg */
	int32_t error;	    /* errno of WEFT_DGRAM_ERROR */
	uint32_t msg_flags; /* on the way out: the caller's MSG_* flags */
	uint32_t ttl_tos;   /* ttl | tos << 8 */
	uint8_t name[32];   /* struct sockaddr_in, _in6, _ll, _nl */
	uint64_t tstamp;    /* ns since 1970 */
	int32_t ifindex, nsid;
	uint32_t spec_dst, dst; /* IP_PKTINFO, be32 */
	uint32_t group, drops;
	/* struct tpacket_auxdata */
	uint32_t aux_status, aux_len, aux_snaplen;
	uint16_t aux_mac, aux_net, aux_vlan_tci, aux_vlan_tpid;
	/* struct sock_extended_err and the offender (struct sockaddr_in) */
	uint32_t ee_errno, ee_info, ee_data;
	uint8_t ee_origin, ee_type, ee_code, opts_len;
	uint8_t offender[32];
	uint8_t opts[40];
	uint16_t gso_size;
	uint8_t pad[6];
};

static_assert(sizeof(struct weft_dgram) == 200, "part of the interface between shim and daemon");
