/*
 * genl_ctrl: the family "nlctrl": which families there are (`genl ctrl list`, and what every
 * program asks before it speaks to one), what their commands take, and the news of both.
 */
#include "ctl/genl_core.h"
#include "ctl/nl_policy.h"
#include "net/net.h"

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy family_policy[] = {
	ROW(CTRL_ATTR_FAMILY_ID, U16),
	ROW(CTRL_ATTR_FAMILY_NAME, NUL_STRING, .len = GENL_NAMSIZ - 1),
};

static const struct nla_policy policy_policy[] = {
	ROW(CTRL_ATTR_FAMILY_ID, U16),
	ROW(CTRL_ATTR_FAMILY_NAME, NUL_STRING, .len = GENL_NAMSIZ - 1),
	ROW(CTRL_ATTR_OP, U32),
};

/* ---- commands of a family, rows of one command taken together ---- */

struct command {
	const struct genl_op *doit, *dump; /* NULL: cannot */
};

static struct command command_of(const struct genl_family *f, unsigned cmd)
{
	struct command c = {0};

	for (unsigned i = 0; i < f->n_ops; i++) {
		const struct genl_op *op = &f->ops[i];
		if (op->cmd != cmd)
			continue;
		if (op->doit && !c.doit)
			c.doit = op;
		if (op->dump && !c.dump)
			c.dump = op;
	}
	return c;
}

/* Is row i the first of its command? */
static bool first_row(const struct genl_family *f, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (f->ops[j].cmd == f->ops[i].cmd)
			return false;
	return true;
}

static uint32_t command_flags(const struct command *c)
{
	uint32_t flags = 0;

	if (c->doit)
		flags |= GENL_CMD_CAP_DO | c->doit->flags;
	if (c->dump)
		flags |= GENL_CMD_CAP_DUMP | c->dump->flags;
	if ((c->doit && c->doit->policy) || (c->dump && c->dump->policy))
		flags |= GENL_CMD_CAP_HASPOL;
	return flags;
}

/* ---- telling of a family ---- */

static size_t family_size(const struct genl_family *f)
{
	return 128 + f->n_ops * 24 + f->n_groups * (24 + GENL_NAMSIZ);
}

static void put_ops(struct nlmsghdr *nlh, const struct genl_family *f)
{
	struct nlattr *nest, *one;
	uint16_t n = 0;

	if (!f->n_ops)
		return;
	nest = nl_nest(nlh, CTRL_ATTR_OPS);
	for (unsigned i = 0; i < f->n_ops; i++) {
		if (!first_row(f, i))
			continue;
		struct command c = command_of(f, f->ops[i].cmd);
		one = nl_nest(nlh, ++n);
		mnl_attr_put_u32(nlh, CTRL_ATTR_OP_ID, f->ops[i].cmd);
		mnl_attr_put_u32(nlh, CTRL_ATTR_OP_FLAGS, command_flags(&c));
		mnl_attr_nest_end(nlh, one);
	}
	mnl_attr_nest_end(nlh, nest);
}

/* Groups from `first` on, n of them. */
static void put_groups(struct nlmsghdr *nlh, const struct genl_reg *reg, unsigned first, unsigned n)
{
	struct nlattr *nest, *one;

	if (!n)
		return;
	nest = nl_nest(nlh, CTRL_ATTR_MCAST_GROUPS);
	for (unsigned i = 0; i < n; i++) {
		one = nl_nest(nlh, (uint16_t)(i + 1));
		mnl_attr_put_u32(nlh, CTRL_ATTR_MCAST_GRP_ID, reg->group0 + first + i);
		mnl_attr_put_strz(nlh, CTRL_ATTR_MCAST_GRP_NAME, reg->f->groups[first + i]);
		mnl_attr_nest_end(nlh, one);
	}
	mnl_attr_nest_end(nlh, nest);
}

static void put_identity(struct nlmsghdr *nlh, const struct genl_reg *reg)
{
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, reg->f->name);
	mnl_attr_put_u16(nlh, CTRL_ATTR_FAMILY_ID, reg->id);
}

static void fill_family(struct nlmsghdr *nlh, const struct genl_reg *reg)
{
	put_identity(nlh, reg);
	mnl_attr_put_u32(nlh, CTRL_ATTR_VERSION, reg->f->version);
	mnl_attr_put_u32(nlh, CTRL_ATTR_HDRSIZE, reg->f->hdrsize);
	mnl_attr_put_u32(nlh, CTRL_ATTR_MAXATTR, reg->f->maxattr);
	put_ops(nlh, reg->f);
	put_groups(nlh, reg, 0, reg->f->n_groups);
}

/* The family that attributes name; -EINVAL: none do. */
static int find_family(const struct genl_info *info, const struct genl_reg **reg)
{
	const struct weft *weft = info->r->weft;
	const struct nlattr *id = info->tb[CTRL_ATTR_FAMILY_ID];
	const struct nlattr *name = info->tb[CTRL_ATTR_FAMILY_NAME];

	if (!id && !name)
		return -EINVAL;
	*reg = name ? genl_by_name(weft, mnl_attr_get_payload(name))
		    : genl_by_id(weft, mnl_attr_get_u16(id));
	return *reg ? 0 : -ENOENT;
}

static int family_get(struct genl_info *info)
{
	const struct genl_reg *reg;
	int err = find_family(info, &reg);

	if (err)
		return err;
	struct nlmsghdr *nlh = genl_reply_new(info, CTRL_CMD_NEWFAMILY, family_size(reg->f));
	if (!nlh)
		return -ENOBUFS;
	fill_family(nlh, reg);
	return genl_reply(info, nlh);
}

/* state[0]: the id of the last that was told. */
static int family_dump(struct nl_dump *d)
{
	const struct genl_reg *reg;

	cds_list_for_each_entry (reg, &genl_of(d->req.weft)->regs, link) {
		if (reg->id <= d->state[0])
			continue;
		struct nlmsghdr *nlh = genl_dump_msg(d, &genl_ctrl_family, CTRL_CMD_NEWFAMILY,
						     family_size(reg->f));
		if (!nlh)
			return 1;
		fill_family(nlh, reg);
		nl_dump_end(d, nlh, true);
		d->state[0] = reg->id;
	}
	return 0;
}

/* ---- what commands take: CTRL_CMD_GETPOLICY ---- */

/* Behind nl_dump.ptr. */
struct policy_dump {
	const struct genl_family *f;
	uint16_t id;
	bool one_op; /* of command `cmd` alone */
	unsigned cmd;
	unsigned row;		    /* f->ops: commands told up to here */
	struct nl_policy_list list; /* the tables found, nested ones behind those that hold them */
	unsigned at, attr;	    /* list: table and type to go on with */
};

static void policy_done(struct nl_dump *d)
{
	struct policy_dump *s = d->ptr;

	free(s->list.v);
	free(s);
}

static int add_op(struct policy_dump *s, const struct genl_op *op)
{
	if (!op || !op->policy)
		return 0;
	return nl_policy_list_add(&s->list, op->policy, op->n_policy, op->maxattr);
}

static int add_command(struct policy_dump *s, unsigned cmd)
{
	struct command c = command_of(s->f, cmd);
	int err = add_op(s, c.doit);

	return err ? err : add_op(s, c.dump);
}

static int policy_start(struct nl_dump *d, const struct genl_info *info)
{
	const struct nlattr *op = info->tb[CTRL_ATTR_OP], *id = info->tb[CTRL_ATTR_FAMILY_ID];
	const struct genl_reg *reg;
	struct genl_info by = *info;
	const struct nlattr *tb[CTRL_ATTR_FAMILY_NAME + 1] = {
		[CTRL_ATTR_FAMILY_ID] = id,
		/* here the id goes before the name */
		[CTRL_ATTR_FAMILY_NAME] = id ? NULL : info->tb[CTRL_ATTR_FAMILY_NAME]};

	by.tb = tb;
	int err = find_family(&by, &reg);
	if (err)
		return err;
	struct policy_dump *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	d->ptr = s;
	d->done = policy_done;
	s->f = reg->f;
	s->id = reg->id;
	if (op) {
		s->one_op = true;
		s->cmd = nl_get_u32(op);
		struct command c = command_of(s->f, s->cmd);
		if (!c.doit && !c.dump)
			return nl_bad_attr(info->r, op, -ENOENT, NULL);
		err = add_command(s, s->cmd);
	}
	for (unsigned i = 0; !err && !op && i < s->f->n_ops; i++)
		if (first_row(s->f, i))
			err = add_command(s, s->f->ops[i].cmd);
	if (err)
		return err;
	return s->list.n ? 0 : -ENODATA;
}

static struct nlmsghdr *policy_msg(struct nl_dump *d, const struct policy_dump *s)
{
	struct nlmsghdr *nlh =
		genl_dump_msg(d, &genl_ctrl_family, CTRL_CMD_GETPOLICY, 32 + NL_POLICY_ATTR_SIZE);

	if (nlh)
		mnl_attr_put_u16(nlh, CTRL_ATTR_FAMILY_ID, s->id);
	return nlh;
}

static void put_index(struct nlmsghdr *nlh, const struct policy_dump *s, uint16_t attr,
		      const struct genl_op *op)
{
	if (op && op->policy)
		mnl_attr_put_u32(nlh, attr, nl_policy_list_find(&s->list, op->policy, op->maxattr));
}

/* Which tables a command's requests follow. False: the datagram is full. */
static bool put_command(struct nl_dump *d, const struct policy_dump *s, unsigned cmd)
{
	struct command c = command_of(s->f, cmd);
	struct nlattr *nest, *one;
	struct nlmsghdr *nlh;

	if (!(c.doit && c.doit->policy) && !(c.dump && c.dump->policy))
		return true;
	nlh = policy_msg(d, s);
	if (!nlh)
		return false;
	nest = nl_nest(nlh, CTRL_ATTR_OP_POLICY | NLA_F_NESTED);
	/* Linux numbers a command that can only be dumped 0. */
	one = nl_nest(nlh, (uint16_t)(c.doit ? cmd : 0) | NLA_F_NESTED);
	put_index(nlh, s, CTRL_ATTR_POLICY_DO, c.doit);
	put_index(nlh, s, CTRL_ATTR_POLICY_DUMP, c.dump);
	mnl_attr_nest_end(nlh, one);
	mnl_attr_nest_end(nlh, nest);
	nl_dump_end(d, nlh, true);
	return true;
}

static bool put_commands(struct nl_dump *d, struct policy_dump *s)
{
	if (s->one_op) {
		if (s->row == 0 && !put_command(d, s, s->cmd))
			return false;
		s->row = s->f->n_ops;
	}
	for (; s->row < s->f->n_ops; s->row++)
		if (first_row(s->f, s->row) && !put_command(d, s, s->f->ops[s->row].cmd))
			return false;
	return true;
}

static bool put_attr(struct nl_dump *d, const struct policy_dump *s, const struct nla_policy *row)
{
	struct nlattr *nest, *table;
	struct nlmsghdr *nlh = policy_msg(d, s);

	if (!nlh)
		return false;
	nest = nl_nest(nlh, CTRL_ATTR_POLICY | NLA_F_NESTED);
	table = nl_nest(nlh, (uint16_t)s->at | NLA_F_NESTED);
	bool told = nl_policy_put(nlh, (uint16_t)s->attr, row, &s->list);
	mnl_attr_nest_end(nlh, table);
	mnl_attr_nest_end(nlh, nest);
	nl_dump_end(d, nlh, told);
	return true;
}

static int policy_dump(struct nl_dump *d)
{
	struct policy_dump *s = d->ptr;

	if (!put_commands(d, s))
		return 1;
	for (; s->at < s->list.n; s->at++, s->attr = 0) {
		const struct nl_policy_table *t = &s->list.v[s->at];
		for (; s->attr <= t->max; s->attr++) {
			const struct nla_policy *row = nl_policy_find(t->rows, t->n, s->attr);
			if (row && !put_attr(d, s, row))
				return 1;
		}
	}
	return 0;
}

/* ---- news ---- */

static void tell(struct weft *weft, uint8_t cmd, const struct genl_reg *reg, int group)
{
	struct nlmsghdr *nlh;
	struct net *net;

	cds_list_for_each_entry (net, &weft->nets->nets, link) {
		if (!net->nl || !genl_has_listeners(net, &genl_ctrl_family, 0))
			continue;
		nlh = genl_msg_new(weft, &genl_ctrl_family, cmd, 0, 0, family_size(reg->f));
		if (!nlh)
			return;
		if (group < 0) {
			fill_family(nlh, reg);
		} else {
			put_identity(nlh, reg);
			put_groups(nlh, reg, (unsigned)group, 1);
		}
		genl_multicast(net, &genl_ctrl_family, 0, nlh, 0);
	}
}

void genl_ctrl_notify(struct weft *weft, const struct genl_reg *reg, bool come)
{
	/* Before the first namespace there is nobody to tell. */
	if (!weft->nets)
		return;
	if (come)
		tell(weft, CTRL_CMD_NEWFAMILY, reg, -1);
	for (unsigned i = 0; i < reg->f->n_groups; i++)
		tell(weft, come ? CTRL_CMD_NEWMCAST_GRP : CTRL_CMD_DELMCAST_GRP, reg, (int)i);
	if (!come)
		tell(weft, CTRL_CMD_DELFAMILY, reg, -1);
}

static const struct genl_op ctrl_ops[] = {
	{.cmd = CTRL_CMD_GETFAMILY,
	 .doit_mode = NL_LIBERAL,
	 .dump_mode = NL_STRICT,
	 .policy = family_policy,
	 .n_policy = ARRAY_SIZE(family_policy),
	 .maxattr = CTRL_ATTR_FAMILY_NAME,
	 .doit = family_get,
	 .dump = family_dump},
	{.cmd = CTRL_CMD_GETPOLICY,
	 .dump_mode = NL_STRICT,
	 .policy = policy_policy,
	 .n_policy = ARRAY_SIZE(policy_policy),
	 .maxattr = CTRL_ATTR_OP,
	 .start = policy_start,
	 .dump = policy_dump},
};

static const char *const ctrl_groups[] = {"notify"};

const struct genl_family genl_ctrl_family = {
	.name = "nlctrl",
	.version = 2,
	.id = GENL_ID_CTRL,
	.ops = ctrl_ops,
	.n_ops = ARRAY_SIZE(ctrl_ops),
	.resv_start_op = CTRL_CMD_GETPOLICY + 1,
	.groups = ctrl_groups,
	.n_groups = ARRAY_SIZE(ctrl_groups),
};
