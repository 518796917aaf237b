/*
 * igmp_source: the sources of a group: who wants them, and what of that has changed.
 *
 * A change of a user's filter is made in one go: what is wanted now is marked, the counts change,
 * and the difference is set down to be told. When the group's mode changes, the report of that
 * names all sources, so that no change of a single source is told besides (RFC 3376 5.1).
 */
#include "ip/igmp.h"

/* Is the source in the list that goes with the group's mode? */
static bool is_in(const struct igmp_group *g, const struct igmp_source *s)
{
	if (g->n[MCAST_EXCLUDE])
		return s->n[MCAST_EXCLUDE] == g->n[MCAST_EXCLUDE] && !s->n[MCAST_INCLUDE];
	return s->n[MCAST_INCLUDE];
}

static void mark(struct igmp_group *g)
{
	struct igmp_source *s;

	cds_list_for_each_entry (s, &g->sources, link)
		s->was_in = is_in(g, s);
}

static struct igmp_source *find(struct cds_list_head *list, uint32_t addr)
{
	struct igmp_source *s;

	cds_list_for_each_entry (s, list, link)
		if (s->addr == addr)
			return s;
	return NULL;
}

static void source_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct igmp_source, rcu));
}

static void old_del(struct igmp_source *s)
{
	cds_list_del(&s->link);
	free(s);
}

/* Its end is to be told. */
static bool old_add(struct igmp_group *g, uint32_t addr)
{
	struct igmp_source *s = find(&g->old, addr);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return false;
		s->addr = addr;
		cds_list_add(&s->link, &g->old);
	}
	s->changes = g->in->igmp->qrv;
	return true;
}

/* Sets down what differs from the mark; did anything? */
static bool settle(struct igmp_group *g)
{
	struct igmp_source *s, *old;
	bool any = false;

	cds_list_for_each_entry (s, &g->sources, link) {
		bool in = is_in(g, s);

		if (in && !s->was_in) {
			old = find(&g->old, s->addr);
			if (old)
				old_del(old);
			s->changes = g->in->igmp->qrv;
			any = true;
		} else if (!in && s->was_in) {
			s->changes = 0;
			any |= old_add(g, s->addr);
		}
	}
	return any;
}

/* The mode has changed: that is told instead of sources. */
static void set_mode(struct igmp_group *g, unsigned mode)
{
	struct igmp_source *s;

	g->mode = mode;
	g->changes = g->in->igmp->qrv;
	cds_list_for_each_entry (s, &g->sources, link)
		s->changes = 0;
	igmp_tell_change(g->in);
}

static bool add_one(struct igmp_group *g, unsigned mode, uint32_t addr)
{
	struct igmp_source *s = find(&g->sources, addr);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return false;
		s->addr = addr;
		cds_list_add_tail_rcu(&s->link, &g->sources);
	}
	s->n[mode]++;
	return true;
}

/* 0, 1 (its end is to be told) or -ESRCH. */
static int del_one(struct igmp_group *g, unsigned mode, uint32_t addr)
{
	struct igmp_source *s = find(&g->sources, addr);
	bool told = false;

	if (!s || !s->n[mode])
		return -ESRCH;
	if (--s->n[mode] || s->n[!mode])
		return 0;
	cds_list_del_rcu(&s->link);
	if (s->was_in && igmp_version(g->in) == 3)
		told = old_add(g, addr);
	call_rcu(&s->rcu, source_free_rcu);
	return told;
}

int igmp_source_add(struct igmp_group *g, unsigned mode, unsigned n, const uint32_t *srcs,
		    bool whole)
{
	bool excluded = g->mode == MCAST_EXCLUDE;
	unsigned i;

	mark(g);
	g->n[mode] += whole;
	for (i = 0; i < n; i++)
		if (!add_one(g, mode, srcs[i]))
			break;
	if (i < n) {
		g->n[mode] -= whole;
		while (i-- > 0)
			del_one(g, mode, srcs[i]);
		return -ENOBUFS;
	}
	if (excluded != (g->n[MCAST_EXCLUDE] != 0)) {
		/* With no filter at all the old mode is kept for reports. */
		unsigned now = g->n[MCAST_EXCLUDE]   ? MCAST_EXCLUDE
			       : g->n[MCAST_INCLUDE] ? MCAST_INCLUDE
						     : g->mode;
		set_mode(g, now);
	} else if (settle(g)) {
		igmp_tell_change(g->in);
	}
	return 0;
}

int igmp_source_del(struct igmp_group *g, unsigned mode, unsigned n, const uint32_t *srcs,
		    bool whole)
{
	bool any = false;
	int err = 0;

	mark(g);
	if (whole && !g->n[mode])
		return -EINVAL;
	g->n[mode] -= whole;
	for (unsigned i = 0; i < n; i++) {
		int ret = del_one(g, mode, srcs[i]);

		any |= ret > 0;
		err = err ? err : MIN(ret, 0);
	}
	if (g->mode == MCAST_EXCLUDE && !g->n[MCAST_EXCLUDE] && g->n[MCAST_INCLUDE])
		set_mode(g, MCAST_INCLUDE);
	else if (settle(g) || any)
		igmp_tell_change(g->in);
	return err;
}

void igmp_sources_free(struct cds_list_head *list)
{
	struct igmp_source *s, *next;

	cds_list_for_each_entry_safe (s, next, list, link)
		old_del(s);
}

void igmp_sources_lapse(struct igmp_group *g)
{
	struct igmp_source *s, *next;

	igmp_sources_free(&g->old);
	cds_list_for_each_entry_safe (s, next, &g->sources, link) {
		cds_list_del_rcu(&s->link);
		call_rcu(&s->rcu, source_free_rcu);
	}
}

bool igmp_source_wanted(const struct igmp_group *g, uint32_t src)
{
	struct igmp_group *group = (struct igmp_group *)g;
	unsigned n_exclude = READ_ONCE(group->n[MCAST_EXCLUDE]);
	struct igmp_source *s;

	if (!src)
		return true;
	cds_list_for_each_entry_rcu (s, &group->sources, link)
		if (s->addr == src)
			return READ_ONCE(s->n[MCAST_INCLUDE]) ||
			       READ_ONCE(s->n[MCAST_EXCLUDE]) != n_exclude;
	return n_exclude;
}

static bool names(unsigned n, const uint8_t *srcs, uint32_t addr)
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(srcs + i * 4u, &addr, 4))
			return true;
	return false;
}

bool igmp_sources_ask(struct igmp_group *g, unsigned n, const uint8_t *srcs)
{
	struct igmp_source *s;
	unsigned hits = 0;

	cds_list_for_each_entry (s, &g->sources, link) {
		if (hits == n)
			break;
		if (g->mode == MCAST_EXCLUDE && !is_in(g, s))
			continue;
		if (!names(n, srcs, s->addr))
			continue;
		hits++;
		s->asked |= g->mode == MCAST_INCLUDE;
	}
	g->asked = g->mode == MCAST_INCLUDE && hits;
	/* Who excludes answers unless all that was asked for is excluded. */
	return g->mode == MCAST_INCLUDE ? hits : hits != n;
}
