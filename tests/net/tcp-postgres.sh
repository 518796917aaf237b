#!/bin/sh
# only: user
# PostgreSQL over TCP: initdb, pgbench, psql, a server that ends in the midst
. "$(dirname "$0")/lib.sh"
for dir in /usr/lib/postgresql/*/bin; do
	PATH=$PATH:$dir
done
command -v initdb >/dev/null && command -v pgbench >/dev/null || skip "no PostgreSQL here"
cd "$tmp"
ok ip link set lo up
ok initdb -D "$tmp/d" -A trust -U t
ok pg_ctl -D "$tmp/d" -w -l "$tmp/log" start \
	-o "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
export PGHOST=127.0.0.1 PGUSER=t
ok createdb x
ok pgbench -i -q x
says "number of failed transactions: 0" pgbench -c 4 -j 2 -t 50 x
ok pgbench -C -c 2 -t 20 -S x
[ "$(psql -Atc 'select count(*) from pgbench_accounts' x)" = 100000 ] || fail "rows are missing"
[ "$(psql -Atc 'copy pgbench_accounts to stdout' x | wc -l)" -eq 100000 ] || fail "rows are missing"
psql -Atc 'select pg_sleep(60)' x >"$tmp/psql" 2>&1 &
psql=$!
soon sh -c "psql -Atc 'select count(*) from pg_stat_activity where query like \$\$%sleep(60)%\$\$' x | grep -q 2"
ok pg_ctl -D "$tmp/d" -w -m immediate stop
wait $psql && fail "psql did not hear that its server is gone"
says "server closed the connection" cat "$tmp/psql"
