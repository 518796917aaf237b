#!/bin/sh
# The example itself: three namespaces, a router, a VLAN.
. "$(dirname "$0")/lib.sh"

sh "$(dirname "$0")/../../examples/router.sh" >"$tmp/demo" 2>&1 || {
	cat "$tmp/demo"
	fail "examples/router.sh fails"
}
has() {
	grep -qF -- "$1" "$tmp/demo" || {
		cat "$tmp/demo"
		fail "the demo does not show '$1'"
	}
}
has "3 packets transmitted, 3 received, 0% packet loss"
has "2 packets transmitted, 2 received, 0% packet loss"
has "64 bytes from 10.2.0.2: icmp_seq=1 ttl=63"
has "From 10.1.0.1 icmp_seq=1 Destination Host Unreachable"
has "From 10.1.0.1 icmp_seq=1 Packet filtered"
has "vlan 7, p 0, ethertype IPv4"
has "lladdr"
has "ip4-forward"

# ---- the example fails when it should ----
# broken WHAT SED: the example with a line changed
broken() {
	sed "$2" "$(dirname "$0")/../../examples/router.sh" >"$tmp/broken.sh"
	cmp -s "$tmp/broken.sh" "$(dirname "$0")/../../examples/router.sh" && fail "nothing is broken"
	if WEFT_DIR='' WEFT_NETNS='' "$WEFT" run sh "$tmp/broken.sh" >"$tmp/demo" 2>&1; then
		cat "$tmp/demo"
		fail "the demo succeeds $1"
	fi
	has "router.sh: $3"
}
broken "without forwarding" 's/ip_forward=1/ip_forward=0/' "a ping is not answered: -c 3 10.2.0.2"
broken "with a blackhole that answers" 's,blackhole 10.66.0.0/16,local 10.66.0.0/16 dev lo,' \
	"ping 10.66.0.1 exits 0, not 1"
broken "when the unreachable is silent" 's,route add unreachable,route add blackhole,' \
	"ping 10.67.0.1 does not say"
broken "with another VLAN at the other end" '/^ip -n right link/s/id 7/id 8/' \
	"a ping is not answered: -c 2 10.7.0.2"
