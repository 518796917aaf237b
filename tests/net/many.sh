#!/bin/sh
# 1,000 namespaces, each with a veth into one of 10 routers, by ip -batch
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 - >"$tmp/batch" <<'PY'
for r in range(10):
    print(f"netns add r{r}")
for i in range(1000):
    r = i % 10
    print(f"netns add h{i}")
    print(f"link add e0 netns h{i} type veth peer name p{i} netns r{r}")
PY
ok ip -batch "$tmp/batch"
[ "$(ip netns list | wc -l)" -eq 1010 ] || fail "not 1,010 namespaces"
[ "$(ip -n r3 -o link | grep -c '@if')" -eq 100 ] || fail "r3 lacks devices"
ok ip -n h777 addr add 10.0.0.2/24 dev e0
ok ip -n r7 addr add 10.0.0.1/24 dev p777
ok ip -n h777 link set e0 up
ok ip -n r7 link set p777 up
ok ip netns exec h777 ping -c 1 -W 2 10.0.0.1
