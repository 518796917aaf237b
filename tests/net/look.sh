#!/bin/sh
# weft stages, drops and trace show what happened
#
#	a 10.1.0.2 ---- 10.1.0.1 r 10.2.0.1 ---- 10.2.0.2 b
. "$(dirname "$0")/lib.sh"
ns a r b
wire a a0 10.1.0.2/24 r r0 10.1.0.1/24
wire b b0 10.2.0.2/24 r r1 10.2.0.1/24
ok ip -n a route add default via 10.1.0.1
ok ip -n b route add default via 10.2.0.1
ok ip netns exec r sysctl -w net.ipv4.ip_forward=1
says "no packet has been dropped" "$WEFT" drops
ok ip netns exec a ping -q -c 5 -i 0.01 10.2.0.2

says "cycles/packet" "$WEFT" stages
says "ip4-forward" "$WEFT" stages
"$WEFT" stages --json >"$tmp/before"

# frames that end for a reason each, from a
ip netns exec a /usr/bin/python3 - "$(ip -n r -o link show r0 | sed 's/.*ether \([^ ]*\).*/\1/')" <<'PY'
import socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("a0", 0))

def csum(b):
    n = sum(struct.unpack(f"!{len(b) // 2}H", b))
    n = (n & 0xffff) + (n >> 16)
    return ~(n + (n >> 16)) & 0xffff

def ip(dst, ttl=64, proto=17, first=0x45, bend=0, payload=bytes(26)):
    h = struct.pack("!BBHHHBBH4s4s", first, 0, 20 + len(payload), 1, 0, ttl, proto, 0,
                    socket.inet_aton("10.1.0.2"), socket.inet_aton(dst))
    return h[:10] + struct.pack("!H", csum(h) ^ bend) + h[12:] + payload

def send(n, packet, to=mac, kind=0x0800):
    for _ in range(n):
        s.send(to + b"\x02\0\0\0\0\x01" + struct.pack("!H", kind) + packet)

send(3, ip("10.1.0.1", bend=1))                  # IP_CSUM
send(4, ip("10.1.0.1", first=0x44))              # IP_INHDR
send(5, ip("10.2.0.2", ttl=1))                   # IP_TTL
send(6, ip("10.2.0.2"), to=b"\x02\0\0\0\0\x77")  # OTHERHOST
send(7, bytes(46), kind=0x88b5)                  # UNHANDLED_PROTO
send(8, ip("10.1.0.1", proto=253))               # IP_NOPROTO
udp = struct.pack("!HHHH", 9, 9, 26, 0) + bytes(18)
send(9, ip("10.1.0.1", payload=udp))             # NO_SOCKET
PY
"$WEFT" stages --json >"$tmp/after"
"$WEFT" drops --json >"$tmp/drops"
/usr/bin/python3 - "$tmp/before" "$tmp/after" "$tmp/drops" <<'PY'
import json, sys
before, after, drops = (json.load(open(p)) for p in sys.argv[1:])
stage = lambda j: {s["name"]: s for s in j["stages"]}
s = stage(before)
# five requests and five replies through r
assert s["ip4-forward"]["packets"] == 10, s
assert s["ip4-local"]["packets"] == 10 and s["icmp4"]["packets"] == 10, s
for x in s.values():
    assert 0 < x["calls"] <= x["packets"] and x["cycles"] > 0, x
    assert abs(x["cycles"] / x["packets"] - x["cycles_per_packet"]) < 0.1, x
# everything that was sent was received, and nothing else
assert s["driver-tx"]["packets"] == s["ethernet"]["packets"], s
got = {d["name"]: d["count"] for d in after["drops"]}
want = {"IP_CSUM": 3, "IP_INHDR": 4, "IP_TTL": 5, "OTHERHOST": 6, "UNHANDLED_PROTO": 7,
        "IP_NOPROTO": 8, "NO_SOCKET": 9}
assert got == want, got
assert drops["drops"] == after["drops"] and not before["drops"]
assert all(len(d["text"]) > 5 for d in drops["drops"])
PY
says "time to live exceeded" "$WEFT" drops

# one packet there and back: every stage in order, with names
(sleep 0.3; ip netns exec a ping -q -c 1 10.2.0.2; ip netns exec a ping -q -c 1 -W 0.2 -t 1 10.2.0.2) \
	>"$tmp/ping" 2>&1 &
"$WEFT" trace -c 2 >"$tmp/trace"
wait
awk '$2 ~ /^[A-Za-z]/ && /in/ { print $2, $4, $6 }' "$tmp/trace" >"$tmp/way"
cat >"$tmp/want" <<'WANT'
enter a0 a
ip4-output a0 a
neigh-output a0 a
driver-tx a0 a
ethernet r0 r
ip4-input r0 r
ip4-forward r0 r
neigh-output r1 r
driver-tx r1 r
ethernet b0 b
ip4-input b0 b
ip4-local b0 b
icmp4 b0 b
ip4-output b0 b
neigh-output b0 b
driver-tx b0 b
ethernet r1 r
ip4-input r1 r
ip4-forward r1 r
neigh-output r0 r
driver-tx r0 r
ethernet a0 a
ip4-input a0 a
ip4-local a0 a
socket a0 a
icmp4 a0 a
enter a0 a
ip4-output a0 a
neigh-output a0 a
driver-tx a0 a
ethernet r0 r
ip4-input r0 r
ip4-forward r0 r
IP_TTL r0 r
WANT
cmp -s "$tmp/way" "$tmp/want" || {
	cat "$tmp/trace"
	diff "$tmp/want" "$tmp/way" || true
	fail "the packet went another way"
}
says "DROPPED: time to live exceeded" cat "$tmp/trace"
(sleep 0.3; ip netns exec a ping -q -c 1 10.2.0.2) >"$tmp/ping" 2>&1 &
"$WEFT" trace --json | /usr/bin/python3 -c '
import json, sys
w = json.load(sys.stdin)["workers"][0]
e = [x for x in w["events"] if x["packet"] == 1]
assert w["lost"] == 0 and len(e) > 20, w
assert all(a["cycles"] <= b["cycles"] for a, b in zip(e, e[1:]))
assert {(x["dev"], x["netns"]) for x in e} == {("a0", "a"), ("r0", "r"), ("r1", "r"), ("b0", "b")}
'
wait
# a trace that nobody reads ends, and asking for nonsense is refused
ok ip -n r link set r0 down
ok ip -n r link set r1 down
says "no packet came" timeout 5 "$WEFT" trace -c 1 -t 0.5
refuses "-c takes" "$WEFT" trace -c x
refuses "-t takes" "$WEFT" trace -t never
