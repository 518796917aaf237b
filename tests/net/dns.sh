#!/bin/sh
# dnsmasq and dig, over UDP and TCP, between two namespaces
#
#	a 10.1.0.1 ---- 10.1.0.2 b
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
command -v dnsmasq >/dev/null && command -v dig >/dev/null || skip "no dnsmasq or dig here"
ns a b
wire a a0 10.1.0.1/24 b b0 10.1.0.2/24
ip netns exec b dnsmasq --no-daemon --no-resolv --no-hosts --conf-file=/dev/null --user=root \
	--port=53 --listen-address=10.1.0.2 --bind-interfaces --address=/x.test/192.0.2.3 \
	--txt-record=long.test,"$(printf '%0250d' 1)","$(printf '%0250d' 2)" >"$tmp/log" 2>&1 &
dig="ip netns exec a dig +tries=2 +time=2 @10.1.0.2"
soon $dig +short a.x.test
says 192.0.2.3 $dig +short a.x.test
says 192.0.2.3 $dig +short +tcp b.x.test
says 192.0.2.3 $dig +short -b 10.1.0.1 c.x.test
# too long for a datagram of 512 bytes: it asks again over TCP
says 00000001 $dig +short +noedns long.test TXT
says REFUSED $dig other.test
