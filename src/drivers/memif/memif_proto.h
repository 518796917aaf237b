/*
 * memif_proto: what two ends of a memif link say to each other: protocol version 2.0, as VPP,
 * libmemif and DPDK's net_memif speak it. Numbers are in the machine's byte order: both ends are on
 * one machine.
 *
 * Control messages are 128 bytes each over a UNIX socket of SOCK_SEQPACKET; a file descriptor may
 * come along. The server (in older words the master) listens; the client (slave) makes the memory
 * and the rings in it:
 *
 *	client			server
 *				HELLO		limits of the server
 *	INIT			ACK		which interface, secret
 *	ADD_REGION + fd		ACK		memory, one message each
 *	ADD_RING + eventfd	ACK		where in it, one message each
 *	CONNECT			CONNECTED
 *	DISCONNECT		DISCONNECT	either, at any time
 *
 * A ring is an array of descriptors with two free-running counters: the client alone moves `head`,
 * the server alone `tail`. In a ring from client to server, what lies between tail and head are
 * packets; in one from server to client it is room that the client offers, which the server fills
 * and passes by moving tail.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define MEMIF_COOKIE	    0x3e31f20u
#define MEMIF_VERSION	    0x200
#define MEMIF_SECRET_SIZE   24
#define MEMIF_NAME_SIZE	    32
#define MEMIF_LOG2_RING_MAX 14
#define MEMIF_REGIONS_MAX   256

enum memif_type {
	MEMIF_NONE,
	MEMIF_ACK,
	MEMIF_HELLO,
	MEMIF_INIT,
	MEMIF_ADD_REGION,
	MEMIF_ADD_RING,
	MEMIF_CONNECT,
	MEMIF_CONNECTED,
	MEMIF_DISCONNECT,
};

enum { MEMIF_MODE_ETHERNET = 0 };
enum { MEMIF_RING_TO_SERVER = 1 }; /* flag of ADD_RING */
enum { MEMIF_DESC_NEXT = 1 };	   /* the packet goes on in the next descriptor */
enum { MEMIF_RING_MASK_INT = 1 };  /* whoever reads the ring polls it: no interrupts */

struct memif_hello {
	uint8_t name[MEMIF_NAME_SIZE];
	uint16_t min_version, max_version;
	uint16_t max_region, max_to_client, max_to_server; /* largest index */
	uint8_t max_log2_ring;
} __attribute__((packed));

struct memif_init {
	uint16_t version;
	uint32_t id;
	uint8_t mode;
	uint8_t secret[MEMIF_SECRET_SIZE];
	uint8_t name[MEMIF_NAME_SIZE];
} __attribute__((packed));

struct memif_add_region {
	uint16_t index;
	uint64_t size;
} __attribute__((packed));

struct memif_add_ring {
	uint16_t flags, index, region;
	uint32_t offset;
	uint8_t log2_ring;
	uint16_t private_size; /* bytes in front of the data in each buffer */
} __attribute__((packed));

struct memif_names { /* CONNECT, CONNECTED: the sender's interface */
	uint8_t name[MEMIF_NAME_SIZE];
} __attribute__((packed));

struct memif_reason {
	uint32_t code;
	uint8_t text[96];
} __attribute__((packed));

struct memif_msg {
	uint16_t type;
	union {
		struct memif_hello hello;
		struct memif_init init;
		struct memif_add_region region;
		struct memif_add_ring ring;
		struct memif_names names;
		struct memif_reason reason;
		uint8_t bytes[126];
	};
} __attribute__((packed));
static_assert(sizeof(struct memif_msg) == 128, "as on the socket");

struct memif_desc {
	uint16_t flags, region;
	uint32_t length, offset, metadata;
};
static_assert(sizeof(struct memif_desc) == 16, "as in the ring");

struct memif_ring {
	uint32_t cookie;
	uint16_t flags, head;
	uint8_t pad0[56];
	uint16_t tail;
	uint8_t pad1[62];
	struct memif_desc desc[];
};
static_assert(sizeof(struct memif_ring) == 128, "as in memory");
