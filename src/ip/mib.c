/* mib: names of the MIB counters, and their sums. */
#include "ip/ip4_core.h"

const struct ip4_mib_name ip4_mib_names[N_MIBS] = {
#define MIB(group, name) {#group, #name},
#include "ip/mib.def"
#undef MIB
};

uint64_t ip4_mib_sum(const struct net *net, enum ip4_mib m)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < net->weft->n_workers; i++)
		sum += READ_ONCE(net->ip4->mib[i].v[m]);
	return sum;
}

uint64_t ip4_icmpmsg_sum(const struct net *net, uint8_t type, bool out)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < net->weft->n_workers; i++) {
		const struct ip4_mibs *m = &net->ip4->mib[i];
		sum += out ? READ_ONCE(m->icmp_out[type]) : READ_ONCE(m->icmp_in[type]);
	}
	return sum;
}
