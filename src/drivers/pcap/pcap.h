/*
 * pcap: a device behind which there are capture files: the frames of one are received, or what is
 * sent is written to one, or both.
 *
 * Replay begins when the device is set up and goes by the instance's clock: frame i comes as long
 * after the first as it did then, divided by the speed; speed 0 is as fast as the stack takes
 * frames. Under a virtual clock that is exact, up to a tick of the timer wheel. A frame that the
 * capture cut short cannot be received, nor one larger than the MTU; both are counted and dropped.
 * A file that turns out damaged ends the replay, with a line in the log.
 *
 * Record writes frames as they would be on a wire (checksums and tags filled in, large packets cut
 * up), with the time in nanoseconds: the classic format with magic a1b23c4d, which all of libpcap's
 * users read. Frames go into a ring of bytes, which a thread of the device writes to the file while
 * the device is up: a slow disk costs frames (counted), never the stack's time. What the ring holds
 * is written once a second, when it is well filled, and when the device goes down.
 *
 * Threads: replay and the ring's filling end run on worker 0; frames sent on other workers are
 * posted to it. Memory and descriptors belong to the device.
 */
#pragma once

#include <pcap/pcap.h>
#include <pthread.h>
#include <semaphore.h>

#include "dev/netdev.h"

struct replay {
	struct netdev *dev;
	int fd; /* -1: nothing to replay */
	uint32_t speed, loops;
	pcap_t *cap; /* NULL: not playing */
	/* the frame to come */
	const uint8_t *data;
	struct pcap_pkthdr *hdr;
	uint64_t due;
	/* of this pass through the file: capture time of its first frame, and when that came */
	uint64_t first, start, n_pass;
	uint32_t n_passes;
	struct timer timer;
	struct poller poller;
	bool polled;
	uint64_t n_frames, n_cut, n_oversize, n_errors;
};

struct record {
	int fd; /* -1: nothing to record */
	uint8_t *ring;
	uint64_t head, tail; /* bytes ever taken out, put in; atomic */
	sem_t kick;
	pthread_t thread;
	bool running;
	int stop;  /* atomic */
	int error; /* atomic: errno of a write that failed */
	bool complained;
	uint64_t asked; /* tail at the last kick */
	struct timer timer;
	uint64_t n_frames, n_lost;
};

/* ---- replay.c: control and worker 0 ---- */
/* A capture of Ethernet frames? 0 or -errno. */
int replay_open(struct replay *r, const char *path, struct extack *ext);
void replay_close(struct replay *r);
/* From the file's start. 0 or -errno. */
int replay_start(struct replay *r);
void replay_stop(struct replay *r);

/* ---- record.c: control and worker 0 ---- */
/* Makes the file; `not` is a descriptor of a file that must be another (or -1). 0 or -errno. */
int record_open(struct record *r, const char *path, int not, struct extack *ext);
void record_close(struct record *r);
int record_start(struct record *r);
/* Returns when all is written. */
void record_stop(struct record *r);
/* Borrows; false: there was no room, or the disk is full. when: ns since 1970. */
bool record_frame(struct worker *w, struct record *r, const struct pkt *p, uint64_t when);
