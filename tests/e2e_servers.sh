#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Apache, node and Python's http.server, each equal to its own log: chunks and trailers, 1xx, bodies that end with the
# connection, WebSocket, CONNECT.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'Apache, node, Python' "$PYTHON" wrk ab
slid_start
get() { curl -s --max-time 10 "$@" >/dev/null; }
head -c 1000000 /dev/urandom >"$E2E_DIR/mega"

apache=$(command -v apache2 httpd | head -n 1)
modules=''
for dir in /usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/libexec/apache2; do
	[ ! -e "$dir/mod_mpm_event.so" ] || modules=$dir
done
if [ -n "$apache" ] && [ -n "$modules" ]; then
	port=$(free_port)
	log=$E2E_DIR/apache.access.log
	mkdir -p "$E2E_DIR/www"
	cp "$E2E_DIR/mega" "$E2E_DIR/www/big"
	seq 5000 >"$E2E_DIR/www/text"
	echo ok >"$E2E_DIR/www/ok"
	touch -d 2020-01-01 "$E2E_DIR/www/ok"
	cat >"$E2E_DIR/apache.conf" <<CONF
ServerName localhost
ServerRoot $E2E_DIR
PidFile $E2E_DIR/apache.pid
DefaultRuntimeDir $E2E_DIR
ErrorLog $E2E_DIR/apache.error.log
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule filter_module $modules/mod_filter.so
LoadModule deflate_module $modules/mod_deflate.so
LoadModule alias_module $modules/mod_alias.so
User daemon
Group daemon
Listen 127.0.0.1:$port
MaxKeepAliveRequests 0
# one process, that is never one too many: such a one leaves requests unanswered
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
DocumentRoot $E2E_DIR/www
Redirect 301 /moved http://127.0.0.1:$port/ok
Redirect gone /gone
<Location /text>
	SetOutputFilter DEFLATE
</Location>
LogFormat "%{local}p %m %>s" slid
CustomLog $log slid
CONF
	# Older ones have these built in.
	for module in unixd log_config; do
		[ ! -e "$modules/mod_$module.so" ] ||
			echo "LoadModule ${module}_module $modules/mod_$module.so" >>"$E2E_DIR/apache.conf"
	done
	# shellcheck disable=SC2094
	sed -i '/^LoadModule log_config/{h;d};$G' "$E2E_DIR/apache.conf"
	start_in apache "$apache" -D FOREGROUND -f "$E2E_DIR/apache.conf"
	wait_port "$port"
	url=http://127.0.0.1:$port
	get "$url/ok?[1-50]" "$url/nope" "$url/moved" "$url/gone"
	get -I "$url/ok?[1-5]" "$url/big"
	get -H 'Connection: close' "$url/ok?[1-10]"
	get --http1.0 "$url/ok?[1-5]"
	get -z 'Wed, 01 Jan 2025 00:00:00 GMT' "$url/ok?[1-5]"
	get -H 'Accept-Encoding: gzip' "$url/text?[1-10]"
	get "$url/big?[1-10]"
	get -H 'Expect: 100-continue' --data-binary @"$E2E_DIR/mega" "$url/ok?[1-5]"
	get -H 'Transfer-Encoding: chunked' -H 'Expect:' --data-binary @"$E2E_DIR/mega" "$url/ok?[1-5]"
	get -T "$E2E_DIR/mega" "$url/put" # 405, its body refused or thrown away
	get -X OPTIONS "$url/ok"
	ab -q -n 2000 -c 10 "$url/ok" >/dev/null 2>&1
	ab -q -n 3000 -c 10 -k "$url/ok" >/dev/null 2>&1
	expect_log 'Apache' apache "$log"
	wrk -t1 -c50 -d2 "$url/ok" | awk '/requests in|Socket errors/ { print "   wrk:" $0 }'
	expect_log 'Apache at saturation' apache "$log"
	expect_equal 'Apache: in flight' "$(slid_metric http_requests_in_flight)" 0
	expect_clean 'Apache'
else
	echo 'not run: Apache is not installed'
fi

# Send lines to a port and read until a mark.
raw() {
	"$PYTHON" - "$@" <<'PY'
import socket, sys
port, texts = int(sys.argv[1]), sys.argv[2:]
conn = socket.create_connection(('127.0.0.1', port), 5)
for i in range(0, len(texts), 2):
    conn.sendall(texts[i].encode().decode('unicode_escape').encode())
    want, data = texts[i + 1].encode().decode('unicode_escape').encode(), b''
    while want not in data:
        piece = conn.recv(65536)
        if not piece:
            sys.exit('no ' + texts[i + 1])
        data += piece
conn.close()
PY
}

if command -v node >/dev/null; then
	port=$(free_port)
	log=$E2E_DIR/node.access.log
	start_in node node tests/e2e_node.js "$port" "$log"
	wait_port "$port"
	url=http://127.0.0.1:$port
	get "$url/ok?[1-50]" "$url/nope" "$url/empty" "$url/hints?[1-5]"
	get "$url/chunked?[1-20]"
	get -I "$url/ok?[1-5]" "$url/chunked"
	get -H 'Connection: close' "$url/chunked?[1-5]"
	get --http1.0 "$url/chunked?[1-5]" # its end is the connection's
	get --data-binary @"$E2E_DIR/mega" "$url/body?[1-3]"
	get -H 'Transfer-Encoding: chunked' --data-binary @"$E2E_DIR/mega" "$url/body?[1-3]"
	get -H 'Expect: 100-continue' -d x=1 "$url/body?[1-3]"
	! grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null || get -g "http://[::1]:$port/chunked?[1-5]"
	expect_log 'node: chunks, trailers, 103, bodies' node "$log"
	upgrade='GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
	for _ in 1 2 3; do
		raw "$port" "$upgrade" "\r\n\r\n" 'GET /ok HTTP/1.1\r\nHost: x\r\n\r\n and an end' 'an end' || fail 'upgrade'
	done 2>"$E2E_DIR/raw.log"
	raw "$port" 'GET /ok HTTP/1.1\r\nHost: x\r\n\r\n' ok "$upgrade" '101' 'HTTP/1.1 200 OK\r\n\r\n and an end' 'an end' || fail 'upgrade later'
	expect_log 'node: WebSocket' node "$log"
	get -p -x "$url" "$url/ok?[1-3]" # CONNECT, and through it
	get -p -x "$url" "http://127.0.0.1:1/ok"
	expect_log 'node: CONNECT' node "$log"
	expect_equal 'node: ends in error' "$(slid_metric http_requests_total 'error_type="')" 0
	wrk -t1 -c30 -d1 "$url/chunked" | awk '/requests in|Socket errors/ { print "   wrk:" $0 }'
	ab -q -n 2000 -c 10 -k "$url/ok" >/dev/null 2>&1
	expect_log 'node under load' node "$log"
	expect_equal 'node: in flight' "$(slid_metric http_requests_in_flight "job=\"$(job node)\"")" 0
	expect_clean 'node'
else
	echo 'not run: node is not installed'
fi

for version in 1.0 1.1; do
	port=$(free_port)
	log=$E2E_DIR/python$version.access.log
	start_in "python$version" "$PYTHON" tests/e2e_httpd.py "$port" "$log" $version
	wait_port "$port"
	url=http://127.0.0.1:$port
	get "$url/ok?[1-20]" "$url/nope" "$url/close?[1-5]"
	get -I "$url/ok?[1-5]"
	get --data-binary @"$E2E_DIR/mega" -H 'Expect: 100-continue' "$url/post?[1-3]"
	ab -q -n 500 -c 5 "$url/close" >/dev/null 2>&1
	expect_log "Python, HTTP/$version" "python$version" "$log"
done
expect_equal 'no answers missing' "$(slid_metric http_requests_total 'error_type="no_response"')" 0
expect_clean 'Apache, node, Python'
e2e_end
