#!/bin/sh
# nginx with several workers under wrk and ab, and while it reloads; redis
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
for tool in nginx ab wrk curl redis-server redis-benchmark; do
	command -v $tool >/dev/null || skip "no $tool here"
done
ok ip link set lo up
mkdir "$tmp/www" "$tmp/n"
head -c 300000 /dev/urandom >"$tmp/www/file"
echo hello >"$tmp/www/index.html"
cat >"$tmp/nginx.conf" <<N
worker_processes 3;
daemon off;
error_log $tmp/n/error;
pid $tmp/n/pid;
events { worker_connections 500; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	client_body_temp_path $tmp/n/a;
	proxy_temp_path $tmp/n/b;
	fastcgi_temp_path $tmp/n/c;
	uwsgi_temp_path $tmp/n/d;
	scgi_temp_path $tmp/n/e;
	server { listen 127.0.0.1:80; root $tmp/www; location /p/ { proxy_pass http://127.0.0.1:80/; } }
}
N
# workers of a root's nginx are nobody's
chmod -R a+rX "$tmp"
nginx -e "$tmp/n/error" -c "$tmp/nginx.conf" &
nginx=$!
soon curl -sS http://127.0.0.1/
says hello curl -sS http://127.0.0.1/p/
ok sh -c "curl -sS http://127.0.0.1/file | cmp - '$tmp/www/file'"
ok sh -c "wrk -t 2 -c 30 -d 1 http://127.0.0.1/file >'$tmp/wrk'"
silent "Socket errors" cat "$tmp/wrk"
says "requests in" cat "$tmp/wrk"
ab -q -n 3000 -c 20 http://127.0.0.1/ >"$tmp/ab" 2>&1 &
ab=$!
sleep 0.3
kill -HUP $nginx
wait $ab || fail "ab: $(cat "$tmp/ab")"
says "Failed requests:        0" cat "$tmp/ab"
says "Failed requests:        0" ab -q -k -n 1000 -c 10 http://127.0.0.1/p/
kill -QUIT $nginx
wait $nginx || true

redis-server --port 6379 --save "" --appendonly no --dir "$tmp" >"$tmp/redis" 2>&1 &
redis=$!
soon redis-cli ping
says PONG redis-cli ping
ok redis-benchmark --csv -n 2000 -c 20 -t ping,set,get,lpush
ok redis-benchmark --csv -n 5000 -P 16 -t set,get
ok sh -c "head -c 100000 '$tmp/www/file' | redis-cli -x set key"
says 100000 redis-cli strlen key
kill $redis
