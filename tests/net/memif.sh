#!/bin/sh
# two instances, joined by shared memory:
#
#	[weft A] m0 10.3.0.1 ==== memif ==== m0 10.3.0.2 [weft B]
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
A=memif-a-$$ B=memif-b-$$
tidy() {
	"$WEFT" stop $A >/dev/null 2>&1 || true
	"$WEFT" stop $B >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap tidy EXIT
trap 'exit 1' INT TERM

# on INSTANCE COMMAND...
on() {
	instance=$1
	shift
	"$WEFT" run -k ${WORKERS:+-w $WORKERS} -n "$instance" "$@"
}

# end INSTANCE ROLE ADDRESS [WORD...]: makes and sets up its device
end() {
	instance=$1 role=$2 addr=$3
	shift 3
	ok on "$instance" "$WEFT" memif add m0 "$tmp/sock" role "$role" "$@"
	ok on "$instance" ip addr add "$addr/24" dev m0
	ok on "$instance" ip link set m0 up
}

# no_carrier INSTANCE, carrier INSTANCE
no_carrier() {
	on "$1" ip link show m0 | grep -q NO-CARRIER
}
carrier() {
	on "$1" ip link show m0 | grep -q LOWER_UP
}

end $A server 10.3.0.1 queues 2 secret sesame
ok no_carrier $A
end $B client 10.3.0.2 queues 2 secret sesame
soon carrier $B
soon carrier $A
says "0% packet loss" on $A ping -c 3 -i 0.2 -W 2 10.3.0.2
# several buffers a frame
ok on $A ip link set m0 mtu 9000
ok on $B ip link set m0 mtu 9000
says "0% packet loss" on $B ping -c 2 -i 0.2 -W 2 -s 8000 -M do 10.3.0.1

# ---- TCP, and every byte of it ----
timeout 30 "$WEFT" run -k -n $B /usr/bin/python3 - >"$tmp/sink" 2>"$tmp/err" <<'PY' &
import hashlib, socket
s = socket.create_server(("10.3.0.2", 5000))
print("ready", flush=True)
c, h, n = s.accept()[0], hashlib.sha256(), 0
while b := c.recv(1 << 20):
    h.update(b)
    n += len(b)
print(n, h.hexdigest())
PY
sink=$!
soon grep -q ready "$tmp/sink"
timeout 30 "$WEFT" run -k -n $A /usr/bin/python3 - >"$tmp/source" <<'PY'
import hashlib, random, socket
r, h, n = random.Random(1), hashlib.sha256(), 0
s = socket.create_connection(("10.3.0.2", 5000))
for _ in range(16):
    b = r.randbytes(1 << 20)
    h.update(b)
    n += len(b)
    s.sendall(b)
s.close()
print(n, h.hexdigest())
PY
wait $sink || fail "the receiver: $(cat "$tmp/err")"
[ "$(tail -n 1 "$tmp/sink")" = "$(cat "$tmp/source")" ] || fail "what arrived is not what was sent"

# ---- an end goes, and comes again ----
ok "$WEFT" stop $B
soon no_carrier $A
end $B client 10.3.0.2 secret sesame
soon carrier $A
says "0% packet loss" on $A ping -c 2 -i 0.2 -W 2 10.3.0.2
ok on $A ip link set m0 down
soon no_carrier $B
ok on $A ip link set m0 up
soon carrier $B
ok on $A ip link del m0
soon no_carrier $B

# ---- who does not know the secret, or says it wrongly ----
end $A server 10.3.0.1 secret other
sleep 0.6
ok no_carrier $A
refuses "the size of a ring is a power of two" on $A "$WEFT" memif add m1 "$tmp/sock" ring 100
