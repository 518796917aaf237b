#!/bin/sh
# a ---- b: neighbour states, expiry, proxies, permanent entries, arping
. "$(dirname "$0")/lib.sh"
ns a b
wire a v0 10.0.0.1/24 b v0 10.0.0.2/24
for k in base_reachable_time_ms=1000 delay_first_probe_time=1 gc_stale_time=1; do
	ok ip netns exec a sysctl -qw net.ipv4.neigh.v0.$k
done
ok ip netns exec a ping -c 1 -W 2 10.0.0.2
says "REACHABLE" ip -n a neigh show 10.0.0.2
soon sh -c 'ip -n a neigh show 10.0.0.2 | grep -q STALE'
ok ip netns exec a ping -c 1 -W 2 10.0.0.2
says "DELAY" ip -n a neigh show 10.0.0.2
soon sh -c 'ip -n a neigh show 10.0.0.2 | grep -q REACHABLE'
# an address nobody has
ip netns exec a ping -c 1 -W 1 10.0.0.77 >/dev/null 2>&1 || true
says "INCOMPLETE" ip -n a neigh show 10.0.0.77
soon sh -c 'ip -n a neigh show 10.0.0.77 | grep -q FAILED'
# by hand
ok ip -n a neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent
says "10.0.0.9 dev v0 lladdr 02:00:00:00:00:09 PERMANENT" ip -n a neigh
refuses "RTNETLINK answers: File exists" ip -n a neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0
says "02:00:00:00:00:09" ip netns exec a cat /proc/net/arp
ok ip -n a neigh replace 10.0.0.9 lladdr 02:00:00:00:00:0a dev v0
says "02:00:00:00:00:0a" ip -n a neigh show 10.0.0.9
ok ip -n a neigh del 10.0.0.9 dev v0
refuses "RTNETLINK answers: No such file or directory" ip -n a neigh del 10.0.0.9 dev v0
# link down flushes
ok ip -n a neigh flush all
# arping asks, a proxy answers for what b reaches elsewhere, and for nothing on the link itself
ok ip netns exec a arping -c 2 -w 4 -I v0 10.0.0.2
ok ip -n b link add w0 type veth peer name w1
ok ip -n b addr add 10.9.0.1/24 dev w0
ok ip -n b link set w0 up
ok ip -n b link set w1 up
ok ip -n b neigh add proxy 10.0.0.50 dev v0
ok ip -n b neigh add proxy 10.9.0.50 dev v0
ok ip netns exec b sysctl -qw net.ipv4.ip_forward=1
says "10.9.0.50 dev v0 proxy" ip -n b neigh show proxy
soon ip netns exec a arping -c 1 -w 2 -I v0 10.9.0.50
refuses "Received 0 response" ip netns exec a arping -c 1 -w 2 -I v0 10.0.0.50
ok ip netns exec a ping -c 1 -W 2 10.0.0.2
says "used" ip -n a -s neigh
says "inet arp_cache dev v0" sh -c "ip -n a ntable show | tr -s ' \n' ' '"
