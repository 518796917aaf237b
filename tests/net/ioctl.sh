#!/bin/sh
# the older tools, which know ioctl alone: ifconfig, route, arp, ethtool, mii-tool
#
#   (first) v0 10.1.2.3/24 ---- v1 10.1.2.4/24 (far)
. "$(dirname "$0")/lib.sh"
ok ip link add v0 type veth peer name v1
ok ip netns add far
ok ip link set v1 netns far
ok ifconfig lo up
ok ifconfig v0 10.1.2.3 netmask 255.255.255.0 up
ok ip netns exec far ifconfig v1 10.1.2.4/24 up
ok ping -c 1 -W 2 10.1.2.4
says "? (10.1.2.4) at" arp -an
# an alias is an address with a label
ok ifconfig v0:1 192.168.9.1 netmask 255.255.255.0
says "192.168.9.1/24 brd 192.168.9.255 scope global v0:1" ip addr show dev v0
ok ifconfig v0:1 down
silent "192.168.9.1" ip addr show dev v0
# routes
ok route add -net 172.16.0.0/16 gw 10.1.2.4
says "172.16.0.0/16 via 10.1.2.4 dev v0" ip route
ok route add -net 172.20.0.0/16 reject
says "unreachable 172.20.0.0/16" ip route
refuses "Network is unreachable" route add default gw 99.1.2.4
ok route del -net 172.16.0.0/16
refuses "No such process" route del -net 172.16.0.0/16
# neighbours
ok arp -s 10.1.2.77 02:00:00:00:00:77
says "? (10.1.2.77) at 02:00:00:00:00:77 [ether] PERM on v0" arp -an
ok arp -i v0 -s 10.1.2.78 02:00:00:00:00:78 pub
says "PERM PUB on v0" arp -an
ok arp -d 10.1.2.77
silent "10.1.2.77) at 02" arp -an
# links
ok ifconfig v0 mtu 1200
ok ifconfig v0 txqueuelen 50
ok ifconfig v0 promisc
says "mtu 1200" ifconfig v0
says "txqueuelen 50" ifconfig v0
says "PROMISC" ip link show v0
refuses "Device not found" ifconfig nodev
ok ip maddr add 33:33:00:00:00:05 dev v0
says "33:33:00:00:00:05 static" ip maddr show dev v0
# ethtool
says "Speed: 10000Mb/s" ethtool v0
ok ethtool -K v0 tso off
says "tcp-segmentation-offload: off" ethtool -k v0
refuses "Operation not supported" ethtool -g v0
refuses "Operation not supported" mii-tool v0
