#!/bin/sh
# host ---- router: route types and what a sender hears of them
. "$(dirname "$0")/lib.sh"
ns host router
wire host h0 10.1.0.2/24 router r0 10.1.0.1/24
ok ip -n host route add default via 10.1.0.1
ok ip netns exec router sysctl -qw net.ipv4.ip_forward=1
ok ip -n router route add blackhole 10.66.0.0/16
ok ip -n router route add unreachable 10.67.0.0/16
ok ip -n router route add prohibit 10.68.0.0/16
says "From 10.1.0.1 icmp_seq=1 Destination Host Unreachable" ip netns exec host ping -c 1 -W 2 10.67.0.1
says "From 10.1.0.1 icmp_seq=1 Packet filtered" ip netns exec host ping -c 1 -W 2 10.68.0.1
# from another address: answers to one are limited
ok ip -n host addr add 10.1.0.3/24 dev h0
says "From 10.1.0.1 icmp_seq=1 Destination Net Unreachable" ip netns exec host ping -I 10.1.0.3 -c 1 -W 2 10.99.0.1
says "1 packets transmitted, 0 received, 100% packet loss" ip netns exec host ping -c 1 -W 1 10.66.0.1
silent "From" ip netns exec host ping -c 1 -W 1 10.66.0.1
# the router's own view
refuses "Invalid argument" ip netns exec router ping -c 1 -W 1 10.66.0.1
refuses "No route to host" ip netns exec router ping -c 1 -W 1 10.67.0.1
refuses "Network is unreachable" ip netns exec router ping -c 1 -W 1 10.99.0.1
refuses "Permission denied" ip netns exec router ip route get 10.68.0.1
refuses "RTNETLINK answers: No route to host" ip -n router route get 10.67.0.1
refuses "RTNETLINK answers: Invalid argument" ip -n router route get 10.66.0.1
# a neighbour that does not answer
says "Destination Host Unreachable" ip netns exec host ping -c 1 -W 5 10.1.0.77
# no forwarding, no answer
ok ip netns exec router sysctl -qw net.ipv4.ip_forward=0
silent "From 10.1.0.1" ip netns exec host ping -c 1 -W 1 10.67.0.1
