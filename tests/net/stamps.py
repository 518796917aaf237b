"""What SO_TIMESTAMPING tells on the error queue of datagrams that are sent; see stamps.sh."""
import select
import socket
import struct
import time

SO_TIMESTAMPING = 37
TX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY, OPT_CMSG = 2, 16, 128, 256, 2048, 1024


def run(name, kind, proto, flags, rounds=2, to=("127.0.0.1", 9999), raw=None):
    s = socket.socket(socket.AF_INET, kind, proto)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags)
    for i in range(rounds):
        s.sendto(raw or b"payload%d" % i, to)
        time.sleep(0.05)
    p = select.poll()
    p.register(s, select.POLLIN)
    print(name, "poll", [e & 8 for _, e in p.poll(200)])
    for _ in range(10):
        try:
            data, cm, fl, addr = s.recvmsg(2000, 1000, 0x2000 | socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        except OSError as e:
            print(name, "error", e.errno)
            continue
        out = []
        for level, typ, d in cm:
            if (level, typ) == (0, 11):
                e = struct.unpack("IBBBBII", d[:16])
                out.append(("err", e[0], e[1], e[2], e[3], e[5], e[6], len(d)))
            elif (level, typ) == (1, 37):
                t = struct.unpack("6q", d)
                out.append(("ts", abs(t[0] + t[1] / 1e9 - time.time()) < 5, t[2:]))
            else:
                out.append((level, typ, len(d)))
        # the frame: type, IP version, protocol
        frame = (data[12:14].hex(), data[14:15].hex(), data[23:24].hex()) if len(data) > 30 else ()
        print(name, len(data), data[-8:], hex(fl), addr, out, frame)


r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r.bind(("127.0.0.1", 9999))
D = socket.SOCK_DGRAM
run("snd", D, 0, TX_SOFTWARE | SOFTWARE)
run("id", D, 0, TX_SOFTWARE | SOFTWARE | OPT_ID)
run("both", D, 0, TX_SOFTWARE | TX_SCHED | SOFTWARE | OPT_ID)
run("only", D, 0, TX_SOFTWARE | SOFTWARE | OPT_ID | OPT_TSONLY)
run("unreported", D, 0, TX_SOFTWARE | OPT_ID)
run("rx only", D, 0, SOFTWARE | 8)
try:
    run("ping", D, socket.IPPROTO_ICMP, TX_SOFTWARE | SOFTWARE | OPT_ID, 1, ("127.0.0.1", 0), bytes([8, 0, 0, 0, 0, 0, 0, 1]) + b"payload!")
except PermissionError:
    print("ping refused")
try:
    run("raw", socket.SOCK_RAW, 253, TX_SOFTWARE | SOFTWARE | OPT_ID, 1, ("127.0.0.1", 0), b"raw data")
except PermissionError:
    print("raw refused")
