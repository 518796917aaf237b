#!/bin/sh
# What programs do to sockets and descriptors: fork, vfork, exec, dup, passing, closing, errors, rings
. "$(dirname "$0")/lib.sh"

program=$(dirname "$WEFT")/../shim/shim-test
ok ip link set lo up
for c in peek kin fork vfork dup pass errqueue error close threads signals netns names ring; do
	ok "$program" "$c"
done

# each of these ends its daemon
export -n WEFT_DIR WEFT_NETNS 2>/dev/null || unset WEFT_DIR WEFT_NETNS
ok env -u LD_PRELOAD "$WEFT" run -n "shim-death-$$" sh -c "ip link set lo up; $program death"
