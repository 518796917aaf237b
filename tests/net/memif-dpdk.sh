#!/bin/sh
# only: root
# DPDK's net_memif at the other end, in either role; testpmd answers ARP and pings:
#
#	[weft] m0 10.3.0.1 ==== memif ==== 10.3.0.9 [dpdk-testpmd]
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
pmd=$(command -v dpdk-testpmd) || skip "dpdk-testpmd is not installed (Debian: dpdk-dev)"
plugins=$(dirname "$(find /usr/lib -name 'librte_net_memif.so*' -path '*pmds*' | head -n 1)")
[ -d "$plugins" ] || skip "DPDK's net_memif is not installed (Debian: librte-net-memif23)"
name=memif-dpdk-$$
pid=
tidy() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	"$WEFT" stop $name >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap tidy EXIT
trap 'exit 1' INT TERM

on() {
	"$WEFT" run -k -n $name "$@"
}
carrier() {
	on ip link show m0 | grep -q LOWER_UP
}
no_carrier() {
	on ip link show m0 | grep -q NO-CARRIER
}

# testpmd ROLE QUEUES: in the background, until its standard input ends
testpmd() {
	"$pmd" -d "$plugins" --no-huge --no-pci --no-telemetry --no-shconf --file-prefix=$name -m 128 -l 0,1 \
		--vdev="net_memif0,role=$1,id=3,socket=$tmp/sock,socket-abstract=no,secret=sesame" -- \
		--total-num-mbufs=4096 --auto-start --forward-mode=icmpecho --rxq="$2" --txq="$2" -i \
		<"$tmp/stdin" >"$tmp/pmd" 2>&1 &
	pid=$!
}

mkfifo "$tmp/stdin"
exec 9<>"$tmp/stdin"
for role in client server; do
	for queues in 1 2; do
		other=server
		[ $role = client ] || other=client
		ok on "$WEFT" memif add m0 "$tmp/sock" role $other id 3 queues $queues secret sesame
		ok on ip addr add 10.3.0.1/24 dev m0
		ok on ip link set m0 up
		testpmd $role $queues
		soon carrier
		says "20 received" on ping -q -c 20 -i 0.05 -W 2 10.3.0.9
		# more than its rings hold
		says "3000 received" on ping -q -c 3000 -f -s 1400 10.3.0.9
		kill $pid
		wait $pid 2>/dev/null || true
		pid=
		soon no_carrier
		ok on ip link del m0
		rm -f "$tmp/sock"
	done
done
