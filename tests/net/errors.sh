#!/bin/sh
# only: root
# The same commands in weft and against the host's kernel, in a namespace made for it: what they
# print must be equal, errors above all.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
cat >"$tmp/commands" <<'CMDS'
ip link add v0 type veth peer name v1
ip link add v0 type veth peer name v2
ip link add toolongname012345 type veth
ip link show v9
ip link set v9 up
ip link del lo
ip link add bad type nosuchkind
ip link set v0 mtu 10
ip link set v0 mtu 100000
ip link set v0 address 01:00:00:00:00:01
ip link set v0 address 02:00:00:00:00
ip link set v0 address 02:00:00:00:00:01
ip link set v1 address 02:00:00:00:00:02
ip link set v0 name lo
ip link set v0 alias hello
ip link property add dev v0 altname other-name
ip link property add dev v1 altname other-name
ip -o link show other-name
ip link set v0 txqueuelen 77
ip link set v0 group 5
ip addr add 10.0.0.1/24 dev v0
ip addr add 10.0.0.1/24 dev v0
ip addr add 10.0.0.1/33 dev v0
ip addr add 10.0.0.5/24 brd + dev v0 label v0:x
ip addr add 10.0.0.6/24 dev v0 label w:x
ip addr add 10.1.0.1 peer 10.1.0.2/32 dev v0
ip addr del 10.0.0.77/24 dev v0
ip addr add 10.4.0.1/24 dev v0 valid_lft 100 preferred_lft 200
ip addr show dev v0
ip route add 10.5.0.0/16 via 10.0.0.2
ip link set v0 up
ip link set v1 up
ip route add 10.5.0.0/16 via 10.0.0.2
ip route add 10.5.0.0/16 via 10.0.0.2
ip route add 10.5.0.1/16 via 10.0.0.2
ip route add 10.6.0.0/16 via 10.99.0.2
ip route add 10.6.0.0/16 via 10.0.0.1
ip route add 10.6.0.0/16 via 10.99.0.2 dev v0 onlink
ip route add 10.7.0.0/16 dev v0 src 10.77.0.1
ip route add 10.7.0.0/16 dev v0 src 10.0.0.1 metric 5 mtu 1400
ip route add 10.7.0.0/16 dev v0 metric 6
ip route replace 10.7.0.0/16 dev v0 metric 5 advmss 1200
ip route append 10.7.0.0/16 via 10.0.0.9 metric 5
ip route change 10.8.0.0/16 dev v0
ip route del 10.9.0.0/16
ip route add 10.9.0.0/16 dev v9
ip route add blackhole 10.66.0.0/16
ip route add unreachable 10.67.0.0/16
ip route add prohibit 10.68.0.0/16
ip route add throw 10.69.0.0/16
ip route add 10.70.0.0/16 dev v0 table 100
ip route show
ip route show table local
ip route show table all
ip route show table 100
ip route show 10.7.0.0/16
ip route show type blackhole
ip route show proto kernel
ip route get 10.5.1.1
ip route get 10.0.0.1
ip route get 10.0.0.255
ip route get 10.66.0.1
ip route get 10.67.0.1
ip route get 10.68.0.1
ip route get 10.69.0.1
ip route get 99.0.0.1
ip route get 10.5.1.1 from 10.0.0.5
ip route get 10.5.1.1 from 1.2.3.4
ip route get 10.5.1.1 oif v0
ip route get fibmatch 10.5.1.1
ip route get 224.1.2.3
ip route flush 10.7.0.0/16
ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:03 dev v0
ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:03 dev v0
ip neigh add 10.0.0.4 dev v0
ip neigh add 10.0.0.4 lladdr 02:00 dev v0
ip neigh del 10.0.0.44 dev v0
ip neigh show 10.0.0.3
ip neigh replace 10.0.0.3 lladdr 02:00:00:00:00:33 dev v0 nud reachable
ip neigh add proxy 10.0.0.8 dev v0
ip neigh show proxy
ip neigh del 10.0.0.3 dev v0
ip neigh flush dev v0
ip rule show
ip addr flush dev v0
ip addr show dev v0
ip route show
ip link set v0 down
ip -o link show v0
ip route add 10.5.0.0/16 dev v0
ip link del v0
ip link show v1
ip monitor nosuch
ip link add v0 type veth peer name v1
ip addr add 10.0.0.1/24 dev v0
ip link set v0 up
ip link set v1 up
ip ntable change name arp_cache dev v0 retrans 60000
ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:03 dev v0 nud permanent
ip neigh add 10.0.0.4 lladdr 02:00:00:00:00:04 dev v0 nud reachable
ip neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev v0 nud stale
ip neigh add 10.0.0.6 lladdr 02:00:00:00:00:06 dev v0 nud noarp
ip neigh add 10.0.0.7 dev v0 nud none
ip neigh add 10.0.0.8 dev v0 nud incomplete
ip neigh add 10.0.0.9 dev v0 nud failed
ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:05 dev v0 nud delay
ip neigh add 10.0.0.12 lladdr 02:00:00:00:00:05 dev v0 router
ip neigh add 10.0.0.13 lladdr 02:00:00:00:00:05 dev v0 extern_learn
ip neigh add 10.0.0.14 lladdr 02:00:00:00:00:05 dev v0 protocol zebra
ip neigh add 10.0.0.15 lladdr 02:00:00:00:00:05 dev v0 managed
ip neigh add 10.0.0.16 dev v0 managed extern_learn
ip neigh add 10.0.0.17 dev v0 use
ip neigh add 10.0.0.18 dev v9
ip neigh add 10.0.0.18 lladdr 02:00:00:00:00:05:06 dev v0
ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:33 dev v0 nud permanent
ip neigh change 10.0.0.33 lladdr 02:00:00:00:00:33 dev v0 nud permanent
ip neigh change 10.0.0.3 lladdr 02:00:00:00:00:33 dev v0 nud permanent
ip neigh replace 10.0.0.4 lladdr 02:00:00:00:00:44 dev v0 nud stale router
ip neigh replace 10.0.0.12 lladdr 02:00:00:00:00:44 dev v0 nud permanent
ip neigh replace 10.0.0.3 dev v0 nud permanent
ip neigh replace 10.0.0.3 dev v0 nud failed
ip neigh add 10.0.0.20 lladdr 02:00:00:00:00:44 dev lo
ip neigh add 224.0.0.9 lladdr 02:00:00:00:00:44 dev v0
ip neigh add 10.0.0.255 lladdr 02:00:00:00:00:44 dev v0
ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:44 dev v0
sorted ip neigh show
sorted ip -d neigh show
sorted ip neigh show nud permanent
sorted ip neigh show nud stale
sorted ip neigh show nud all
sorted ip neigh show dev v0
sorted ip neigh show dev v1
sorted ip neigh show to 10.0.0.4/30
sorted ip neigh show unused
sorted ip neigh show proto zebra
sorted ip neigh show vrf v0
sorted ip neigh show nomaster
ip neigh get 10.0.0.5 dev v0
ip neigh get 10.0.0.99 dev v0
ip neigh get 10.0.0.5 dev v1
ip neigh get proxy 10.0.0.5 dev v0
ip neigh add proxy 10.0.0.5 dev v0
ip neigh add proxy 10.0.0.6 dev v0 protocol static
ip neigh get proxy 10.0.0.5 dev v0
sorted ip neigh show proxy
sorted ip neigh show proxy dev v0
sorted ip neigh show proxy dev v1
ip neigh del proxy 10.0.0.5 dev v0
ip neigh del proxy 10.0.0.5 dev v0
ip neigh add proxy 10.0.0.5 dev v0 managed
ip neigh del 10.0.0.5 dev v0
ip neigh del 10.0.0.5 dev v0
ip neigh flush nud stale
ip neigh flush dev v0 nud permanent
ip neigh flush to 10.0.0.6
ip neigh flush dev v1
ip -s neigh flush dev v9
sorted ip neigh show
ip ntable change name arp_cache dev v0 queue 7
ip ntable change name arp_cache dev v0 base_reachable 5000 retrans 2000 gc_stale 30000 delay_probe 3000 app_probes 1 ucast_probes 2 mcast_probes 4 anycast_delay 500 proxy_delay 300 proxy_queue 9 locktime 400
ip ntable change name arp_cache dev lo queue 0
ip ntable change name nosuch dev v0 queue 7
names ip -o link show nomaster
ip route add 10.71.0.0/16 dev v0 realm 3/4
ip route show 10.71.0.0/16
ip route show realm 4
ip route del 10.71.0.0/16 dev v0 realm 5
ip route add 10.72.0.0/16 dev v0 table 101
ip route flush table 101
ip route flush table 101
ip route show table 101
ip route show table 102
ip route add 10.73.0.0/16 dev v0 tos 0x10
ip route add 10.73.0.0/16 dev v0 tos 0x20
ip route get 10.73.0.1 tos 0x10 uid 7
ip route get 10.74.0.1 oif v0 tos 0x10 uid 7
ip route get 10.74.0.1 oif lo uid 7
ip route get 10.0.0.1 notify uid 7
ip route get 10.73.0.1 from 10.0.0.1 iif v0
ip route get 10.0.0.255 from 10.0.0.9 iif v0
ip addr add 0.0.0.0/0 dev v0
ip route add 10.75.0.0/16 dev v0 metric 4278198272
grep 00004B0A /proc/net/route
ip rule show
ip rule list
ip rule show pref 32766
ip rule show table main
ip rule show from 1.2.3.4
bridge fdb show
bridge fdb add 02:00:00:00:00:09 dev v0 self
bridge fdb add 02:00:00:00:00:09 dev v0 self
bridge fdb add 02:00:00:00:00:09 dev v0 master
bridge fdb add 02:00:00:00:00:0a dev lo self
bridge fdb add 01:00:5e:00:00:09 dev v0 self
bridge fdb append 01:00:5e:00:00:0a dev v0 self
bridge fdb replace 01:00:5e:00:00:0a dev v0 self
bridge fdb add 02:00:00:00:00:0b dev v0 self dynamic
bridge fdb add 02:00:00:00:00:0b dev v0 self vlan 3
bridge fdb show
bridge fdb show dev v0
bridge fdb show br v0
bridge fdb show br v9
bridge fdb get 02:00:00:00:00:09 dev v0
bridge fdb get 02:00:00:00:00:09 br v0
bridge fdb get 02:00:00:00:00:09 dev v0 self
bridge fdb flush dev v0 self
bridge fdb del 02:00:00:00:00:09 dev v0
bridge fdb del 02:00:00:00:00:09 dev v0
bridge link
bridge link show dev v0
bridge link set dev v0 learning on
bridge link set dev v0 learning on self
bridge vlan
bridge vlan add dev v0 vid 3
bridge mdb
genl ctrl get name nlctrl
genl ctrl get id 0x10
genl ctrl get name nosuch
genl ctrl get id 0x999
genl ctrl policy name nlctrl
genl ctrl policy name nosuch
ip stats show dev lo group offload
ip stats show dev v9
ip nexthop
ip netconf show dev v0
ip netconf show dev lo
ip -4 netconf
tc qdisc show dev v0
tc -s qdisc show dev v0
tc class show dev v0
tc filter show dev v0
tc qdisc add dev v0 root nosuch
tc qdisc del dev v0 root
tc actions list action gact
ip maddr show dev v0
steady ip -4 ntable show dev v0
steady ip -4 ntable show dev lo
ip link del v0
CMDS
cat >"$tmp/run" <<'RUN'
# sorted: lines whose order is a hash's; names: links without their addresses; steady: without
# what is random
sorted() { "$@" 2>&1 | sort; }
names() { "$@" 2>&1 | cut -d: -f1,2; }
steady() { "$@" 2>&1 | sed -E 's/(refcnt|reachable) [0-9]+/\1/g'; }
while read -r line; do
	echo "\$ $line"
	$line 2>&1
	echo "= $?"
done
RUN
host=weft-errors-$$
ip netns add $host
ip netns exec $host ip link set lo up
ip netns exec $host sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
alone ip netns exec $host sh "$tmp/run" <"$tmp/commands" >"$tmp/kernel"
ip netns del $host
"$WEFT" run sh -c "ip link set lo up; exec sh '$tmp/run'" <"$tmp/commands" >"$tmp/weft"
# what may differ: IPv6 (not there yet), the host's own defaults, and random or timed values
clean() {
	sed -E -e '/inet6|fe80|ff00|::1|ff0[12]|33:33/d' -e 's/valid_lft [0-9]+sec preferred_lft [0-9]+sec/LIFETIME/' \
		-e 's/ cache( |$)/ cache /' "$1"
}
clean "$tmp/kernel" >"$tmp/kernel.txt"
clean "$tmp/weft" >"$tmp/weft.txt"
diff -u "$tmp/kernel.txt" "$tmp/weft.txt" || fail "weft and the kernel differ (- kernel, + weft)"
echo "$(wc -l <"$tmp/commands") commands answered as by the kernel"
