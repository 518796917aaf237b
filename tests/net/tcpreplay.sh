#!/bin/sh
# a ---- b: a capture made in one network is replayed into another, frame by frame
. "$(dirname "$0")/lib.sh"
ns a b
wire a v0 10.0.0.1/24 b v0 10.0.0.2/24
ip netns exec a tcpdump -n -U -i v0 -w "$tmp/one.pcap" 2>/dev/null &
pid=$!
sleep 1
ok ip netns exec a ping -c 20 -i 0.02 -s 200 10.0.0.2
sleep 2.5 # the ring gives a block away after at most two of its periods
kill -INT $pid
wait $pid || true
ns c d
wire c v0 10.9.0.1/24 d v0 10.9.0.2/24
ip netns exec d tcpdump -n -U -i v0 -w "$tmp/two.pcap" icmp 2>/dev/null &
pid=$!
sleep 1
says "Failed packets:            0" ip netns exec c tcpreplay -q -i v0 --topspeed "$tmp/one.pcap"
sleep 2.5 # the ring gives a block away after at most two of its periods
kill -INT $pid
wait $pid || true
tcpdump -n -tt -x -r "$tmp/one.pcap" icmp 2>/dev/null | sed 's/^[0-9.]* //' >"$tmp/one.txt"
tcpdump -n -tt -x -r "$tmp/two.pcap" icmp 2>/dev/null | sed 's/^[0-9.]* //' >"$tmp/two.txt"
cmp "$tmp/one.txt" "$tmp/two.txt" || fail "the frames differ"
[ "$(grep -c 'echo request' "$tmp/two.txt")" -eq 20 ] || fail "frames are missing"
