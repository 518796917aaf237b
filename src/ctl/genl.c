/*
 * genl: NETLINK_GENERIC: the families, their ids and groups, and the way of a request.
 */
#include "ctl/genl.h"

#include "ctl/genl_core.h"
#include "net/net.h"

/* Every family of the instance: one row each. */
static const struct genl_family *const families[] = {
	&genl_ctrl_family,
	&genl_tcp_metrics_family,
};

enum {
	GROUPS_MAX = 64, /* the most that may be joined */
	/* Numbers that Linux keeps for families with fixed ones: 0 is none, 1 is NET_DM's. */
	GROUP_FIRST = 2,
};

/* ---- finding ---- */

struct genl_reg *genl_by_id(const struct weft *weft, unsigned id)
{
	struct genl_reg *reg;

	cds_list_for_each_entry (reg, &genl_of(weft)->regs, link)
		if (reg->id == id)
			return reg;
	return NULL;
}

struct genl_reg *genl_by_name(const struct weft *weft, const char *name)
{
	struct genl_reg *reg;

	cds_list_for_each_entry (reg, &genl_of(weft)->regs, link)
		if (!strcmp(reg->f->name, name))
			return reg;
	return NULL;
}

struct genl_reg *genl_reg_of(const struct weft *weft, const struct genl_family *f)
{
	struct genl_reg *reg;

	cds_list_for_each_entry (reg, &genl_of(weft)->regs, link)
		if (reg->f == f)
			return reg;
	return NULL;
}

static const struct genl_op *find_op(const struct genl_family *f, unsigned cmd, bool dump)
{
	for (unsigned i = 0; i < f->n_ops; i++)
		if (f->ops[i].cmd == cmd &&
		    (dump ? f->ops[i].dump != NULL : f->ops[i].doit != NULL))
			return &f->ops[i];
	return NULL;
}

/* ---- requests ---- */

static int check_header(struct nl_req *r, const struct genl_family *f, const struct genlmsghdr *h)
{
	unsigned flags = r->nlh->nlmsg_flags;

	if (h->cmd < f->resv_start_op)
		return 0;
	if (h->reserved)
		return extack_set(&r->ext, -EINVAL, "genlmsghdr.reserved field is not 0");
	if ((flags & NLM_F_DUMP) == NLM_F_DUMP)
		flags &= ~(unsigned)NLM_F_DUMP;
	if (flags & ~(unsigned)(NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO))
		return extack_set(&r->ext, -EINVAL,
				  "ambiguous or reserved bits set in nlmsg_flags");
	return 0;
}

/* Parses the request's attributes into tb[op->maxattr + 1]. */
static int read_info(struct nl_req *r, const struct genl_family *f, const struct genl_op *op,
		     enum nl_strict mode, const struct nlattr **tb, struct genl_info *info)
{
	const uint8_t *at = mnl_nlmsg_get_payload(r->nlh);
	size_t header = MNL_ALIGN(GENL_HDRLEN + f->hdrsize);
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);

	*info = (struct genl_info){.r = r,
				   .family = f,
				   .hdr = (const struct genlmsghdr *)at,
				   .user_hdr = f->hdrsize ? at + GENL_HDRLEN : NULL,
				   .tb = tb};
	header = MIN(header, len);
	return nl_parse(tb, op->maxattr, at + header, len - header, op->policy, op->n_policy, mode,
			r->nlh, &r->ext);
}

static int run_doit(struct nl_req *r, const struct genl_family *f, const struct genl_op *op)
{
	const struct nlattr **tb = calloc(op->maxattr + 1, sizeof(*tb));
	struct genl_info info;

	if (!tb)
		return -ENOMEM;
	int err = read_info(r, f, op, op->doit_mode, tb, &info);
	if (!err)
		err = op->doit(&info);
	free(tb);
	return err;
}

/* nl_handler.start of every dump. */
static int run_start(struct nl_dump *d)
{
	struct nl_req *r = &d->req;
	const struct genl_reg *reg = genl_by_id(r->weft, r->nlh->nlmsg_type);
	const struct genlmsghdr *h = mnl_nlmsg_get_payload(r->nlh);
	const struct genl_op *op = find_op(reg->f, h->cmd, true);
	const struct nlattr **tb = calloc(op->maxattr + 1, sizeof(*tb));
	struct genl_info info;

	if (!tb)
		return -ENOMEM;
	int err = read_info(r, reg->f, op, op->dump_mode, tb, &info);
	if (!err && op->start)
		err = op->start(d, &info);
	free(tb);
	return err;
}

static int genl_rcv(struct nl_req *r)
{
	const struct genl_reg *reg = genl_by_id(r->weft, r->nlh->nlmsg_type);
	const struct genlmsghdr *h = mnl_nlmsg_get_payload(r->nlh);
	bool dump = (r->nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	if (!reg)
		return -ENOENT;
	if (mnl_nlmsg_get_payload_len(r->nlh) < GENL_HDRLEN + reg->f->hdrsize)
		return -EINVAL;
	int err = check_header(r, reg->f, h);
	if (err)
		return err;
	const struct genl_op *op = find_op(reg->f, h->cmd, dump);
	if (!op)
		return -EOPNOTSUPP;
	if (dump)
		return nl_dump_start(r, &reg->dump[op - reg->f->ops]);
	return run_doit(r, reg->f, op);
}

/* ---- messages ---- */

static void put_headers(struct nlmsghdr *nlh, const struct genl_family *f, uint8_t cmd)
{
	struct genlmsghdr *h = mnl_nlmsg_put_extra_header(nlh, sizeof(*h));

	h->cmd = cmd;
	h->version = f->version;
	if (f->hdrsize)
		mnl_nlmsg_put_extra_header(nlh, f->hdrsize);
}

static size_t headers_size(const struct genl_family *f)
{
	return GENL_HDRLEN + MNL_ALIGN(f->hdrsize);
}

struct nlmsghdr *genl_msg_new(struct weft *weft, const struct genl_family *f, uint8_t cmd,
			      uint32_t portid, uint32_t seq, size_t payload)
{
	const struct genl_reg *reg = genl_reg_of(weft, f);
	void *buf = reg ? calloc(1, NLMSG_SPACE(headers_size(f) + payload)) : NULL;

	if (!buf)
		return NULL;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = reg->id;
	nlh->nlmsg_pid = portid;
	nlh->nlmsg_seq = seq;
	put_headers(nlh, f, cmd);
	return nlh;
}

struct nlmsghdr *genl_reply_new(const struct genl_info *info, uint8_t cmd, size_t payload)
{
	return genl_msg_new(info->r->weft, info->family, cmd, info->r->portid,
			    info->r->nlh->nlmsg_seq, payload);
}

int genl_reply(const struct genl_info *info, struct nlmsghdr *nlh)
{
	int err = nl_reply(info->r, nlh, nlh->nlmsg_len);

	free(nlh);
	return err;
}

struct nlmsghdr *genl_dump_msg(struct nl_dump *d, const struct genl_family *f, uint8_t cmd,
			       size_t payload)
{
	const struct genl_reg *reg = genl_reg_of(d->req.weft, f);
	struct nlmsghdr *nlh = reg ? nl_dump_msg(d, reg->id, headers_size(f) + payload) : NULL;

	if (nlh)
		put_headers(nlh, f, cmd);
	return nlh;
}

bool genl_has_listeners(struct net *net, const struct genl_family *f, unsigned group)
{
	const struct genl_reg *reg = genl_reg_of(net->weft, f);

	return reg && nl_has_listeners(net, NETLINK_GENERIC, reg->group0 + group);
}

void genl_multicast(struct net *net, const struct genl_family *f, unsigned group,
		    struct nlmsghdr *nlh, uint32_t portid)
{
	const struct genl_reg *reg = genl_reg_of(net->weft, f);

	if (reg)
		nl_multicast(net, NETLINK_GENERIC, reg->group0 + group, nlh, nlh->nlmsg_len,
			     portid);
	free(nlh);
}

/* ---- families come and go ---- */

static bool group_used(const struct genl *g, unsigned n)
{
	return g->groups[n / 64] >> (n % 64) & 1;
}

static void mark_groups(struct genl *g, const struct genl_reg *reg)
{
	for (unsigned n = reg->group0; n < reg->group0 + reg->f->n_groups; n++)
		g->groups[n / 64] ^= 1ull << (n % 64);
}

/* Numbers in a row for a family's groups; a family with a fixed id has the group of that number. */
static int choose_groups(const struct genl *g, struct genl_reg *reg)
{
	unsigned want = reg->f->n_groups, run = 0;

	if (!want)
		return 0;
	if (reg->f->id) {
		reg->group0 = reg->f->id;
		return 0;
	}
	for (unsigned n = GROUP_FIRST; n <= GROUPS_MAX; n++) {
		bool fixed = n >= GENL_ID_CTRL && n < GENL_START_ALLOC;
		run = fixed || group_used(g, n) ? 0 : run + 1;
		if (run == want) {
			reg->group0 = n + 1 - want;
			return 0;
		}
	}
	return -ENOSPC;
}

static void insert_by_id(struct genl *g, struct genl_reg *reg)
{
	struct cds_list_head *pos = g->regs.prev;

	while (pos != &g->regs && cds_list_entry(pos, struct genl_reg, link)->id > reg->id)
		pos = pos->prev;
	cds_list_add(&reg->link, pos);
}

int genl_register(struct weft *weft, const struct genl_family *f)
{
	struct genl *g = genl_of(weft);
	struct genl_reg *reg;

	if (genl_by_name(weft, f->name))
		return -EEXIST;
	reg = calloc(1, sizeof(*reg) + f->n_ops * sizeof(reg->dump[0]));
	if (!reg)
		return -ENOMEM;
	reg->f = f;
	int err = choose_groups(g, reg);
	if (err) {
		free(reg);
		return err;
	}
	reg->id = f->id ? f->id : ++g->last_id;
	for (unsigned i = 0; i < f->n_ops; i++)
		reg->dump[i] = (struct nl_handler){
			.type = reg->id, .dump = f->ops[i].dump, .start = run_start};
	mark_groups(g, reg);
	insert_by_id(g, reg);
	genl_ctrl_notify(weft, reg, true);
	return 0;
}

void genl_unregister(struct weft *weft, const struct genl_family *f)
{
	struct genl_reg *reg = genl_reg_of(weft, f);

	if (!reg)
		return;
	nl_type_gone(weft, NETLINK_GENERIC, reg->id, reg->group0, f->n_groups);
	cds_list_del(&reg->link);
	genl_ctrl_notify(weft, reg, false);
	mark_groups(genl_of(weft), reg);
	free(reg);
}

/* ---- life ---- */

static const struct nl_family nl_genl_family = {
	.protocol = NETLINK_GENERIC,
	.n_groups = GROUPS_MAX,
	.rcv = genl_rcv,
};

int genl_init(struct weft *weft)
{
	struct genl *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&g->regs);
	g->last_id = GENL_START_ALLOC - 1;
	weft->nl->ctrl = g;
	err = nl_register(weft, &nl_genl_family);
	for (unsigned i = 0; !err && i < ARRAY_SIZE(families); i++)
		err = genl_register(weft, families[i]);
	if (err)
		genl_fini(weft);
	return err;
}

void genl_fini(struct weft *weft)
{
	struct genl *g = weft->nl ? weft->nl->ctrl : NULL;
	struct genl_reg *reg, *next;

	if (!g)
		return;
	cds_list_for_each_entry_safe (reg, next, &g->regs, link)
		free(reg);
	free(g);
	weft->nl->ctrl = NULL;
}
