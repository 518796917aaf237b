#!/bin/sh
#  a: v0 ---- v0 :b      v0.5 (802.1Q), v0.s10 (802.1ad), v0.s10.20 (QinQ) on both ends
. "$(dirname "$0")/lib.sh"
ns a b
wire a v0 10.0.0.1/24 b v0 10.0.0.2/24
for n in a:1 b:2; do
	h=${n#*:} n=${n%:*}
	ok ip -n $n link add link v0 name v0.5 type vlan id 5
	ok ip -n $n link add link v0 name s10 type vlan proto 802.1ad id 10
	ok ip -n $n link add link s10 name s10.20 type vlan id 20
	ok ip -n $n addr add 10.5.0.$h/24 dev v0.5
	ok ip -n $n addr add 10.10.0.$h/24 dev s10
	ok ip -n $n addr add 10.20.0.$h/24 dev s10.20
	for d in v0.5 s10 s10.20; do ok ip -n $n link set $d up; done
done
for dst in 10.0.0.2 10.5.0.2 10.10.0.2 10.20.0.2; do
	ok ip netns exec a ping -c 1 -W 2 $dst
done
says "vlan protocol 802.1ad id 10" ip -n a -d link show s10
says "vlan protocol 802.1Q id 20" ip -n a -d link show s10.20
says "v0.5@v0" ip -n a link show v0.5
refuses "8021q: VLAN device already exists" ip -n a link add link v0 name v0.6 type vlan id 5
refuses "8021q: Invalid VLAN id" ip -n a link add link v0 name bad type vlan id 4096
# tags on the wire
ip netns exec b timeout 5 tcpdump -n -e -i v0 -c 2 icmp or vlan >"$tmp/dump" 2>/dev/null &
dump=$!
sleep 1
ok ip netns exec a ping -c 2 -i 0.2 10.20.0.2
wait $dump || true
grep -q "802.1Q-QinQ" "$tmp/dump" || { cat "$tmp/dump"; fail "no 802.1ad tag in the capture"; }
# maps of priorities: set, shown, changed, taken off, and on the wire
ok ip -n a link set v0.5 type vlan egress-qos-map 0:3 6:7 ingress-qos-map 3:5
says "ingress-qos-map { 3:5 }" ip -n a -d link show v0.5
says "egress-qos-map { 0:3 6:7 }" ip -n a -d link show v0.5
says "3:5" ip netns exec a cat /proc/net/vlan/v0.5
ip netns exec b timeout 5 tcpdump -n -e -i v0 -c 4 icmp or vlan >"$tmp/dump" 2>/dev/null &
dump=$!
sleep 1
ok ip netns exec a ping -c 1 10.5.0.2
ok ip netns exec a ping -c 1 -Q 0x10 10.5.0.2
wait $dump || true
grep -q "vlan 5, p 3.*echo request" "$tmp/dump" || { cat "$tmp/dump"; fail "no priority 3"; }
grep -q "vlan 5, p 7.*echo request" "$tmp/dump" || { cat "$tmp/dump"; fail "no priority 7 for its TOS"; }
ok ip -n a link set v0.5 type vlan egress-qos-map 0:0
says "egress-qos-map { 6:7 }" ip -n a -d link show v0.5
# the lower device takes its VLANs along
ok ip -n a link del v0
refuses "does not exist" ip -n a link show s10.20
