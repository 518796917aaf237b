#!/bin/sh
# only: root
# The same crafted frames at a router in weft and at one of the host's kernel: what comes out and what
# is counted must be equal, but for the differences written down in frames.known.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
here=$(dirname "$0")
ok unshare -n /usr/bin/python3 "$here/frames.py" "$tmp/kernel.json"
ok "$WEFT" run /usr/bin/python3 "$here/frames.py" "$tmp/weft.json"
/usr/bin/python3 "$here/frames_compare.py" "$tmp/kernel.json" "$tmp/weft.json" "$here/frames.known"
