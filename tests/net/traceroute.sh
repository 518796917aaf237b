#!/bin/sh
# h0 -- r1 -- r2 -- r3 -- r4 -- r5 -- h1: six hops, by UDP and by ICMP
. "$(dirname "$0")/lib.sh"
ns h0 r1 r2 r3 r4 r5 h1
left=h0 n=1
for right in r1 r2 r3 r4 r5 h1; do
	wire $left right0 10.0.$n.1/24 $right left0 10.0.$n.2/24
	left=$right n=$((n + 1))
done
ok ip -n h0 route add default via 10.0.1.2
ok ip -n h1 route add default via 10.0.6.1
for i in 1 2 3 4 5; do
	ok ip netns exec r$i sysctl -qw net.ipv4.ip_forward=1
	j=$((i + 2))
	while [ $j -le 6 ]; do
		ok ip -n r$i route add 10.0.$j.0/24 via 10.0.$((i + 1)).2
		j=$((j + 1))
	done
	j=1
	while [ $j -lt $i ]; do
		ok ip -n r$i route add 10.0.$j.0/24 via 10.0.$i.1
		j=$((j + 1))
	done
done
ok ip netns exec h0 ping -c 1 -W 2 10.0.6.2
for mode in "" "-I"; do
	# shellcheck disable=SC2086
	ok ip netns exec h0 traceroute -n $mode -w 2 -q 2 10.0.6.2
	for hop in "1  10.0.1.2" "2  10.0.2.2" "3  10.0.3.2" "4  10.0.4.2" "5  10.0.5.2" "6  10.0.6.2"; do
		grep -qF -- "$hop" "$tmp/out" || { cat "$tmp/out"; fail "traceroute $mode lacks '$hop'"; }
	done
	grep -qF '*' "$tmp/out" && { cat "$tmp/out"; fail "traceroute $mode lost probes"; }
done
exit 0
