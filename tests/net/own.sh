#!/bin/sh
# Packets to oneself, and what is counted of packets.
. "$(dirname "$0")/lib.sh"
ns a b
wire a v0 10.0.0.1/24 b v1 10.0.0.2/24

# they come by lo, whose link has no header, but count as from the device of the address
ok ip netns exec a ping -c 1 -W 2 -I v0 10.0.0.1
refuses "100% packet loss" ip netns exec a ping -c 1 -W 1 -I lo 10.0.0.1
says "from 10.0.0.1 lo" ip netns exec a ping -c 1 -W 1 -I lo 10.9.0.1
lo=$(ip netns exec a cat /sys/class/net/lo/statistics/rx_bytes)
ok ip netns exec a ping -c 1 -W 2 127.0.0.1
now=$(ip netns exec a cat /sys/class/net/lo/statistics/rx_bytes)
[ $((now - lo)) -eq 168 ] || fail "a ping over lo counts $((now - lo)) bytes"
ok ip netns exec a python3 -c '
import socket, struct
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v0")
a.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
a.bind(("10.0.0.1", 5000))
a.settimeout(5)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.0.0.1", 5000))
data, anc, _, _ = a.recvmsg(10, 100)
index = struct.unpack("i4s4s", anc[0][2])[0]
assert data == b"x" and index == socket.if_nametoindex("v0"), (data, index)'

# every fragment counts as sent
sent() { ip netns exec a awk '/^Ip: [0-9]/ { print $20 }' /proc/net/snmp; }
was=$(sent)
ok ip netns exec a ping -c 1 -W 2 -s 4000 10.0.0.2
[ $(($(sent) - was)) -eq 3 ] || fail "three fragments count as $(($(sent) - was))"

# what a path told is shown until it is forgotten
ok ip -n b link add w0 type veth peer name w1
ok ip -n b addr add 10.1.0.1/24 dev w0
ok ip -n b link set w0 mtu 1300 up
ok ip -n b link set w1 up
ok ip netns exec b sysctl -qw net.ipv4.ip_forward=1
ok ip -n a route add 10.1.0.0/24 via 10.0.0.2
says "mtu = 1300" ip netns exec a ping -c 1 -W 2 -M do -s 1400 10.1.0.9
says "cache expires 59" ip -n a route get 10.1.0.9
says "10.1.0.9 via 10.0.0.2 dev v0" ip -n a route show cache
ok ip -n a route flush cache
silent "10.1.0.9" ip -n a route show cache

# each end of a pair has its own queues, and a peer goes where the link is said to be
ok ip -n a link add q0 numtxqueues 4 numrxqueues 3 type veth peer name q1 numtxqueues 2
says "numtxqueues 4 numrxqueues 3" ip -n a -d link show q0
says "numtxqueues 2 numrxqueues" ip -n a -d link show q1
ok ip -n a link add p0 link-netnsid 0 type veth peer name p1
ok ip -n b link show p1
