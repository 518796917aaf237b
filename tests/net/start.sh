#!/bin/sh
# weft run in circumstances that are not the best: few descriptors, no home, no TMPDIR, other users'
# variables, long paths, many starters at once, what dead daemons left; and it leaves nothing behind
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
WEFT_RUNDIR=$tmp/run
export WEFT_RUNDIR
unset WEFT_DIR WEFT_NETNS

# gone: no instance and no folder of one is left
gone() {
	[ -z "$(ls "$WEFT_RUNDIR")" ] && [ "$("$WEFT" list --json)" = "[]" ]
}

# exits CODE COMMAND...
exits() {
	want=$1
	shift
	code=0
	"$@" >"$tmp/said" 2>&1 || code=$?
	[ $code -eq "$want" ] || {
		cat "$tmp/said"
		fail "'$*' exits $code, not $want"
	}
}

# ---- exit codes and complaints ----
exits 43 "$WEFT" run sh -c 'exit 43'
exits 127 "$WEFT" run /nonexistent/command
says "/nonexistent/command: No such file" cat "$tmp/said"
exits 127 "$WEFT" run nonexistent-command
exits 126 "$WEFT" run /etc/passwd
exits 126 "$WEFT" run "$tmp"
exits 2 "$WEFT" run
exits 2 "$WEFT" run -x true
exits 2 "$WEFT" run -n ../up true
exits 2 "$WEFT" run -n "$(printf '%065d' 1)" true
exits 2 "$WEFT" run -w 64 true
exits 2 "$WEFT" run -w -1 true
exits 2 "$WEFT" nonsense
exits 1 "$WEFT" stop nobody
exits 1 "$WEFT" stages -n nobody
exits 143 "$WEFT" run sh -c 'kill $$'
exits 0 "$WEFT" run -n x-1.a_b@c+d -- true
soon gone

# ---- descriptors, folders, variables ----
exits 0 sh -c 'ulimit -n 40 && exec "$WEFT" run sh -c "ip link set lo up && ping -q -c 1 127.0.0.1"'
exits 0 env HOME=/nonexistent TMPDIR=/nonexistent "$WEFT" run ip link
exits 0 env -i WEFT_RUNDIR="$WEFT_RUNDIR" "$WEFT" run /bin/sh -c 'exec /usr/bin/env true'
exits 0 sh -c 'cd /proc && exec "$WEFT" run true'
mkdir "$tmp/lost"
exits 0 sh -c 'cd "$1" && rmdir "$1" && exec "$WEFT" run ip link' sh "$tmp/lost"
exits 0 sh -c '"$WEFT" run ip link <&- >&- 2>&-'
exits 0 sh -c 'umask 777; exec "$WEFT" run ip link'
long=$tmp/$(printf '%0200d' 1)/$(printf '%0200d' 2)
mkdir -p "$long"
exits 0 env WEFT_RUNDIR="$long/run" "$WEFT" run -n long sh -c '
	ip netns add n && ip netns exec n ip link set lo up && ip netns exec n ping -q -c 1 127.0.0.1 &&
	cat /proc/net/dev'
exits 1 env WEFT_RUNDIR=/nonexistent/run "$WEFT" run true
exits 1 env WEFT_RUNDIR="$(printf '/%04000d' 1)$(printf '/%0200d' 1)" "$WEFT" run true
exits 1 env WEFT_RUNDIR=/proc/self/run "$WEFT" run true
mkdir -m 755 "$tmp/open"
exits 1 env WEFT_RUNDIR="$tmp/open" "$WEFT" run true
says "must be a folder of ours" cat "$tmp/said"
ln -s "$WEFT_RUNDIR" "$tmp/link"
exits 1 env WEFT_RUNDIR="$tmp/link" "$WEFT" run true
# a runtime folder that is another's does not count
exits 0 env -u WEFT_RUNDIR XDG_RUNTIME_DIR=/proc/1 "$WEFT" run true
exits 0 env -u WEFT_RUNDIR XDG_RUNTIME_DIR=/nonexistent "$WEFT" run true
mkdir -m 700 "$tmp/xdg"
exits 0 env -u WEFT_RUNDIR XDG_RUNTIME_DIR="$tmp/xdg" "$WEFT" run sh -c 'case $WEFT_DIR in */xdg/weft/*) ;; *) exit 1 ;; esac'
soon gone

# ---- many starters of one name: one daemon ----
i=0
while [ $i -lt 20 ]; do
	"$WEFT" run -n race sh -c "ip link add d$i type dummy && echo \$WEFT_DIR && sleep 2 && ip -o link | wc -l" \
		>"$tmp/race.$i" 2>&1 &
	i=$((i + 1))
done
wait
sort -u "$tmp"/race.* >"$tmp/races"
[ "$(cat "$tmp/races")" = "$(printf '%s\n%s' "$WEFT_RUNDIR/race" 21 | sort)" ] || {
	cat "$tmp/races"
	fail "starters of one name did not meet"
}
soon gone
# and one after the other, each while the last one's daemon is just ending
i=0
while [ $i -lt 50 ]; do
	exits 0 "$WEFT" run -n again true
	i=$((i + 1))
done
soon gone

# ---- what a killed daemon left ----
"$WEFT" run -n dead sh -c 'ip netns add n; cat; true' <"$tmp/xdg" >/dev/null 2>&1 || true
mkfifo "$tmp/hold"
"$WEFT" run -n dead sh -c "ip netns add n; read x <'$tmp/hold'" &
soon "$WEFT" run -n dead ip netns exec n true
pid=$("$WEFT" list --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
# the daemon is nobody's child here, and leads a session of its own
[ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$(ps -o sid= -p $$ | tr -d ' ')" ] || fail "daemon in our session"
[ -z "$(ps -o pid= --ppid $$ | grep -w "$pid")" ] || fail "daemon is our child"
kill -HUP "$pid"
ok "$WEFT" run -n dead true
kill -9 "$pid"
soon sh -c "! kill -0 $pid"
[ "$("$WEFT" list --json)" = "[]" ] || fail "a dead daemon is listed"
exits 1 "$WEFT" stop dead
# its name can be used again at once, and nothing of the old one is seen
refuses 'Cannot open network namespace "n"' "$WEFT" run -n dead ip -n n link
echo >"$tmp/hold"
wait
# another's leftovers go with any start
mkdir -m 700 "$WEFT_RUNDIR/old" "$WEFT_RUNDIR/old/ns" "$WEFT_RUNDIR/.gone-99999999" "$WEFT_RUNDIR/.dead-99999998"
exits 0 "$WEFT" run -n other true
soon gone
# ---- a terminal: Ctrl-C ends what runs in it, not the instance; hanging up ends all ----
/usr/bin/python3 - "$WEFT" <<'PY'
import os, pty, select, sys, time
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], ["weft", "run", "-n", "tty", "sh", "-i"])
seen = b""

def until(what, write=b""):
    global seen
    seen = b""
    os.write(fd, write)
    end = time.time() + 10
    while what not in seen:
        assert time.time() < end and select.select([fd], [], [], 10)[0], (what, seen)
        seen += os.read(fd, 4096)

until(b"is 1 up", b"ip link set lo up; echo is $(ip -o link show up | wc -l) up\n")
until(b"64 bytes", b"ping 127.0.0.1\n")
until(b"packets transmitted", b"\x03")
until(b"still 1 up", b"echo still $(ip -o link show up | wc -l) up\n")
os.write(fd, b"sleep 1000\n")
time.sleep(0.2)
os.close(fd)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
PY
soon gone
# the daemon that is gone may still be removing what was its own
soon sh -c '[ "$(ls -A "$1")" = .lock ]' sh "$WEFT_RUNDIR"
