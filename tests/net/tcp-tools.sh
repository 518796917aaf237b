#!/bin/sh
# curl, socat, nc, iperf3 and ssh's kin of tools over loopback and between two namespaces
#
#	a 10.1.0.1 ---- 10.1.0.2 b
. "$(dirname "$0")/lib.sh"
for tool in curl socat nc iperf3; do
	command -v $tool >/dev/null || skip "no $tool here"
done
ns a b
wire a a0 10.1.0.1/24 b b0 10.1.0.2/24
in_a="ip netns exec a" in_b="ip netns exec b"
head -c 3000000 /dev/urandom >"$tmp/big"

# ready PORT: somebody listens there in b
ready() {
	soon sh -c "$in_b cat /proc/net/tcp | grep -qi ':$(printf %04X "$1") 00000000:0000 0A'"
}

# ---- curl and python's http.server ----
(cd "$tmp" && exec $in_b /usr/bin/python3 -m http.server -b 10.1.0.2 8080 >/dev/null 2>&1) &
server=$!
ready 8080
ok $in_a curl -sS -o "$tmp/got" http://10.1.0.2:8080/big
ok cmp "$tmp/big" "$tmp/got"
refuses "Couldn't connect" $in_a curl -sS http://10.1.0.2:8081/
refuses "Couldn't connect" $in_a curl -sS http://10.2.0.1:8080/
kill $server

# ---- socat: both ways at once, half-close ----
$in_b socat TCP-LISTEN:7000 EXEC:"sha256sum" &
ready 7000
ok sh -c "$in_a socat -t 10 - TCP:10.1.0.2:7000 <'$tmp/big' >'$tmp/sum'"
[ "$(cut -d' ' -f1 "$tmp/sum")" = "$(sha256sum <"$tmp/big" | cut -d' ' -f1)" ] || fail "socat's sum"
$in_b socat TCP-LISTEN:7001,fork EXEC:cat &
echo_server=$!
ready 7001
for _ in 1 2 3; do
	ok sh -c "$in_a socat -t 10 - TCP:10.1.0.2:7001 <'$tmp/big' | cmp - '$tmp/big'"
done
kill $echo_server

# ---- nc ----
$in_b nc -l -N 7002 </dev/null >"$tmp/nc" &
nc_server=$!
ready 7002
ok $in_a sh -c "echo over nc | nc -N 10.1.0.2 7002"
wait $nc_server
says "over nc" cat "$tmp/nc"
refuses "refused" $in_a nc -v -z 10.1.0.2 7003

# ---- iperf3: up, down, several streams, and UDP beside it ----
for how in "" -R "-P 4" "-u -b 10M"; do
	$in_b iperf3 -s -1 >/dev/null &
	iperf=$!
	ready 5201
	# shellcheck disable=SC2086
	says receiver $in_a iperf3 -c 10.1.0.2 -t 1 $how
	wait $iperf
done
