/*
 * nl_policy: attribute tables told to programs: with the error about an attribute
 * (NLMSGERR_ATTR_POLICY), and by generic netlink's CTRL_CMD_GETPOLICY.
 *
 * A list holds the tables a request may meet, each once, a nested one behind the table that holds
 * it; the place in the list is the number programs see. Who has a list frees list.v.
 */
#pragma once

#include "ctl/nl.h"

#define NL_POLICY_ATTR_SIZE 64 /* the most nl_policy_put() writes */

struct nl_policy_table {
	const struct nla_policy *rows;
	unsigned n, max; /* max: the greatest attribute type */
};

struct nl_policy_list {
	struct nl_policy_table *v;
	unsigned n, room;
};

/* The row of an attribute type; NULL: it has none. */
const struct nla_policy *nl_policy_find(const struct nla_policy *rows, unsigned n, unsigned type);

/* Adds a table and those nested in it. 0 or -ENOMEM. */
int nl_policy_list_add(struct nl_policy_list *list, const struct nla_policy *rows, unsigned n,
		       unsigned max);
/* The place of a table that is there. */
unsigned nl_policy_list_find(const struct nl_policy_list *list, const struct nla_policy *rows,
			     unsigned max);

/* Writes what a row asks of an attribute, as a nest of `type`; list NULL: of nested tables nothing
 * but that they are. False: there is nothing to tell, and nothing was written. */
bool nl_policy_put(struct nlmsghdr *nlh, uint16_t type, const struct nla_policy *row,
		   const struct nl_policy_list *list);
