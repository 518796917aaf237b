/*
 * nl_attr: attributes of a request, checked against the table of their family.
 *
 * The rules are those of Linux's attribute validation: what a liberal parse lets pass (unknown
 * types, trailing bytes, integers that are too long) old programs rely on; a strict one refuses.
 */
#include "ctl/nl.h"

#define NEST_MAX 10 /* nested tables; deeper is refused, not walked */

/* The checks a mode stands for. */
enum {
	V_TRAILING = 1,
	V_MAXTYPE = 2,
	V_UNSPEC = 4,
	V_LENGTH = 8,
	V_NESTED = 16,
};

static unsigned mode_checks(enum nl_strict mode)
{
	switch (mode) {
	case NL_STRICT:
		return V_TRAILING | V_MAXTYPE | V_UNSPEC | V_LENGTH | V_NESTED;
	case NL_DSTRICT:
		return V_TRAILING | V_MAXTYPE;
	default:
		return 0;
	}
}

struct parse {
	const struct nlattr **tb;
	unsigned max;
	const struct nla_policy *policy;
	unsigned n_policy;
	unsigned checks;
	unsigned depth;
	const void *base;
	struct extack *ext;
};

static int parse_attrs(const struct parse *p, const void *attrs, size_t len);

static const struct nla_policy no_policy;

static const struct nla_policy *find_row(const struct parse *p, uint16_t type)
{
	if (type < p->n_policy && p->policy[type].type == type)
		return &p->policy[type];
	for (unsigned i = 0; i < p->n_policy; i++)
		if (p->policy[i].type == type)
			return &p->policy[i];
	return &no_policy;
}

static int bad(const struct parse *p, const struct nlattr *a, int err, const char *msg)
{
	if (p->ext) {
		p->ext->msg = msg;
		p->ext->bad_off = p->base ? (uint32_t)((const char *)a - (const char *)p->base) : 0;
	}
	return err;
}

/* The same, where the row that was broken is told too. */
static int bad_row(const struct parse *p, const struct nlattr *a, const struct nla_policy *row,
		   int err, const char *msg)
{
	if (p->ext)
		p->ext->policy = row;
	return bad(p, a, err, msg);
}

static int fails(const struct parse *p, const struct nlattr *a, const struct nla_policy *row,
		 int err)
{
	return bad_row(p, a, row, err, "Attribute failed policy validation");
}

/* The fixed size of a kind of integer; 0: none. */
static unsigned kind_size(uint8_t kind)
{
	switch (kind) {
	case NLA_K_U8:
		return 1;
	case NLA_K_U16:
		return 2;
	case NLA_K_U32:
	case NLA_K_S32:
		return 4;
	case NLA_K_U64:
		return 8;
	default:
		return 0;
	}
}

static int check_string(const struct parse *p, const struct nlattr *a, const struct nla_policy *row,
			size_t len)
{
	const char *s = mnl_attr_get_payload(a);

	if (row->kind == NLA_K_NUL_STRING) {
		size_t n = row->len ? MIN(len, (size_t)row->len + 1) : len;
		if (!n || !memchr(s, 0, n))
			return fails(p, a, row, -EINVAL);
	}
	if (len < 1)
		return fails(p, a, row, -ERANGE);
	if (row->len) {
		if (s[len - 1] == 0)
			len--;
		if (len > row->len)
			return fails(p, a, row, -ERANGE);
	}
	return 0;
}

static int check_nested(const struct parse *p, const struct nlattr *a, const struct nla_policy *row,
			size_t len)
{
	if (len == 0)
		return 0;
	if (len < sizeof(struct nlattr))
		return fails(p, a, row, -ERANGE);
	if (!row->nested)
		return 0;

	struct parse sub = *p;
	sub.tb = NULL;
	sub.policy = row->nested;
	sub.n_policy = row->n_nested;
	sub.max = 0;
	for (unsigned i = 0; i < row->n_nested; i++)
		if (row->nested[i].type > sub.max)
			sub.max = row->nested[i].type;
	sub.depth = p->depth + 1;
	return parse_attrs(&sub, mnl_attr_get_payload(a), len);
}

static int check_range(const struct parse *p, const struct nlattr *a, const struct nla_policy *row)
{
	uint64_t v;

	if (row->mask && (mnl_attr_get_u32(a) & ~row->mask))
		return bad(p, a, -EINVAL, "reserved bit set");
	if (!row->max && !row->min)
		return 0;
	switch (row->kind) {
	case NLA_K_U8:
		v = mnl_attr_get_u8(a);
		break;
	case NLA_K_U16:
		v = mnl_attr_get_u16(a);
		break;
	case NLA_K_U32:
		v = mnl_attr_get_u32(a);
		break;
	case NLA_K_U64:
		v = mnl_attr_get_u64(a);
		break;
	case NLA_K_S32: {
		int32_t i = (int32_t)mnl_attr_get_u32(a);
		if (i < (int32_t)row->min || (row->max && i > (int32_t)row->max))
			return bad_row(p, a, row, -ERANGE, "integer out of range");
		return 0;
	}
	default:
		return 0;
	}
	if (v < row->min || (row->max && v > row->max))
		return bad_row(p, a, row, -ERANGE, "integer out of range");
	return 0;
}

static int check_bitfield(const struct parse *p, const struct nlattr *a,
			  const struct nla_policy *row, size_t len)
{
	struct nla_bitfield32 b;

	if (len != sizeof(b))
		return fails(p, a, row, -ERANGE);
	memcpy(&b, mnl_attr_get_payload(a), sizeof(b));
	if (b.value & ~b.selector)
		return fails(p, a, row, -EINVAL);
	return 0;
}

static bool strict_by_type(const struct parse *p, unsigned type)
{
	for (unsigned i = 0; i < p->n_policy; i++)
		if (p->policy[i].strict_start && p->policy[i].type <= type)
			return true;
	return false;
}

static int check_attr(const struct parse *p, const struct nlattr *a)
{
	const struct nla_policy *row = find_row(p, mnl_attr_get_type(a));
	size_t len = mnl_attr_get_payload_len(a);
	unsigned size = kind_size(row->kind);
	unsigned checks = p->checks;

	if (strict_by_type(p, mnl_attr_get_type(a)))
		checks |= mode_checks(NL_STRICT);
	if (row->kind == NLA_K_EXACT)
		size = row->len;
	if (size && len != size && (checks & V_LENGTH))
		return bad_row(p, a, row, -EINVAL, "invalid attribute length");
	if (checks & V_NESTED) {
		bool nested = a->nla_type & NLA_F_NESTED;
		if (row->kind == NLA_K_NESTED && !nested)
			return bad_row(p, a, row, -EINVAL, "NLA_F_NESTED is missing");
		if (row->kind != NLA_K_NESTED && row->kind != NLA_K_UNSPEC && nested)
			return bad_row(p, a, row, -EINVAL, "NLA_F_NESTED not expected");
	}
	switch (row->kind) {
	case NLA_K_REJECT:
		return fails(p, a, row, -EINVAL);
	case NLA_K_FLAG:
		return len ? fails(p, a, row, -ERANGE) : 0;
	case NLA_K_STRING:
	case NLA_K_NUL_STRING:
		return check_string(p, a, row, len);
	case NLA_K_BINARY:
		if (row->len && len > row->len)
			break;
		return 0;
	case NLA_K_NESTED:
		return check_nested(p, a, row, len);
	case NLA_K_BITFIELD32:
		return check_bitfield(p, a, row, len);
	case NLA_K_UNSPEC:
		if (checks & V_UNSPEC)
			return bad(p, a, -EINVAL, "Unsupported attribute");
		if (len < row->len)
			break;
		return 0;
	default:
		if (len < size)
			break;
		return check_range(p, a, row);
	}
	return fails(p, a, row, -ERANGE);
}

static int parse_attrs(const struct parse *p, const void *attrs, size_t len)
{
	const uint8_t *at = attrs;

	if (p->depth >= NEST_MAX)
		return extack_set(p->ext, -EINVAL, "allowed policy recursion depth exceeded");
	while (len >= sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)at;
		if (a->nla_len < sizeof(*a) || a->nla_len > len)
			break;
		unsigned type = mnl_attr_get_type(a);
		if (type == 0 || type > p->max) {
			if (p->checks & V_MAXTYPE)
				return bad(p, a, -EINVAL, "Unknown attribute type");
		} else {
			int err = p->policy ? check_attr(p, a) : 0;
			if (err)
				return err;
			if (p->tb)
				p->tb[type] = a;
		}
		size_t step = MIN(MNL_ALIGN((size_t)a->nla_len), len);
		at += step;
		len -= step;
	}
	if (len > 0) {
		/* A warning even where it is no error: the program hears of it with its ACK. */
		int err = (p->checks & V_TRAILING) ? -EINVAL : 0;
		return extack_set(p->ext, err, "bytes leftover after parsing attributes");
	}
	return 0;
}

int nl_parse(const struct nlattr **tb, unsigned max, const void *attrs, size_t len,
	     const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict,
	     const void *base, struct extack *ext)
{
	const struct parse p = {.tb = tb,
				.max = max,
				.policy = policy,
				.n_policy = n_policy,
				.checks = mode_checks(strict),
				.base = base,
				.ext = ext};

	memset(tb, 0, (max + 1) * sizeof(*tb));
	return parse_attrs(&p, attrs, len);
}

int nl_parse_nested(const struct nlattr **tb, unsigned max, const struct nlattr *nest,
		    const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict,
		    const void *base, struct extack *ext)
{
	if (strict == NL_STRICT && !(nest->nla_type & NLA_F_NESTED)) {
		memset(tb, 0, (max + 1) * sizeof(*tb));
		if (ext)
			ext->bad_off = (uint32_t)((const char *)nest - (const char *)base);
		return extack_set(ext, -EINVAL, "NLA_F_NESTED is missing");
	}
	return nl_parse(tb, max, mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), policy,
			n_policy, strict, base, ext);
}

size_t nl_get_str(char *to, size_t room, const struct nlattr *a)
{
	size_t len = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	size_t n = MIN(len, room - 1);

	memcpy(to, mnl_attr_get_payload(a), n);
	to[n] = 0;
	return len;
}

struct nlattr *nl_nest(struct nlmsghdr *nlh, uint16_t type)
{
	struct nlattr *nest = mnl_nlmsg_get_payload_tail(nlh);

	nest->nla_type = type;
	nest->nla_len = sizeof(*nest);
	nlh->nlmsg_len += MNL_ALIGN(sizeof(*nest));
	return nest;
}

int nl_bad_attr(struct nl_req *r, const struct nlattr *a, int err, const char *msg)
{
	if (a)
		r->ext.bad_off = (uint32_t)((const char *)a - (const char *)r->nlh);
	r->ext.msg = msg;
	return err;
}
