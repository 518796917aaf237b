/*
 * rtnl_kind: IFLA_INFO_DATA of any kind of device, by its driver's table.
 */
#include "ctl/rtnl.h"

/* Bytes of a parameter in its attribute; strings and bytes: the most. */
static size_t param_len(const struct dev_param *p)
{
	switch (p->type) {
	case PARAM_U8:
		return 1;
	case PARAM_U16:
	case PARAM_BE16:
		return 2;
	case PARAM_U32:
	case PARAM_S32:
		return 4;
	case PARAM_U64:
	case PARAM_BITS:
		return 8;
	case PARAM_FLAG:
		return 0;
	case PARAM_STRING:
		return p->max + 1;
	case PARAM_PAIRS:
		return p->max * (sizeof(struct nlattr) + sizeof(struct dev_pair));
	default:
		return p->max;
	}
}

static const struct dev_param *find_param(const struct dev_kind *kind, unsigned attr, unsigned *at)
{
	for (unsigned i = 0; i < kind->n_params; i++) {
		if (kind->params[i].attr == attr) {
			*at = i;
			return &kind->params[i];
		}
	}
	return NULL;
}

static bool in_range(const struct dev_param *p, const void *val)
{
	int64_t v;

	if (!p->max)
		return true;
	switch (p->type) {
	case PARAM_U8:
		v = *(const uint8_t *)val;
		break;
	case PARAM_U16:
		v = *(const uint16_t *)val;
		break;
	case PARAM_U32:
		v = *(const uint32_t *)val;
		break;
	case PARAM_S32:
		v = *(const int32_t *)val;
		return v >= (int32_t)p->min && v <= (int32_t)p->max;
	default:
		return true;
	}
	return v >= p->min && v <= p->max;
}

static int set_pairs(struct nl_req *r, const struct dev_param *p, const struct nlattr *list,
		     struct dev_pairs *to)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, list) {
		if (mnl_attr_get_type(a) != p->min)
			continue;
		if (mnl_attr_get_payload_len(a) < sizeof(to->v[0]))
			return nl_bad_attr(r, a, -EINVAL, "Attribute failed policy validation");
		if (to->n == p->max)
			return nl_bad_attr(r, a, -ENOBUFS, "too many mappings");
		memcpy(&to->v[to->n++], mnl_attr_get_payload(a), sizeof(to->v[0]));
	}
	return 0;
}

static int set_param(struct nl_req *r, const struct dev_param *p, const struct nlattr *a,
		     uint8_t *to)
{
	size_t len = mnl_attr_get_payload_len(a), want = param_len(p);
	const void *val = mnl_attr_get_payload(a);

	switch (p->type) {
	case PARAM_FLAG:
		*(bool *)to = true;
		return 0;
	case PARAM_STRING:
		if (strnlen(val, len) > p->max)
			break;
		nl_get_str((char *)to, p->max + 1, a);
		return 0;
	case PARAM_PAIRS:
		return set_pairs(r, p, a, (struct dev_pairs *)to);
	case PARAM_BYTES:
		if (len != want)
			break;
		memcpy(to, val, want);
		return 0;
	default:
		if (len < want)
			break;
		if (!in_range(p, val))
			return nl_bad_attr(r, a, -ERANGE, "integer out of range");
		memcpy(to, val, want);
		return 0;
	}
	return nl_bad_attr(r, a, -ERANGE, "Attribute failed policy validation");
}

int rtnl_kind_parse(struct nl_req *r, const struct dev_kind *kind, const struct nlattr *data,
		    void *params, uint64_t given[2], bool create)
{
	const struct nlattr *a;

	given[0] = given[1] = 0;
	if (data) {
		mnl_attr_for_each_nested (a, data) {
			unsigned at;
			const struct dev_param *p = find_param(kind, mnl_attr_get_type(a), &at);
			if (!p)
				continue;
			/* Linux's drivers look only at what they can change. */
			if ((p->flags & PARAM_RDONLY) || (!create && (p->flags & PARAM_CREATE)))
				continue;
			int err = set_param(r, p, a, (uint8_t *)params + p->off);
			if (err)
				return err;
			given[at / 64] |= 1ull << (at % 64);
		}
	}
	for (unsigned i = 0; create && i < kind->n_params; i++) {
		if (!(kind->params[i].flags & PARAM_REQUIRED) || (given[i / 64] >> (i % 64) & 1))
			continue;
		r->ext.has_miss = 1;
		r->ext.miss_type = kind->params[i].attr;
		return -EINVAL;
	}
	return 0;
}

size_t rtnl_kind_size(const struct dev_kind *kind)
{
	size_t n = 0;

	for (unsigned i = 0; i < kind->n_params; i++)
		n += MNL_ALIGN(sizeof(struct nlattr) + param_len(&kind->params[i]));
	return n;
}

static void fill_pairs(struct nlmsghdr *nlh, const struct dev_param *p,
		       const struct dev_pairs *from)
{
	if (!from->n)
		return;
	struct nlattr *list = nl_nest(nlh, p->attr);

	for (unsigned i = 0; i < from->n; i++)
		mnl_attr_put(nlh, (uint16_t)p->min, sizeof(from->v[i]), &from->v[i]);
	mnl_attr_nest_end(nlh, list);
}

void rtnl_kind_fill(struct nlmsghdr *nlh, const struct dev_kind *kind, const void *params)
{
	for (unsigned i = 0; i < kind->n_params; i++) {
		const struct dev_param *p = &kind->params[i];
		const uint8_t *from = (const uint8_t *)params + p->off;

		switch (p->type) {
		case PARAM_FLAG:
			if (*(const bool *)from)
				mnl_attr_put(nlh, p->attr, 0, NULL);
			break;
		case PARAM_PAIRS:
			fill_pairs(nlh, p, (const struct dev_pairs *)from);
			break;
		case PARAM_STRING:
			mnl_attr_put_strz(nlh, p->attr, (const char *)from);
			break;
		default:
			mnl_attr_put(nlh, p->attr, param_len(p), from);
			break;
		}
	}
}
