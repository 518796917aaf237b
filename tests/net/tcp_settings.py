"""Every setting net.ipv4.tcp_* and every option of level TCP: what it is at first, what it takes."""
import errno
import os
import socket
import stat
import struct

DIR = "/proc/sys/net/ipv4/"
# texts, and what depends on how much memory there is or on how the machine is set up
TEXTS = {"tcp_allowed_congestion_control", "tcp_available_congestion_control", "tcp_available_ulp",
         "tcp_congestion_control", "tcp_fastopen_key", "tcp_ehash_entries"}
SIZED = {"tcp_rmem", "tcp_wmem", "tcp_mem", "tcp_max_orphans", "tcp_max_tw_buckets", "tcp_max_syn_backlog"}
# of this machine, seen in its first namespace only
FIRST = {"tcp_mem", "tcp_max_orphans", "tcp_low_latency", "tcp_available_ulp"}
# changed by who set the machine up
LOCAL = {"tcp_keepalive_time"}

EDGES = sorted({s * v + d for v in (0, 1, 2, 3, 4, 5, 30, 31, 47, 48, 126, 127, 128, 254, 255, 256, 999, 1000,
                                    32767, 60000, 65534, 65535, 86400, 120000, 8589934, 17179869, 1 << 24,
                                    (1 << 31) - 1, (1 << 32) - 1) for s in (1, -1) for d in (-1, 0, 1)})


def read(name):
    with open(DIR + name) as f:
        return f.read().rstrip("\n")


def write(name, text):
    try:
        fd = os.open(DIR + name, os.O_WRONLY)
        try:
            os.write(fd, (text + "\n").encode())
        finally:
            os.close(fd)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


def settings():
    names = sorted(n for n in os.listdir(DIR) if n.startswith("tcp_") and n not in FIRST)
    print("names", *names)
    for n in names:
        mode = stat.S_IMODE(os.stat(DIR + n).st_mode)
        print(n, oct(mode) if n != "tcp_allowed_congestion_control" else "-",
              "-" if n in TEXTS | SIZED | LOCAL else read(n))
    for n in names:
        if n in TEXTS:
            continue
        took = []
        for v in EDGES:
            said = write(n, str(v))
            took.append("%d:%s" % (v, said if said != "ok" else read(n).split()[0]))
        # ms that are kept in jiffies come back rounded
        if n != "tcp_invalid_ratelimit":
            print(n, *took)
    for n in ("tcp_rmem", "tcp_wmem"):
        for t in ("4 5 6", "1", "2 1", "4 5 6 7", "0 1 2", "x", "1 x", ""):
            print(n, repr(t), write(n, t), read(n).split()[:2])
    for t in ("1-2-3-4", "01020304-05060708-090a0b0c-0d0e0f10,1-2-3-4", "1-2-3", "x", "1-2-3-4,1", "", " 1-2-3-5",
              "ffffffff-0-0-0"):
        print("key", repr(t), write("tcp_fastopen_key", t), read("tcp_fastopen_key"))
    for t in ("nosuch", "reno", " reno", "bbr reno", ""):
        print("algorithm", repr(t), write("tcp_congestion_control", t), read("tcp_congestion_control") == t)


VALUES = (-(1 << 31), -1, 0, 1, 2, 3, 48, 87, 88, 120, 121, 127, 128, 255, 256, 999, 1000, 1152, 4096, 32767, 32768, 65535,
          120000, 120001, (1 << 28) - 1, 1 << 28, (1 << 31) - 1)
# TCP_MD5SIG and its like, which a kernel may have or not; TCP_RTO_MAX_MS and its like, newer than 6.1; TCP_ULP and
# TCP_CONGESTION are strings; TCP_ZEROCOPY_RECEIVE is refused here; of TCP_TIMESTAMP, TCP_INFO, TCP_CC_INFO the value is not compared
SKIP = {14, 32, 35, 38, 39, 40, 41, 42, 44, 45, 46}
STRINGS = {13, 31, 33}
VARIES = {10, 11, 24, 26, 2}
REPAIR = {19, 20, 21, 22, 24, 29}


def sock(state):
    s = socket.socket()
    if state == "close":
        return s, ()
    ear = socket.socket()
    ear.bind(("127.0.0.1", 0))
    ear.listen(3)
    if state == "listen":
        return ear, (s,)
    s.connect(ear.getsockname())
    return s, (ear, ear.accept()[0])


def get(s, opt, room, compare=True):
    try:
        v = s.getsockopt(6, opt, room) if room else s.getsockopt(6, opt)
    except OSError as e:
        return errno.errorcode[e.errno]
    if not compare:
        return "value"
    return v if isinstance(v, int) else v.hex()


def set_(s, opt, v):
    try:
        s.setsockopt(6, opt, v)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


def options(state):
    for opt in range(0, 50):
        if opt in SKIP or opt in STRINGS:
            continue
        s, keep = sock(state)
        compare = opt not in VARIES or (opt in (2, 10) and state == "close")
        print(state, opt, "get", *(get(s, opt, n, compare) for n in (0, 1, 3, 4, 16)))
        if opt in REPAIR:
            continue
        told = []
        for v in VALUES:
            s, keep = sock(state)
            said = set_(s, opt, v)
            told.append("%d:%s:%s" % (v, said, get(s, opt, 0, compare)))
        print(state, opt, "set", *told)
        print(state, opt, "short", *(set_(s, opt, b"\1" * n) for n in (0, 1, 3)))
    for name in (b"", b"reno", b"reno\0", b"reno\0xxxxxxxxxxxxxxx", b"nosuch", b"renox" * 5, b"cubic"):
        s, keep = sock(state)
        print(state, name, set_(s, 13, name), set_(s, 31, name), get(s, 13, 20) if set_(s, 13, name) == "ok" else "")
    for n in (0, 15, 16, 17, 31, 32, 33):
        s, keep = sock(state)
        print(state, "key", n, set_(s, 33, bytes(range(n))), *(get(s, 33, r) for r in (4, 16, 40)))


def ip_tos():
    """The ECN bits of a stream's TOS are TCP's."""
    s = socket.socket()
    for v in (1, 3, 4, 0x1f, 255):
        s.setsockopt(0, 1, v)
        print("tos", v, s.getsockopt(0, 1))


os.system("ip link set lo up")
settings()
for st in ("close", "listen", "connected"):
    options(st)
ip_tos()
