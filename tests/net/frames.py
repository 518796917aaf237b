"""Sends crafted frames at a router namespace and writes down what comes out and what was counted.

Run twice, once on the host's kernel and once under weft (frames.sh): the two reports must be equal.
Works in the namespace it is started in, which must be empty:

    here: p0 ---- r0 10.1.0.1/24   router   r1 10.2.0.1/24, MTU 1280 ---- p1 :here

Frames go in by p0 (or p1); what the router sends is read from both. Identifications that the router
chose itself and checksums over them are blanked out.
"""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

NS = f"frames{os.getpid()}"
MAC = {"r0": "02:00:00:00:01:01", "p0": "02:00:00:00:01:02",
       "r1": "02:00:00:00:02:01", "p1": "02:00:00:00:02:02"}
CLONE_NEWNET = 0x40000000


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def addr(text):
    return socket.inet_aton(text)


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


# ---- frames ----

def eth(payload, dst=None, src=None, proto=0x0800):
    return (dst or mac(MAC["r0"])) + (src or mac(MAC["p0"])) + struct.pack("!H", proto) + payload


def ip4(payload=b"", src="10.1.0.2", dst="10.1.0.1", proto=1, ttl=64, ident=0x1234, frag=0, tos=0, options=b"",
        version=4, ihl=None, total=None, check=None):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    total = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, tos, total, ident, frag, ttl, proto, 0,
                       addr(src), addr(dst)) + options
    check = csum(head) if check is None else check
    return head[:10] + struct.pack("!H", check) + head[12:] + payload


def icmp(kind=8, code=0, rest=b"\x11\x11\x00\x01", data=b"abcdefgh" * 4, check=None):
    msg = struct.pack("!BBH", kind, code, 0) + rest + data
    return msg[:2] + struct.pack("!H", csum(msg) if check is None else check) + msg[4:]


def udp(sport=5000, dport=5001, data=b"hello world", src="10.1.0.2", dst="10.1.0.1", length=None, check=None):
    length = 8 + len(data) if length is None else length
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if check is None:
        pseudo = addr(src) + addr(dst) + struct.pack("!BBH", 0, 17, length)
        check = csum(pseudo + head + data) or 0xffff
    return head[:6] + struct.pack("!H", check) + data


def arp(op=1, sha=None, spa="10.1.0.2", tha=b"\0" * 6, tpa="10.1.0.1", hw=1, proto=0x0800, hlen=6, plen=4):
    return struct.pack("!HHBBH", hw, proto, hlen, plen, op) + (sha or mac(MAC["p0"])) + addr(spa) + tha + addr(tpa)


BROADCAST = b"\xff" * 6
fresh_count = 0


def fresh():
    """A source nobody has used yet: what a kernel limits by the address it answers starts anew."""
    global fresh_count
    fresh_count += 1
    return f"172.16.{fresh_count >> 8}.{fresh_count & 0xff}"


def header_cases():
    echo = icmp()
    yield "echo", eth(ip4(echo))
    yield "echo, padded", eth(ip4(icmp(data=b"")) + b"\0" * 18)
    yield "echo, other host's MAC", eth(ip4(echo), dst=mac("02:00:00:00:09:09"))
    yield "echo, broadcast MAC", eth(ip4(echo), dst=BROADCAST)
    yield "echo, TTL 1", eth(ip4(echo, ttl=1))
    yield "echo, TTL 0", eth(ip4(echo, ttl=0))
    yield "echo, TOS", eth(ip4(echo, tos=0xb8))
    yield "echo to another of our addresses", eth(ip4(echo, dst="10.2.0.1"))
    for version in (0, 5, 6, 15):
        yield f"version {version}", eth(ip4(echo, version=version))
    for ihl in (0, 4, 6, 15):
        yield f"header length {ihl}", eth(ip4(echo, ihl=ihl))
    for total in (0, 19, 20, 27, 28, 30, 500, 0xffff):
        yield f"total length {total}", eth(ip4(echo, total=total))
    yield "bad checksum", eth(ip4(echo, check=0x1234))
    yield "empty", eth(b"")
    yield "one byte", eth(b"\x45")
    yield "half a header", eth(ip4(echo)[:10])
    yield "header only", eth(ip4(echo)[:20])
    for src in ("0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.5", "240.1.1.1", "10.1.0.1", "10.1.0.255",
                "10.2.0.1", "10.2.0.77", "99.1.1.1", "10.1.0.0"):
        yield f"source {src}", eth(ip4(echo, src=src))
        yield f"source {src}, forwarded", eth(ip4(echo, src=src, dst="10.2.0.2"))
        yield f"source {src}, to a broadcast", eth(ip4(echo, src=src, dst="10.1.0.255"), dst=BROADCAST)
        yield f"source {src}, to all", eth(ip4(echo, src=src, dst="255.255.255.255"), dst=BROADCAST)
        yield f"source {src}, to a group", eth(ip4(echo, src=src, dst="224.0.0.1"), dst=mac("01:00:5e:00:00:01"))
        yield f"source {src}, with options", eth(ip4(echo, src=src, options=b"\x07\x27\x04\0"))
    for dst in ("0.0.0.0", "127.0.0.1", "10.1.0.255", "10.1.0.0", "224.0.0.1", "224.0.0.9", "239.1.1.1",
                "240.0.0.1", "10.1.0.77", "255.255.255.255"):
        yield f"destination {dst}", eth(ip4(echo, dst=dst, src=fresh()))
        yield f"destination {dst}, broadcast MAC", eth(ip4(echo, dst=dst, src=fresh()), dst=BROADCAST)
    yield "multicast with its MAC", eth(ip4(echo, dst="224.0.0.1"), dst=mac("01:00:5e:00:00:01"))


def forward_cases():
    d = {"dst": "10.2.0.2"}
    yield "forwarded", eth(ip4(icmp(), **d))
    yield "forwarded, TOS", eth(ip4(icmp(), tos=0x10, **d))
    yield "forwarded, checksum carry", eth(ip4(icmp(), ident=0xffff, **d))
    for ttl in (0, 1, 2, 255):
        yield f"forwarded, TTL {ttl}", eth(ip4(icmp(), ttl=ttl, **d))
    yield "forwarded, unknown protocol", eth(ip4(b"x" * 50, proto=200, **d))
    yield "forwarded, broadcast MAC", eth(ip4(icmp(), **d), dst=BROADCAST)
    yield "forwarded, trailing bytes", eth(ip4(icmp(), **d) + b"trailer")
    yield "forwarded to a broadcast", eth(ip4(icmp(), dst="10.2.0.255", src=fresh()))
    yield "forwarded back where it came from", eth(ip4(icmp(), dst="10.1.0.3"))
    yield "next hop on the way it came", eth(ip4(icmp(), dst="10.55.0.1"))
    for dst in ("10.66.0.1", "10.67.0.1", "10.68.0.1", "10.69.0.1", "10.99.0.1"):
        yield f"route to {dst}", eth(ip4(icmp(), dst=dst, src=fresh()))
        yield f"route to {dst}, UDP", eth(ip4(udp(dst=dst), dst=dst, src=fresh(), proto=17))
        yield f"route to {dst}, TTL 1", eth(ip4(icmp(), dst=dst, src=fresh(), ttl=1))
        yield f"route to {dst}, an ICMP error", eth(ip4(icmp(3, 1, b"\0" * 4, ip4(b"x" * 8)), dst=dst, src=fresh()))
        yield f"route to {dst}, a later fragment", eth(ip4(b"x" * 64, dst=dst, src=fresh(), frag=20, proto=17))
    for size in (100, 500, 548, 600, 1000, 1400):
        yield f"quoting {size} bytes", eth(ip4(b"q" * size, dst="10.67.0.1", src=fresh(), proto=17))
    for size in (1260, 1261, 1268, 1300, 1480):
        yield f"fragmented, {size} bytes", eth(ip4(bytes(i & 0xff for i in range(size)), proto=17, **d))
        yield f"too big, {size} bytes", eth(ip4(b"f" * size, proto=17, frag=0x4000, **d))
        yield f"a fragment in fragments, {size} bytes", eth(ip4(b"m" * size, proto=17, frag=0x2000 | 7, **d))
        yield f"fragmented with options, {size - 40} bytes", eth(
            ip4(b"o" * (size - 40), proto=17, options=b"\x07\x27\x04" + b"\0" * 37, **d))
        yield f"a copied option, {size - 4} bytes", eth(
            ip4(b"o" * (size - 4), proto=17, options=b"\x94\x04\0\0", **d))
    yield "reserved bit", eth(ip4(icmp(), frag=0x8000, **d))


def option_cases():
    rr = b"\x07\x0b\x04" + b"\0" * 8 + b"\0"
    options = {
        "NOP": b"\1\1\1\1", "end": b"\0\0\0\0", "end, then rubbish": b"\0\xff\xff\xff",
        "record route": rr, "record route, full": b"\x07\x07\x08" + addr("1.2.3.4") + b"\0",
        "record route, pointer 3": b"\x07\x07\x03\0\0\0\0\0", "record route, pointer 5": b"\x07\x07\x05\0\0\0\0\0",
        "record route, length 2": b"\x07\x02\x04\0", "record route, too long": b"\x07\x27\x04\0",
        "record route twice": rr + rr,
        "timestamp": b"\x44\x0c\x05\0" + b"\0" * 8, "timestamp, addresses": b"\x44\x14\x05\1" + b"\0" * 16,
        "timestamp, prespecified": b"\x44\x14\x05\3" + addr("10.1.0.1") + b"\0" * 4 + addr("10.2.0.1") + b"\0" * 4,
        "timestamp, full": b"\x44\x08\x09\0\0\0\0\0", "timestamp, overflow": b"\x44\x08\x09\xf0\0\0\0\0",
        "timestamp, pointer 4": b"\x44\x08\x04\0\0\0\0\0", "timestamp, length 3": b"\x44\x03\x05\0",
        "timestamp, flag 7": b"\x44\x0c\x05\7" + b"\0" * 8,
        "router alert": b"\x94\x04\0\0", "router alert, length 3": b"\x94\x03\0\0",
        "LSRR": b"\x83\x07\x04" + addr("10.2.0.2") + b"\0", "SSRR": b"\x89\x07\x04" + addr("10.2.0.2") + b"\0",
        "LSRR, done": b"\x83\x07\x08" + addr("10.2.0.2") + b"\0",
        "LSRR over us": b"\x83\x0f\x04" + addr("10.2.0.1") + addr("10.1.0.1") + addr("10.2.0.77") + b"\0",
        "LSRR that ends with us": b"\x83\x0b\x04" + addr("10.2.0.1") + addr("10.1.0.1") + b"\0",
        "LSRR, one octet too few": b"\x83\x0a\x04" + addr("10.2.0.1") + b"\x0a\2\0" + b"\0\0",
        "LSRR to nowhere": b"\x83\x07\x04" + addr("10.66.0.1") + b"\0",
        "SSRR over a gateway": b"\x89\x07\x04" + addr("10.55.0.1") + b"\0",
        "LSRR to a martian": b"\x83\x07\x04" + addr("127.0.0.1") + b"\0",
        "LSRR to a group": b"\x83\x07\x04" + addr("224.0.0.1") + b"\0",
        "LSRR to a broadcast": b"\x83\x07\x04" + addr("10.2.0.255") + b"\0",
        "security": b"\x82\x0b" + b"\0" * 9 + b"\0", "stream id": b"\x88\x04\0\0",
        "CIPSO of 6": b"\x86\6\0\0\0\1\0\0",
        "CIPSO": b"\x86\x0a\0\0\0\1\1\4\0\0\0\0", "unknown": b"\x5e\x04\0\0", "unknown, length 0": b"\x5e\0\0\0",
        "unknown, length 1": b"\x5e\1\0\0", "unknown, no length": b"\1\1\1\x5e",
    }
    for name, o in options.items():
        yield f"option {name}", eth(ip4(icmp(), options=o))
        yield f"option {name}, forwarded", eth(ip4(icmp(), options=o, dst="10.2.0.2"))
        yield f"option {name}, refused", eth(ip4(icmp(), options=o, dst="10.67.0.1", src=fresh()))


def icmp_cases():
    yield "echo, bad checksum", eth(ip4(icmp(check=1)))
    yield "echo, code 5", eth(ip4(icmp(code=5)))
    yield "echo, empty", eth(ip4(icmp(data=b"")))
    yield "echo, odd", eth(ip4(icmp(data=b"odd")))
    yield "echo, 1400 bytes", eth(ip4(icmp(data=b"x" * 1400)))
    yield "echo, truncated", eth(ip4(b"\x08\0\xf7\xff"))
    yield "broadcast echo", eth(ip4(icmp(), dst="10.1.0.255"), dst=BROADCAST)
    yield "extended echo", eth(ip4(icmp(42, 0, b"\0\1\0\1", b"")))
    for kind in list(range(0, 20)) + [30, 40, 41, 43, 255]:
        yield f"ICMP type {kind}", eth(ip4(icmp(kind)))
    inner = ip4(udp(src="10.1.0.1", dst="10.1.0.2")[:8], src="10.1.0.1", dst="10.1.0.2", proto=17)
    for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 13), (3, 15), (3, 16), (4, 0), (5, 0), (5, 1),
                       (11, 0), (11, 1), (12, 0)):
        yield f"ICMP error {kind}/{code}", eth(ip4(icmp(kind, code, b"\0\0\5\0", inner)))
        yield f"ICMP error {kind}/{code}, short", eth(ip4(icmp(kind, code, b"\0\0\5\0", inner[:12])))
    yield "protocol 200", eth(ip4(b"x" * 40, proto=200))
    yield "protocol 200, broadcast", eth(ip4(b"x" * 40, proto=200, dst="10.1.0.255"), dst=BROADCAST)
    yield "protocol 200, to the MAC of all", eth(ip4(b"x" * 40, proto=200), dst=BROADCAST)
    yield "UDP, no port", eth(ip4(udp(), proto=17))
    yield "UDP, no port, no checksum", eth(ip4(udp(check=0), proto=17))
    yield "UDP, bad checksum", eth(ip4(udp(check=0x55), proto=17))
    yield "UDP, short", eth(ip4(udp()[:6], proto=17))
    yield "UDP, length too small", eth(ip4(udp(length=7), proto=17))
    yield "UDP, length too large", eth(ip4(udp(length=100), proto=17))
    yield "UDP, length smaller", eth(ip4(udp(data=b"hello") + b"more", proto=17))
    yield "UDP, broadcast", eth(ip4(udp(dst="10.1.0.255"), proto=17, dst="10.1.0.255"), dst=BROADCAST)
    yield "UDP, multicast", eth(ip4(udp(dst="224.0.0.1"), proto=17, dst="224.0.0.1"), dst=mac("01:00:5e:00:00:01"))
    for size in (500, 548, 549, 1000, 1400):
        data = bytes(i & 0xff for i in range(size))
        yield f"UDP, no port, {size} bytes", eth(ip4(udp(data=data), proto=17))


def probe_cases():
    def probe(obj, seq=1, **kw):
        return eth(ip4(icmp(42, 0, b"\0\x07" + bytes((0x5a, seq)), b"\x20\0\0\0" + obj), **kw))

    def named(ctype, ident):
        return struct.pack("!HBB", 4 + len(ident), 3, ctype) + ident

    def address(afi, a):
        return named(3, struct.pack("!HBB", afi, len(a), 0) + a)

    for name in (b"r0", b"r1", b"lo", b"r0\0\0", b"nobody", b"fifteen-letters", b"sixteen-letters!", b"r" * 20, b""):
        yield f"named {name.decode()!r}", probe(named(1, name))
    for index in (0, 1, 999, 0xffffffff):
        yield f"index {index}", probe(named(2, struct.pack("!I", index)))
    yield "index of 3 bytes", probe(named(2, b"\0\0\1"))
    for a in ("10.1.0.1", "10.2.0.1", "127.0.0.1", "127.0.0.2", "10.1.0.2", "10.1.0.255", "224.0.0.1"):
        yield f"address {a}", probe(address(1, addr(a)))
    yield "address of 3 bytes", probe(address(1, b"\x0a\1\0"))
    yield "IPv6 address of nobody", probe(address(2, b"\x20\1" + b"\x09" * 14))
    yield "IPv6 address of 15 bytes", probe(address(2, b"\x09" * 15))
    yield "unknown family", probe(address(3, b"\0" * 4))
    yield "cut address", probe(named(3, b"\0\1\4"))
    yield "unknown kind", probe(named(4, b"r0"))
    yield "no object", probe(b"")
    yield "half an object's header", probe(b"\0\6")
    yield "longer than the packet", probe(struct.pack("!HBB", 12, 3, 1) + b"r0")
    yield "not local", probe(named(1, b"r0"), seq=2)
    yield "reserved bits", probe(named(1, b"r0"), seq=0xff)
    yield "to all", eth(probe(named(1, b"r0"), dst="10.1.0.255")[14:], dst=BROADCAST)
    yield "no extension header", eth(ip4(icmp(42, 0, b"\0\1\0\1", b"")))


def fragment_cases():
    body = icmp(data=bytes(i & 0xff for i in range(120)))

    def part(start, end, more, ident, **kw):
        return eth(ip4(body[start:end], frag=start // 8 | (0x2000 if more else 0), ident=ident, **kw))

    yield "two fragments", [part(0, 64, True, 1), part(64, 128, False, 1)]
    yield "two fragments, reversed", [part(64, 128, False, 2), part(0, 64, True, 2)]
    yield "three, middle last", [part(0, 40, True, 3), part(80, 128, False, 3), part(40, 80, True, 3)]
    yield "a duplicate", [part(0, 64, True, 4), part(0, 64, True, 4), part(64, 128, False, 4)]
    yield "an overlap", [part(0, 64, True, 5), part(56, 128, False, 5), part(64, 128, False, 5)]
    yield "different protocols", [part(0, 64, True, 6), part(64, 128, False, 6, proto=17)]
    yield "different sources", [part(0, 64, True, 7), part(64, 128, False, 7, src="10.1.0.3")]
    yield "different TOS", [part(0, 64, True, 8), part(64, 128, False, 8, tos=4)]
    yield "a length that is no multiple of 8", [eth(ip4(body[:61], frag=0x2000, ident=9)), part(64, 128, False, 9)]
    yield "two ends", [part(64, 96, False, 10), part(64, 128, False, 10), part(0, 64, True, 10)]
    yield "beyond the end", [part(64, 96, False, 11), part(96, 128, True, 11), part(0, 64, True, 11)]
    yield "beyond 64 KiB", [eth(ip4(b"x" * 800, frag=0x1fff, ident=12)), part(0, 64, True, 12)]
    yield "an empty fragment", [eth(ip4(b"", frag=0x2000, ident=13)), part(0, 64, True, 13), part(64, 128, False, 13)]
    yield "ECN in one", [part(0, 64, True, 14, tos=2), part(64, 128, False, 14, tos=3)]
    yield "not-ECT beside CE", [part(0, 64, True, 15, tos=0), part(64, 128, False, 15, tos=3)]
    yield "forwarded fragments", [part(0, 64, True, 16, dst="10.2.0.2"), part(64, 128, False, 16, dst="10.2.0.2")]
    yield "DF in fragments", [eth(ip4(body[:64], frag=0x6000, ident=17)), eth(ip4(body[64:], frag=0x4008, ident=17))]


def arp_cases():
    p0 = mac(MAC["p0"])
    yield "request", eth(arp(), dst=BROADCAST, proto=0x0806)
    yield "request, unicast", eth(arp(), proto=0x0806)
    yield "request, padded", eth(arp() + b"\0" * 18, dst=BROADCAST, proto=0x0806)
    yield "request for another", eth(arp(tpa="10.1.0.9"), dst=BROADCAST, proto=0x0806)
    yield "request for the other side", eth(arp(tpa="10.2.0.2"), dst=BROADCAST, proto=0x0806)
    yield "request for our other address", eth(arp(tpa="10.2.0.1"), dst=BROADCAST, proto=0x0806)
    yield "request from elsewhere", eth(arp(spa="10.77.0.1"), dst=BROADCAST, proto=0x0806)
    yield "probe", eth(arp(spa="0.0.0.0"), dst=BROADCAST, proto=0x0806)
    yield "probe for another", eth(arp(spa="0.0.0.0", tpa="10.1.0.9"), dst=BROADCAST, proto=0x0806)
    yield "announcement of ours", eth(arp(spa="10.1.0.1", tpa="10.1.0.1"), dst=BROADCAST, proto=0x0806)
    yield "gratuitous reply", eth(arp(op=2, spa="10.1.0.9", tpa="10.1.0.9"), dst=BROADCAST, proto=0x0806)
    yield "reply nobody asked for", eth(arp(op=2, spa="10.1.0.8", tha=mac(MAC["r0"])), proto=0x0806)
    yield "to another host's MAC", eth(arp(), dst=mac("02:00:00:00:09:09"), proto=0x0806)
    for op in (0, 3, 8, 9, 0xffff):
        yield f"operation {op}", eth(arp(op=op), dst=BROADCAST, proto=0x0806)
    yield "hardware 6", eth(arp(hw=6), dst=BROADCAST, proto=0x0806)
    yield "hardware 2", eth(arp(hw=2), dst=BROADCAST, proto=0x0806)
    yield "protocol IPv6", eth(arp(proto=0x86dd), dst=BROADCAST, proto=0x0806)
    yield "lengths", eth(arp(hlen=7), dst=BROADCAST, proto=0x0806)
    yield "lengths of the address", eth(arp(plen=5), dst=BROADCAST, proto=0x0806)
    for n in (0, 1, 7, 8, 20, 27):
        yield f"cut at {n}", eth(arp()[:n], dst=BROADCAST, proto=0x0806)
    for tpa in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.1.0.255"):
        yield f"request for {tpa}", eth(arp(tpa=tpa), dst=BROADCAST, proto=0x0806)
    for spa in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "10.1.0.255", "10.2.0.2", "10.2.0.1"):
        yield f"request from {spa}", eth(arp(spa=spa), dst=BROADCAST, proto=0x0806)
    yield "sender's MAC differs", eth(arp(sha=mac("02:00:00:00:07:07")), dst=BROADCAST, src=p0, proto=0x0806)


def link_cases():
    echo = ip4(icmp())
    yield "802.3 length", eth(b"\xaa\xaa\x03\0\0\0\x08\0" + echo, proto=8 + len(echo))
    yield "unknown ethertype", eth(b"x" * 60, proto=0x9999)
    yield "IPX over 802.3", eth(b"\xff\xff" + b"\0" * 60, proto=62)


GROUPS = [
    ("defaults", [], [header_cases, forward_cases, option_cases, icmp_cases, fragment_cases, arp_cases, link_cases]),
    ("strict reverse path", ["conf.all.rp_filter=1"], [header_cases]),
    ("loose reverse path", ["conf.all.rp_filter=2"], [header_cases]),
    ("no forwarding", ["ip_forward=0"], [header_cases, forward_cases, arp_cases]),
    ("source routes", ["conf.all.accept_source_route=1", "conf.r0.accept_source_route=1"], [option_cases]),
    ("proxy ARP", ["conf.r0.proxy_arp=1", "neigh.r0.proxy_delay=0"], [arp_cases]),
    ("broadcasts answered", ["icmp_echo_ignore_broadcasts=0"], [header_cases, icmp_cases]),
    ("echo ignored", ["icmp_echo_ignore_all=1"], [icmp_cases]),
    ("ARP only for the device", ["conf.all.arp_ignore=1"], [arp_cases]),
    ("ARP ignored for other subnets", ["conf.all.arp_ignore=2"], [arp_cases]),
    ("ARP accepted", ["conf.all.arp_accept=1"], [arp_cases]),
    ("ARP filtered", ["conf.all.arp_filter=1"], [arp_cases]),
    ("local nets routed", ["conf.all.route_localnet=1"], [header_cases]),
    ("broadcast forwarding", ["conf.all.bc_forwarding=1", "conf.r0.bc_forwarding=1", "conf.r1.bc_forwarding=1"],
     [header_cases, forward_cases]),
    ("probes answered", ["icmp_echo_enable_probe=1"], [probe_cases]),
    ("drop unicast in multicast", ["conf.all.drop_unicast_in_l2_multicast=1"], [header_cases, forward_cases]),
    ("local accepted", ["conf.all.accept_local=1"], [header_cases]),
]

# ---- the router ----


def build():
    ip("netns", "add", NS)
    for n in "01":
        ip("link", "add", f"p{n}", "type", "veth", "peer", "name", f"r{n}", "netns", NS)
    ip("-n", NS, "link", "set", "lo", "up")
    ip("-n", NS, "link", "set", "r1", "mtu", "1280")
    for d in ("p0", "p1", "r0", "r1"):
        where = ["-n", NS] if d[0] == "r" else []
        if d[0] == "p":
            ip("link", "set", d, "arp", "off")
        try:
            subprocess.run(["ip", *where, "link", "set", d, "addrgenmode", "none"], stderr=subprocess.DEVNULL, check=False)
        finally:
            ip(*where, "link", "set", d, "address", MAC[d])
            ip(*where, "link", "set", d, "up")
    ip("-n", NS, "addr", "add", "10.1.0.1/24", "dev", "r0")
    ip("-n", NS, "addr", "add", "10.2.0.1/24", "dev", "r1")
    for a in ("10.1.0.0", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.77"):
        ip("-n", NS, "neigh", "add", a, "lladdr", MAC["p0"], "dev", "r0", "nud", "permanent")
    for a in ("10.2.0.2", "10.2.0.77"):
        ip("-n", NS, "neigh", "add", a, "lladdr", MAC["p1"], "dev", "r1", "nud", "permanent")
    for net in ("10.55.0.0/16", "172.16.0.0/16"):
        ip("-n", NS, "route", "add", net, "via", "10.1.0.4")
    for kind, net in (("blackhole", 66), ("unreachable", 67), ("prohibit", 68), ("throw", 69)):
        ip("-n", NS, "route", "add", kind, f"10.{net}.0.0/16")


def setns(name):
    fd = os.open(name, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def sysctl(text):
    name, value = text.split("=")
    with open("/proc/sys/net/ipv4/" + name.replace(".", "/"), "w", encoding="ascii") as f:
        f.write(value)


def sysctl_value(text):
    name = text.split("=", maxsplit=1)[0]
    with open("/proc/sys/net/ipv4/" + name.replace(".", "/"), encoding="ascii") as f:
        return name + "=" + f.read().strip()


IGNORED = {"InReceives", "InDelivers", "OutRequests", "InOctets", "OutOctets", "InNoECTPkts", "OutTransmits",
           "ReasmFails", "ReasmTimeout"}


def counters():
    seen = {}
    for name in ("snmp", "netstat"):
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as f:
            lines = f.read().splitlines()
        for heads, values in zip(lines[::2], lines[1::2]):
            group = heads.split(":")[0]
            if group not in ("Ip", "Icmp", "IcmpMsg", "Udp", "IpExt"):
                continue
            for key, value in zip(heads.split()[1:], values.split()[1:]):
                if key not in IGNORED or group not in ("Ip", "IpExt"):
                    seen[f"{group}.{key}"] = int(value)
    return seen


def blank(frame):
    """What the router chose by itself, and what depends on it, becomes zero."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 34:
        return frame.hex()
    f = bytearray(frame)
    own = f[26:30] in (addr("10.1.0.1"), addr("10.2.0.1"), addr("127.0.0.1"))
    if own and f[23] == 1:
        f[18:20] = b"\0\0"
        f[24:26] = b"\0\0"
    if own and f[23] == 1 and f[34:35] == b"\x0e":  # times of day
        f[46:54] = bytes(8)
        f[36:38] = b"\0\0"
    for at in range(34, len(f) - 8):
        if f[at] == 0x44 and 8 <= f[at + 1] <= 20 and f[at + 3] & 15 in (0, 1, 3):  # times of day
            f[at + 4:at + f[at + 1]] = bytes(f[at + 1] - 4)
            icmp_check = 14 + 4 * (f[14] & 15) + 2
            f[24:26] = f[icmp_check:icmp_check + 2] = f[56:58] = b"\0\0"
    return bytes(f).hex()


class Wire:
    def __init__(self):
        self.socks = {}
        for d in ("p0", "p1"):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((d, 3))
            s.setblocking(False)
            self.socks[d] = s

    def drain(self, wait):
        got = []
        while True:
            ready, _, _ = select.select(list(self.socks.values()), [], [], wait)
            if not ready:
                return got
            for name, s in self.socks.items():
                if s not in ready:
                    continue
                try:
                    frame, where = s.recvfrom(65536)
                except OSError:
                    continue
                if where[2] != socket.PACKET_OUTGOING:
                    got.append((name, frame))

    def try_case(self, frames):
        for f in frames if isinstance(frames, list) else [frames]:
            try:
                self.socks["p0"].send(f)
            except OSError as e:
                return [f"send: {e.strerror}"]
        out = [f"{name} {blank(f)}" for name, f in self.drain(0.004)
               if f[12:14] != b"\x86\xdd" and not (f[12:14] == b"\x08\x00" and f[23:24] == b"\x02")]
        return sorted(out)


def main():
    build()
    wire = Wire()
    report = []
    setns(f"/run/netns/{NS}")
    for s in ("ip_forward=1", "icmp_ratemask=0", "icmp_ratelimit=0"):
        sysctl(s)
    subprocess.run(["ip", "-6", "addr", "flush", "dev", "lo"], check=False)  # probes would tell of it
    time.sleep(0.3)
    wire.drain(0.3)
    for title, settings, makers in GROUPS:
        before = [sysctl_value(s) for s in settings]
        for s in settings:
            sysctl(s)
        for maker in makers:
            for name, frames in maker():
                was = counters()
                out = wire.try_case(frames)
                now = counters()
                counted = {k: now[k] - was.get(k, 0) for k in sorted(now) if now[k] != was.get(k, 0)}
                report.append({"group": title, "case": f"{maker.__name__}: {name}", "out": out, "counted": counted})
        for s in before:
            sysctl(s)
    with open(sys.argv[1], "w", encoding="ascii") as f:
        json.dump(report, f, indent=1)


try:
    main()
finally:
    subprocess.run(["ip", "netns", "del", NS], check=False)
