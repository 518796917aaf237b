/*
 * instance: struct weft: what one "kernel" consists of, as slots.
 *
 * The struct stands at a low rank so that every module finds its own part from the pointer it is
 * given; the parts are opaque here and defined by their modules. Life and stepping are in weft.h.
 */
#pragma once

#include "run/worker.h"

struct dev_core;
struct event_chain;
struct files;
struct ip4_core;
struct net_set;
struct nl;
struct packet_core;
struct raw_core;
struct sock_core;
struct sysctl_table;
struct tcp_core;
struct udp_core;

struct weft_config {
	unsigned n_threads; /* workers with a thread of their own: 0 to WORKERS_MAX - 1 */
	unsigned n_packets; /* 0: POOL_DEFAULT */
	uint64_t seed;	    /* of every random choice */
	uint64_t now;	    /* monotonic ns at the start */
	int64_t wall;	    /* ns since 1970 minus monotonic */
	uint64_t spin_ns;   /* how long a worker looks for work before it sleeps */
	bool count_cycles;  /* of each stage: a small packet alone takes a fifth longer */
};

struct weft {
	struct weft_config config;
	struct pool *pool;
	unsigned n_workers; /* n_threads + 1 */
	struct worker *worker[WORKERS_MAX];
	struct hash_key key;
	struct event_chain *events;
	struct dev_core *dev;
	struct net_set *nets;
	struct sysctl_table *sysctls;
	struct ip4_core *ip4;
	struct sock_core *sock;
	struct packet_core *packet;
	struct raw_core *raw;
	struct udp_core *udp;
	struct tcp_core *tcp;
	struct nl *nl;
	struct files *files;
	void *daemon; /* of the process that offers the instance to programs */
	void *threads;
};
