#!/bin/sh
# a: v0 10.0.0.1 ---- veth ---- v1 with f0 10.0.0.2 on top :b
. "$(dirname "$0")/lib.sh"
ns a b
ok ip link add v0 netns a type veth peer name v1 netns b
ok ip -n a addr add 10.0.0.1/24 dev v0
ok ip -n a link set v0 up
ok ip -n b link set v1 up

# faults OPTION...: f0 anew, with these
faults() {
	ip -n b link del f0 2>/dev/null || true
	ok ip netns exec b "$WEFT" fault add f0 on v1 "$@"
	ok ip -n b addr add 10.0.0.2/24 dev f0
	ok ip -n b link set f0 up
	# no ARP: every frame is a ping
	ok ip -n a neigh replace 10.0.0.2 dev v0 nud permanent \
		lladdr "$(ip -n b -o link show f0 | sed 's|.*link/ether \([^ ]*\).*|\1|')"
	ok ip -n b neigh replace 10.0.0.1 dev f0 nud permanent \
		lladdr "$(ip -n a -o link show v0 | sed 's|.*link/ether \([^ ]*\).*|\1|')"
}

# pings N: sends N of them, leaves what ping says in $tmp/out
pings() {
	timeout 10 ip netns exec a ping -q -c "$1" -i 0.002 -W 1 10.0.0.2 >"$tmp/out" 2>&1 || true
}

received() {
	sed -n 's/.* \([0-9]*\) received.*/\1/p' "$tmp/out"
}

# counter NAME: of f0
counter() {
	ip netns exec b ethtool -S f0 | sed -n "s/^ *$1: //p"
}

refuses "nope: No such device" ip netns exec b "$WEFT" fault add f0 on nope
refuses "not an Ethernet device" ip netns exec b "$WEFT" fault add f0 on lo
refuses "usage" ip netns exec b "$WEFT" fault add f0 on v1 loss 101
refuses "usage" ip netns exec b "$WEFT" fault add f0 on v1 loss

faults
pings 100
[ "$(received)" = 100 ] || fail "a wire without faults loses pings: $(received)"
refuses "takes the frames of the one below" ip netns exec b "$WEFT" fault add f1 on v1

# 10 % each way: 81 % come back, give or take five standard deviations
faults loss 10% seed 42
pings 500
first=$(received)
[ "$first" -gt 361 ] && [ "$first" -lt 449 ] || fail "$first of 500 pings survive a loss of 10 % each way"
[ "$(counter in_frames)" = 500 ] || fail "f0 saw $(counter in_frames) pings"
[ $(($(counter in_lost) + $(counter out_lost))) = $((500 - first)) ] ||
	fail "f0 lost $(counter in_lost) and $(counter out_lost), ping $((500 - first))"
# the same seed has the same fate in store
faults loss 10% seed 42
pings 500
[ "$(received)" = "$first" ] || fail "$(received) of 500 pings survive this time, not $first"
says "FAULT" "$WEFT" drops

# one way, and changed while it runs
faults loss 100 direction in
pings 10
[ "$(received)" = 0 ] || fail "pings come back in spite of loss"
ok ip netns exec b "$WEFT" fault set f0 loss 0
pings 10
[ "$(received)" = 10 ] || fail "pings are lost after the loss has ended"

faults dup 100 direction out
pings 50
# ping does not wait for the last one
grep -q "+\(49\|50\) duplicates" "$tmp/out" || { cat "$tmp/out"; fail "no duplicates"; }
[ "$(counter out_duplicated) $(counter out_passed)" = "50 100" ] || fail "f0 duplicated $(counter out_duplicated)"

# a damaged echo is not answered, unless it is the sender's link address that suffered
faults corrupt 100 direction in seed 3
pings 50
[ "$(received)" -lt 25 ] || { cat "$tmp/out"; fail "damage goes unnoticed"; }
[ "$(counter in_corrupted) $(counter in_passed)" = "50 50" ] || fail "f0 damaged $(counter in_corrupted)"

faults delay 20 direction in
ok ip netns exec a ping -c 3 -i 0.2 10.0.0.2
rtt=$(sed -n 's|^rtt min.* = \([0-9]*\)\..*|\1|p' "$tmp/out")
[ "$rtt" -ge 20 ] || { cat "$tmp/out"; fail "a delay of 20 ms takes $rtt ms"; }

# order: f0 follows v1, and goes with it
ok ip -n b link set v1 down
says "state DOWN" ip -n b link show f0
ok ip -n b link del v1
refuses "does not exist" ip -n b link show f0
