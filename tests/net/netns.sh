#!/bin/sh
# The life of namespaces: names, exec, moves, ids, unshare, and what ends with them
. "$(dirname "$0")/lib.sh"
ok ip netns add one
ok ip netns add two
refuses 'Cannot create namespace file "/run/netns/one": File exists' ip netns add one
says "one" ip netns list
says "two" ip netns list
says "1: lo:" ip netns exec one ip link
silent "eth" ip netns exec one ip link
# devices move, and lose what belongs to the place
ok ip link add v0 type veth peer name v1
ok ip addr add 10.0.0.1/24 dev v0
ok ip link set v0 netns one
refuses "does not exist" ip link show v0
silent "10.0.0.1" ip -n one addr show v0
ok ip link set v1 netns two
ok ip -n one addr add 10.0.0.1/24 dev v0
ok ip -n two addr add 10.0.0.2/24 dev v1
ok ip -n one link set v0 up
ok ip -n two link set v1 up
ok ip netns exec one ping -c 1 -W 2 10.0.0.2
says "link-netns two" ip -n one link show v0
refuses "The interface netns is immutable" ip link set lo netns one
# by pid
unshare -n sleep 20 &
pid=$!
sleep 0.5
ok ip link add w0 type veth peer name w1
ok ip link set w1 netns $pid
refuses "does not exist" ip link show w1
kill $pid
wait $pid 2>/dev/null || true
# with the last process of the namespace its devices go, and so do their peers
soon sh -c '! ip link show w0 >/dev/null 2>&1'
# unshare: an empty network, the old one untouched
says "1: lo:" unshare -n ip link
ok ip link add keep type dummy
refuses "does not exist" unshare -n ip link show keep
ok ip link show keep
# ids, identify, exec in all
refuses "Peer netns already has a nsid assigned" ip netns set one 17
says "one (id: 0)" ip netns list
ok ip netns add three
ok ip netns set three 17
says "three (id: 17)" ip netns list
says "one" ip netns exec one ip netns identify
says "netns: two" ip -all netns exec ip link show lo
# a name goes, the processes in it stay
ip netns exec two sleep 3 &
sleep 0.5
ok ip netns del two
silent "two" ip netns list
ok ip netns exec one ping -c 1 -W 2 10.0.0.2
ok ip netns del one
refuses 'Cannot open network namespace "one": No such file or directory' ip -n one link
wait
