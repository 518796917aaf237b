/*
 * nl_policy: see nl_policy.h.
 */
#include "ctl/nl_policy.h"

const struct nla_policy *nl_policy_find(const struct nla_policy *rows, unsigned n, unsigned type)
{
	if (type < n && rows[type].type == type && rows[type].name)
		return &rows[type];
	for (unsigned i = 0; i < n; i++)
		if (rows[i].type == type && rows[i].name)
			return &rows[i];
	return NULL;
}

static unsigned max_type(const struct nla_policy *rows, unsigned n)
{
	unsigned max = 0;

	for (unsigned i = 0; i < n; i++)
		max = MAX(max, rows[i].type);
	return max;
}

/* ---- lists ---- */

unsigned nl_policy_list_find(const struct nl_policy_list *list, const struct nla_policy *rows,
			     unsigned max)
{
	unsigned i = 0;

	while (i < list->n && (list->v[i].rows != rows || list->v[i].max != max))
		i++;
	return i;
}

static int add_one(struct nl_policy_list *list, const struct nla_policy *rows, unsigned n,
		   unsigned max)
{
	if (nl_policy_list_find(list, rows, max) < list->n)
		return 0;
	if (list->n == list->room) {
		unsigned room = list->room ? 2 * list->room : 8;
		void *v = realloc(list->v, room * sizeof(*list->v));
		if (!v)
			return -ENOMEM;
		list->v = v;
		list->room = room;
	}
	list->v[list->n++] = (struct nl_policy_table){rows, n, max};
	return 0;
}

int nl_policy_list_add(struct nl_policy_list *list, const struct nla_policy *rows, unsigned n,
		       unsigned max)
{
	unsigned from = list->n;
	int err = add_one(list, rows, n, max);

	/* What a table nests is added behind it, and looked at in its turn. */
	for (unsigned i = from; !err && i < list->n; i++) {
		const struct nl_policy_table t = list->v[i];
		for (unsigned j = 0; !err && j < t.n; j++)
			if (t.rows[j].kind == NLA_K_NESTED && t.rows[j].nested)
				err = add_one(list, t.rows[j].nested, t.rows[j].n_nested,
					      max_type(t.rows[j].nested, t.rows[j].n_nested));
	}
	return err;
}

/* ---- a row ---- */

static void put_range(struct nlmsghdr *nlh, const struct nla_policy *row, uint64_t limit)
{
	if (row->mask) {
		mnl_attr_put_u64(nlh, NL_POLICY_TYPE_ATTR_MASK, row->mask);
		return;
	}
	mnl_attr_put_u64(nlh, NL_POLICY_TYPE_ATTR_MIN_VALUE_U, row->min);
	mnl_attr_put_u64(nlh, NL_POLICY_TYPE_ATTR_MAX_VALUE_U, row->max ? row->max : limit);
}

static void put_signed_range(struct nlmsghdr *nlh, const struct nla_policy *row)
{
	int64_t min = row->min || row->max ? (int32_t)row->min : INT32_MIN;
	int64_t max = row->max ? (int32_t)row->max : INT32_MAX;

	mnl_attr_put_u64(nlh, NL_POLICY_TYPE_ATTR_MIN_VALUE_S, (uint64_t)min);
	mnl_attr_put_u64(nlh, NL_POLICY_TYPE_ATTR_MAX_VALUE_S, (uint64_t)max);
}

static void put_nested(struct nlmsghdr *nlh, const struct nla_policy *row,
		       const struct nl_policy_list *list)
{
	unsigned max;

	if (!list || !row->nested)
		return;
	max = max_type(row->nested, row->n_nested);
	mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_POLICY_IDX,
			 nl_policy_list_find(list, row->nested, max));
	mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_POLICY_MAXTYPE, max);
}

/* The limits of a row; what kind of attribute it is in NL_ATTR_TYPE_*. */
static unsigned put_limits(struct nlmsghdr *nlh, const struct nla_policy *row,
			   const struct nl_policy_list *list)
{
	switch (row->kind) {
	case NLA_K_U8:
		put_range(nlh, row, UINT8_MAX);
		return NL_ATTR_TYPE_U8;
	case NLA_K_U16:
		put_range(nlh, row, UINT16_MAX);
		return NL_ATTR_TYPE_U16;
	case NLA_K_U32:
		put_range(nlh, row, UINT32_MAX);
		return NL_ATTR_TYPE_U32;
	case NLA_K_U64:
		put_range(nlh, row, UINT64_MAX);
		return NL_ATTR_TYPE_U64;
	case NLA_K_S32:
		put_signed_range(nlh, row);
		return NL_ATTR_TYPE_S32;
	case NLA_K_FLAG:
		return NL_ATTR_TYPE_FLAG;
	case NLA_K_NESTED:
		put_nested(nlh, row, list);
		return NL_ATTR_TYPE_NESTED;
	case NLA_K_BITFIELD32:
		mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_BITFIELD32_MASK,
				 row->len ? row->len : UINT32_MAX);
		return NL_ATTR_TYPE_BITFIELD32;
	case NLA_K_EXACT:
		mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_MIN_LENGTH, row->len);
		break;
	default:
		break;
	}
	if (row->len)
		mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_MAX_LENGTH, row->len);
	if (row->kind == NLA_K_STRING)
		return NL_ATTR_TYPE_STRING;
	return row->kind == NLA_K_NUL_STRING ? NL_ATTR_TYPE_NUL_STRING : NL_ATTR_TYPE_BINARY;
}

bool nl_policy_put(struct nlmsghdr *nlh, uint16_t type, const struct nla_policy *row,
		   const struct nl_policy_list *list)
{
	struct nlattr *nest;

	if (row->kind == NLA_K_UNSPEC || row->kind == NLA_K_REJECT)
		return false;
	nest = nl_nest(nlh, type | NLA_F_NESTED);
	mnl_attr_put_u32(nlh, NL_POLICY_TYPE_ATTR_TYPE, put_limits(nlh, row, list));
	mnl_attr_nest_end(nlh, nest);
	return true;
}
