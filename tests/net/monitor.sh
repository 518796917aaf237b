#!/bin/sh
# ip monitor sees every kind of change
. "$(dirname "$0")/lib.sh"
ns a
ip -n a -o monitor all >"$tmp/mon" 2>&1 &
mon=$!
sleep 0.7
ok ip -n a link add v0 type veth peer name v1
ok ip -n a addr add 10.0.0.1/24 dev v0
ok ip -n a link set v0 up
ok ip -n a link set v1 up
ok ip -n a route add 10.9.0.0/16 via 10.0.0.2
ok ip -n a neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0
ok ip -n a route del 10.9.0.0/16
ok ip -n a addr del 10.0.0.1/24 dev v0
ok ip netns exec a sysctl -qw net.ipv4.conf.v0.forwarding=1
ok ip -n a addr add 10.0.1.1/24 dev v0
ok ip -n a link set v0 name w0
ns b
ok ip -n a link set v1 netns b
ok ip -n a link del w0
sleep 0.7
kill $mon
has() {
	grep -qE -- "$1" "$tmp/mon" || { cat "$tmp/mon"; fail "no event like '$1'"; }
}
has '\[LINK\].*v0@v1'
has '\[ADDR\].*inet 10.0.0.1/24 scope global v0'
has '\[ROUTE\]10.9.0.0/16 via 10.0.0.2 dev v0'
has '\[ROUTE\]local 10.0.0.1 dev v0 table local proto kernel scope host src 10.0.0.1'
has '\[NEIGH\]10.0.0.2 dev v0 lladdr 02:00:00:00:00:02 PERMANENT'
has '\[ROUTE\]Deleted 10.9.0.0/16'
has '\[ADDR\]Deleted .*10.0.0.1/24'
has '\[NETCONF\].*v0 forwarding on'
# addresses and settings follow a new name; who moves is told of with where to, and without a qdisc
has '\[ADDR\].*inet 10.0.1.1/24 scope global w0'
has '\[NETCONF\]Deleted inet [vw]0'
has '\[NSID\]nsid 0'
has '\[LINK\]Deleted .*v1@.*qdisc noop.*new-(netns b|netnsid 0)'
has '\[LINK\]Deleted .*w0@.*qdisc noop'
