"""What a host tells of its multicast groups: options, their errors, and the reports they cause, as JSON.
Needs a network namespace of its own. With a second argument, the JSON of an earlier run, a step waits until it
has heard as many reports as there were then, so that a slow machine makes no difference.   v0 (the host) === v1 (what listens to it, and asks)"""
import json
import os
import socket
import struct
import subprocess
import sys
import time

IP_UNBLOCK, IP_BLOCK, IP_ADD_SRC, IP_DROP_SRC, IP_MSFILTER = 37, 38, 39, 40, 41
JOIN, BLOCK, UNBLOCK, LEAVE, JOIN_SRC, LEAVE_SRC, MSFILTER = 42, 43, 44, 45, 46, 47, 48
EXCLUDE, INCLUDE = 0, 1
G, H, L = "239.1.1.1", "239.1.1.2", "224.0.0.99"
S = ["10.9.0.%d" % i for i in range(1, 13)]


def sh(line):
    subprocess.run(line.split(), check=True)


sh("ip link set lo up")
sh("ip link add v0 type veth peer name v1")
sh("ip addr add 10.0.0.1/24 dev v0")
for dev in "v0", "v1":
    with open("/proc/sys/net/ipv4/conf/%s/igmpv3_unsolicited_report_interval" % dev, "w") as f:
        f.write("20")
    with open("/proc/sys/net/ipv4/conf/%s/igmpv2_unsolicited_report_interval" % dev, "w") as f:
        f.write("20")
    # only IPv4 is compared
    if os.path.exists("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % dev):
        with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % dev, "w") as f:
            f.write("1")
    sh("ip link set %s up" % dev)
sh("ip route add 224.0.0.0/4 dev v0")
index = socket.if_nametoindex("v0")
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind(("v1", 0x0800))
ip4 = socket.inet_aton
log = []
expected = json.load(open(sys.argv[2])) if len(sys.argv) > 2 else []


def records(m):
    out, at = [], 8
    for _ in range(struct.unpack_from("!H", m, 6)[0]):
        kind, aux, n, group = struct.unpack_from("!BBH4s", m, at)
        srcs = [socket.inet_ntoa(m[at + 8 + 4 * i:at + 12 + 4 * i]) for i in range(n)]
        out.append([kind, socket.inet_ntoa(group), sorted(srcs)])
        at += 8 + 4 * n + 4 * aux
    return sorted(out) + ([len(m) - at] if at != len(m) else [])


def reports(wait):
    """What was said until there is silence for that long, and what is expected was heard (or three seconds
    have passed)."""
    out = []
    want = len(expected[len(log)][2]) if len(log) < len(expected) else 0
    while True:
        wire.settimeout(wait if len(out) >= want else 3)
        try:
            frame, addr = wire.recvfrom(70000)
        except socket.timeout:
            return out
        if addr[2] == 4 or frame[23] != 2:
            continue
        hlen = (frame[14] & 15) * 4
        m = frame[14 + hlen:]
        total = struct.unpack("!H", frame[16:18])[0]
        m = m[:total - hlen]
        head = [frame[:6].hex(), frame[14:16].hex(), frame[20:23].hex(), frame[30:14 + hlen].hex()]
        out.append([head, m[0], m[1], records(m) if m[0] == 0x22 else socket.inet_ntoa(m[4:8])])


def proc():
    """Groups and sources, without what is on its way."""
    out = {}
    for name in "igmp", "mcfilter":
        with open("/proc/net/" + name) as f:
            out[name] = f.read()
    return out


def step(name, fn, wait=0.12):
    try:
        got = fn()
        got = got.hex() if isinstance(got, bytes) else None
    except OSError as e:
        got = e.strerror
    log.append([name, got, reports(wait), proc()])


def mreq(group, addr="0.0.0.0"):
    return ip4(group) + ip4(addr) + struct.pack("i", index)


def msrc(group, src, addr="10.0.0.1"):
    return ip4(group) + ip4(addr) + ip4(src)


def ss(addr, family=socket.AF_INET):
    return struct.pack("HH4s", family, 0, ip4(addr)).ljust(128, b"\0")


def greq(group, ifindex=None):
    return struct.pack("I4x", index if ifindex is None else ifindex) + ss(group)


def gsreq(group, src, family=socket.AF_INET):
    return struct.pack("I4x", index) + ss(group) + ss(src, family)


def msf(group, mode, srcs, n=None, addr="10.0.0.1"):
    return ip4(group) + ip4(addr) + struct.pack("II", mode, len(srcs) if n is None else n) + \
        b"".join(map(ip4, srcs))


def gf(group, mode, srcs, n=None):
    return struct.pack("I4x", index) + ss(group) + \
        struct.pack("II", mode, len(srcs) if n is None else n) + b"".join(map(ss, srcs))


def new():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def opt(s, name, val):
    return lambda: s.setsockopt(socket.IPPROTO_IP, name, val)


def getopt(s, name, val, room):
    """getsockopt() with what the value holds before, which Python's cannot."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    buf = ctypes.create_string_buffer(val.ljust(room, b"\0"), room)
    n = ctypes.c_uint(room)

    def fn():
        if libc.getsockopt(s.fileno(), 0, name, buf, ctypes.byref(n)):
            e = ctypes.get_errno()
            raise OSError(e, os.strerror(e))
        return buf.raw[:n.value]
    return fn


def csum(b):
    t = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    t = (t & 0xffff) + (t >> 16)
    return ~((t & 0xffff) + (t >> 16)) & 0xffff


def query(group, srcs=(), code=1, old=False, qrv=2):
    m = struct.pack("!BBH4s", 0x11, code, 0, ip4(group))
    if not old:
        m += struct.pack("!BBH", qrv, 0, len(srcs)) + b"".join(map(ip4, srcs))
    m = m[:2] + struct.pack("!H", csum(m)) + m[4:]
    to = "224.0.0.1" if group == "0.0.0.0" else group
    h = struct.pack("!BBHHHBBH4s4s", 0x46, 0xc0, 24 + len(m), 0, 0, 1, 2, 0, ip4("10.0.0.2"), ip4(to)) + \
        b"\x94\4\0\0"
    h = h[:10] + struct.pack("!H", csum(h)) + h[12:]
    mac = b"\1\0\x5e" + bytes([ip4(to)[1] & 127]) + ip4(to)[2:]
    return lambda: wire.send(mac + b"\2\0\0\0\0\2\x08\0" + h + m) and None


reports(0.5)
a, b = new(), new()
# one socket, any source
step("join", opt(a, 35, mreq(G)))
step("join again", opt(a, 35, mreq(G)))
step("join no group", opt(a, 35, mreq("10.1.1.1")))
step("leave", opt(a, 36, mreq(G)))
step("leave again", opt(a, 36, mreq(G)))
# sources, the older options
step("add source", opt(a, IP_ADD_SRC, msrc(G, S[0])))
step("add source twice", opt(a, IP_ADD_SRC, msrc(G, S[0])))
step("add another", opt(a, IP_ADD_SRC, msrc(G, S[1])))
step("block in include mode", opt(a, IP_BLOCK, msrc(G, S[2])))
step("drop one", opt(a, IP_DROP_SRC, msrc(G, S[0])))
step("drop what is not there", opt(a, IP_DROP_SRC, msrc(G, S[5])))
step("drop the last", opt(a, IP_DROP_SRC, msrc(G, S[1])))
step("drop when not joined", opt(a, IP_DROP_SRC, msrc(G, S[1])))
step("short", opt(a, IP_ADD_SRC, msrc(G, S[0])[:8]))
step("no device", opt(a, IP_ADD_SRC, msrc(G, S[0], "10.77.0.1")))
step("block when not joined", opt(a, IP_BLOCK, msrc(G, S[0])))
# exclude
step("join for all", opt(a, 35, mreq(G)))
step("block", opt(a, IP_BLOCK, msrc(G, S[0])))
step("block again", opt(a, IP_BLOCK, msrc(G, S[0])))
step("block more", opt(a, IP_BLOCK, msrc(G, S[1])))
step("unblock", opt(a, IP_UNBLOCK, msrc(G, S[0])))
step("add source in exclude mode", opt(a, IP_ADD_SRC, msrc(G, S[2])))
# two sockets: the union
step("b includes one that a blocks", opt(b, JOIN_SRC, gsreq(G, S[1])))
step("b includes one more", opt(b, JOIN_SRC, gsreq(G, S[3])))
step("a leaves", opt(a, 36, mreq(G)))
step("a joins for all", opt(a, JOIN, greq(G)))
step("a blocks one of b's", opt(a, BLOCK, gsreq(G, S[3])))
step("b leaves it", opt(b, LEAVE_SRC, gsreq(G, S[3])))
step("b joins L", opt(b, JOIN, greq(L)))
step("b goes", lambda: b.close())
step("a unblocks", opt(a, UNBLOCK, gsreq(G, S[3])))
step("empty list changes sides", opt(a, JOIN_SRC, gsreq(G, S[4])))
step("and not back", opt(a, BLOCK, gsreq(G, S[4])))
step("wrong family", opt(a, JOIN_SRC, gsreq(G, S[4], 10)))
step("wrong index", opt(a, JOIN, greq(G, 999)))
# whole lists
step("filter", opt(a, IP_MSFILTER, msf(G, INCLUDE, S[:3])))
step("read", getopt(a, IP_MSFILTER, msf(G, 0, [], 10), 16 + 40))
step("read some", getopt(a, IP_MSFILTER, msf(G, 0, [], 2), 16 + 8))
step("read newer", getopt(a, MSFILTER, gf(G, 0, [], 10), 144 + 1280))
step("read of no group", getopt(a, IP_MSFILTER, msf(H, 0, [], 10), 16 + 40))
step("read short", getopt(a, IP_MSFILTER, msf(G, 0, [])[:8], 8))
step("to exclude", opt(a, IP_MSFILTER, msf(G, EXCLUDE, S[1:5])))
step("other sources", opt(a, MSFILTER, gf(G, EXCLUDE, S[3:8])))
step("back", opt(a, MSFILTER, gf(G, INCLUDE, S[:2])))
step("too many", opt(a, IP_MSFILTER, msf(G, INCLUDE, S[:11])))
step("ten", opt(a, IP_MSFILTER, msf(G, INCLUDE, S[:10])))
step("one more", opt(a, IP_ADD_SRC, msrc(G, S[10])))
step("count that lies", opt(a, IP_MSFILTER, msf(G, INCLUDE, S[:2], 5)))
step("bad mode", opt(a, IP_MSFILTER, msf(G, 7, S[:2])))
step("none left", opt(a, IP_MSFILTER, msf(G, INCLUDE, [])))
step("gone", getopt(a, MSFILTER, gf(G, 0, [], 10), 144 + 1280))
step("filter when not joined", opt(a, IP_MSFILTER, msf(G, EXCLUDE, S[:2])))
# queries
b = new()
step("for queries", opt(a, IP_ADD_SRC, msrc(G, S[0])))
step("second source", opt(a, IP_ADD_SRC, msrc(G, S[1])))
step("b joins H", opt(b, 35, mreq(H)))
step("b blocks", opt(b, IP_BLOCK, msrc(H, S[6])))
step("general", query("0.0.0.0"), 0.4)
step("of G", query(G), 0.4)
step("of G and a source", query(G, [S[0]]), 0.4)
step("of G and no source of ours", query(G, [S[9]]), 0.4)
step("of H and a blocked source", query(H, [S[6]]), 0.4)
step("of H and others", query(H, [S[6], S[7]]), 0.4)
step("of nobody", query("239.9.9.9"), 0.4)
step("down", lambda: sh("ip link set v0 down"))
step("up", lambda: sh("ip link set v0 up"), 0.4)
# limits
c = new()
full = [socket.inet_aton("239.2.0.%d" % i) for i in range(1, 22)]


def fill():
    for g in full:
        c.setsockopt(socket.IPPROTO_IP, 35, g + ip4("0.0.0.0") + struct.pack("i", index))


step("too many groups", fill, 0.3)
step("all leave", lambda: c.close(), 0.3)
# older routers
step("v2 asks", query("0.0.0.0", old=True, code=1), 0.4)
step("v2: join", opt(a, 35, mreq("239.3.0.1")), 0.3)
step("v2: source", opt(a, IP_ADD_SRC, msrc("239.3.0.2", S[0])), 0.3)
step("v2: asks for one", query("239.3.0.1", old=True, code=1), 0.4)
step("v2: leave", opt(a, 36, mreq("239.3.0.1")), 0.3)
step("v1 asks", query("0.0.0.0", old=True, code=0), 0.3)
with open(sys.argv[1], "w") as f:
    json.dump(log, f, indent=1)
