/*
 * cbpf: the classic BPF machine (McCanne & Jacobson, 1993) as Linux has it, interpreted.
 *
 * A program is checked once, then run on packets by any thread. Linux's ancillary loads
 * (SKF_AD_* in linux/filter.h) and SKF_NET_OFF / SKF_LL_OFF are supported. Loads outside the packet
 * end the program with 0, as in the kernel.
 */
#pragma once

#include <linux/filter.h>

#include "pkt/pkt.h"

struct cbpf;

/* Checks and copies a program. 0, -EINVAL (the kernel's sk_chk_filter rules) or -ENOMEM. */
int cbpf_new(const struct sock_filter *insns, unsigned n, struct cbpf **out);
void cbpf_free(
	struct cbpf *prog); /* NULL is fine; readers must be gone (call after a grace period) */
/* Runs over the packet's bytes from its current data offset; returns the bytes to keep, 0: reject.
 * `ifindex`, `hatype` are the device's. Borrows. */
uint32_t cbpf_run(const struct cbpf *prog, const struct pkt *p, int ifindex, uint16_t hatype);
unsigned cbpf_len(const struct cbpf *prog);
const struct sock_filter *cbpf_insns(const struct cbpf *prog);
