#!/bin/sh
# only: root
# host namespace A: wt0 10.1.0.1 ==== t0 10.1.0.254 [weft] t1 10.2.0.254 ==== wt1 10.2.0.1 :B
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
A=weft-tap-a-$$ B=weft-tap-b-$$ name=tap-test-$$
ip netns add $A || skip "no host namespaces"
ip netns add $B
tidy() {
	"$WEFT" stop $name >/dev/null 2>&1 || true
	ip netns del $A
	ip netns del $B
	rm -rf "$tmp"
}
trap tidy EXIT
trap 'exit 1' INT TERM

# inside COMMAND...: in the instance, whose daemon runs in A
inside() {
	ip netns exec $A "$WEFT" run -k ${WORKERS:+-w $WORKERS} -n $name "$@"
}

# sent DEVICE: packets and bytes a device of the instance has sent
sent() {
	inside sed -n "s/^ *$1: *//p" /proc/net/dev | {
		read -r _ _ _ _ _ _ _ _ bytes packets _
		echo "$bytes" "$packets"
	}
}

# bulk large|small: 64 MB of TCP from A to B must arrive as they are, in packets of that size
bulk() {
	# shellcheck disable=SC2046
	set -- "$1" $(sent t1)
	rm -f "$tmp/sink"
	ip netns exec $B timeout 30 /usr/bin/python3 - 2>"$tmp/err" >"$tmp/sink" <<-'PY' &
		import hashlib, socket
		s = socket.create_server(("10.2.0.1", 5000))
		print("ready", flush=True)
		c, h, n = s.accept()[0], hashlib.sha256(), 0
		while b := c.recv(1 << 20):
		    h.update(b)
		    n += len(b)
		print(n, h.hexdigest())
	PY
	sink=$!
	soon grep -q ready "$tmp/sink"
	ip netns exec $A timeout 30 /usr/bin/python3 - >"$tmp/source" <<-'PY'
		import hashlib, random, socket
		r, h, n = random.Random(1), hashlib.sha256(), 0
		s = socket.create_connection(("10.2.0.1", 5000))
		for _ in range(64):
		    b = r.randbytes(1 << 20)
		    h.update(b)
		    n += len(b)
		    s.sendall(b)
		s.close()
		print(n, h.hexdigest())
	PY
	wait $sink || { cat "$tmp/err"; fail "the receiver fails"; }
	[ "$(tail -n 1 "$tmp/sink")" = "$(cat "$tmp/source")" ] || fail "$1: what arrives is not what was sent"
	was_bytes=$2 was_packets=$3
	# shellcheck disable=SC2046
	set -- "$1" $(sent t1)
	size=$((($2 - was_bytes) / ($3 - was_packets)))
	if [ "$1" = large ]; then
		[ $size -gt 10000 ] || fail "packets have $size bytes: they do not pass whole"
	else
		[ $size -le 1514 ] || fail "packets have $size bytes in spite of the offloads being off"
	fi
}

refuses "no TAP with queues" inside "$WEFT" tap add t9 host lo queues 2
for i in 0 1; do
	ok inside "$WEFT" tap add t$i host wt$i queues 4
	ok inside ip addr add 10.$((i + 1)).0.254/24 dev t$i
	ok inside ip link set t$i up
done
ok inside sysctl -w net.ipv4.ip_forward=1
says "state UP" inside ip link show t0
says "rx_queue_3_packets" inside ethtool -S t0
ok ip -n $A link set wt1 netns $B
ok ip -n $A addr add 10.1.0.1/24 dev wt0
ok ip -n $A link set wt0 up
ok ip -n $A route add default via 10.1.0.254
ok ip -n $B addr add 10.2.0.1/24 dev wt1
ok ip -n $B link set wt1 up
ok ip -n $B route add default via 10.2.0.254

ok ip netns exec $A ping -c 3 -i 0.2 -W 2 10.2.0.1
ok inside ping -c 3 -i 0.2 -W 2 10.1.0.1
ok inside ping -c 1 -W 2 -s 9000 10.2.0.1

# segmentation and checksums are the receiver's, in and out
bulk large
# t1 cuts up and sums what it sends
ok inside ethtool -K t1 tso off tx off
bulk small
ok inside ethtool -K t1 tx on tso on
bulk large
# the host cuts up what t0 receives, then sums it as well
ok inside ethtool -K t0 gro off
bulk small
ok inside ethtool -K t0 rx off
bulk small
ok inside ethtool -K t0 rx on gro on
bulk large
silent "VNET_HDR" inside "$WEFT" drops

# the host's end is down: frames are lost, the device stays
ok ip -n $A link set wt0 down
inside ping -c 1 -W 0.2 10.1.0.1 >/dev/null 2>&1 || true
says "state UP" inside ip link show t0
ok ip -n $A link set wt0 up
soon inside ping -c 1 -W 1 10.1.0.1

# the host's end goes, under traffic: no carrier, and no work for the daemon
ip netns exec $B ping -q -f -w 3 10.1.0.1 >/dev/null 2>&1 &
flood=$!
sleep 0.5
ok ip -n $A link del wt0
soon inside sh -c 'ip link show t0 | grep -q NO-CARRIER'
wait $flood || true
says "<NO-CARRIER,BROADCAST,MULTICAST,UP>" inside ip link show t0
daemon=$("$WEFT" list | sed -n "s/^$name  *\([0-9]*\) .*/\1/p")
ticks() {
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$daemon/stat"
	echo $((user + system))
}
was=$(ticks)
sleep 1
now=$(ticks)
[ $((now - was)) -lt 50 ] || fail "the daemon is busy with nothing: $((now - was)) ticks in a second"
# up again: a new one
ok inside ip link set t0 down
ok inside ip link set t0 up
ok ip -n $A addr add 10.1.0.1/24 dev wt0
ok ip -n $A link set wt0 up
soon inside ping -c 1 -W 1 10.1.0.1

# with the device goes the host's end
ok inside ip link del t1
refuses "does not exist" ip -n $B link show wt1
