/* rcu: freeing plain memory after a grace period. */
#include "base/rcu.h"

#include <stdlib.h>

struct rcu_mem {
	struct rcu_head head;
	void *p;
};

static void rcu_mem_free(struct rcu_head *h)
{
	struct rcu_mem *m = (struct rcu_mem *)h;

	free(m->p);
	free(m);
}

void rcu_free(void *p)
{
	if (!p)
		return;
	struct rcu_mem *m = malloc(sizeof(*m));
	if (!m) { /* no memory to wait with: wait here */
		synchronize_rcu();
		free(p);
		return;
	}
	m->p = p;
	call_rcu(&m->head, rcu_mem_free);
}

void rcu_hash_free(struct cds_lfht *ht)
{
	if (!ht)
		return;
	rcu_thread_offline();
	cds_lfht_destroy(ht, NULL);
	rcu_thread_online();
}
