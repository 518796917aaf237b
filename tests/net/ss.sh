#!/bin/sh
# ss(8) on sockets of every family: addresses, filters, memory, processes, and sockets that it ends.
# Also against the kernel (WEFT_DIR set, in a namespace of the host), whose answers these are.
. "$(dirname "$0")/lib.sh"

ok ip link set lo up
cat >"$tmp/socks.py" <<'PY'
import socket, sys, time
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 7001))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.setsockopt(socket.SOL_IP, socket.IP_TOS, 16)
b.bind(("127.0.0.2", 7002))
b.connect(("127.0.0.1", 7001))
b.send(b"x" * 100)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # bound to nothing: shown nowhere
try:
    r = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    p = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88b5))
except PermissionError:
    pass
open(sys.argv[1] + "/ready", "w").close()
b.settimeout(20)
try:
    b.recv(10)
except OSError as e:
    open(sys.argv[1] + "/error", "w").write(e.strerror)
time.sleep(20)
PY
/usr/bin/python3 "$tmp/socks.py" "$tmp" &
pid=$!
soon test -e "$tmp/ready"

A='UNCONN 127.0.0.1:7001 0.0.0.0:*'
B='ESTAB 127.0.0.2:7002 127.0.0.1:7001'

ss_is "$B
$A" -ua
ss_is "$A" -ul
says '127.0.0.2:7002' ss -Hun state established dst 127.0.0.1
silent '127.0.0.1:7001    ' ss -Hun state established
ss_is "$A" -ua 'sport = :7001'
ss_is "$B" -ua 'dport = :7001'
ss_is "$B" -ua 'sport > :7001'
ss_is "$A" -ua 'sport < :7002 and src 127.0.0.0/8'
ss_is "$B
$A" -ua 'sport = :7001 or dport = :7001'
ss_is "$A" -ua 'not dport = :7001'
ss_is "$B" -ua 'dst 127.0.0.0/31'
ss_is "" -ua 'src 10.0.0.0/8'
ss_is "" -ua 'dev lo'
ss_is "" -ta
says 'UNCONN 0 ' ss -wan
says 'icmp' ss -wa
says 'p_dgr' ss -0 -e
says '[34997]' ss -0n
says 'tcpdiag' ss -a -f netlink
says "users:((\"python3\",pid=$pid,fd=3))" ss -uap 'sport = :7001'
says "ino:$(readlink /proc/$pid/fd/3 | tr -dc 0-9) " ss -uae 'sport = :7001'
grep -q " $(readlink /proc/$pid/fd/3 | tr -dc 0-9) 2 " /proc/net/udp || fail "inode in /proc/net/udp"
says 'tos:0x10' ss -ua --tos dst 127.0.0.1
says 'rb212992,t0,tb212992' ss -uam 'sport = :7001'
says 'UDP	  2' ss -s
# what waits to be read is shown
[ "$(ss -Huan 'sport = :7001' | awk '{print $2}')" -gt 100 ] || fail "nothing waits"
grep -q 'UDP: inuse 2 mem' /proc/net/sockstat || fail "sockstat: $(cat /proc/net/sockstat)"
# ended by the administrator
ok ss -K -u dst 127.0.0.1
soon test -s "$tmp/error"
says 'Software caused connection abort' cat "$tmp/error"
says 'UNCONN' ss -Huan 'sport = :7002'
kill $pid
