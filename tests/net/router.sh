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
