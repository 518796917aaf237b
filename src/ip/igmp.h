/*
 * igmp: what the files of IGMP share: igmp.c (groups, their users and timers), igmp_source.c (from
 * which sources), igmp_input.c (queries and others' reports), igmp_report.c (messages sent).
 *
 * A group has users in two modes: those who want all sources but some (EXCLUDE) and those who want
 * some sources alone (INCLUDE). What the device asks for is their union (RFC 3376 3.2): while there
 * is a user who excludes, everything but the sources that all of these exclude and nobody includes;
 * else the sources that anybody includes. A source therefore counts who includes and who excludes
 * it, and a group counts its users by mode.
 *
 * A source that is wanted no longer is remembered on the group's list `old` until that has been
 * told often enough; a group without users likewise, on the device's list `left`.
 *
 * Control, save igmp_source_wanted().
 */
#pragma once

#include <netinet/in.h>

#include "ip/ip4_core.h"

/* Nothing is told sooner, so that groups joined in one go share a report. */
#define IGMP_WAIT (2 * IP4_JIFFY)

struct igmp_source {
	struct cds_list_head link;
	uint32_t addr;
	unsigned n[2];	  /* users by mode: MCAST_EXCLUDE, MCAST_INCLUDE */
	bool was_in;	  /* before the change under way */
	bool asked;	  /* by the query that is to be answered */
	unsigned changes; /* reports of its change still to send */
	struct rcu_head rcu;
};

struct igmp_group {
	struct cds_list_head link; /* in in_dev->mc; RCU */
	uint32_t addr;		   /* be32 */
	unsigned users;
	struct in_dev *in;
	bool loaded;		      /* the driver listens to its link address */
	bool reporter;		      /* we were the last to report it (v2: who leaves tells) */
	bool asked;		      /* the query to be answered names sources */
	unsigned unsolicited;	      /* reports of the join still to send: v1, v2 */
	unsigned changes;	      /* changes of mode still to send: v3 */
	unsigned mode;		      /* MCAST_EXCLUDE or MCAST_INCLUDE, as last told */
	unsigned n[2];		      /* users by mode */
	struct cds_list_head sources; /* RCU */
	struct cds_list_head old;     /* sources whose end is still to be told */
	struct timer timer;
	struct rcu_head rcu;
};

struct igmp_dev {
	struct in_dev *in;
	uint64_t v1_seen, v2_seen; /* until when an old querier counts as present */
	unsigned qrv;		   /* robustness */
	unsigned change_count;	   /* state change reports still to send */
	struct timer change, general;
	struct cds_list_head left; /* groups whose end is still to be told (v3) */
};

static inline struct worker *igmp_worker(const struct in_dev *in)
{
	return in->dev->weft->worker[0];
}

/* ---- igmp.c ---- */

/* What the device speaks now: 1 to 3. */
unsigned igmp_version(const struct in_dev *in);
/* Is the group told to routers at all? */
bool igmp_reported(const struct in_dev *in, uint32_t addr);
uint64_t igmp_random_wait(struct in_dev *in, uint64_t most);
struct igmp_group *igmp_group_find(const struct in_dev *in, uint32_t addr);
/* What changed is to be told, if version 3 is spoken. */
void igmp_tell_change(struct in_dev *in);
/* Changes are told no more. */
void igmp_forget_changes(struct igmp_dev *id);

/* ---- igmp_source.c ---- */

/* A user comes (`whole`), or a user of the group wants sources besides (else). 0 or -ENOBUFS; then
 * nothing has changed. */
int igmp_source_add(struct igmp_group *g, unsigned mode, unsigned n, const uint32_t *srcs,
		    bool whole);
/* The reverse. -ESRCH: a source was not there; -EINVAL: no user of this mode was. */
int igmp_source_del(struct igmp_group *g, unsigned mode, unsigned n, const uint32_t *srcs,
		    bool whole);
/* Frees a list that no worker reads. */
void igmp_sources_free(struct cds_list_head *list);
/* Sources that g, which readers may still see, takes along. */
void igmp_sources_lapse(struct igmp_group *g);
/* Does anyone want what this source sends? src 0: any source. RCU, any worker. */
bool igmp_source_wanted(const struct igmp_group *g, uint32_t src);
/* A query names these sources: is there anything to answer? */
bool igmp_sources_ask(struct igmp_group *g, unsigned n, const uint8_t *srcs);

/* ---- igmp_input.c ---- */

void igmp_input(struct worker *w, struct netdev *dev, struct pkt *p);

/* ---- igmp_report.c ---- */

/* An IGMPv3 report under way: begins as {.in = in}. */
struct igmp_report {
	struct in_dev *in;
	struct pkt *p;
	struct route_result res;
	unsigned n;	/* records */
	size_t open;	/* where the record being filled starts, 0: none */
	unsigned n_src; /* sources in it */
};

/* Adds g's record of this type (IGMPV3_MODE_IS_EXCLUDE, ...), where there is something to say; what
 * does not fit goes in further packets. gone: g is on the list `left`; old: of its sources `old`.
 */
void igmp_report_add(struct igmp_report *r, struct igmp_group *g, uint8_t type, bool gone,
		     bool old);
/* Sends what is left. */
void igmp_report_end(struct igmp_report *r);
/* An IGMPv1 or v2 message about one group. */
void igmp_send_v2(struct in_dev *in, uint8_t type, uint32_t group, uint32_t daddr);
