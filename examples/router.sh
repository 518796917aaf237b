#!/bin/sh
# Three namespaces joined by a router, with nothing but ip, ping and tcpdump.
#
#	left                     router                       right
#	 l0 10.1.0.2 ---- 10.1.0.1 r0   r1 10.2.0.1 ---- 10.2.0.2 w0
#	                           r1.7 10.7.0.1 - VLAN 7 - 10.7.0.2 w0.7
#
# The router also holds a blackhole, an unreachable and a prohibit route. Run it: weft run examples/router.sh
set -eu

step() {
	printf '\n== %s\n' "$*"
}

for ns in left router right; do
	ip netns add $ns
	ip -n $ns link set lo up
done
ip link add l0 netns left type veth peer name r0 netns router
ip link add w0 netns right type veth peer name r1 netns router
ip -n router link add link r1 name r1.7 type vlan id 7
ip -n right link add link w0 name w0.7 type vlan id 7

ip -n left addr add 10.1.0.2/24 dev l0
ip -n router addr add 10.1.0.1/24 dev r0
ip -n router addr add 10.2.0.1/24 dev r1
ip -n right addr add 10.2.0.2/24 dev w0
ip -n router addr add 10.7.0.1/24 dev r1.7
ip -n right addr add 10.7.0.2/24 dev w0.7
for d in left:l0 router:r0 router:r1 right:w0 router:r1.7 right:w0.7; do
	ip -n "${d%%:*}" link set "${d#*:}" up
done

ip -n left route add default via 10.1.0.1
ip -n right route add default via 10.2.0.1
ip -n router route add blackhole 10.66.0.0/16
ip -n router route add unreachable 10.67.0.0/16
ip -n router route add prohibit 10.68.0.0/16
ip netns exec router sysctl -qw net.ipv4.ip_forward=1

step "the topology, as ip shows it"
for ns in left router right; do
	echo "[$ns]"
	ip -n $ns -brief addr
	ip -n $ns route
done

pcap=$(mktemp "${TMPDIR:-/tmp}/weft-demo.XXXXXX")
trap 'rm -f "$pcap"' EXIT
ip netns exec router tcpdump -i r1 -U -w "$pcap" 2>/dev/null &
tcpdump=$!
sleep 1

step "left to right, through the router"
ip netns exec left ping -c 3 -i 0.2 10.2.0.2
step "left to right over VLAN 7"
ip netns exec left ping -c 2 -i 0.2 10.7.0.2
step "a large packet, fragmented"
ip netns exec left ping -c 1 -s 4000 10.2.0.2

step "a blackhole swallows"
ip netns exec left ping -c 1 -W 1 10.66.0.1 || true
step "an unreachable route answers"
ip netns exec left ping -c 1 -W 1 10.67.0.1 || true
step "a prohibited one says so"
ip netns exec left ping -c 1 -W 1 10.68.0.1 || true

step "what tcpdump saw on r1"
sleep 1
kill $tcpdump
wait $tcpdump 2>/dev/null || true
tcpdump -n -e -r "$pcap" 2>/dev/null | head -n 20

step "the router's neighbours"
ip -n router neigh

step "weft's own view: stages and drops"
weft stages
