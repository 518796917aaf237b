#!/bin/sh
# /proc/net, /proc/sys/net and /sys/class/net as programs read and write them
. "$(dirname "$0")/lib.sh"
ok ip link add v0 type veth peer name v1
ok ip addr add 10.0.0.1/24 dev v0
ok ip link set v0 up
ok ip link set v1 up
ok ip route add 10.8.0.0/16 via 10.0.0.2
says "v0:" cat /proc/net/dev
says "v0	0000080A	0200000A	0003	0	0	0	0000FFFF" cat /proc/net/route
for f in arp snmp netstat igmp packet raw udp icmp sockstat psched ptype dev_mcast fib_trie \
	fib_triestat protocols netlink softnet_stat; do
	ok cat /proc/net/$f
	ok cat /proc/self/net/$f
done
says "ForwDatagrams" cat /proc/net/snmp
says "InNoRoutes" cat /proc/net/netstat
[ "$(cat /sys/class/net/v0/mtu)" = 1500 ] || fail "mtu"
[ "$(cat /sys/class/net/v0/operstate)" = up ] || fail "operstate"
[ "$(cat /sys/class/net/v0/address)" = "$(ip -br link show v0 | awk '{print $3}')" ] || fail "address"
says "v0" ls /sys/class/net
says "rx_bytes" ls /sys/class/net/v0/statistics
says "rx-0" ls /sys/class/net/v0/queues
ok sh -c 'echo 1300 > /sys/class/net/v0/mtu'
says "mtu 1300" ip link show v0
# sysctl reads, writes, refuses
says "net.ipv4.ip_forward = 0" sysctl net.ipv4.ip_forward
ok sysctl -w net.ipv4.ip_forward=1
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || fail "ip_forward"
[ "$(cat /proc/sys/net/ipv4/conf/v0/forwarding)" = 1 ] || fail "forwarding follows"
ok bash -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] || fail "echo into a sysctl"
refuses "Invalid argument" sysctl -w net.ipv4.ip_forward=zzz
refuses "No such file or directory" sysctl net.ipv4.nosuch
says "net.ipv4.conf.v0.rp_filter" sysctl -a
ok test -e /proc/sys/net/ipv4/conf/v0/rp_filter
ok test ! -e /proc/sys/net/ipv4/conf/nosuch
# by whatever way it is opened, read, written and gone into
says "0" sh -c 'cd /proc/sys/net/ipv4 && cat ip_forward'
says "/proc/sys/net" sh -c 'cd /proc/sys/net/ipv4 && cd .. && pwd -P'
says "Linux" sh -c 'cd /proc/sys/net && cat ../kernel/ostype'
says "v0:" cat //proc/./net/../net//dev
says "v0:" sh -c 'cd /proc && cat self/net/dev'
says "v0:" sh -c 'cat /proc/$$/net/dev'
says "/sys/devices/virtual/net/v0" realpath /sys/class/net/v0
says "../../devices/virtual/net/v0" readlink /sys/class/net/v0
says "/sys/class/net/v0/mtu" find -L /sys/class/net -maxdepth 2 -name mtu
says "/proc/sys/net/ipv4/conf/v0/forwarding:0" grep -r . /proc/sys/net/ipv4/conf
says "conf/v0/forwarding" sh -c 'cd /proc/sys/net/ipv4 && echo conf/*/forwarding'
says "regular empty file 644" stat -c "%F %a" /proc/sys/net/ipv4/ip_forward
says "regular file 644 4096" stat -c "%F %a %s" /sys/class/net/v0/mtu
says "proc" stat -f -c %T /proc/net/dev
ok cp /proc/net/dev "$tmp/copy"
says "v0:" cat "$tmp/copy"
refuses "No such file or directory" cat /proc/net/nosuch
refuses "Is a directory" cat /proc/sys/net/ipv4
refuses "Not a directory" cat /proc/net/dev/
refuses "Operation not permitted" rm -f /proc/net/dev
refuses "No such file or directory" touch /proc/net/nosuch
for sh in sh bash; do
	refuses "error" $sh -c 'echo zzz > /proc/sys/net/ipv4/ip_forward'
	refuses "error" $sh -c 'printf zzz > /proc/sys/net/ipv4/ip_forward'
done
refuses "Invalid argument" sh -c '/bin/echo zzz > /proc/sys/net/ipv4/ip_forward'
refuses "Invalid argument" tee /proc/sys/net/ipv4/ip_forward </etc/hostname
refuses "Invalid argument" dd if=/dev/zero of=/proc/sys/net/ipv4/ip_forward bs=1 count=1
/usr/bin/python3 - <<'PY' || fail "python"
import glob, os
path = "/proc/sys/net/ipv4/ip_forward"
assert "/sys/class/net/v0" in glob.glob("/sys/class/net/*")
assert {"all", "default", "v0"} <= set(os.listdir("/proc/sys/net/ipv4/conf"))
d = os.open("/proc/sys/net", os.O_RDONLY)
fd = os.open("ipv4/ip_forward", os.O_RDWR, dir_fd=d)
assert os.read(fd, 10) == b"0\n" and os.pwrite(fd, b"1", 0) == 1
assert open(path).read() == "1\n"
try:
    os.write(fd, b"zzz")
    raise SystemExit("written")
except OSError as e:
    assert e.errno == 22
open(path, "w").write("0")
assert os.fstat(os.open(path, os.O_RDONLY)).st_ino == os.stat(path).st_ino
os.chdir(d)
assert os.getcwd() == "/proc/sys/net" and open("ipv4/ip_forward").read() == "0\n"
PY
# every namespace has its own
ok ip netns add a
says "net.ipv4.ip_forward = 0" ip netns exec a sysctl net.ipv4.ip_forward
silent "v0:" ip netns exec a cat /proc/net/dev
silent "v0" ip netns exec a ls /sys/class/net
# ioctl users
says "inet 10.0.0.1  netmask 255.255.255.0" ifconfig v0
says "driver: veth" ethtool -i v0
says "Link detected: yes" ethtool v0
says "tx-checksum" ethtool -k v0
says "peer_ifindex" ethtool -S v0
ok ifconfig v0 10.0.0.3 netmask 255.255.0.0 mtu 1280
says "10.0.0.3/16" ip addr show v0
# the routes of the address that was replaced went with it
silent "10.8.0.0" route -n
says "255.255.0.0     U     0      0        0 v0" route -n
