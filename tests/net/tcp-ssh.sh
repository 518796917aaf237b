#!/bin/sh
# only: root
# OpenSSH between two namespaces: a session, a copy, a forwarded port
#
#	a 10.1.0.1 ---- 10.1.0.2 b
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
command -v sshd >/dev/null && command -v ssh >/dev/null || skip "no OpenSSH here"
ns a b
wire a a0 10.1.0.1/24 b b0 10.1.0.2/24
mkdir -p /run/sshd
ok ssh-keygen -q -t ed25519 -N '' -f "$tmp/host"
ok ssh-keygen -q -t ed25519 -N '' -f "$tmp/id"
cat >"$tmp/conf" <<C
HostKey $tmp/host
AuthorizedKeysFile $tmp/id.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
C
ip netns exec b "$(command -v sshd)" -D -e -f "$tmp/conf" -p 22 2>"$tmp/log" &
sshd=$!
run="ip netns exec a ssh -F none -i $tmp/id -o StrictHostKeyChecking=no -o LogLevel=ERROR \
-o UserKnownHostsFile=/dev/null -o BatchMode=yes"
soon $run root@10.1.0.2 true
# the session is in b, and on weft
says "inet 10.1.0.2/24" $run root@10.1.0.2 ip -4 addr show dev b0
says "10.1.0.1" $run root@10.1.0.2 'echo $SSH_CONNECTION'
head -c 3000000 /dev/urandom >"$tmp/big"
ok sh -c "$run root@10.1.0.2 'cat >$tmp/got' <'$tmp/big'"
ok cmp "$tmp/big" "$tmp/got"
# what it forwards reaches a server that listens in b alone
(cd "$tmp" && exec ip netns exec b /usr/bin/python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1) &
$run -N -L 9000:127.0.0.1:8080 root@10.1.0.2 &
forward=$!
soon ip netns exec a curl -sS -o "$tmp/got" http://127.0.0.1:9000/big
ok cmp "$tmp/big" "$tmp/got"
kill $forward $sshd
