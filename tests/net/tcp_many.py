"""Connections that are held idle, thousands of them: each still works afterwards, the daemon sleeps
meanwhile, and gives everything back."""
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time

EACH = 1000
with open(sys.argv[2]) as f:
    daemon = next(i["pid"] for i in json.load(f) if i["dir"] == os.environ["WEFT_DIR"])
with open(f"/proc/{daemon}/limits") as f:
    most = next(int(line.split()[3]) for line in f if line.startswith("Max open files"))
# each has two ends there
N = min(int(sys.argv[1]), (most - 500) // 2 // EACH * EACH)


def limit(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n:
        print(f"at most {hard} descriptors here")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard))


def cpu():
    with open(f"/proc/{daemon}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pages():
    with open(f"/proc/{daemon}/statm") as f:
        return int(f.read().split()[1])


def fds():
    return len(os.listdir(f"/proc/{daemon}/fd"))


signal.alarm(200)
limit(N + 100)
before = fds()
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(4096)
addr = l.getsockname()
children = []
for _ in range(N // EACH):
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(w)
        limit(EACH + 100)
        mine = [socket.create_connection(addr) for _ in range(EACH)]
        os.read(r, 1)
        for i, s in enumerate(mine):
            s.send(b"%d" % i)
        for i, s in enumerate(mine):
            assert s.recv(100) == b"echo %d" % i
        os._exit(0)
    os.close(r)
    children.append((pid, w))
accepted = [l.accept()[0] for _ in range(N)]
print(len(accepted), "connections,", fds() - before, "descriptors of the daemon,",
      pages() * 4096 // 1024 // 1024, "MiB")
shown = subprocess.run(["ss", "-Htn"], stdout=subprocess.PIPE, check=True).stdout.splitlines()
assert len(shown) == 2 * N, f"ss shows {len(shown)}"
time.sleep(1)
busy = cpu()
time.sleep(2)
busy = cpu() - busy
print("idle:", busy, "s of CPU in 2 s")
assert busy < 0.2, "an idle daemon works"
for _, w in children:
    os.close(w)
by_fd = {s.fileno(): s for s in accepted}
e = select.epoll()
for fd in by_fd:
    e.register(fd, select.EPOLLIN)
left = N
while left:
    for fd, _ in e.poll(10):
        s = by_fd[fd]
        data = s.recv(100)
        if data:
            s.send(b"echo " + data)
        else:
            e.unregister(fd)
            s.close()
            left -= 1
for pid, _ in children:
    assert os.waitpid(pid, 0)[1] == 0
l.close()
for _ in range(50):
    if fds() <= before + 8:
        break
    time.sleep(0.1)
print("afterwards:", fds() - before, "descriptors more")
assert fds() <= before + 8
