#!/bin/sh
# Nothing that programs do to their environment, descriptors or children takes them off weft, or out of
# their namespace
. "$(dirname "$0")/lib.sh"
ok ip netns add one
here=$(readlink /proc/self/ns/net)
there=$(ip netns exec one readlink /proc/self/ns/net)
[ "$here" != "$there" ] || fail "one namespace"
# environments
says "$here" env -i readlink /proc/self/ns/net
says "$there" ip netns exec one env -i readlink /proc/self/ns/net
says "$there" ip netns exec one env -u LD_PRELOAD -u WEFT_NETNS readlink /proc/self/ns/net
says "$there" ip netns exec one env LD_PRELOAD= readlink /proc/self/ns/net
# ways in: by file, by process, by both within each other
says "$there" nsenter --net=/run/netns/one readlink /proc/self/ns/net
ip netns exec one sleep 30 &
pid=$!
soon sh -c "[ \"\$(readlink /proc/$pid/ns/net)\" = '$there' ]"
says "$there" nsenter -t $pid -n readlink /proc/self/ns/net
says "$there" readlink /proc/$pid/task/$pid/ns/net
says "one" ip netns identify $pid
says "$pid" ip netns pids one
says "$there" ip netns exec one sh -c 'ip netns exec one readlink /proc/self/ns/net'
says "$here" ip netns exec one nsenter -t 1 -n readlink /proc/self/ns/net
ok ip link add mark type dummy
says "mark:" cat /proc/net/dev
silent "mark:" cat /proc/$pid/net/dev
[ "$(stat -L -c %i /run/netns/one)" = "$(stat -L -c %i /proc/$pid/ns/net)" ] || fail "inodes differ"
[ "net:[$(stat -L -c %i /run/netns/one)]" = "$there" ] || fail "the inode is not the number"
says "net:[" unshare -rn readlink /proc/self/ns/net
silent "$here" unshare -rn readlink /proc/self/ns/net
silent "mark" unshare -rn ip link
# a name of a process's namespace keeps it
ok ip netns attach two $pid
kill $pid
wait $pid 2>/dev/null || true
says "$there" ip netns exec two readlink /proc/self/ns/net
refuses "Device or resource busy" rm -f /run/netns/two
refuses "Device or resource busy" mv /run/netns/two /run/netns/three
ok ip netns del two
# a device goes back to where everything began
ok ip link add v0 type veth peer name v1
ok ip link set v1 netns one
ok ip -n one link set v1 netns 1
ok ip link show v1
# descriptors closed, in bulk and one by one; threads; children of all kinds
/usr/bin/python3 - "$here" <<'PY' || fail "python"
import ctypes, os, subprocess, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
NEWNET = 0x40000000
link = lambda who="self": os.readlink(f"/proc/{who}/ns/net")
run = lambda **k: subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True,
                                 **k).stdout.strip()

old = link()
assert old == sys.argv[1]
kept = os.open("/proc/self/ns/net", os.O_RDONLY)
assert libc.unshare(NEWNET) == 0
new = link()
assert new != old
os.closerange(100, 65536)
for fd in range(100, 2000):
    try:
        os.close(fd)
    except OSError:
        pass
assert link() == run() == run(close_fds=False) == run(env={}) == new
assert os.popen("readlink /proc/self/ns/net").read().strip() == new
pid = os.posix_spawn("/bin/sh", ["sh", "-c", f'[ "$(readlink /proc/self/ns/net)" = "{new}" ]'], {})
assert os.waitpid(pid, 0)[1] == 0
pid = os.fork()
if not pid:
    os.closerange(0, 65536)
    os.execve("/bin/sh", ["sh", "-c", f'[ "$(readlink /proc/self/ns/net)" = "{new}" ]'], {})
assert os.waitpid(pid, 0)[1] == 0

seen = []
def other():
    seen.append(link("thread-self"))
    assert libc.unshare(NEWNET) == 0
    seen.append(link("thread-self"))
    seen.append(run())
    assert libc.setns(kept, NEWNET) == 0
    seen.append(link("thread-self"))
thread = threading.Thread(target=other)
thread.start()
thread.join()
assert seen[0] == new and seen[1] == seen[2] and seen[1] not in (old, new) and seen[3] == old, seen
assert link() == new
assert libc.setns(os.pidfd_open(os.getppid()), NEWNET) == 0 and link() == old
assert libc.setns(os.open("/dev/null", os.O_RDONLY), NEWNET) == -1 and ctypes.get_errno() == 22
PY
# watched, listed
timeout 3 stdbuf -oL ip netns monitor >"$tmp/monitor" &
watcher=$!
sleep 0.5
ok ip netns add seen
ok ip netns del seen
wait $watcher || true
grep -q "add seen" "$tmp/monitor" && grep -q "delete seen" "$tmp/monitor" || fail "ip netns monitor"
says "${there#net:}" sh -c 'ip netns exec one sleep 5 & sleep 0.5; lsns -t net -o NS | sed "s/ *\([0-9]*\)/[\1]/"'
ok ip -all netns exec true
ok ip -all netns delete
[ -z "$(ls /run/netns)" ] || fail "names left over"
