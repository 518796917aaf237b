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
CMDS
cat >"$tmp/run" <<'RUN'
while read -r line; do
	echo "\$ $line"
	$line 2>&1
	echo "= $?"
done
RUN
host=weft-errors-$$
ip netns add $host
ip netns exec $host ip link set lo up
ip netns exec $host sh "$tmp/run" <"$tmp/commands" >"$tmp/kernel"
ip netns del $host
"$WEFT" run sh -c "ip link set lo up; exec sh '$tmp/run'" <"$tmp/commands" >"$tmp/weft"
# what may differ: IPv6 (not there yet), the host's own defaults, and random or timed values
clean() {
	sed -E -e '/inet6|fe80|ff00|::1/d' -e 's/valid_lft [0-9]+sec preferred_lft [0-9]+sec/LIFETIME/' \
		-e 's/ cache( |$)/ cache /' "$1"
}
clean "$tmp/kernel" >"$tmp/kernel.txt"
clean "$tmp/weft" >"$tmp/weft.txt"
diff -u "$tmp/kernel.txt" "$tmp/weft.txt" || fail "weft and the kernel differ (- kernel, + weft)"
echo "$(wc -l <"$tmp/commands") commands answered as by the kernel"
