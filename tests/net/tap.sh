#!/bin/sh
# only: root
# weft (10.0.0.2, tap device t0) ---- TAP ---- host kernel in a namespace of its own (10.0.0.1)
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
host=weft-tap-$$
ip netns add $host || skip "no host namespaces"
trap 'ip netns del $host; rm -rf "$tmp"' EXIT
cat >"$tmp/inside" <<'IN'
set -e
weft tap add t0 host wt0 queues 2
ip addr add 10.0.0.2/24 dev t0
ip link set t0 up
touch "$1/ready"
ping -c 3 -i 0.2 -W 2 10.0.0.1
ping -c 1 -W 2 -s 9000 10.0.0.1
sleep 3
IN
ip netns exec $host "$WEFT" run sh "$tmp/inside" "$tmp" >"$tmp/log" 2>&1 &
pid=$!
soon test -e "$tmp/ready"
ip -n $host addr add 10.0.0.1/24 dev wt0
ip -n $host link set wt0 up
soon ip netns exec $host ping -c 1 -W 2 10.0.0.2
wait $pid || { cat "$tmp/log"; fail "pings from weft fail"; }
