#!/bin/sh
# What `make install` puts where: the installed weft runs by itself, as nobody; a program is built
# with the installed libweft; manual pages are clean and tell of every option
OUTSIDE=1
. "$(dirname "$0")/lib.sh"
build=$(realpath "$(dirname "$WEFT")/../..")
source=$(realpath "$(dirname "$0")/../..")
[ -w "$build/meson-logs" ] || skip "installing is for the owner of the build folder"
unset WEFT_DIR WEFT_NETNS WEFT_RUNDIR
chmod 755 "$tmp"

# option NAME: of the build
option() {
	meson introspect "$build" --buildoptions | /usr/bin/python3 -c '
import json, sys
print(*[o["value"] for o in json.load(sys.stdin) if o["name"] == sys.argv[1]])' "$1"
}

dest=$tmp/dest
ok meson install -C "$build" --no-rebuild --quiet --destdir "$dest"
prefix=$dest$(option prefix)
libdir=$prefix/$(option libdir)
weft=$prefix/bin/weft

for f in "$weft" "$prefix/libexec/weft/weftd" "$prefix/libexec/weft/weft-bench" \
	"$libdir/libweft-shim.so" "$libdir/libnss_weft.so.2" "$libdir/libweft.so.0" "$libdir/libweft.so" \
	"$libdir/pkgconfig/libweft.pc" "$prefix/include/libweft.h" \
	"$prefix/share/man/man1/weft.1" "$prefix/share/man/man8/weftd.8" \
	"$prefix/share/man/man3/libweft.3" "$prefix/share/doc/weft/README.md" \
	"$prefix/share/doc/weft/examples/router.sh"; do
	[ -r "$f" ] || fail "${f#"$dest"} is not installed"
done
[ "$(option b_sanitize)" != none ] || [ -r "$libdir/libweft.a" ] || fail "libweft.a is not installed"
case $libdir in
*/"$(gcc -print-multiarch)") ;;
*) fail "${libdir#"$dest"} is not where Debian looks for libraries" ;;
esac

# ---- it finds what is its own ----
nobody=
[ "$(id -u)" -ne 0 ] || nobody="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent"
# shellcheck disable=SC2086  # words
says "LOOPBACK" $nobody "$weft" run ip link
# shellcheck disable=SC2086
says "$libdir/libweft-shim.so" $nobody "$weft" run cat /proc/self/maps
# shellcheck disable=SC2016,SC2086
says "$prefix/libexec/weft/weftd" $nobody "$weft" run -n install$$ sh -c '
	readlink "/proc/$("$1" list --json | sed "s/.*\"name\":\"install$2\",\"pid\":\([0-9]*\).*/\1/")/exe"' \
	sh "$weft" $$
says "weft-bench NAME" "$weft" bench --help

# ---- a program with the library, shared and static ----
PKG_CONFIG_PATH=$libdir/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$dest
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
embed=$prefix/share/doc/weft/examples/embed.c
# shellcheck disable=SC2046
if [ "$(option b_sanitize)" = none ]; then
	ok gcc -Wall -Werror -o "$tmp/embed" "$embed" $(pkg-config --cflags --libs libweft) -lmnl
	says "received 'hello' after" env LD_LIBRARY_PATH="$libdir" "$tmp/embed"
	ok gcc -Wall -Werror -o "$tmp/embed-static" "$embed" $(pkg-config --cflags libweft) \
		"$libdir/libweft.a" $(pkg-config --static --libs-only-l libweft | sed 's/-lweft //') -pthread -lmnl
	says "received 'hello' after" "$tmp/embed-static"
	ok gcc -Wall -Werror -o "$tmp/tcp" "${embed%embed.c}tcp.c" $(pkg-config --cflags --libs libweft)
	says "1048576 bytes arrived" env LD_LIBRARY_PATH="$libdir" "$tmp/tcp"
	# nothing of the stack's own is seen by who links with it
	nm -g --defined-only "$libdir/libweft.a" | grep ' [A-Z] ' | grep -v ' weft_' >"$tmp/names" || true
	[ ! -s "$tmp/names" ] || fail "libweft.a shows $(head -n 3 "$tmp/names")"
fi

# ---- manual pages ----
# page FILE: as text
page() {
	LC_ALL=C.UTF-8 MANWIDTH=80 MAN_KEEP_FORMATTING='' man --warnings=w -P cat -l "$1" >"$tmp/page" 2>"$tmp/warnings" ||
		fail "man $1: $(cat "$tmp/warnings")"
	[ ! -s "$tmp/warnings" ] || fail "$1: $(cat "$tmp/warnings")"
}

# tells WORD...: the page has them
tells() {
	for word; do
		grep -qF -e "$word" "$tmp/page" || fail "the page does not tell of '$word'"
	done
}

options() {
	grep -oE -e '(^|[[ |])--?[a-z]+' | grep -oE -e '--?[a-z]+' | sort -u
}

page "$prefix/share/man/man3/libweft.3"
# shellcheck disable=SC2046
tells $(grep -o 'weft_[a-z_]*' "$source/lib/libweft.map")
page "$prefix/share/man/man8/weftd.8"
# shellcheck disable=SC2046
tells $("$prefix/libexec/weft/weftd" -wrong 2>&1 | tail -n 1 | options)
page "$prefix/share/man/man1/weft.1"
"$weft" --help >"$tmp/help"
# shellcheck disable=SC2046
tells $(options <"$tmp/help") $(sed -n 's/^  weft \([a-z]*\).*/\1/p' "$tmp/help") \
	host queues speed loop loss dup reorder corrupt delay jitter seed direction limit
# and nothing that there is not
options <"$tmp/page" | grep -vx -e -- -e --help -e --version >"$tmp/told"
while read -r o; do
	grep -qF -e "$o" "$tmp/help" || [ "$o" = -k ] || [ "$o" = -S ] || fail "weft.1 tells of '$o'"
done <"$tmp/told"
# each command says how it is used
for c in $(sed -n 's/^  weft \([a-z]*\).*/\1/p' "$tmp/help"); do
	ok "$weft" "$c" --help
	says "usage: weft" "$weft" "$c" --help
done
