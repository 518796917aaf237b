"""What stream sockets answer, a line a call: run in weft and by the host's kernel (tcp-calls.sh),
the lines must be equal. Prints no port, address or time that the system chose."""
import array
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
HOST = "127.0.0.1"
BIG = b"0123456789abcdef" * 65536
FLAGS = [("IN", 1), ("PRI", 2), ("OUT", 4), ("ERR", 8), ("HUP", 16), ("RDHUP", 0x2000)]


def name(code):
    return errno.errorcode.get(code, str(code))


def say(what, value):
    print(f"{case}: {what}: {value}", flush=True)


def call(what, fn, *args):
    """The result of a call, or its error; sockets are returned and shown as 'ok'."""
    try:
        value = fn(*args)
    except OSError as e:
        say(what, name(e.errno) if e.errno else e)
        return None
    shown = "ok" if isinstance(value, (socket.socket, tuple)) else value
    if isinstance(value, bytes) and len(value) > 40:
        shown = f"{len(value)} bytes"
    say(what, shown)
    return value


def poll_flags(s, want=0x2007, ms=500):
    p = select.poll()
    p.register(s, want)
    got = p.poll(ms)
    return "|".join(n for n, bit in FLAGS if got and got[0][1] & bit) or "nothing"


def listener(backlog=16):
    s = socket.socket()
    s.bind((HOST, 0))
    s.listen(backlog)
    return s


def pair():
    l = listener()
    a = socket.create_connection(l.getsockname())
    b, _ = l.accept()
    l.close()
    return a, b


def settle():
    time.sleep(0.05)


def reset(s):
    s.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    settle()


def so_error(s):
    return name(s.getsockopt(SOL, socket.SO_ERROR))


# ---- cases ----

def fresh():
    s = socket.socket()
    say("poll", poll_flags(s))
    call("recv", s.recv, 1)
    call("send", s.send, b"x")
    call("getpeername", s.getpeername)
    call("accept", s.accept)
    call("shutdown", s.shutdown, socket.SHUT_WR)
    s = socket.socket()
    call("getsockname", lambda: s.getsockname() == ("0.0.0.0", 0))
    call("listen unbound", s.listen, 1)
    call("listens", s.getsockopt, SOL, socket.SO_ACCEPTCONN)
    call("type", s.getsockopt, SOL, socket.SO_TYPE)
    call("protocol", s.getsockopt, SOL, socket.SO_PROTOCOL)
    say("has a port", s.getsockname()[1] != 0)
    call("recv", s.recv, 1)
    call("send", s.send, b"x")
    call("connect", s.connect, (HOST, 1))
    say("poll", poll_flags(s, ms=0))
    call("listen again", s.listen, 5)
    call("bind", s.bind, (HOST, 0))


def bind_errors():
    l = listener()
    s = socket.socket()
    call("in use", s.bind, l.getsockname())
    call("not ours", s.bind, ("192.0.2.1", 0))
    call("short", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 17))
    call("bind", s.bind, (HOST, 0))
    call("twice", s.bind, (HOST, 0))
    port = l.getsockname()[1]
    l.close()
    t = socket.socket()
    call("after close", t.bind, (HOST, port))


def refused():
    l = listener()
    addr = l.getsockname()
    l.close()
    s = socket.socket()
    call("connect", s.connect, addr)
    call("again", s.connect, addr)
    call("recv", s.recv, 1)
    call("send", s.send, b"x")
    say("so_error", so_error(s))
    s = socket.socket()
    s.setblocking(False)
    say("nonblocking", name(s.connect_ex(addr)))
    say("poll", poll_flags(s))
    say("select", [len(x) for x in select.select([s], [s], [s], 1)])
    say("so_error", so_error(s))
    say("poll", poll_flags(s))
    say("again", name(s.connect_ex(addr)))
    say("again", name(s.connect_ex(addr)))
    settle()
    say("again", name(s.connect_ex(addr)))
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(addr)
    settle()
    call("recv", s.recv, 1)
    call("recv", s.recv, 1)
    l = listener()
    s = socket.socket()
    call("refused", s.connect, addr)
    call("then accepted", s.connect, l.getsockname())


def connecting():
    l = listener()
    s = socket.socket()
    s.setblocking(False)
    say("nonblocking", name(s.connect_ex(l.getsockname())))
    say("poll", poll_flags(s))
    say("so_error", so_error(s))
    say("again", name(s.connect_ex(l.getsockname())))
    say("and again", name(s.connect_ex(l.getsockname())))
    c, peer = l.accept()
    say("peer", peer == s.getsockname() and c.getpeername() == peer)
    call("send", s.send, b"abc")
    call("recv", c.recv, 10)
    call("recv", s.recv, 10)
    call("listen", s.listen, 1)
    call("unspec", lambda: libc_connect_unspec(s))
    settle()
    call("peer sees", c.recv, 10)
    call("getpeername", s.getpeername)
    s = socket.socket()
    call("to nowhere", s.connect, ("203.0.113.1", 80))
    call("to zero", s.connect, (HOST, 0))


def libc_connect_unspec(s):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    a = struct.pack("HH12x", socket.AF_UNSPEC, 0)
    if libc.connect(s.fileno(), a, 16):
        raise OSError(ctypes.get_errno(), "")
    return 0


def waiting():
    """A connect that nobody answers: the backlog is full."""
    l = listener(0)
    first = socket.create_connection(l.getsockname())
    settle()
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(l.getsockname())
    t = socket.socket()
    t.setblocking(False)
    say("nonblocking", name(t.connect_ex(l.getsockname())))
    say("poll", poll_flags(t, ms=50))
    say("again", name(t.connect_ex(l.getsockname())))
    call("send", t.send, b"x")
    call("recv", t.recv, 1)
    call("getpeername", t.getpeername)
    e = select.epoll()
    e.register(t, select.EPOLLOUT | select.EPOLLET)
    say("epoll", e.poll(0.05))
    u = socket.socket()
    u.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100000))
    call("blocking, for a time", u.connect, l.getsockname())
    call("shutdown", t.shutdown, socket.SHUT_RDWR)
    first.close()


def interrupted():
    l = listener(0)
    keep = [socket.create_connection(l.getsockname()), *pair()]
    settle()
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(l.getsockname())
    signal.signal(signal.SIGALRM, lambda *a: 1 / 0)
    for what, fn in (("connect", lambda: socket.socket().connect(l.getsockname())),
                     ("accept", lambda: listener().accept()),
                     ("recv", lambda: keep[1].recv(1))):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            fn()
            say(what, "returned")
        except ZeroDivisionError:
            say(what, "interrupted")
    keep.clear()


def bytes_both_ways():
    a, b = pair()
    say("poll", poll_flags(a))
    call("send", a.send, b"hello")
    settle()
    say("poll", poll_flags(b))
    call("peek", b.recv, 3, socket.MSG_PEEK)
    call("trunc", lambda: len(b.recv(2, socket.MSG_TRUNC)))
    call("rest", b.recv, 100)
    b.setblocking(False)
    call("none", b.recv, 1)
    call("dontwait", a.recv, 1, socket.MSG_DONTWAIT)
    call("errqueue", a.recv, 1, socket.MSG_ERRQUEUE)
    call("recvfrom", lambda: (a.send(b"x"), settle(), b.recvfrom(1))[2][1])
    call("sendto", a.sendto, b"y", (HOST, 9))
    call("sendmsg", a.sendmsg, [b"1", b"23"])
    settle()
    n = array.array("i", [0])
    fcntl.ioctl(b, 0x541b, n)
    say("FIONREAD", n[0])
    call("recvmsg", lambda: b.recvmsg(10, 100)[:3])
    call("more", a.send, b"12", socket.MSG_MORE)
    call("no more", a.send, b"34")
    b.setblocking(True)
    call("waitall", b.recv, 4, socket.MSG_WAITALL)
    t = threading.Thread(target=lambda: a.sendall(BIG))
    t.start()
    got = b""
    while len(got) < len(BIG):
        got += b.recv(100000)
    t.join()
    say("bulk", got == BIG)
    b.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
    call("timeout", b.recv, 1)
    a.close()
    call("end", b.recv, 1)


def fill(s):
    """Sends until nothing has gone for half a second; bytes."""
    s.setblocking(False)
    sent = 0
    idle = 0
    while idle < 10:
        try:
            sent += s.send(BIG[:65536])
            idle = 0
        except BlockingIOError:
            idle += 1
            settle()
    return sent


def full():
    """A peer that does not read."""
    a, b = pair()
    sent = fill(a)
    say("poll", poll_flags(a, select.POLLOUT, 50))
    got = 0
    while got < sent:
        got += len(b.recv(1 << 20))
    say("poll", poll_flags(a, select.POLLOUT))
    say("all", got == sent)
    a.setblocking(True)
    a.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100000))
    try:
        while True:
            a.send(BIG)
    except BlockingIOError as e:
        say("timeout", name(e.errno))


def half_close():
    a, b = pair()
    a.send(b"last")
    call("shutdown", a.shutdown, socket.SHUT_WR)
    say("poll", poll_flags(a))
    call("send", a.send, b"x")
    call("recv", b.recv, 10)
    call("end", b.recv, 10)
    say("poll of the peer", poll_flags(b))
    call("answer", b.send, b"back")
    call("recv", a.recv, 10)
    b.close()
    settle()
    call("end", a.recv, 10)
    say("poll", poll_flags(a))
    call("shutdown", a.shutdown, socket.SHUT_WR)
    call("getpeername", a.getpeername)
    a, b = pair()
    call("shut reading", a.shutdown, socket.SHUT_RD)
    say("poll", poll_flags(a))
    call("recv", a.recv, 1)
    call("send", a.send, b"x")
    call("peer", b.recv, 1)
    a, b = pair()
    call("both", a.shutdown, socket.SHUT_RDWR)
    say("poll", poll_flags(b))
    call("peer", b.recv, 1)
    call("peer sends", b.send, b"x")
    settle()
    call("peer sends", b.send, b"x")


def resets():
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    a, b = pair()
    reset(b)
    say("poll", poll_flags(a))
    e = select.epoll()
    e.register(a, select.EPOLLIN | select.EPOLLRDHUP)
    say("epoll in, hup", e.poll(1)[0][1] & 0x2011)
    call("recv", a.recv, 1)
    call("recv", a.recv, 1)
    call("send", a.send, b"x")
    say("poll", poll_flags(a))
    call("shutdown", a.shutdown, socket.SHUT_WR)
    call("connect", a.connect, (HOST, 1))
    a, b = pair()
    reset(b)
    call("send", a.send, b"x")
    call("send", a.send, b"x")
    call("recv", a.recv, 1)
    a, b = pair()
    reset(b)
    say("so_error", so_error(a))
    say("so_error", so_error(a))
    call("recv", a.recv, 1)
    a, b = pair()
    a.send(b"unread")
    settle()
    b.close()
    settle()
    call("unread", a.recv, 1)
    a, b = pair()
    b.send(b"data")
    settle()
    reset(b)
    call("data first", a.recv, 10)
    call("then", a.recv, 10)
    a, b = pair()
    b.close()
    settle()
    call("to a closed one", a.send, b"x")
    settle()
    call("again", a.send, b"x")
    call("recv", a.recv, 1)


def woken():
    """Calls that wait when the connection ends."""
    for what, end in (("close", lambda s: s.close()), ("reset", reset)):
        for who in ("recv", "send", "poll"):
            a, b = pair()
            out = []

            def wait():
                try:
                    if who == "recv":
                        out.append(a.recv(1))
                    elif who == "send":
                        while True:
                            a.send(BIG)
                    else:
                        out.append(poll_flags(a, select.POLLIN, 5000))
                except OSError as e:
                    out.append("an error" if who == "send" else name(e.errno))

            t = threading.Thread(target=wait)
            t.start()
            time.sleep(0.2)
            end(b)
            t.join(5)
            say(f"{who} and {what}", out if not t.is_alive() else "hangs")


def signals():
    def child(fn):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            try:
                fn()
                os._exit(0)
            except OSError as e:
                os._exit(e.errno)
        return os.waitpid(pid, 0)[1]

    def prepared():
        a, b = pair()
        reset(b)
        return a

    def twice(send):
        a = prepared()

        def fn():
            try:
                send(a)
            except OSError as e:
                if e.errno != errno.ECONNRESET:
                    os._exit(99)
            send(a)
        return fn

    say("first write", child(lambda: os.write(prepared().fileno(), b"x")))
    say("second write", child(twice(lambda s: os.write(s.fileno(), b"x"))))
    say("second writev", child(twice(lambda s: os.writev(s.fileno(), [b"x", b"y"]))))
    say("second send", child(twice(lambda s: s.send(b"x"))))
    say("nosignal", child(twice(lambda s: s.send(b"x", socket.MSG_NOSIGNAL))))
    say("sendmsg", child(twice(lambda s: s.sendmsg([b"x"]))))
    fresh_one = socket.socket()
    say("unconnected", child(lambda: os.write(fresh_one.fileno(), b"x")))
    r, w = os.pipe()
    os.close(r)
    say("a pipe", child(lambda: os.write(w, b"x")))


def accepting():
    l = listener()
    l.setblocking(False)
    call("none", l.accept)
    say("poll", poll_flags(l, ms=0))
    s = [socket.create_connection(l.getsockname()) for _ in range(5)]
    say("poll", poll_flags(l))
    c, _ = l.accept()
    say("nonblocking is not inherited", c.getblocking() if hasattr(c, "getblocking") else 0)
    say("flags", fcntl.fcntl(c, fcntl.F_GETFL) & os.O_NONBLOCK)
    for _ in range(4):
        l.accept()
    call("none", l.accept)
    l.setblocking(True)
    l.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
    call("timeout", l.accept)
    l.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    got = []

    def wait():
        try:
            got.append(l.accept())
        except OSError as e:
            got.append(name(e.errno))
    t = threading.Thread(target=wait)
    t.start()
    settle()
    call("shutdown", l.shutdown, socket.SHUT_RD)
    t.join(5)
    say("woken", got)
    call("accept", l.accept)
    l = listener()
    s = socket.create_connection(l.getsockname())
    s.send(b"early")
    settle()
    l.close()
    settle()
    call("a listener that closes resets", s.recv, 1)
    l = listener()
    s = socket.create_connection(l.getsockname())
    s.send(b"early")
    s.close()
    c, _ = l.accept()
    call("closed before accept", c.recv, 10)
    call("end", c.recv, 10)


def few_descriptors():
    import resource
    l = listener()
    s = [socket.create_connection(l.getsockname()) for _ in range(3)]
    settle()
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(x.fileno() for x in s) + 1, old[1]))
    fill = []
    try:
        while True:
            fill.append(os.dup(0))
    except OSError:
        pass
    call("accept", l.accept)
    call("socket", socket.socket)
    resource.setrlimit(resource.RLIMIT_NOFILE, old)
    for f in fill:
        os.close(f)
    got = [l.accept()[0] for _ in range(3)]
    say("none lost", len(got))


def urgent():
    a, b = pair()
    a.send(b"ab")
    call("send", a.send, b"cX", socket.MSG_OOB)
    settle()
    say("poll", poll_flags(b, select.POLLPRI))
    call("recv", b.recv, 10)
    n = array.array("i", [0])
    fcntl.ioctl(b, 0x8905, n)
    say("at the mark", n[0])
    call("urgent", b.recv, 1, socket.MSG_OOB)
    call("twice", b.recv, 1, socket.MSG_OOB)
    a.send(b"rest")
    call("recv", b.recv, 10)
    call("none", a.recv, 1, socket.MSG_OOB)
    a, b = pair()
    b.setsockopt(SOL, socket.SO_OOBINLINE, 1)
    a.send(b"ab")
    a.send(b"X", socket.MSG_OOB)
    a.send(b"cd")
    settle()
    call("before", b.recv, 10)
    call("inline", b.recv, 10)


def options():
    a, b = pair()
    call("nodelay", a.setsockopt, TCP, socket.TCP_NODELAY, 1)
    call("nodelay", a.getsockopt, TCP, socket.TCP_NODELAY)
    call("cork", a.setsockopt, TCP, socket.TCP_CORK, 1)
    a.send(b"one ")
    a.send(b"two")
    call("uncork", a.setsockopt, TCP, socket.TCP_CORK, 0)
    settle()
    call("recv", b.recv, 100)
    say("info", a.getsockopt(TCP, socket.TCP_INFO, 8)[0])
    call("keepalive", a.setsockopt, SOL, socket.SO_KEEPALIVE, 1)
    call("keepidle", a.setsockopt, TCP, socket.TCP_KEEPIDLE, 100)
    call("keepidle", a.getsockopt, TCP, socket.TCP_KEEPIDLE)
    call("user timeout", a.setsockopt, TCP, 18, 1000)
    call("congestion", a.getsockopt, TCP, socket.TCP_CONGESTION, 16)
    call("unknown", a.setsockopt, TCP, 999, 1)
    call("unknown", a.getsockopt, TCP, 999)
    call("linger", a.getsockopt, SOL, socket.SO_LINGER, 8)
    call("error", a.getsockopt, SOL, socket.SO_ERROR)
    call("maxseg", lambda: a.getsockopt(TCP, socket.TCP_MAXSEG) > 500)
    l = listener()
    s = socket.socket()
    s.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    call("reuseaddr does not share a listener", s.bind, l.getsockname())
    x, y = socket.socket(), socket.socket()
    for s in (x, y):
        s.setsockopt(SOL, socket.SO_REUSEPORT, 1)
    x.bind((HOST, 0))
    call("reuseport", y.bind, x.getsockname())
    call("listen", x.listen)
    call("listen", y.listen)


def inherited():
    """fork, exec, dup, passing."""
    a, b = pair()
    pid = os.fork()
    if not pid:
        b.send(b"from the child")
        os._exit(0)
    os.waitpid(pid, 0)
    call("recv", a.recv, 100)
    b2 = b.dup()
    b.close()
    settle()
    call("dup keeps", b2.send, b"x")
    call("recv", a.recv, 10)
    os.set_inheritable(b2.fileno(), True)
    code = ("import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); "
            "s.send(b'exec'); print(s.getpeername()[0]); s.shutdown(1)")
    pid = os.fork()
    if not pid:
        os.dup2(2, 1)
        os.execv(sys.executable, [sys.executable, "-c", code, str(b2.fileno())])
    os.waitpid(pid, 0)
    call("recv", a.recv, 10)
    call("end", a.recv, 10)
    call("and back", a.send, b"still")
    call("recv", b2.recv, 10)
    l = listener()
    s = socket.create_connection(l.getsockname())
    x, y = socket.socketpair()
    c, _ = l.accept()
    socket.send_fds(x, [b"f"], [c.fileno(), l.fileno()])
    c.close()
    _, fds, _, _ = socket.recv_fds(y, 1, 2)
    c, l2 = (socket.socket(fileno=f) for f in fds)
    call("passed", c.send, b"passed")
    call("recv", s.recv, 10)
    l.close()
    t = socket.create_connection(l2.getsockname())
    call("a listener that was passed", l2.accept)


def prefork():
    l = listener(128)
    pids = []
    for _ in range(4):
        pid = os.fork()
        if not pid:
            signal.alarm(20)
            while True:
                c, _ = l.accept()
                c.send(str(os.getpid()).encode())
                c.close()
        pids.append(pid)
    seen = []
    for _ in range(200):
        s = socket.create_connection(l.getsockname())
        seen.append(int(s.recv(20)))
        s.close()
    for p in pids:
        os.kill(p, signal.SIGKILL)
        os.waitpid(p, 0)
    say("served", len(seen))
    say("by children alone", set(seen) <= set(pids))


def edges():
    a, b = pair()
    e = select.epoll()
    e.register(b, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    say("first", [x[1] for x in e.poll(0.5)])
    say("nothing new", e.poll(0.05))
    a.send(b"x")
    say("data", [x[1] & 1 for x in e.poll(1)])
    say("nothing new", [x[1] & 1 for x in e.poll(0.05)])
    a.send(b"y")
    say("more data", [x[1] & 1 for x in e.poll(1)])
    a.close()
    settle()
    say("end", [x[1] & 1 for x in e.poll(1)])
    l = listener()
    e = select.epoll()
    e.register(l, select.EPOLLIN | select.EPOLLET)
    s = socket.create_connection(l.getsockname())
    say("listener", [x[1] for x in e.poll(1)])
    say("nothing new", e.poll(0.05))
    s = socket.create_connection(l.getsockname())
    say("another", [x[1] for x in e.poll(1)])


def files():
    a, b = pair()
    r, w = os.pipe()
    path = os.environ["TMP_FILE"]
    with open(path, "wb") as f:
        f.write(BIG)
    with open(path, "rb") as f:
        sent = 0
        got = []

        def reader():
            n = 0
            while n < len(BIG):
                d = b.recv(1 << 16)
                n += len(d)
                got.append(d)
        t = threading.Thread(target=reader)
        t.start()
        while sent < len(BIG):
            sent += os.sendfile(a.fileno(), f.fileno(), sent, len(BIG) - sent)
        t.join()
    say("sendfile", b"".join(got) == BIG)
    a.send(b"spliced")
    settle()
    call("splice in", os.splice, b.fileno(), w, 100)
    call("read", os.read, r, 100)
    os.write(w, b"out")
    call("splice out", os.splice, r, a.fileno(), 3)
    call("recv", b.recv, 100)
    f = a.makefile("rwb")
    f.write(b"line\n")
    f.flush()
    call("makefile", b.makefile("rb").readline)


def lingers():
    a, b = pair()
    a.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 5))
    a.send(b"bye")
    t = time.monotonic()
    a.close()
    say("quick", time.monotonic() - t < 1)
    call("recv", b.recv, 10)
    call("end", b.recv, 10)
    a, b = pair()
    a.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 1))
    fill(a)
    t = time.monotonic()
    a.close()
    say("waits for a peer that does not read", 0.9 < time.monotonic() - t < 1.5)


def again():
    """Sockets that are used a second time."""
    l = listener()
    s = socket.create_connection(l.getsockname())
    c, _ = l.accept()
    c.send(b"stale")
    settle()
    call("disconnect", lambda: libc_connect_unspec(s))
    call("recv", s.recv, 10)
    call("connect", s.connect, l.getsockname())
    c, _ = l.accept()
    c.send(b"fresh")
    call("recv", s.recv, 10)
    call("send", s.send, b"back")
    call("recv", c.recv, 10)
    c.close()
    settle()
    call("end", s.recv, 10)
    call("disconnect", lambda: libc_connect_unspec(s))
    call("listen", s.listen, 1)
    t = socket.create_connection(("127.0.0.1", s.getsockname()[1]))
    call("accept", s.accept)
    call("stop", s.shutdown, socket.SHUT_RD)
    call("accept", s.accept)
    call("listen", s.listen, 1)
    t = socket.create_connection(("127.0.0.1", s.getsockname()[1]))
    call("accept", s.accept)
    call("stop", s.shutdown, socket.SHUT_RD)
    call("connect", s.connect, l.getsockname())
    c, _ = l.accept()
    c.send(b"third")
    call("recv", s.recv, 10)


CASES = [fresh, bind_errors, refused, connecting, waiting, interrupted, bytes_both_ways, full,
         half_close, resets, woken, signals, accepting, few_descriptors, urgent, options, inherited,
         prefork, edges, files, lingers, again]

for fn in CASES:
    if len(sys.argv) > 1 and fn.__name__ not in sys.argv[1:]:
        continue
    case = fn.__name__
    pid = os.fork()
    if not pid:
        signal.alarm(40)
        try:
            fn()
        except Exception as e:  # a case that breaks shows it in its lines
            say("raised", repr(e))
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if status:
        say("ended by", status)
