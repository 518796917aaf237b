/*
 * kinds: IFLA_INFO_DATA of the kinds of device that are weft's own and so have no numbers in
 * <linux/if_link.h>. The drivers' parameter tables and the weft command both use them.
 */
#pragma once

/* kind "tap": a TAP device of the host and its counterpart here */
enum {
	WEFT_TAP_UNSPEC,
	WEFT_TAP_HOST,	 /* string: the host device's name; default: this device's */
	WEFT_TAP_QUEUES, /* u32 */
};

/* kind "pcap": a file that is played into the stack, or that what is sent is written to */
enum {
	WEFT_PCAP_UNSPEC,
	WEFT_PCAP_REPLAY, /* string: file to play */
	WEFT_PCAP_RECORD, /* string: file to write */
	WEFT_PCAP_SPEED,  /* u32: percent of the file's own pace; 0: as fast as it goes */
	WEFT_PCAP_LOOP,	  /* u32: how often to play it; 0: for ever */
};

/* kind "memif": shared memory between processes */
enum {
	WEFT_MEMIF_UNSPEC,
	WEFT_MEMIF_SOCKET, /* string: path; @name: in the abstract namespace */
	WEFT_MEMIF_ROLE,   /* u32: WEFT_MEMIF_SERVER (default), WEFT_MEMIF_CLIENT */
	WEFT_MEMIF_ID,	   /* u32: which of the interfaces on the socket */
	WEFT_MEMIF_SECRET, /* string: at most 24 bytes; not shown */
	WEFT_MEMIF_QUEUES, /* u32 */
	WEFT_MEMIF_RING,   /* u32: descriptors a ring, a power of two; the client's counts */
	WEFT_MEMIF_BUFFER, /* u32: bytes of a buffer; the client's counts */
};
enum { WEFT_MEMIF_SERVER, WEFT_MEMIF_CLIENT };

/* kind "fault": a device on top of another (IFLA_LINK) that does to frames what bad wires do; rates
 * are parts per million of the frames */
enum {
	WEFT_FAULT_UNSPEC,
	WEFT_FAULT_LOSS,      /* u32 */
	WEFT_FAULT_DUP,	      /* u32 */
	WEFT_FAULT_REORDER,   /* u32 */
	WEFT_FAULT_CORRUPT,   /* u32 */
	WEFT_FAULT_DELAY,     /* u32: microseconds */
	WEFT_FAULT_JITTER,    /* u32: microseconds to either side of the delay */
	WEFT_FAULT_SEED,      /* u64: of its random choices; default: drawn from the instance's */
	WEFT_FAULT_DIRECTION, /* u32: WEFT_FAULT_IN | WEFT_FAULT_OUT; default: both */
	WEFT_FAULT_LIMIT,     /* u32: frames a direction that may wait for their delay */
};
#define WEFT_FAULT_IN	    1 /* frames that the device below received */
#define WEFT_FAULT_OUT	    2 /* frames that are sent */
#define WEFT_FAULT_RATE_MAX 1000000
