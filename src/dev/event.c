/* event: the chain: subscribers in the order in which they came. */
#include "dev/event.h"

void event_chain_init(struct event_chain *c)
{
	memset(c, 0, sizeof(*c));
	CDS_INIT_LIST_HEAD(&c->subs);
}

void event_subscribe(struct event_chain *c, struct event_sub *s, event_fn *fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
	cds_list_add_tail(&s->link, &c->subs);
}

void event_unsubscribe(struct event_sub *s)
{
	cds_list_del(&s->link);
}

void event_emit(struct event_chain *c, const struct event *e)
{
	struct event_sub *s, *next;

	/* a subscriber may take itself off the chain */
	cds_list_for_each_entry_safe (s, next, &c->subs, link)
		s->fn(s->arg, e);
}
