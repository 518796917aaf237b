#!/usr/bin/python3
"""netlink: good requests of every kind, cut at every byte and with attributes bent, sent to whatever
kernel answers; prints each answer (error number, text, offset), so that two kernels can be compared.

    netlink.py [CASE...]

Every case runs in a namespace of its own: lo up, a pair v0 (3; 10.0.0.1/24, up) and v1 (2; up), a
route, a neighbour.
"""
import ctypes
import socket
import struct
import subprocess
import sys

ROUTE, GENERIC = 0, 16
ACK, DUMP, CREATE, EXCL, REPLACE, APPEND = 4, 0x300, 0x400, 0x200, 0x100, 0x800
V0, V1 = 3, 2
libc = ctypes.CDLL(None, use_errno=True)


def attr(type, data):
    if isinstance(data, int):
        data = struct.pack("=I", data)
    if isinstance(data, str):
        data = data.encode() + b"\0"
    if isinstance(data, list):
        data = b"".join(data)
    data = struct.pack("=HH", 4 + len(data), type) + data
    return data + bytes(-len(data) % 4)


def ip(addr):
    return socket.inet_aton(addr)


def link(index=0, flags=0, family=0):
    return struct.pack("=BBHiII", family, 0, 0, index, flags, flags)


def addr(index, length=24):
    return struct.pack("=BBBBI", 2, length, 0, 0, index)


def route(length, table=254, type=1, proto=3, scope=0):
    return struct.pack("=BBBBBBBBI", 2, length, 0, 0, table, proto, scope, type, 0)


def near(index, state=0x80, flags=0, family=2):
    return struct.pack("=BBHiHBB", family, 0, 0, index, state, flags, 0)


def genl(cmd):
    return struct.pack("=BBH", cmd, 1, 0)


MAC = bytes([2, 0, 0, 0, 0, 9])

# name: (protocol, type, flags, fixed header, attributes)
CASES = {
    "newlink-dummyless": (ROUTE, 16, CREATE | EXCL, link(), [attr(3, "x0"), attr(18, [attr(1, "nosuch")])]),
    "newlink-veth": (ROUTE, 16, CREATE | EXCL, link(), [
        attr(3, "w0"), attr(1, MAC), attr(4, 1400), attr(13, 100),
        attr(18, [attr(1, "veth"), attr(2, [attr(1, link() + attr(3, "w1") + attr(4, 1300))])])]),
    "newlink-change": (ROUTE, 16, 0, link(V0, 1), [attr(4, 1300), attr(20, "alias"), attr(27, 3)]),
    "newlink-excl": (ROUTE, 16, CREATE | EXCL, link(), [attr(3, "v0"), attr(18, [attr(1, "veth")])]),
    "setlink": (ROUTE, 19, 0, link(V1), [attr(20, "alias"), attr(27, 3), attr(17, b"\1"), attr(16, b"\6"),
                                        attr(41, 30000), attr(26, [attr(2, [attr(1, [attr(1, 1)])])])]),
    "dellink": (ROUTE, 17, 0, link(V1), []),
    "getlink": (ROUTE, 18, 0, link(V0), [attr(29, 1)]),
    "getlink-name": (ROUTE, 18, 0, link(), [attr(3, "v9")]),
    "dumplink": (ROUTE, 18, DUMP, link(), [attr(10, 9)]),
    "newlinkprop": (ROUTE, 108, CREATE | APPEND, link(V0), [attr(0x8034, [attr(53, "other"), attr(53, "more")])]),
    "dellinkprop": (ROUTE, 109, 0, link(V0), [attr(0x8034, [attr(53, "nosuch")])]),
    "newaddr": (ROUTE, 20, CREATE | EXCL, addr(V0), [
        attr(2, ip("10.0.0.9")), attr(1, ip("10.0.0.9")), attr(4, ip("10.0.0.255")), attr(3, "v0:1"),
        attr(8, 0x200), attr(6, struct.pack("=IIII", 50, 100, 0, 0)), attr(11, b"\5"), attr(9, 7)]),
    "deladdr": (ROUTE, 21, 0, addr(V0), [attr(2, ip("10.0.0.77"))]),
    "dumpaddr": (ROUTE, 22, DUMP, addr(V0, 0), []),
    "newroute": (ROUTE, 24, CREATE | EXCL, route(16, 100), [
        attr(1, ip("10.9.0.0")), attr(5, ip("10.0.0.2")), attr(4, V0), attr(6, 5), attr(7, ip("10.0.0.1")),
        attr(15, 100), attr(8, [attr(2, 1400), attr(8, 1200)])]),
    "newroute-multipath": (ROUTE, 24, CREATE, route(16), [
        attr(1, ip("10.10.0.0")), attr(9, struct.pack("=HBBi", 16, 0, 0, V0) + attr(5, ip("10.0.0.3")))]),
    "newroute-via": (ROUTE, 24, CREATE | REPLACE, route(16), [
        attr(1, ip("10.11.0.0")), attr(18, struct.pack("=H", 2) + ip("10.0.0.4"))]),
    "delroute": (ROUTE, 25, 0, route(16), [attr(1, ip("10.99.0.0"))]),
    "getroute": (ROUTE, 26, 0, route(32, 0, 0, 0), [attr(1, ip("10.8.1.1")), attr(4, V0)]),
    "getroute-from": (ROUTE, 26, 0, struct.pack("=BBBBBBBBI", 2, 32, 32, 0, 0, 0, 0, 0, 0), [
        attr(1, ip("10.8.1.1")), attr(2, ip("10.0.0.9")), attr(3, V1), attr(27, b"\6")]),
    "dumproute": (ROUTE, 26, DUMP, route(0, 0, 0, 0), [attr(15, 255), attr(4, V0)]),
    "newneigh": (ROUTE, 28, CREATE | EXCL, near(V0), [
        attr(1, ip("10.0.0.7")), attr(2, MAC), attr(12, b"\5"), attr(15, 0)]),
    "newneigh-proxy": (ROUTE, 28, CREATE, near(V0, 0x80, 8), [attr(1, ip("10.0.0.66"))]),
    "newneigh-use": (ROUTE, 28, CREATE, near(V0, 0, 1), [attr(1, ip("10.0.0.67"))]),
    "delneigh": (ROUTE, 29, 0, near(V0), [attr(1, ip("10.0.0.99"))]),
    "getneigh": (ROUTE, 30, 0, near(V0, 0), [attr(1, ip("10.0.0.2"))]),
    "dumpneigh": (ROUTE, 30, DUMP, near(0, 0), [attr(8, V0)]),
    "getneigh-proxy": (ROUTE, 30, 0, near(V0, 0, 8), [attr(1, ip("10.0.0.2"))]),
    "dumpntable": (ROUTE, 66, DUMP, bytes([2, 0, 0, 0]), []),
    "setntable": (ROUTE, 67, REPLACE, bytes([2, 0, 0, 0]), [
        attr(1, "arp_cache"), attr(6, [attr(1, V0), attr(8, 7), attr(4, struct.pack("=Q", 20000))])]),
    "dumprule": (ROUTE, 34, DUMP, bytes([2] + 11 * [0]), []),
    "newnsid": (ROUTE, 88, 0, bytes(4), [attr(1, 5), attr(3, 77)]),
    "getnsid": (ROUTE, 90, 0, bytes(4), [attr(1, 1)]),
    "dumpnsid": (ROUTE, 90, DUMP, bytes(4), []),
    "getnetconf": (ROUTE, 82, 0, bytes([2, 0, 0, 0]), [attr(1, V0)]),
    "dumpnetconf": (ROUTE, 82, DUMP, bytes([2, 0, 0, 0]), []),
    "getstats": (ROUTE, 94, 0, struct.pack("=BBHII", 0, 0, 0, V0, 1), []),
    "dumpstats": (ROUTE, 94, DUMP, struct.pack("=BBHII", 0, 0, 0, 0, 1), []),
    "fdb-add": (ROUTE, 28, CREATE, near(V0, 0x80, 2, 7), [attr(2, MAC)]),
    "fdb-del": (ROUTE, 29, 0, near(V0, 0x80, 2, 7), [attr(2, MAC)]),
    "fdb-get": (ROUTE, 30, 0, near(V0, 0, 2, 7), [attr(2, MAC)]),
    "fdb-dump": (ROUTE, 30, DUMP, near(0, 0, 0, 7), []),
    "bridge-link": (ROUTE, 18, DUMP, link(0, 0, 7), []),
    "nexthop": (ROUTE, 106, 0, bytes(8), [attr(1, 1)]),
    "family": (GENERIC, 16, 0, genl(3), [attr(2, "nlctrl")]),
    "family-id": (GENERIC, 16, 0, genl(3), [attr(1, struct.pack("=H", 16))]),
    "families": (GENERIC, 16, DUMP, genl(3), []),
    "policies": (GENERIC, 16, DUMP, genl(10), [attr(2, "nlctrl"), attr(10, 3)]),
}


class Kernel:
    def __init__(self, protocol, strict):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.s.setsockopt(270, 11, 1)
        self.s.setsockopt(270, 12, strict)
        self.s.bind((0, 0))
        self.s.settimeout(5)

    def ask(self, type, flags, body, says=None):
        """What the request is answered with, as a line of text."""
        length = says if says is not None else 16 + len(body)
        self.s.send(struct.pack("=IHHII", length, type, flags | 1 | ACK, 1, 0) + body)
        n = 0
        while True:
            try:
                data = self.s.recv(1 << 17)
            except TimeoutError:
                return "silence"
            at = 0
            while at + 16 <= len(data):
                size, t, f, _, _ = struct.unpack_from("=IHHII", data, at)
                m = data[at + 16:at + size]
                at += size + 3 & ~3
                if t == 2:
                    return self.error(m, f, 20, n)
                if t == 3:
                    return "done " + self.error(m, f, 4, n)
                n += 1

    @staticmethod
    def error(m, flags, skip, n):
        err = struct.unpack_from("=i", m)[0]
        out = f"{err} messages {min(n, 1)}"
        if skip == 20 and err:
            skip = 4 + (struct.unpack_from("=I", m, 4)[0] + 3 & ~3)
        while flags & 0x200 and skip + 4 <= len(m):
            size, type = struct.unpack_from("=HH", m, skip)
            value = m[skip + 4:skip + size]
            if type == 1:
                out += " '" + value[:-1].decode() + "'"
            elif type == 2:
                out += " at %d" % struct.unpack("=I", value)[0]
            else:
                out += " %d:%s" % (type & 0x7fff, value.hex())
            skip += size + 3 & ~3
        return out


def namespace():
    if libc.unshare(0x40000000):
        raise OSError(ctypes.get_errno(), "unshare")
    for which in "all", "default":
        try:
            with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as f:
                f.write("1")
        except OSError:
            pass
    batch = """link set lo up
link add v0 type veth peer name v1
link set v0 up
link set v1 up
addr add 10.0.0.1/24 dev v0
route add 10.8.0.0/16 via 10.0.0.2
neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0
"""
    subprocess.run(["ip", "-batch", "-"], input=batch.encode(), check=True)


def show(label, answers):
    """Runs of equal answers on one line each."""
    start = 0
    for i in range(1, len(answers) + 1):
        if i == len(answers) or answers[i] != answers[start]:
            print(f"{label} {start}..{i - 1}: {answers[start]}")
            start = i


def run(name, case):
    protocol, type, flags, header, attrs = case
    body = header + b"".join(attrs)
    for strict in 0, 1:
        namespace()
        k = Kernel(protocol, strict)
        label = f"{name} {'strict' if strict else 'liberal'}"
        show(f"{label} cut to", [k.ask(type, flags, body[:n]) for n in range(len(body) + 1)])
    for strict in 0, 1:
        namespace()
        k = Kernel(protocol, strict)
        label = f"{name} {'strict' if strict else 'liberal'}"
        padded = header + bytes(-len(header) % 4)
        for t in range(0, 72):
            show(f"{label} attribute {t} alone, bytes", [
                k.ask(type, flags, padded + attr(t, b"\5" * n)) for n in range(0, 20)])
        for t in list(range(0, 20)) + [26, 31, 52, 57]:
            lies = [struct.pack("=HH", n, t) + b"\5" * 8 for n in (0, 1, 3, 5, 13, 60000)]
            show(f"{label} attribute {t} lies", [k.ask(type, flags, padded + x) for x in lies])
        for i in range(len(header)):
            bent = bytearray(body)
            bent[i] = 0xee
            show(f"{label} header byte {i}", [k.ask(type, flags, bytes(bent))])
        show(f"{label} flags", [k.ask(type, 1 << i, body) for i in range(12)])


for name in sys.argv[1:] or CASES:
    run(name, CASES[name])
