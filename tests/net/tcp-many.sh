#!/bin/sh
# Ten thousand connections: idle, then all at work, then gone
. "$(dirname "$0")/lib.sh"
ok ip link set lo up

daemon=$("$WEFT" list --json | grep -o '"pid": *[0-9]*' | head -n 1 | grep -o '[0-9]*$')
code=0
/usr/bin/python3 "$(dirname "$0")/tcp_many.py" 10000 "$daemon" >"$tmp/out" 2>&1 || code=$?
cat "$tmp/out"
exit $code
