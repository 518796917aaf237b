/* pending: what is not there yet; each module takes its lines away from here. */
#include "ctl/devioctl.h"
#include "ctl/genl.h"
#include "ctl/rtnl.h"

const struct nl_handler rtnl_neigh_handlers[] = {{0}};
const struct nl_handler rtnl_neightbl_handlers[] = {{0}};
const struct nl_handler rtnl_rule_handlers[] = {{0}};

void rtnl_neigh_notify(struct net *net, const struct neigh *n, uint16_t type, uint16_t flags)
{
}

int genl_init(struct weft *weft)
{
	return 0;
}

void genl_fini(struct weft *weft)
{
}

int devioctl_init(struct weft *weft)
{
	return 0;
}

void devioctl_fini(struct weft *weft)
{
}
