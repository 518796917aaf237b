#!/bin/sh
# Named instances: joined, listed, kept, stopped; what programs see when the daemon dies, and what a
# program gives back when it dies
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
WEFT_RUNDIR=$tmp/run
export WEFT_RUNDIR
unset WEFT_DIR WEFT_NETNS
name=test$$

# daemon_of NAME: its process
daemon_of() {
	"$WEFT" list --json | /usr/bin/python3 -c '
import json, sys
print(*[i["pid"] for i in json.load(sys.stdin) if i["name"] == sys.argv[1]])' "$1"
}

"$WEFT" run -n $name sh -c 'ip link add mark type dummy; ip link set mark up; exec sleep 100' &
holder=$!
soon "$WEFT" run -n $name ip link show mark
says $name "$WEFT" list
# another instance knows nothing of it
refuses "does not exist" "$WEFT" run ip link show mark
ok "$WEFT" run -n $name sh -c 'ip link set lo up && ping -c 1 127.0.0.1'
says "icmp4" "$WEFT" stages -n $name

# ---- programs that die hold nothing any more ----
cat >"$tmp/hold.py" <<'PY'
import socket, subprocess, sys, time
subprocess.run("ip link add hold0 type veth peer name hold1", shell=True, check=True)
subprocess.run(["ip", "netns", "exec", "named", "true"], check=True)
kinds = [(socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_NETLINK, socket.SOCK_RAW, 0),
         (socket.AF_PACKET, socket.SOCK_RAW, 0x300), (socket.AF_INET, socket.SOCK_RAW, 1)]
keep = [socket.socket(*k) for k in kinds for _ in range(100)]
keep.append(open("/proc/sys/net/ipv4/ip_forward", "w"))
keep[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
open(sys.argv[1], "w").close()
time.sleep(100)
PY
ok "$WEFT" run -n $name ip netns add named
daemon=$(daemon_of $name)
# held: what a daemon holds on behalf of programs
held() {
	"$WEFT" list --json | /usr/bin/python3 -c '
import json, os, sys
i = [i for i in json.load(sys.stdin) if i["name"] == sys.argv[1]][0]
print(i["sockets"], i["namespaces"], i["connections"], len(os.listdir("/proc/%d/fd" % i["pid"])))' $name
}
before=$(held)
for signal in KILL TERM KILL; do
	rm -f "$tmp/holds"
	"$WEFT" run -n $name unshare -n /usr/bin/python3 "$tmp/hold.py" "$tmp/holds" &
	pid=$!
	soon test -e "$tmp/holds"
	case $(held) in
	"400 3 "*) ;;
	*) fail "held: $(held), expected 400 sockets in 3 namespaces" ;;
	esac
	kill -$signal $pid
	wait $pid 2>/dev/null || true
	soon sh -c "[ \"\$('$WEFT' list --json | grep -c '\"sockets\":0')\" = 1 ]"
	[ "$(held)" = "$before" ] || fail "held before: $before; after: $(held)"
done

# ---- a daemon that dies leaves errors, not hangs ----
cat >"$tmp/wait.py" <<'PY'
import select, socket, sys
kind, how = sys.argv[1:]
s = {"udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
     "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0xb588),  # nobody's ethertype
     "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
     "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)}[kind]()
if kind == "udp":
    s.bind(("127.0.0.1", 0))
if kind == "netlink":
    s.bind((0, 1))
if how == "poll":
    p = select.poll()
    p.register(s, select.POLLIN)
    assert p.poll(20000), "poll timed out"
if how == "epoll":
    e = select.epoll()
    e.register(s, select.EPOLLIN)
    assert e.poll(20), "epoll timed out"
s.recv(100)
PY
i=0
for how in "python3 $tmp/wait.py udp recv" "python3 $tmp/wait.py udp poll" \
	"python3 $tmp/wait.py netlink recv" "python3 $tmp/wait.py netlink epoll" \
	"python3 $tmp/wait.py packet poll" "python3 $tmp/wait.py raw recv" \
	"ip monitor" "tcpdump -i mark -w /dev/null" "tcpdump -n -i mark" \
	"sh -c 'sleep 6; ip link'" "sh -c 'sleep 6; cat /proc/net/dev'"; do
	eval "set -- $how"
	(
		code=0
		timeout 20 "$WEFT" run -n $name "$@" >"$tmp/late.$i" 2>&1 || code=$?
		echo $code >"$tmp/code.$i"
	) &
	i=$((i + 1))
done
# ping goes on by itself, but says why, and not for ever
timeout -s INT 4 "$WEFT" run -n $name ping 127.0.0.1 >"$tmp/ping" 2>&1 &
sleep 2
kill -9 "$daemon"
n=$i
kill $holder 2>/dev/null || true
wait
while [ $i -gt 0 ]; do
	i=$((i - 1))
	code=$(cat "$tmp/code.$i")
	if [ "$code" -eq 0 ] || [ "$code" -ge 124 ]; then
		cat "$tmp/late.$i"
		fail "program $i of $n ends with $code when the daemon dies"
	fi
	grep -qi "network is down\|cannot" "$tmp/late.$i" || {
		cat "$tmp/late.$i"
		fail "program $i of $n has no clear error"
	}
done
grep -q "Network is down" "$tmp/ping" || fail "ping says nothing of a dead daemon"
[ "$(grep -c "recvmsg: Network is down" "$tmp/ping")" -lt 200 ] || fail "ping floods the terminal"

# ---- stopped while programs run: the same ----
"$WEFT" run -n stopped timeout 20 ip monitor >"$tmp/late" 2>&1 &
monitor=$!
soon "$WEFT" run -n stopped ip link
sleep 0.5
ok timeout 10 "$WEFT" stop stopped
code=0
wait $monitor || code=$?
[ $code -ne 0 ] && [ $code -ne 124 ] || fail "ip monitor ends with $code when its instance is stopped"
grep -q "Network is down" "$tmp/late" || fail "ip monitor has no clear error"

# ---- kept, then stopped ----
ok "$WEFT" run -k -n keep$$ ip link add mark type dummy
sleep 0.5
ok "$WEFT" run -n keep$$ ip link show mark
ok "$WEFT" stop keep$$
silent keep$$ "$WEFT" list
refuses "there is no instance" "$WEFT" stop keep$$
# without -k an instance ends with its last program
ok "$WEFT" run -n gone$$ ip link
soon sh -c "! '$WEFT' list | grep -q gone$$"
# programs whose file has capabilities (ping) are on weft, too
says "Network is unreachable" "$WEFT" run ping -c 1 127.0.0.1
