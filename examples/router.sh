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

wrong() {
	echo "router.sh: $*" >&2
	exit 1
}

# reaches OPTION... ADDRESS: every ping is answered
reaches() {
	ip netns exec left ping -i 0.2 -w 5 "$@" || wrong "a ping is not answered: $*"
}

# misses ADDRESS TEXT: a ping is not answered, and says so
misses() {
	code=0
	said=$(ip netns exec left ping -c 1 -W 1 "$1" 2>&1) || code=$?
	echo "$said"
	[ $code -eq 1 ] || wrong "ping $1 exits $code, not 1"
	case $said in
	*"$2"*) ;;
	*) wrong "ping $1 does not say '$2'" ;;
	esac
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
until [ -s "$pcap" ]; do
	kill -0 $tcpdump || wrong "tcpdump does not start"
	sleep 0.1
done

step "left to right, through the router"
reaches -c 3 10.2.0.2
step "left to right over VLAN 7 (the answer takes right's default route, without a tag)"
reaches -c 2 10.7.0.2
step "a large packet, fragmented"
reaches -c 1 -s 4000 10.2.0.2

step "a blackhole swallows"
misses 10.66.0.1 "0 received, 100% packet loss"
step "an unreachable route answers"
misses 10.67.0.1 "Destination Host Unreachable"
step "a prohibited one says so"
misses 10.68.0.1 "Packet filtered"

step "what tcpdump saw on r1"
sleep 1
kill $tcpdump
wait $tcpdump 2>/dev/null || true
seen=$(tcpdump -n -e -r "$pcap" 2>/dev/null | head -n 20)
echo "$seen"
[ -n "$seen" ] || wrong "tcpdump has seen nothing"

step "the router's neighbours"
ip -n router neigh

step "weft's own view: stages and drops"
weft stages
