#!/bin/sh
# What programs do to sockets and descriptors: fork, vfork, exec, dup, passing, closing, errors, rings
. "$(dirname "$0")/lib.sh"

program=$(dirname "$WEFT")/../shim/shim-test
ok ip link set lo up
for c in peek kin fork vfork dup pass errqueue error close threads signals netns names ring numbers vfork-stream; do
	ok "$program" "$c"
done

# this one kills its daemon, so it has its own, and a place for what that leaves behind
ok env -u LD_PRELOAD -u WEFT_DIR -u WEFT_NETNS WEFT_RUNDIR="$tmp/run" \
	"$WEFT" run sh -c "ip link set lo up; $program death"
