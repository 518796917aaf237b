#!/bin/sh
# pyroute2's own calls
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import pyroute2' 2>/dev/null || skip "python3-pyroute2 is not installed"
/usr/bin/python3 - <<'PY'
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

ipr = IPRoute()
names = [l.get_attr("IFLA_IFNAME") for l in ipr.get_links()]
assert names == ["lo"], names
ipr.link("add", ifname="v0", kind="veth", peer={"ifname": "v1"})
v0 = ipr.link_lookup(ifname="v0")[0]
v1 = ipr.link_lookup(ifname="v1")[0]
ipr.link("set", index=v0, state="up", mtu=1400, address="02:00:00:00:00:01")
ipr.link("set", index=v1, state="up")
link = ipr.get_links(v0)[0]
assert link.get_attr("IFLA_MTU") == 1400
assert link.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:01"
assert link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "veth"
ipr.addr("add", index=v0, address="10.0.0.1", prefixlen=24)
assert ["10.0.0.1"] == [a.get_attr("IFA_ADDRESS") for a in ipr.get_addr(index=v0)]
ipr.route("add", dst="10.8.0.0/16", gateway="10.0.0.2")
dsts = [r.get_attr("RTA_DST") for r in ipr.get_routes(family=2, table=254)]
assert "10.8.0.0" in dsts and "10.0.0.0" in dsts, dsts
got = ipr.route("get", dst="10.8.1.1")[0]
assert got.get_attr("RTA_GATEWAY") == "10.0.0.2"
ipr.neigh("add", dst="10.0.0.2", lladdr="02:00:00:00:00:02", ifindex=v0, state=0x80)
near = ipr.get_neighbours(ifindex=v0, family=2)
assert near[0].get_attr("NDA_LLADDR") == "02:00:00:00:00:02"
try:
    ipr.addr("add", index=v0, address="10.0.0.1", prefixlen=24)
    raise SystemExit("a second address went in")
except NetlinkError as e:
    assert e.code == 17, e
ipr.link("add", ifname="v0.7", kind="vlan", link=v0, vlan_id=7)
vlan = ipr.get_links(ipr.link_lookup(ifname="v0.7")[0])[0]
assert vlan.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA").get_attr("IFLA_VLAN_ID") == 7
ipr.route("del", dst="10.8.0.0/16", gateway="10.0.0.2")
ipr.link("del", index=v0)
assert [l.get_attr("IFLA_IFNAME") for l in ipr.get_links()] == ["lo"]
ipr.close()
PY
