/*
 * sock_diag_bc: the small machine by which ss(8) chooses sockets ("sport = :80 and not dst 10/8").
 *
 * A program is a row of conditions with two jumps forward, `yes` and `no`, in bytes; it accepts
 * when it ends exactly at its end, and rejects when a jump goes four bytes beyond. A check before
 * the run sees to it that every jump leads to an instruction, so that running ends and stays
 * inside.
 */
#include "ctl/sock_diag_core.h"

/* Does the row of instructions have one with `left` bytes from it to the end? */
static bool leads_to(const uint8_t *bc, size_t len, size_t left)
{
	while (len >= left) {
		const struct inet_diag_bc_op *op = (const struct inet_diag_bc_op *)bc;

		if (len == left)
			return true;
		if (op->yes < 4 || op->yes & 3 || op->yes > len)
			return false;
		len -= op->yes;
		bc += op->yes;
	}
	return false;
}

/* Bytes of a condition on an address; 0: it is malformed. */
static size_t hostcond_size(const uint8_t *bc, size_t len)
{
	const struct inet_diag_hostcond *c;
	size_t size = sizeof(struct inet_diag_bc_op) + sizeof(*c), addr;

	if (len < size)
		return 0;
	c = (const struct inet_diag_hostcond *)(bc + sizeof(struct inet_diag_bc_op));
	switch (c->family) {
	case AF_UNSPEC:
		addr = 0;
		break;
	case AF_INET:
		addr = 4;
		break;
	case AF_INET6:
		addr = 16;
		break;
	default:
		return 0;
	}
	return c->prefix_len > 8 * addr || len < size + addr ? 0 : size + addr;
}

/* Bytes the instruction needs; 0: it is none. */
static size_t op_size(const uint8_t *bc, size_t len)
{
	const struct inet_diag_bc_op *op = (const struct inet_diag_bc_op *)bc;
	size_t size = sizeof(*op);

	switch (op->code) {
	case INET_DIAG_BC_NOP:
	case INET_DIAG_BC_JMP:
	case INET_DIAG_BC_AUTO:
		break;
	case INET_DIAG_BC_S_COND:
	case INET_DIAG_BC_D_COND:
		return hostcond_size(bc, len);
	case INET_DIAG_BC_S_EQ:
	case INET_DIAG_BC_S_GE:
	case INET_DIAG_BC_S_LE:
	case INET_DIAG_BC_D_EQ:
	case INET_DIAG_BC_D_GE:
	case INET_DIAG_BC_D_LE:
		size += sizeof(*op);
		break;
	case INET_DIAG_BC_DEV_COND:
		size += sizeof(uint32_t);
		break;
	case INET_DIAG_BC_MARK_COND:
		size += sizeof(struct inet_diag_markcond);
		break;
	case INET_DIAG_BC_CGROUP_COND:
		size += sizeof(uint64_t);
		break;
	default:
		return 0;
	}
	return size <= len ? size : 0;
}

int sock_diag_bc_check(const void *bytecode, size_t all)
{
	const uint8_t *bc = bytecode;
	size_t len = all;

	while (len > 0) {
		const struct inet_diag_bc_op *op = (const struct inet_diag_bc_op *)bc;
		size_t least = len < sizeof(*op) ? 0 : op_size(bc, len);

		if (!least)
			return -EINVAL;
		if (op->code != INET_DIAG_BC_NOP) {
			if (op->no < least || op->no > len + 4 || op->no & 3)
				return -EINVAL;
			if (op->no < len && !leads_to(bytecode, all, len - op->no))
				return -EINVAL;
		}
		if (op->yes < least || op->yes > len + 4 || op->yes & 3 || op->yes > len)
			return -EINVAL;
		bc += op->yes;
		len -= op->yes;
	}
	return 0;
}

static bool addr_matches(const struct inet_diag_hostcond *c, uint32_t addr)
{
	uint32_t mask = c->prefix_len ? __builtin_bswap32(~0u << (32 - c->prefix_len)) : 0;

	return !((addr ^ c->addr[0]) & mask);
}

static bool host_matches(const struct inet_diag_hostcond *c, uint32_t addr, uint16_t port)
{
	if (c->port != -1 && c->port != port)
		return false;
	if (c->family != AF_UNSPEC && c->family != AF_INET)
		return false;
	return !c->prefix_len || addr_matches(c, addr);
}

static bool condition(const struct inet_diag_bc_op *op, const struct sock_diag_entry *e)
{
	const void *arg = op + 1;
	const struct inet_diag_markcond *m = arg;

	switch (op->code) {
	case INET_DIAG_BC_JMP:
		return false;
	case INET_DIAG_BC_S_EQ:
		return e->sport == op[1].no;
	case INET_DIAG_BC_S_GE:
		return e->sport >= op[1].no;
	case INET_DIAG_BC_S_LE:
		return e->sport <= op[1].no;
	case INET_DIAG_BC_D_EQ:
		return e->dport == op[1].no;
	case INET_DIAG_BC_D_GE:
		return e->dport >= op[1].no;
	case INET_DIAG_BC_D_LE:
		return e->dport <= op[1].no;
	case INET_DIAG_BC_AUTO:
		return e->auto_port;
	case INET_DIAG_BC_S_COND:
		return host_matches(arg, e->saddr, e->sport);
	case INET_DIAG_BC_D_COND:
		return host_matches(arg, e->daddr, e->dport);
	case INET_DIAG_BC_DEV_COND:
		return *(const uint32_t *)arg == e->ifindex;
	case INET_DIAG_BC_MARK_COND:
		return (e->mark & m->mask) == m->mark;
	case INET_DIAG_BC_CGROUP_COND: /* no socket here is in one */
		return false;
	}
	return true;
}

bool sock_diag_bc_run(const void *bytecode, size_t all, const struct sock_diag_entry *e)
{
	const uint8_t *bc = bytecode;
	ssize_t len = (ssize_t)all;

	while (len > 0) {
		const struct inet_diag_bc_op *op = (const struct inet_diag_bc_op *)bc;
		unsigned step = condition(op, e) ? op->yes : op->no;

		len -= (ssize_t)step;
		bc += step;
	}
	return !len;
}
