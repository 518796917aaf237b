#!/bin/sh
# only: root
# Some ten thousand netlink requests, good ones cut and bent, answered as by the host's kernel.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
case $(uname -r) in
6.18.*) ;;
*) skip "answers are compared with those of Linux 6.18, and this is $(uname -r)" ;;
esac
script=$(dirname "$0")/netlink.py
alone /usr/bin/python3 "$script" >"$tmp/kernel" 2>&1
"$WEFT" run /usr/bin/python3 "$script" >"$tmp/weft" 2>&1
# what may differ: routes through tunnels, and one flag of neighbours, which are not there yet
clean() {
	sed -E -e '/^(new|del)route.* attribute 2[12] alone/d' \
		-e 's/0c000c000[15]000000000000000800010004000000/MASK/' "$1"
}
clean "$tmp/kernel" >"$tmp/kernel.txt"
clean "$tmp/weft" >"$tmp/weft.txt"
diff -u0 "$tmp/kernel.txt" "$tmp/weft.txt" | head -n 40 >"$tmp/diff"
[ ! -s "$tmp/diff" ] || {
	cat "$tmp/diff"
	fail "weft and the kernel differ (- kernel, + weft)"
}
echo "$(wc -l <"$tmp/kernel.txt") answers as the kernel's"
