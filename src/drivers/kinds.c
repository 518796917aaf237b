/* kinds: see the header. */
#include "drivers/kinds.h"

const struct dev_kind *const weft_kinds[] = {
	&lo_kind, &dummy_kind, &veth_kind, &vlan_kind, NULL,
};
