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
says "10.8.0.0" route -n
