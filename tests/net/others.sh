#!/bin/sh
# only: root
# An instance is its owner's and root's: other users do not get near its socket, and where somebody
# has opened the folder to them, the daemon looks at who they are
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
unset WEFT_DIR WEFT_NETNS
chmod 711 "$tmp"
mkdir -m 700 "$tmp/run"
chown 65534:65534 "$tmp/run"
mkdir -m 755 "$tmp/pub"

# as UID COMMAND...
as() {
	uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups env HOME=/nonexistent "$@"
}

cat >"$tmp/pub/hello.py" <<'PY'
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
try:
    s.connect(sys.argv[1])
    s.send(struct.pack("=IIQQQQ", 1, 0, 0, 1, 0, 0))  # WEFT_OP_HELLO, WEFT_PROTOCOL
    n = len(s.recv(4096))
except PermissionError as e:
    sys.exit(f"no way in: {e.strerror}")
except (BrokenPipeError, ConnectionResetError):
    n = 0
sys.exit(None if n >= 32 else "turned away")
PY

as 65534 WEFT_RUNDIR="$tmp/run" "$WEFT" run -n mine sleep 60 &
holder=$!
ctl=$tmp/run/mine/ctl
soon test -S "$ctl"
[ "$(stat -c %a "$ctl")" = 600 ] || fail "the control socket's mode is $(stat -c %a "$ctl")"
[ "$(stat -c %a "$tmp/run/mine")" = 700 ] || fail "the folder's mode is $(stat -c %a "$tmp/run/mine")"
ok as 65534 /usr/bin/python3 "$tmp/pub/hello.py" "$ctl"
ok /usr/bin/python3 "$tmp/pub/hello.py" "$ctl"
refuses "no way in: Permission denied" as 65533 /usr/bin/python3 "$tmp/pub/hello.py" "$ctl"
refuses "must be a folder of ours" as 65533 WEFT_RUNDIR="$tmp/run" "$WEFT" run -n mine true

chmod 711 "$tmp/run" "$tmp/run/mine"
chmod 666 "$ctl"
refuses "turned away" as 65533 /usr/bin/python3 "$tmp/pub/hello.py" "$ctl"
# many of them are no trouble to those who may
for _ in 1 2 3 4 5 6 7 8 9 10; do
	as 65533 /usr/bin/python3 "$tmp/pub/hello.py" "$ctl" 2>/dev/null &
done
ok as 65534 /usr/bin/python3 "$tmp/pub/hello.py" "$ctl"
chmod 700 "$tmp/run"
ok as 65534 WEFT_RUNDIR="$tmp/run" "$WEFT" run -n mine ip link
kill $holder
