"""UDP sockets of one host, call by call: results, errors and control messages, as JSON.
Needs a network namespace of its own."""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

UDP_CORK, UDP_SEGMENT, UDP_GRO = 1, 103, 104
A, B = "127.0.0.1", "127.0.0.2"
log = []
for line in ("ip link set lo up", "ip link add v0 type veth peer name v1", "ip addr add 10.0.0.1/24 dev v0",
             "ip link set v0 up", "ip link set v1 up", "ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0"):
    subprocess.run(line.split(), check=True)


def plain(x):
    if isinstance(x, bytes):
        return x.hex() if len(x) < 64 else "%d bytes, sum %d" % (len(x), sum(x))
    if isinstance(x, (list, tuple)):
        return [plain(i) for i in x]
    return x if x is None or isinstance(x, (int, str)) else str(x)


def do(name, fn, *args):
    try:
        got = plain(fn(*args))
    except OSError as e:
        got = e.strerror
    log.append([name, got])


def new(bind=None, opts=()):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for o in opts:
        s.setsockopt(*o)
    if bind:
        s.bind(bind)
    s.settimeout(2)
    return s


def got(s, n=70000, flags=0):
    """All there is: data, control messages, flags."""
    out = []
    while select.select([s], [], [], 0.05)[0]:
        try:
            d, c, f, a = s.recvmsg(n, 512, flags | socket.MSG_DONTWAIT)
        except OSError as e:
            out.append(e.strerror)
            break
        out.append([d, [[l, t, v] for l, t, v in c], f])
    return out


def data(n):
    return bytes(i * 7 % 251 for i in range(n))


# ---- segments: cut late, taken together
r, s = new((A, 5000)), new((A, 5001))


def seg(gso, n, gro, cm=0, to=(A, 5000)):
    s.setsockopt(17, UDP_SEGMENT, gso)
    r.setsockopt(17, UDP_GRO, gro)
    sent = s.sendmsg([data(n)], [(17, UDP_SEGMENT, struct.pack("H", cm))] if cm else [], 0, to)
    return [sent, got(r)]


for gso, n, gro in ((0, 3000, 0), (1000, 3500, 0), (1000, 3000, 0), (1000, 3500, 1), (1000, 500, 1), (1000, 1000, 1),
                    (1, 128, 1), (1, 129, 1), (1472, 65507, 1), (1472, 65508, 1), (65000, 65500, 0), (512, 65024, 1)):
    do("segment %d %d %d" % (gso, n, gro), seg, gso, n, gro)
do("segment by message", seg, 0, 3000, 1, 700)
do("segment, message over option", seg, 900, 3000, 1, 700)
for gso, n in (2000, 3000), (1472, 3000), (1473, 3000), (1473, 1400), (1473, 1472), (2000, 1500):
    s2 = new()
    s2.setsockopt(17, UDP_SEGMENT, gso)
    do("segment over veth %d %d" % (gso, n), s2.sendto, data(n), ("10.0.0.2", 9))
for v in -1, 0, 65535, 65536:
    do("segment option %d" % v, s.setsockopt, 17, UDP_SEGMENT, v)
s.setsockopt(17, UDP_SEGMENT, 0)
r.setsockopt(17, UDP_GRO, 0)
s.setsockopt(socket.SOL_SOCKET, 11, 1)
do("segments without checksum", seg, 500, 1000, 0)
s.setsockopt(socket.SOL_SOCKET, 11, 0)


# ---- what of many datagrams, put on the wire one by one, stands there
def wire(gso, n):
    w = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    w.bind(("v1", 0x0800))
    x = new(("10.0.0.1", 5002))
    x.setsockopt(0, 10, 0)
    x.setsockopt(17, UDP_SEGMENT, gso)
    x.sendto(data(n), ("10.0.0.2", 9))
    return [[len(g[0]), g[0][:2], g[0][20:26]] for g in got(w) if g[0][9] == socket.IPPROTO_UDP]


subprocess.run("ethtool -K v0 tx-udp-segmentation off".split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
do("cut for a device", wire, 400, 1000)

# ---- corks
s.setsockopt(17, UDP_CORK, 1)
do("corked", s.sendto, b"one ", (A, 5000))
do("corked more", s.sendto, b"two", (A, 5000))
do("nothing yet", got, r)
do("uncork", s.setsockopt, 17, UDP_CORK, 0)
do("together", got, r)
do("more", s.sendto, b"a", socket.MSG_MORE, (A, 5000))
do("last", s.sendto, b"b", (A, 5000))
do("both", got, r)

# ---- peeks, truncation, empty datagrams, many at once
s.sendto(data(100), (A, 5000))
do("peek", lambda: r.recv(10, socket.MSG_PEEK))
do("peek whole length", lambda: r.recv_into(bytearray(10), 10, socket.MSG_PEEK | socket.MSG_TRUNC))
do("cut off", got, r, 10)
s.sendto(b"", (A, 5000))
do("empty", got, r)
libc = ctypes.CDLL(None, use_errno=True)


class Iov(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Hdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iov)),
                ("iovlen", ctypes.c_size_t), ("ctl", ctypes.c_void_p), ("ctllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Mmsg(ctypes.Structure):
    _fields_ = [("h", Hdr), ("len", ctypes.c_uint)]


def many(fn, sock, n, flags):
    bufs = [ctypes.create_string_buffer(b"%d" % i * 5, 64) for i in range(n)]
    iovs = [Iov(ctypes.addressof(b), 5 if fn == "sendmmsg" else 64) for b in bufs]
    v = (Mmsg * n)(*[Mmsg(Hdr(iov=ctypes.pointer(i), iovlen=1)) for i in iovs])
    args = [sock.fileno(), v, n, flags] + ([None] if fn == "recvmmsg" else [])
    k = getattr(libc, fn)(*args)
    if k < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return [k, [[v[i].len, bufs[i].raw[:v[i].len]] for i in range(k)]]


s.connect((A, 5000))
do("sendmmsg", many, "sendmmsg", s, 4, 0)
do("recvmmsg", many, "recvmmsg", r, 8, 0x10000)
do("recvmmsg empty", many, "recvmmsg", r, 8, 0x40)
s.connect(("127.0.0.1", 5999))
do("refused: sent", s.send, b"x")
do("refused: told", many, "sendmmsg", s, 4, 0)
s.close()
s = new((A, 5001))

# ---- what is shown
for o in (0, 8), (0, 12), (0, 13), (1, 40):
    r.setsockopt(o[0], o[1], 1)
s.setsockopt(0, 1, 0x20)
s.setsockopt(0, 2, 33)
s.sendto(b"shown", (A, 5000))
do("shown", got, r)
do("ttl by message", s.sendmsg, [b"x"], [(0, 2, struct.pack("i", 7)), (0, 1, struct.pack("i", 8))], 0, (A, 5000))
do("shown again", got, r)
do("bad ttl", s.sendmsg, [b"x"], [(0, 2, struct.pack("i", 0))], 0, (A, 5000))
do("from another address", s.sendmsg, [b"x"], [(0, 8, struct.pack("i4s4s", 0, socket.inet_aton(B), b"\0" * 4))], 0,
   (A, 5000))
do("is from it", lambda: r.recvfrom(10))

# ---- sharing a port
opt = ((1, 15, 1),)
g = [new((A, 5100), opt) for _ in range(4)]


def prog(*ins):
    b = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in ins))
    return b, struct.pack("HxxxxxxP", len(ins), ctypes.addressof(b))


def attach(sock, *ins):
    b, val = prog(*ins)
    sock.setsockopt(1, 51, val)


def spread(payloads, port=5100):
    for p in payloads:
        s.sendto(p, (A, port))
    return [[d[0] for d in got(x)] for x in g]


first = ((0x30, 0, 0, 0), (0x16, 0, 0, 0))  # the first byte is the index
do("hash: all of a flow to one", lambda: sorted(len(x) for x in spread([b"a", b"b", b"c"])))
do("attach", attach, g[0], *first)
do("by program", spread, [b"\0", b"\1x", b"\2", b"\3", b"\3", b"\1"])
do("beyond: by hash", lambda: sum(len(x) for x in spread([b"\x09"])))
g[1].close()
g[1] = new((A, 5100), opt)
do("the last took its place", spread, [b"\0", b"\1x", b"\2", b"\3"])
do("detach", g[2].setsockopt, 1, 68, 0)
do("detach twice", g[2].setsockopt, 1, 68, 0)
for x in g:
    x.close()
x = new()
do("attach without the option", attach, x, *first)
x.setsockopt(1, 15, 1)
do("attach before bind", attach, x, *first)
x.bind((A, 5100))
g = [x] + [new((A, 5100), opt) for _ in range(3)]
do("the founder's program", spread, [b"\0", b"\1", b"\2", b"\3"])
do("bad program", attach, x, (0xffff, 0, 0, 0))
x = new((A, 5200))
x.setsockopt(1, 15, 1)
do("bound without", x.getsockopt, 1, 15)
x = [new((A, 5300), ((1, 2, 1),)) for _ in range(2)]
s.sendto(b"latest", (A, 5300))
do("SO_REUSEADDR: who", lambda: [got(i) for i in x])

# ---- groups and their sources
m = [new(("", 5400), ((1, 2, 1),)) for _ in range(3)]
lo = struct.pack("i", socket.if_nametoindex("lo"))
G = "239.5.5.5"
ip = socket.inet_aton
for i in m:
    i.setsockopt(0, 49, 0)
s.setsockopt(0, 32, ip("0.0.0.0") * 2 + lo)
m[0].setsockopt(0, 35, ip(G) + ip("0.0.0.0") + lo)
m[1].setsockopt(0, 39, ip(G) + ip(A) + ip(A))
m[2].setsockopt(0, 39, ip(G) + ip(A) + ip(B))
t = new((B, 5001))
t.setsockopt(0, 32, ip("0.0.0.0") * 2 + lo)
s.sendto(b"from A", (G, 5400))
t.sendto(b"from B", (G, 5400))
do("by source", lambda: [got(i) for i in m])
m[0].setsockopt(0, 38, ip(G) + ip(A) + ip(B))
t.sendto(b"blocked", (G, 5400))
do("blocked", lambda: [got(i) for i in m])

# ---- the error queue
e = new((A, 5500), ((0, 11, 1),))
do("to nobody", e.sendto, b"lost", (A, 5998))


def errq():
    select.select([], [], [e], 0.2)
    d, c, f, a = e.recvmsg(100, 512, socket.MSG_ERRQUEUE)
    return [d, [[l, t, v] for l, t, v in c], f, a]


do("error", errq)
do("no more", errq)
do("so_error", e.getsockopt, 1, 4)
e.setsockopt(0, 10, 2)
do("too long", e.sendto, data(65500), ("10.0.0.2", 9))
do("local error", errq)

# ---- sending by the clock needs a scheduler that does
do("SO_TXTIME", e.setsockopt, 1, 61, struct.pack("iI", time.CLOCK_MONOTONIC, 0))
do("SO_TXTIME, bad clock", e.setsockopt, 1, 61, struct.pack("iI", 99, 0))
with open(sys.argv[1], "w") as f:
    json.dump(log, f, indent=1)
