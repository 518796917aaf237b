#!/bin/sh
# a ---- router ---- b, the second link with an MTU of 1400
. "$(dirname "$0")/lib.sh"
ns a router b
wire a a0 10.1.0.2/24 router r0 10.1.0.1/24
wire b b0 10.2.0.2/24 router r1 10.2.0.1/24
ok ip -n a route add default via 10.1.0.1
ok ip -n b route add default via 10.2.0.1
ok ip netns exec router sysctl -qw net.ipv4.ip_forward=1
ok ip -n router link set r1 mtu 1400
ok ip -n b link set b0 mtu 1400
says "4008 bytes from 10.2.0.2: icmp_seq=1 ttl=63" ip netns exec a ping -c 1 -W 2 -s 4000 10.2.0.2
says "65507 bytes" ip netns exec a ping -c 1 -W 2 -s 65499 10.2.0.2
ok ip netns exec a ping -c 1 -W 2 -s 65499 10.2.0.2
# the router says what fits, and the sender remembers
says "Frag needed and DF set (mtu = 1400)" ip netns exec a ping -c 1 -W 2 -M do -s 1450 10.2.0.2
says "mtu 1400" ip -n a route get 10.2.0.2
says "message too long, mtu=1400" ip netns exec a ping -c 1 -W 2 -M do -s 1450 10.2.0.2
ok ip netns exec a ping -c 1 -W 2 -M do -s 1372 10.2.0.2
says "message too long, mtu=1500" ip netns exec a ping -c 1 -W 2 -M do -s 1600 10.1.0.1
refuses "mtu less than device minimum" ip -n a link set a0 mtu 10
refuses "mtu greater than device maximum" ip -n a link set a0 mtu 70000
says "FragCreates" ip netns exec router cat /proc/net/snmp
