#!/bin/sh
# only: root
# What stream sockets answer, call by call, in weft and by the host's kernel: equal lines
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
WEFT_RUNDIR=$tmp/run
export WEFT_RUNDIR
script=$(dirname "$0")/tcp_calls.py

TMP_FILE=$tmp/file
export TMP_FILE

unshare -n sh -c "ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control=reno &&
	timeout 200 /usr/bin/python3 $script" >"$tmp/kernel" 2>&1
"$WEFT" run sh -c "ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control=reno &&
	timeout 200 /usr/bin/python3 $script" >"$tmp/weft" 2>&1
[ "$(grep -c : "$tmp/kernel")" -gt 150 ] || fail "the kernel's side broke: $(cat "$tmp/kernel")"
diff "$tmp/kernel" "$tmp/weft" || fail "the lines above differ (kernel, then weft)"
