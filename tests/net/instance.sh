#!/bin/sh
# Named instances: joined, listed, kept, stopped; and what happens when the daemon dies
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
WEFT_RUNDIR=$tmp/run
export WEFT_RUNDIR
name=test$$
"$WEFT" run -n $name sh -c 'ip link add mark type dummy; sleep 30' &
holder=$!
soon "$WEFT" run -n $name ip link show mark
says $name "$WEFT" list
# another instance knows nothing of it
refuses "does not exist" "$WEFT" run ip link show mark
ok "$WEFT" run -n $name sh -c 'ip link set lo up && ping -c 1 127.0.0.1'
says "icmp4" "$WEFT" stages -n $name
# exit codes pass through
code=0
"$WEFT" run -n $name sh -c 'exit 43' || code=$?
[ $code -eq 43 ] || fail "exit code $code"
code=0
"$WEFT" run -n $name /nonexistent/command 2>/dev/null || code=$?
[ $code -eq 127 ] || fail "exit code $code for a missing command"
# a daemon that dies leaves errors, not hangs
daemon=$(pgrep -u "$(id -u)" -f "weftd.*$name" | head -n 1)
"$WEFT" run -n $name sh -c 'sleep 2; ip link' >"$tmp/late" 2>&1 &
late=$!
sleep 1
kill -9 "$daemon"
wait $late && fail "ip works without a daemon"
grep -qi "network is down\|cannot" "$tmp/late" || { cat "$tmp/late"; fail "no clear error"; }
kill $holder 2>/dev/null || true
# kept, then stopped
ok "$WEFT" run -k -n keep$$ ip link add mark type dummy
ok "$WEFT" run -n keep$$ ip link show mark
ok "$WEFT" stop keep$$
silent keep$$ "$WEFT" list
# without -k an instance ends with its last program
ok "$WEFT" run -n gone$$ ip link
soon sh -c "! '$WEFT' list | grep -q gone$$"
# programs whose file has capabilities (ping) are on weft, too
says "Network is unreachable" "$WEFT" run ping -c 1 127.0.0.1
