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


def bench_netns():
    """1,000 namespaces with a veth each into one of 10 routers: seconds of ip -batch."""
    with tempfile.NamedTemporaryFile("w", suffix=".batch") as f:
        f.write(batch_text())
        f.flush()
        os.chmod(f.name, 0o644)
        timed = ["/bin/sh", "-c", f"start=$(date +%s.%N); ip -batch {f.name} && end=$(date +%s.%N) && "
                 'echo "$start $end"']

        def seconds(words):
            start, end = sh(*words).stdout.split()[-2:]
            return float(end) - float(start)

        ours = [seconds([WEFT, "run"] + timed) for _ in range(RUNS)]
        theirs = None
        if os.geteuid() == 0:
            theirs = []
            for _ in range(1):
                try:
                    theirs.append(seconds(timed))
                finally:
                    names = [n.split()[0] for n in sh("ip", "netns").stdout.splitlines() if TAG in n]
                    sh("ip", "-batch", "-", input="".join(f"netns del {n}\n" for n in names), check=False)
        else:
            skip("netns: the host kernel's side needs root")
        emit("netns", "1000 namespaces with veth", "time", "s", ours, "host kernel", theirs, higher=False)



def daemon_pid(rundir):
    for pid in sh("pgrep", "-x", "weftd", check=False).stdout.split():
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                if rundir in f.read():
                    return int(pid)
        except OSError:
            pass
    return None


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def bench_idle():
    """An idle instance for 10 s: share of a core and resident memory of its daemon."""
    with tempfile.TemporaryDirectory() as rundir:
        env = dict(os.environ, WEFT_RUNDIR=rundir)
        run = subprocess.Popen([WEFT, "run", "sleep", "12"], env=env)
        time.sleep(1)
        pid = daemon_pid(rundir)
        before = ticks(pid)
        time.sleep(10)
        used = (ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        run.wait()
    emit("idle", "weft run sleep 10", "cpu", "%", [used * 10])
    emit("idle", "weft run sleep 10", "resident", "MiB", [rss / 1024])


def counter(ns, dev, name):
    return int(sh("ip", "netns", "exec", ns, "cat", f"/sys/class/net/{dev}/statistics/{name}").stdout)


def pump(gen_ns, dev, mac, seconds):
    """64-byte UDP frames from trafgen on one core, 10,000 destinations in 10.2.0.0/16."""
    config = f"""{{ eth(da={mac}, sa=02:00:00:00:00:01, type=0x0800)
  ipv4(saddr=10.1.0.2, daddr=10.2.0.2, ttl=64) udp(sport=9, dport=9, csum=0) fill(0x00, 18) }}"""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as f:
        f.write(config)
        f.flush()
        gen = subprocess.Popen(["ip", "netns", "exec", gen_ns, "trafgen", "-i", f.name, "-o", dev, "-P", "1",
                                "-q", "-b", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        gen.terminate()
        gen.wait()


def rate(sink_ns, sink_dev, gen_ns, gen_dev, mac, seconds=3.0):
    before = counter(sink_ns, sink_dev, "rx_packets")
    start = time.time()
    pump(gen_ns, gen_dev, mac, seconds)
    return (counter(sink_ns, sink_dev, "rx_packets") - before) / (time.time() - start)


def bench_tap():
    """One generator, one sink, both the host's: through weft over two TAPs, and through the kernel
    over two veth pairs. Packets a second that reach the sink."""
    if os.geteuid() != 0:
        return skip("forward over tap: needs root to make namespaces of the host")
    if not os.path.exists("/dev/net/tun"):
        return skip("forward over tap: no /dev/net/tun")
    ours, theirs = [], []
    gen, router, sink = f"{TAG}g", f"{TAG}r", f"{TAG}s"
    try:
        for n in (gen, router, sink):
            sh("ip", "netns", "add", n)
        sh("ip", "link", "add", "g0", "netns", gen, "type", "veth", "peer", "name", "r0", "netns", router)
        sh("ip", "link", "add", "s0", "netns", sink, "type", "veth", "peer", "name", "r1", "netns", router)
        for n, d, a in ((gen, "g0", "10.1.0.2/24"), (router, "r0", "10.1.0.1/24"),
                        (router, "r1", "10.2.0.1/16"), (sink, "s0", "10.2.0.2/16")):
            sh("ip", "-n", n, "addr", "add", a, "dev", d)
            sh("ip", "-n", n, "link", "set", d, "up")
        sh("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        sh("ip", "-n", sink, "route", "add", "10.1.0.0/24", "via", "10.2.0.1")
        mac = sh("ip", "netns", "exec", router, "cat", "/sys/class/net/r0/address").stdout.strip()
        sh("ip", "netns", "exec", sink, "ping", "-c", "1", "-W", "2", "10.1.0.2", check=False)
        for _ in range(RUNS):
            theirs.append(rate(sink, "s0", gen, "g0", mac))
        # the same host namespaces' far ends, weft in the middle
        inside = (f"weft tap add t0 host wg0 && weft tap add t1 host ws0 && "
                  "ip addr add 10.1.0.1/24 dev t0 && ip addr add 10.2.0.1/16 dev t1 && "
                  "ip link set t0 up && ip link set t1 up && sysctl -qw net.ipv4.ip_forward=1 && "
                  "cat /sys/class/net/t0/address && exec sleep 60")
        weft = subprocess.Popen(["ip", "netns", "exec", router, WEFT, "run", "sh", "-c", inside],
                                stdout=subprocess.PIPE, text=True)
        mac = weft.stdout.readline().strip()
        time.sleep(0.5)
        for d, n, a in (("wg0", gen, "10.1.0.2/24"), ("ws0", sink, "10.2.0.2/16")):
            sh("ip", "-n", router, "link", "set", d, "netns", n)
            sh("ip", "-n", n, "addr", "flush", "dev", "g0" if n == gen else "s0")
            sh("ip", "-n", n, "addr", "add", a, "dev", d)
            sh("ip", "-n", n, "link", "set", d, "up")
        sh("ip", "-n", sink, "route", "replace", "10.1.0.0/24", "via", "10.2.0.1", check=False)
        sh("ip", "netns", "exec", sink, "ping", "-c", "2", "-W", "2", "10.1.0.2", check=False)
        for _ in range(RUNS):
            ours.append(rate(sink, "ws0", gen, "wg0", mac))
        weft.terminate()
        weft.wait()
        emit("forward-host", "64-byte frames, TAP to TAP", "rate", "packets/s", ours,
             "host kernel, veth to veth", theirs)
    finally:
        for n in (gen, router, sink):
            sh("ip", "netns", "del", n, check=False)


BENCHES = {"netns": bench_netns, "idle": bench_idle, "forward-host": bench_tap}
for name, bench in BENCHES.items():
    if not CASES or name in CASES:
        try:
            bench()
        except (OSError, subprocess.CalledProcessError) as e:
            detail = getattr(e, "stderr", "") or ""
            print(f"skipped: {name}: {e} {detail}", file=sys.stderr)
