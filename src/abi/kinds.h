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
