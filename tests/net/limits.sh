#!/bin/sh
# Clients that misbehave: one that never reads, ones that die in the middle
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 - <<'PY'
import os, signal, socket, subprocess, time

# a listener that never reads: others go on, and it hears ENOBUFS once it reads
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.bind((0, 0xffff))
lines = []
for i in range(300):
    lines.append(f"link add d{i} type dummy")
for i in range(300):
    lines.append(f"link del d{i}")
start = time.time()
for _ in range(3):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
assert time.time() - start < 60
overflow = 0
s.setblocking(False)
while True:
    try:
        s.recv(65536)
    except BlockingIOError:
        break
    except OSError as e:
        assert e.errno == 105, e
        overflow += 1
assert overflow >= 1, "no ENOBUFS"

# processes killed while they hold sockets and a namespace
for _ in range(20):
    p = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link add x type veth peer name y; sleep 30"])
    time.sleep(0.05)
    p.send_signal(signal.SIGKILL)
    p.wait()
subprocess.run(["ip", "link", "add", "still", "type", "dummy"], check=True)
PY
ok ip link show still
