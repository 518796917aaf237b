#!/bin/sh
# only: root
# All settings of TCP and all its socket options, with good and bad values, answered as by the host's
# kernel.
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's side"
case $(uname -r) in
6.18.*) ;;
*) skip "answers are compared with those of Linux 6.18, and this is $(uname -r)" ;;
esac
script=$(dirname "$0")/tcp_settings.py
# the second namespace, as the first is the machine's there
unshare -n /usr/bin/python3 "$script" >"$tmp/kernel" 2>&1 || { cat "$tmp/kernel"; fail "kernel"; }
"$WEFT" run sh -c 'unshare -n /usr/bin/python3 "$1"' sh "$script" >"$tmp/weft" 2>&1 || {
	cat "$tmp/weft"
	fail "weft"
}
diff "$tmp/kernel" "$tmp/weft" >"$tmp/diff" || {
	cut -c1-400 "$tmp/diff"
	fail "answers differ"
}
lines=$(wc -l <"$tmp/weft")
[ "$lines" -gt 300 ] || fail "only $lines answers"
echo "$lines answers agree"
