#!/bin/bash
# Records ip4_cases.data: runs its commands against the host's kernel, in a namespace of its own, and
# writes the file anew with what the kernel answered. Root, iproute2 and veth are needed. Lines:
#   # text         a comment; "## text" begins a case with fresh devices v0 and v1 (w0, w1: peers)
#   > ip ...       a command; "> peer v0 up|down" gives and takes carrier; "> sysctl path=value"
#   others         the answer (routes of all tables, addresses, or an error)
# Usage: ip4_cases.sh FILE > NEW
set -u
ns=weftcases$$
trap 'ip netns del $ns 2>/dev/null' EXIT
fresh() {
	ip netns del $ns 2>/dev/null
	ip netns add $ns
	for i in 0 1; do
		ip -n $ns link add v$i type veth peer name w$i
		ip netns exec $ns sysctl -qw net.ipv6.conf.v$i.disable_ipv6=1
		ip -n $ns link set w$i up
	done
}
while IFS= read -r line; do
	case $line in
	'##'*) fresh; echo "$line" ;;
	'#'* | '') echo "$line" ;;
	'> peer '*) echo "$line"; set -- $line; ip -n $ns link set w${3#v} "$4"; sleep 0.2 ;;
	'> sysctl '*) echo "$line"; ip netns exec $ns sysctl -qw "${line#> sysctl }" ;;
	'> ip route get'*)
		echo "$line"
		ip -n $ns ${line#> ip } 2>&1 | sed -e '/^ *cache/d' -e 's/ uid 0//' -e 's/ rt_offload_failed//' \
			-e 's/ *$//' ;;
	'> ip '*) echo "$line"; ip -4 -n $ns ${line#> ip } 2>&1 | sed -e 's/ *$//' ;;
	'> routes') echo "$line"; ip -4 -n $ns route show table all | sed -e 's/ *$//' ;;
	'> addrs') echo "$line"; ip -4 -o -n $ns addr show | sed -e 's/\\.*//' -e 's/^[0-9]*: //' -e 's/  */ /g' -e 's/ *$//' ;;
	esac
done < "$1"
