#!/bin/sh
# only: root
# UDP call by call against the kernel: segments and their reception, corks, many datagrams a call, control
# messages, sharing a port by hash and by program, multicast by source, the error queue.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
here=$(dirname "$0")
ok unshare -n /usr/bin/python3 "$here/udp.py" "$tmp/kernel.json"
ok "$WEFT" run /usr/bin/python3 "$here/udp.py" "$tmp/weft.json"
/usr/bin/python3 - "$tmp/kernel.json" "$tmp/weft.json" <<'PY'
import json, sys
kernel, weft = (json.load(open(f)) for f in sys.argv[1:])
bad = [(k, w) for k, w in zip(kernel, weft) if k != w]
for k, w in bad:
    print("%s\n  kernel %s\n  weft   %s" % (k[0], k[1], w[1]))
if bad or len(kernel) != len(weft) or not kernel:
    sys.exit("%d of %d calls differ" % (len(bad), len(kernel)))
PY
