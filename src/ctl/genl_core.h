/*
 * genl_core: what genl.c (the families and their requests) and genl_ctrl.c (nlctrl, which tells of
 * them) share.
 */
#pragma once

#include "ctl/genl.h"
#include "ctl/nl_sock.h"

/* A registered family. */
struct genl_reg {
	struct cds_list_head link; /* in genl.regs, by id */
	const struct genl_family *f;
	uint16_t id;
	unsigned group0;	  /* the number of its first group; 0: it has none */
	struct nl_handler dump[]; /* [f->n_ops]: what nl calls for dumps of f->ops[i] */
};

struct genl {
	struct cds_list_head regs;
	uint16_t last_id;
	uint64_t groups[NL_GROUPS_MAX / 64 + 1]; /* numbers in use, by bit */
};

static inline struct genl *genl_of(const struct weft *weft)
{
	return weft->nl->ctrl;
}

struct genl_reg *genl_by_id(const struct weft *weft, unsigned id);
struct genl_reg *genl_by_name(const struct weft *weft, const char *name);
struct genl_reg *genl_reg_of(const struct weft *weft, const struct genl_family *f);

extern const struct genl_family genl_ctrl_family, genl_tcp_metrics_family;
/* Tells nlctrl's listeners that reg has come (CTRL_CMD_NEWFAMILY, NEWMCAST_GRP) or gone. */
void genl_ctrl_notify(struct weft *weft, const struct genl_reg *reg, bool come);
