#!/bin/sh
# Ten thousand connections: idle, then all at work, then gone
. "$(dirname "$0")/lib.sh"
ok ip link set lo up
"$WEFT" list --json >"$tmp/list"
code=0
/usr/bin/python3 "$(dirname "$0")/tcp_many.py" 10000 "$tmp/list" >"$tmp/out" 2>&1 || code=$?
cat "$tmp/out"
exit $code
