#!/bin/sh
# a ---- b: captures written, read, filtered; statistics
. "$(dirname "$0")/lib.sh"
ns a b
wire a v0 10.0.0.1/24 b v0 10.0.0.2/24
ok ip netns exec a ping -c 1 -W 2 10.0.0.2
ip netns exec b tcpdump -n -U -i v0 -w "$tmp/all.pcap" 2>"$tmp/all.err" &
all=$!
ip netns exec b tcpdump -n -l -i v0 'icmp[icmptype] == icmp-echo and src 10.0.0.1' >"$tmp/echo" 2>"$tmp/echo.err" &
echo=$!
ip netns exec b tcpdump -n -l -i any icmp >"$tmp/any" 2>/dev/null &
any=$!
sleep 1
ok ip netns exec a ping -c 5 -i 0.1 -s 100 10.0.0.2
sleep 1
kill -INT $all $echo $any
wait $all $echo $any || true
says "10 packets captured" cat "$tmp/all.err"
says "0 packets dropped by kernel" cat "$tmp/all.err"
[ "$(grep -c 'echo request' "$tmp/echo")" -eq 5 ] || { cat "$tmp/echo"; fail "not five requests"; }
silent "echo reply" cat "$tmp/echo"
says "v0    In  IP 10.0.0.1 > 10.0.0.2: ICMP echo request" cat "$tmp/any"
says "v0    Out IP 10.0.0.2 > 10.0.0.1: ICMP echo reply" cat "$tmp/any"
tcpdump -n -r "$tmp/all.pcap" >"$tmp/read" 2>/dev/null
[ "$(grep -c 'ICMP echo re' "$tmp/read")" -eq 10 ] || { cat "$tmp/read"; fail "the file lacks packets"; }
says "length 108" cat "$tmp/read"
# the list of devices, and a device that is not there
says "v0 [Up, Running" ip netns exec b tcpdump -D
refuses "No such device" ip netns exec b tcpdump -i nosuch
