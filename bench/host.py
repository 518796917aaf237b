#!/usr/bin/python3
"""Benches that need whole processes or the host kernel as the peer: forwarding through TAP beside the
kernel's own forwarding, a thousand namespaces by ip -batch, and what an idle instance costs. Prints
one JSON object a line. Namespaces of the host are made here and removed again; without root those
cases are skipped with a sentence on standard error.

Usage: host.py WEFT-COMMAND [case ...]
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

WEFT = os.path.realpath(sys.argv[1])
CASES = sys.argv[2:]
BLAST = os.path.join(os.path.dirname(WEFT), "../../bench/blast")
RUNS = 3
TAG = f"weftb{os.getpid()}"


def skip(text):
    print(f"skipped: {text}", file=sys.stderr)


def emit(bench, case, metric, unit, values, peer=None, peer_values=None, higher=True):
    value = statistics.median(values)
    peer_value = statistics.median(peer_values) if peer_values else None
    ratio = None
    if peer_value:
        ratio = value / peer_value if higher else peer_value / value
    print(json.dumps({
        "bench": bench, "case": case, "metric": metric, "unit": unit, "value": round(value, 3),
        "spread": [round(min(values), 3), round(max(values), 3)], "peer": peer if peer_values else None,
        "peer_value": round(peer_value, 3) if peer_value is not None else None,
        "ratio": round(ratio, 3) if ratio else None, "n": len(values)}), flush=True)


def sh(*words, check=True, **kw):
    return subprocess.run(words, check=check, capture_output=True, text=True, **kw)


def batch_text():
    lines = [f"netns add r{TAG}{r}" for r in range(10)]
    for i in range(1000):
        lines.append(f"netns add h{TAG}{i}")
        lines.append(f"link add e0 netns h{TAG}{i} type veth peer name p{i} netns r{TAG}{i % 10}")
    return "\n".join(lines) + "\n"


def timed_batch(words):
    start, end = sh(*words).stdout.split()[-2:]
    return float(end) - float(start)


def forget_batch():
    names = [n.split()[0] for n in sh("ip", "netns").stdout.splitlines() if TAG in n]
    sh("ip", "-batch", "-", input="".join(f"netns del {n}\n" for n in names), check=False)


def bench_netns():
    """1,000 namespaces with a veth each into one of 10 routers: seconds of ip -batch."""
    ours, theirs = [], []
    if os.geteuid() != 0:
        skip("netns: the host kernel's side needs root")
    with tempfile.NamedTemporaryFile("w", suffix=".batch") as f:
        f.write(batch_text())
        f.flush()
        os.chmod(f.name, 0o644)
        timed = ["/bin/sh", "-ec", f"start=$(date +%s.%N); ip -batch {f.name}; "
                 'end=$(date +%s.%N); echo "$start $end"']
        for _ in range(RUNS):
            ours.append(timed_batch([WEFT, "run"] + timed))
            if os.geteuid() != 0:
                continue
            try:
                theirs.append(timed_batch(timed))
            finally:
                forget_batch()
    emit("netns", "1000 namespaces with veth", "time", "s", ours, "host kernel", theirs,
         higher=False)


def daemon_pid(rundir):
    for pid in sh("pgrep", "-x", "weftd", check=False).stdout.split():
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                if rundir in f.read():
                    return int(pid)
        except OSError:
            pass
    raise OSError("the daemon is not there")


def processor_time(pid):
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as f:
        return int(f.read().split()[0]) / 1e9


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def bench_idle():
    """An idle instance for 10 s: share of a core and resident memory of its daemon."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as rundir:
        env = dict(os.environ, WEFT_RUNDIR=rundir)
        with subprocess.Popen([WEFT, "run", "sleep", "12"], env=env) as run:
            time.sleep(1)
            pid = daemon_pid(rundir)
            before = processor_time(pid)
            time.sleep(10)
            used = processor_time(pid) - before
            memory = resident(pid)
            run.wait()
    emit("idle", "weft run sleep 10", "cpu", "%", [used / 10 * 100], higher=False)
    emit("idle", "weft run sleep 10", "resident", "MiB", [memory], higher=False)


# ---- forwarding through the host ----
#
#	gen (10.1.0.2) ---- router ---- sink (10.2.0.2)
#
# Three namespaces of the host for either side. The kernel's router has a veth into each of the
# others; weft runs in its router's namespace and owns two TAPs whose host ends are in the others.
# Frames go to 10.3.0.0/16 behind a link address that nobody has, so that the sink counts and drops.

NOBODY = "02:00:00:00:00:99"


class Side:
    """The namespaces of one side; gen_dev and sink_dev are the host's ends."""

    def __init__(self, letter, gen_dev, sink_dev):
        self.gen, self.router, self.sink = (f"{TAG}{letter}{x}" for x in "grs")
        self.gen_dev, self.sink_dev = gen_dev, sink_dev
        self.mac = None
        for n in (self.gen, self.router, self.sink):
            sh("ip", "netns", "add", n)

    def ends_up(self):
        for n, d, a in ((self.gen, self.gen_dev, "10.1.0.2/24"),
                        (self.sink, self.sink_dev, "10.2.0.2/24")):
            sh("ip", "-n", n, "addr", "add", a, "dev", d)
            sh("ip", "-n", n, "link", "set", d, "up")

    def received(self):
        out = sh("ip", "-n", self.sink, "-s", "-j", "link", "show", "dev", self.sink_dev).stdout
        return json.loads(out)[0]["stats64"]["rx"]["packets"]

    def rate(self, size, seconds=2):
        before, start = self.received(), time.time()
        sh("ip", "netns", "exec", self.gen, BLAST, self.gen_dev, self.mac, "10.3.0.0", "10000",
           str(size), str(seconds))
        return (self.received() - before) / (time.time() - start)

    def close(self):
        for n in (self.gen, self.router, self.sink):
            sh("ip", "netns", "del", n, check=False)


ROUTER = """set -e
ip addr add 10.1.0.1/24 dev {0}
ip addr add 10.2.0.1/24 dev {1}
ip link set {0} up
ip link set {1} up
sysctl -qw net.ipv4.ip_forward=1
ip neigh add 10.2.0.2 lladdr {2} dev {1}
ip route add 10.3.0.0/16 via 10.2.0.2
cat /sys/class/net/{0}/address
"""


class KernelSide(Side):
    def __init__(self):
        super().__init__("k", "g0", "s0")
        sh("ip", "link", "add", "g0", "netns", self.gen, "type", "veth", "peer", "name", "r0",
           "netns", self.router)
        sh("ip", "link", "add", "s0", "netns", self.sink, "type", "veth", "peer", "name", "r1",
           "netns", self.router)
        self.ends_up()
        self.mac = sh("ip", "netns", "exec", self.router, "sh", "-c",
                      ROUTER.format("r0", "r1", NOBODY)).stdout.strip()

    def spread(self, cpus):
        """Which cores may forward: 0 leaves it to the one that sends."""
        sh("ip", "netns", "exec", self.router, "sh", "-c",
           f"echo {cpus:x} >/sys/class/net/r0/queues/rx-0/rps_cpus")

    def best_rate(self, size):
        """On the sender's core or on all: whichever is faster."""
        rates = []
        for cpus in (0, (1 << os.cpu_count()) - 1):
            self.spread(cpus)
            rates.append(self.rate(size))
        return max(rates)


class WeftSide(Side):
    """fault: options of a bad link towards the sink, which f0 then is."""

    def __init__(self, fault=None):
        super().__init__("w", "wg0", "ws0")
        inside = f"{WEFT} tap add t0 host wg0; {WEFT} tap add t1 host ws0\n"
        if fault:
            inside += f"{WEFT} fault add f0 on t1 {fault}; ip link set t1 up\n"
        inside += ROUTER.format("t0", "f0" if fault else "t1", NOBODY) + "exec sleep 600\n"
        self.run = subprocess.Popen(["ip", "netns", "exec", self.router, WEFT, "run", "-n", TAG,
                                     "sh", "-c", inside], stdout=subprocess.PIPE, text=True)
        self.mac = self.run.stdout.readline().strip()
        if not self.mac:
            self.close()
            raise OSError("weft did not start")
        sh("ip", "-n", self.router, "link", "set", "wg0", "netns", self.gen)
        sh("ip", "-n", self.router, "link", "set", "ws0", "netns", self.sink)
        self.ends_up()

    def close(self):
        self.run.terminate()
        self.run.wait()
        super().close()


def bench_tap():
    """Frames a second that reach the sink: through weft over two TAPs, through the kernel over two
    veth pairs; one generator, turn and turn about."""
    if os.geteuid() != 0:
        return skip("forward-host: needs root to make namespaces of the host")
    if not os.path.exists("/dev/net/tun"):
        return skip("forward-host: no /dev/net/tun")
    if not os.path.exists(BLAST):
        return skip("forward-host: the generator is in the build directory only")
    kernel = KernelSide()
    try:
        weft = WeftSide()
        try:
            for size in (64, 1518):
                ours, theirs = [], []
                for _ in range(RUNS):
                    theirs.append(kernel.best_rate(size))
                    ours.append(weft.rate(size))
                emit("forward-host", f"{size}-byte frames, TAP to TAP", "rate", "packets/s", ours,
                     "host kernel, veth to veth", theirs)
        finally:
            weft.close()
    finally:
        kernel.close()
    return None


# ---- congestion control beside the kernel's ----
#
# Ten connections at once from gen's kernel, through weft's bad link, to sink's kernel; then the same
# from weft's own stack over the same link.

LOSS_CASES = (("1", "10"), ("0.1", "10"))  # %, ms one way


def goodput(words):
    out = json.loads(sh(*words, "iperf3", "-c", "10.2.0.2", "-C", "cubic", "-P", "10", "-t", "20",
                        "-J").stdout)
    return out["end"]["sum_received"]["bits_per_second"] / 1e6


def bench_cubic():
    """Goodput of CUBIC where packets are lost: weft's beside the kernel's, over one link."""
    if os.geteuid() != 0:
        return skip("cubic: needs root to make namespaces of the host")
    for loss, delay in LOSS_CASES:
        weft = WeftSide(f"loss {loss} delay {delay} limit 100000")
        try:
            sh("ip", "-n", weft.gen, "route", "add", "default", "via", "10.1.0.1")
            sh("ip", "-n", weft.sink, "route", "add", "default", "via", "10.2.0.1")
            # the bad link's address for the sink is the real one here
            sh(WEFT, "run", "-n", TAG, "ip", "neigh", "del", "10.2.0.2", "dev", "f0")
            sh(WEFT, "run", "-n", TAG, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")
            sh("ip", "netns", "exec", weft.gen, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")
            with subprocess.Popen(["ip", "netns", "exec", weft.sink, "iperf3", "-s"],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as server:
                time.sleep(0.5)
                try:
                    ours, theirs = [], []
                    for _ in range(2):
                        theirs.append(goodput(["ip", "netns", "exec", weft.gen]))
                        ours.append(goodput([WEFT, "run", "-n", TAG]))
                finally:
                    server.terminate()
            emit("cubic", f"{loss} % loss, {delay} ms, 10 connections", "goodput", "Mbit/s", ours,
                 "host kernel", theirs)
        finally:
            weft.close()
    return None


# ---- unmodified programs over loopback ----

INSIDE = """set -e
ip link set lo up
{0} >/dev/null 2>&1 &
server=$!
sleep 1
{1}
kill $server
"""


def both(server, client, read):
    """Figures of the client in weft and in a namespace of the kernel, turn and turn about."""
    ours, theirs = [], []
    script = INSIDE.format(server, client)
    for _ in range(RUNS):
        theirs.append(read(sh("unshare", "-rn", "sh", "-c", script).stdout))
        ours.append(read(sh(WEFT, "run", "sh", "-c", script).stdout))
    return ours, theirs


def iperf_rate(out):
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


def half_trip(out):
    return next(float(line.split("=")[1]) for line in out.splitlines() if "percentile 50.0" in line)


def with_peer(figures):
    return figures[0], "host kernel", figures[1]


def bench_programs():
    """iperf3 and sockperf, as they are, over loopback: weft beside the kernel."""
    for name, option in (("", ""), (", reverse", " -R"), (", 4 at once", " -P 4")):
        emit("programs", f"iperf3 over loopback{name}", "goodput", "Gbit/s",
             *with_peer(both("iperf3 -s", f"iperf3 -c 127.0.0.1 -t 2 -J{option}", iperf_rate)))
    for proto, option in (("TCP", "--tcp"), ("UDP", "")):
        emit("programs", f"sockperf ping-pong over loopback, {proto}", "p50 of half a round trip",
             "us", *with_peer(both(f"sockperf server -i 127.0.0.1 {option}",
                                   f"sockperf ping-pong -i 127.0.0.1 {option} -t 2", half_trip)),
             higher=False)


BENCHES = {"cubic": bench_cubic, "programs": bench_programs, "netns": bench_netns, "idle": bench_idle, "forward-host": bench_tap}
for name, bench in BENCHES.items():
    if not CASES or name in CASES:
        try:
            bench()
        except (OSError, subprocess.CalledProcessError) as e:
            detail = getattr(e, "stderr", "") or ""
            print(f"skipped: {name}: {e} {detail}", file=sys.stderr)
