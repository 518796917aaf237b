#!/bin/sh
# a: r0 10.1.0.1 -> sent.pcap -> p0 10.1.0.2 :c
#                   sent.pcap -> p0 :d: r0 -> out.pcap
. "$(dirname "$0")/lib.sh"
ns a c d

# at NS COMMAND...
at() {
	ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# counter NS DEVICE NAME
counter() {
	at "$1" ethtool -S "$2" | sed -n "s/^ *$3: //p"
}

is() {
	[ "$(counter "$1" "$2" "$3")" = "$4" ]
}

# record: what a sends to nobody
ok at a "$WEFT" pcap record r0 "$tmp/sent.pcap"
ok ip -n a addr add 10.1.0.1/24 dev r0
ok ip -n a link set r0 up
ok ip -n a neigh add 10.1.0.2 dev r0 lladdr 02:00:00:00:00:02
at a ping -q -c 20 -i 0.02 -W 0.1 -s 1000 10.1.0.2 >/dev/null 2>&1 || true
soon is a r0 record_frames 20
ok ip -n a link set r0 down
ok tcpdump -n -r "$tmp/sent.pcap" icmp
[ "$(grep -c 'IP 10.1.0.1 > 10.1.0.2: ICMP echo request.*length 1008' "$tmp/out")" = 20 ] ||
	fail "tcpdump does not find 20 pings in the recording"
# the checksums are those of a wire
ok tcpdump -n -vv -r "$tmp/sent.pcap" icmp
if grep -q wrong "$tmp/out"; then
	cat "$tmp/out"
	fail "a checksum is wrong"
fi

# replay: received as it was sent, twice, at four times the pace
ok at c "$WEFT" pcap replay "$tmp/sent.pcap" p0 speed 400 loop 2
ok ip -n c addr add 10.1.0.2/24 dev p0
# on any: p0 is not up yet
at c timeout 5 tcpdump -n -c 40 -i any -w "$tmp/got.pcap" icmp 2>"$tmp/dump" &
pid=$!
soon grep -q "listening on" "$tmp/dump"
ok ip -n c link set p0 up
soon is c p0 replay_passes 2
is c p0 replay_frames 40 || fail "$(counter c p0 replay_frames) frames were played"
is c p0 replay_active 0 || fail "the replay does not end"
wait $pid || { cat "$tmp/dump"; fail "tcpdump does not see 40 frames"; }
ok tcpdump -n -t -r "$tmp/sent.pcap" icmp
sed -n 's/.*IP /IP /p' "$tmp/out" >"$tmp/one"
cat "$tmp/one" "$tmp/one" >"$tmp/want"
ok tcpdump -n -t -r "$tmp/got.pcap"
sed -n 's/.*IP /IP /p' "$tmp/out" >"$tmp/have"
cmp "$tmp/want" "$tmp/have" || fail "what comes in is not what was recorded"
says "RX:" ip -n c -s link show p0

# at full speed through one device and out of another: forwarded, with TTL one less
ok at d sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
ok at d "$WEFT" pcap replay "$tmp/sent.pcap" p0 speed 0 loop 500
ok at d "$WEFT" pcap record r0 "$tmp/out.pcap"
ok ip -n d addr add 10.1.0.254/24 dev p0
ok ip -n d addr add 10.2.0.254/24 dev r0
# the frames' destination is this device's
ok ip -n d link set p0 address 02:00:00:00:00:02
ok ip -n d link set r0 up
ok ip -n d route add 10.1.0.2/32 via 10.2.0.2
ok ip -n d neigh add 10.2.0.2 dev r0 lladdr 02:00:00:00:00:03
ok ip -n d link set p0 up
soon is d p0 replay_passes 500
soon is d r0 record_frames 10000
ok ip -n d link del r0
ok tcpdump -n -v -r "$tmp/out.pcap" icmp
[ "$(grep -c 'ttl 63' "$tmp/out")" = 10000 ] || fail "not all of it was forwarded into the recording"

# refusals
echo "no capture" >"$tmp/text"
refuses "is not a capture" at a "$WEFT" pcap replay "$tmp/text" x0
refuses "No such file" at a "$WEFT" pcap replay "$tmp/none" x0
refuses "not a regular file" at a "$WEFT" pcap replay "$tmp" x0
printf '\324\303\262\241\002\000\004\000\000\000\000\000\000\000\000\000\377\377\000\000\145\000\000\000' >"$tmp/raw"
refuses "link type is not Ethernet" at a "$WEFT" pcap replay "$tmp/raw" x0
refuses "usage" at a "$WEFT" pcap replay "$tmp/sent.pcap" x0 speed fast
refuses "does not exist" ip -n a link show x0
# cut off at a frame: what is whole is played
head -c 2000 "$tmp/sent.pcap" >"$tmp/part"
ok at a "$WEFT" pcap replay "$tmp/part" x0 speed 0
ok ip -n a link set x0 up
soon is a x0 replay_errors 1
is a x0 replay_frames 1 || fail "$(counter a x0 replay_frames) frames of a damaged file"
