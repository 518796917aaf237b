#!/bin/sh
# only: root
# Time stamps of datagrams that are sent (SO_TIMESTAMPING), in weft and by the host's kernel: equal
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
script="ip link set lo up && sysctl -qw net.ipv4.ping_group_range='0 1000000' &&
	timeout 60 /usr/bin/python3 $(dirname "$0")/stamps.py"
unshare -n sh -c "$script" >"$tmp/kernel" 2>&1
"$WEFT" run sh -c "$script" >"$tmp/weft" 2>&1
grep -q "^raw 42 " "$tmp/kernel" || fail "the kernel's side broke: $(cat "$tmp/kernel")"
diff "$tmp/kernel" "$tmp/weft" || fail "the lines above differ (kernel, then weft)"
