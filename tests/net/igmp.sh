#!/bin/sh
# only: root
# Multicast memberships and their source filters: the options' errors, the IGMP reports, and what
# /proc/net tells must be the kernel's, call by call.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
here=$(dirname "$0")
ok unshare -n /usr/bin/python3 "$here/igmp.py" "$tmp/kernel.json"
ok "$WEFT" run /usr/bin/python3 "$here/igmp.py" "$tmp/weft.json" "$tmp/kernel.json"
/usr/bin/python3 - "$tmp/kernel.json" "$tmp/weft.json" <<'PY'
import json, re, sys


def settled(step):
    """Without what chance decides: times, and the order of answers to old queries."""
    name, result, reports, files = step
    if name.startswith("v2"):
        reports.sort()
    if name.startswith("v1"):  # answers within ten seconds
        reports.clear()
    files["igmp"] = re.sub("[01]:[0-9A-F]{8}", "T", files["igmp"])
    return step


def same(k, w):
    # The kernel lists no source of a device whose latest group has none, and puts sources aside
    # while the device is down, so it may show less.
    if k[3]["mcfilter"].count("\n") == 1 or k[0] == "down":
        w[3]["mcfilter"] = k[3]["mcfilter"]
    return k == w


kernel, weft = ([settled(s) for s in json.load(open(f))] for f in sys.argv[1:])
bad = 0
for k, w in zip(kernel, weft):
    if not same(k, w):
        bad += 1
        for what, i in ("result", 1), ("reports", 2), ("files", 3):
            if k[i] != w[i]:
                print("%s: %s\n  kernel %s\n  weft   %s" % (k[0], what, k[i], w[i]))
if bad or len(kernel) != len(weft) or not kernel:
    sys.exit("%d of %d steps differ" % (bad, len(kernel)))
PY
