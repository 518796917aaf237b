#!/bin/sh
# ss(8) on TCP: every kind of connection, queues, timers, TCP_INFO, filters, and connections and
# listeners that it ends. Also against the kernel, as ss.sh.
. "$(dirname "$0")/lib.sh"

ok ip link set lo up
cat >"$tmp/socks.py" <<'PY'
import errno, os, socket, sys, time
def tcp():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
d = sys.argv[1]
l = tcp()
l.bind(("127.0.0.1", 7010))
l.listen(5)
a = tcp()
a.bind(("127.0.0.2", 7011))
a.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
a.connect(("127.0.0.1", 7010))
b, _ = l.accept()
b.send(b"x" * 300)                  # waits to be read by a
w = tcp()
w.bind(("127.0.0.3", 7012))
w.connect(("127.0.0.1", 7010))      # waits to be accepted
h = tcp()
h.bind(("127.0.0.4", 7013))
h.connect(("127.0.0.1", 7010))
g, _ = l.accept()                   # is w's
n, _ = l.accept()
h.shutdown(socket.SHUT_WR)          # FIN-WAIT-2 and CLOSE-WAIT
t = tcp()
t.bind(("127.0.0.5", 7014))
t.connect(("127.0.0.1", 7010))
e, _ = l.accept()
t.close()
time.sleep(.3)                      # or both FINs may cross
e.close()                           # TIME-WAIT
q = tcp()
q.bind(("127.0.0.6", 7015))
q.connect(("127.0.0.1", 7010))      # not accepted by anybody
o = tcp()
o.bind(("127.0.0.7", 7016))         # bound and no more
open(d + "/ready", "w").close()
def ends(name, s, fn):
    try:
        fn()
        r = "nothing"
    except OSError as x:
        r = errno.errorcode[x.errno]
    open(d + "/" + name, "w").write(r + "\n")
while not os.path.exists(d + "/go"):
    time.sleep(.05)
a.settimeout(20)
a.recv(300)
ends("a", a, lambda: a.recv(1))
b.settimeout(5)
ends("b", b, lambda: b.recv(1))
l.settimeout(None)
q, _ = l.accept()
open(d + "/accepts", "w").close()
ends("l", l, lambda: l.accept())
time.sleep(20)
PY
/usr/bin/python3 "$tmp/socks.py" "$tmp" &
pid=$!
soon test -e "$tmp/ready"

L='LISTEN 127.0.0.1:7010 0.0.0.0:*'
A='ESTAB 127.0.0.2:7011 127.0.0.1:7010'
B='ESTAB 127.0.0.1:7010 127.0.0.2:7011'
H='FIN-WAIT-2 127.0.0.4:7013 127.0.0.1:7010'
N='CLOSE-WAIT 127.0.0.1:7010 127.0.0.4:7013'
T='TIME-WAIT 127.0.0.5:7014 127.0.0.1:7010'
ss_is "$L" -tl
ss_is "$T
$L
$H
$N
$A
ESTAB 127.0.0.1:7010 127.0.0.2:7011
ESTAB 127.0.0.1:7010 127.0.0.3:7012
ESTAB 127.0.0.1:7010 127.0.0.6:7015
ESTAB 127.0.0.3:7012 127.0.0.1:7010
ESTAB 127.0.0.6:7015 127.0.0.1:7010" -ta
[ "$(ss -Htn state time-wait | awk '{print $3}')" = 127.0.0.5:7014 ] || fail "time-wait"
[ "$(ss -Htn state fin-wait-2 | wc -l)" = 1 ] || fail "fin-wait-2"
ss_is "$A" -ta 'sport = :7011'
ss_is "$B" -ta 'dport = :7011 and src 127.0.0.1'
ss_is "$N
$H" -ta '( sport = :7013 or dport = :7013 )'
# queues: of a listener, who waits and how many may
says 'LISTEN 1      5' ss -Htln
says 'ESTAB 300    0' ss -Htn 'sport = :7011'
# timers
says 'timer:(keepalive,' ss -Htno 'sport = :7011'
says 'timer:(timewait,' ss -Htno state time-wait
# who has it
says "users:((\"python3\",pid=$pid,fd=3))" ss -Htlnp
says "ino:$(readlink /proc/$pid/fd/3 | tr -dc 0-9) " ss -Htlne
says " $(cat /proc/sys/net/ipv4/tcp_congestion_control) wscale:" ss -Htni 'sport = :7011'
says 'bytes_received:300' ss -Htni 'sport = :7011'
says ' pmtu:65535 rcvmss:536 advmss:65483 cwnd:10 ' ss -Htni 'sport = :7011'
says 'skmem:(r' ss -Htnm 'sport = :7011'
says 'TCP	  9' ss -s
# more wait than the daemon hands over at a time
/usr/bin/python3 - <<'PY' &
import socket, time
l = socket.socket()
l.bind(("127.0.0.1", 7020))
l.listen(200)
c = [socket.create_connection(("127.0.0.1", 7020)) for _ in range(80)]
time.sleep(20)
PY
many=$!
soon sh -c '[ "$(ss -Htn state established "dport = :7020" | wc -l)" = 80 ]'
says 'LISTEN 80     200' ss -Htln 'sport = :7020'
[ "$(grep -c ":1B6C " /proc/net/tcp)" = 161 ] || fail "/proc/net/tcp: $(grep -c ":1B6C " /proc/net/tcp)"
kill $many
# an end for a connection: its program and its peer's are told
touch "$tmp/go"
soon sh -c '[ "$(ss -Htn "sport = :7011" | awk "{print \$2}")" = 0 ]'
ok ss -K -tn 'sport = :7011'
soon test -s "$tmp/b"
says 'ECONNABORTED' cat "$tmp/a"
says 'ECONNRESET' cat "$tmp/b"
ss_is "" -ta '( sport = :7011 or dport = :7011 )'
ok ss -K -tn state time-wait
ss_is "" -t state time-wait
# and for a listener
soon test -e "$tmp/accepts"
ok ss -K -tln 'sport = :7010'
soon test -s "$tmp/l"
says 'EINVAL' cat "$tmp/l"
ss_is "" -tl
kill $pid
