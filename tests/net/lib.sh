# shellcheck shell=sh
# lib: what the network tests share. Source it first: outside of weft it starts the test again
# under `weft run`; inside, it offers checks. A test ends at the first one that fails.
set -eu

: "${WEFT:?the weft command to test}"
export LC_ALL=C
PATH=$(dirname "$WEFT"):$PATH
export PATH

if [ -z "${WEFT_DIR:-}" ] && [ -z "${OUTSIDE:-}" ]; then
	exec "$WEFT" run sh "$0" "$@"
fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/weft-test.XXXXXX")
# what a test that failed has left running would keep its instance
trap 'pids=$(jobs -p); [ -z "$pids" ] || kill $pids 2>/dev/null; rm -rf "$tmp"' EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# ok COMMAND...: must succeed
ok() {
	"$@" >"$tmp/out" 2>&1 || {
		code=$?
		cat "$tmp/out"
		fail "'$*' exits $code"
	}
}

# says TEXT COMMAND...: its output (both streams) must hold TEXT, whatever its exit code
says() {
	text=$1
	shift
	"$@" >"$tmp/out" 2>&1 || true
	grep -qF -- "$text" "$tmp/out" || {
		cat "$tmp/out"
		fail "'$*' does not say '$text'"
	}
}

# silent TEXT COMMAND...: its output must not hold TEXT
silent() {
	text=$1
	shift
	"$@" >"$tmp/out" 2>&1 || true
	if grep -qF -- "$text" "$tmp/out"; then
		cat "$tmp/out"
		fail "'$*' says '$text'"
	fi
}

# refuses TEXT COMMAND...: must fail, with TEXT in its output
refuses() {
	text=$1
	shift
	if "$@" >"$tmp/out" 2>&1; then
		fail "'$*' succeeds"
	fi
	grep -qF -- "$text" "$tmp/out" || {
		cat "$tmp/out"
		fail "'$*' fails without saying '$text'"
	}
}

# soon COMMAND...: must succeed within five seconds
soon() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
		"$@" >"$tmp/out" 2>&1 && return 0
		sleep 0.4
	done
	cat "$tmp/out"
	fail "'$*' did not come true in time"
}

# wire NS1 DEV1 ADDR1 NS2 DEV2 ADDR2: a veth pair with addresses, up
wire() {
	ok ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
	ok ip -n "$1" addr add "$3" dev "$2"
	ok ip -n "$4" addr add "$6" dev "$5"
	ok ip -n "$1" link set "$2" up
	ok ip -n "$4" link set "$5" up
}

ns() {
	for n; do
		ok ip netns add "$n"
		ok ip -n "$n" link set lo up
	done
}

# alone COMMAND...: one at a time on this machine: Linux shows proxies that have no device in every
# namespace
alone() {
	flock "${TMPDIR:-/tmp}/weft-test-kernel.lock" "$@"
}

# ss_is LINES SS-OPTIONS...: state, own and other address of what ss(8) shows, in any order
ss_is() {
	want=$(printf '%s\n' "$1" | sort)
	shift
	got=$(ss -Hn "$@" 2>&1 | awk '{print $1, $4, $5}' | sort)
	[ "$got" = "$want" ] || fail "ss $* shows '$got', not '$want'"
}
