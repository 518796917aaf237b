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

# programs that leave it to the C library: the servers of resolv.conf, over weft
printf 'nameserver 10.1.0.2\nsearch x.test\n' >"$tmp/resolv.conf"
cat >"$tmp/names.sh" <<'SH'
mount --bind "$1/resolv.conf" /etc/resolv.conf || exit 77
getent ahosts a.x.test
getent hosts b
getent ahosts localhost
curl -sS --connect-timeout 1 http://z.x.test/ 2>&1
/usr/bin/python3 - <<'PY'
import socket
print("python", socket.gethostbyname_ex("c.x.test")[2],
      [a[4] for a in socket.getaddrinfo("d.x.test", "http", type=socket.SOCK_STREAM,
                                         flags=socket.AI_ADDRCONFIG)])
PY
getent hosts no.such.test || echo "no such name: $?"
echo "nameserver 10.9.9.9" >"$1/resolv.conf"
timeout 5 getent hosts a.x.test || echo "no server: $?"
SH
code=0
ip netns exec a unshare -rm sh "$tmp/names.sh" "$tmp" >"$tmp/names" 2>&1 || code=$?
[ $code -ne 77 ] || skip "no mount over resolv.conf here"
says '192.0.2.3       STREAM a.x.test' cat "$tmp/names"
says '192.0.2.3       b.x.test' cat "$tmp/names"
says '127.0.0.1       STREAM localhost' cat "$tmp/names"
says 'Failed to connect to z.x.test port 80' cat "$tmp/names"
says "python ['192.0.2.3'] [('192.0.2.3', 80)]" cat "$tmp/names"
says 'no such name: 2' cat "$tmp/names"
says 'no server: 2' cat "$tmp/names"
