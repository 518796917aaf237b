/*
 * net_sysctl: net/core/: how much of the workers' time and memory frames between devices may take.
 *
 * The defaults are larger than a kernel's: a step handles all devices' bursts together, where Linux
 * has a ring for each.
 */
#include "net/net_sysctl.h"

#include "net/sysctl.h"
#include "run/instance.h"

static void *where_backlog(struct net *net, struct netdev *dev, const char *which)
{
	return &net->weft->worker[0]->backlog_max;
}

static void *where_budget(struct net *net, struct netdev *dev, const char *which)
{
	return &net->weft->worker[0]->backlog_budget;
}

/* One setting for all workers: worker 0's is the one that is shown. */
static void changed(struct net *net, struct netdev *dev, const char *which, int64_t old,
		    int64_t now)
{
	const struct worker *w0 = net->weft->worker[0];

	for (unsigned i = 1; i < net->weft->n_workers; i++) {
		struct worker *w = net->weft->worker[i];

		WRITE_ONCE(w->backlog_max, w0->backlog_max);
		WRITE_ONCE(w->backlog_budget, w0->backlog_budget);
	}
}

static const struct sysctl_row rows[] = {
	{.path = "net/core/netdev_max_backlog",
	 .type = SYSCTL_INT,
	 .mode = 0644,
	 .max = INT32_MAX,
	 .where = where_backlog,
	 .changed = changed,
	 .scope = SYSCTL_FIRST},
	/* none at all would leave frames waiting for ever */
	{.path = "net/core/netdev_budget",
	 .type = SYSCTL_INT,
	 .mode = 0644,
	 .min = 1,
	 .max = INT32_MAX,
	 .where = where_budget,
	 .changed = changed,
	 .scope = SYSCTL_FIRST},
	{.path = NULL},
};

int net_sysctl_init(struct weft *weft)
{
	return sysctl_add(weft->sysctls, rows);
}
