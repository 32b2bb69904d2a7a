#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx under load: at saturation, pipelined, with clients that are killed or reset, and with 10,000
# connections at once. Equal to nginx's log each time.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'nginx under load' nginx wrk
NGINX_CONNECTIONS=12000
nginx_start web
slid_start
url=http://127.0.0.1:$NGINX_PORT
load() { wrk -t1 "$@" | awk '/requests in|Socket errors/ { print "   wrk:" $0 }'; }
server() { slid_metric http_requests_total "$@"; }

load -c50 -d3 "$url/ok"
expect_log 'saturation, keep-alive' web "$NGINX_LOG"
load -c50 -d2 -H 'Connection: close' "$url/small"
expect_log 'saturation, Connection: close' web "$NGINX_LOG"
load -c20 -d1 -H 'Accept-Encoding: gzip' "$url/chunked"
expect_log 'saturation, chunked' web "$NGINX_LOG"
load -c20 -d1 "$url/big"
expect_log 'saturation, 1 MB' web "$NGINX_LOG"
expect_equal 'all answered but those whose client left' "$(server 'error_type="')" "$(server 'error_type="truncated"')"
sent=$("$PYTHON" tests/e2e_load.py pipeline "$NGINX_PORT" 20000 16)
expect_equal 'a pipelining client' "$sent" 'sent 20000'
sent=$("$PYTHON" tests/e2e_load.py pipeline "$NGINX_PORT" 20000 32)
expect_equal 'a pipelining client, 32 outstanding' "$sent" 'sent 20000'
expect_log 'pipelines' web "$NGINX_LOG"
expect_clean 'so far'

# What the server goes on sending on a connection that was reset is no response.
sent=$("$PYTHON" tests/e2e_load.py reset "$NGINX_PORT" 1.5)
expect_log "clients that reset ($sent)" web "$NGINX_LOG"
expect_clean 'resets'

# Clients that leave: what nginx read it also logged; what lay unread in its sockets has no line there, but
# an end here. Nothing else may differ.
mark() {
	logged_before=$(wc -l <"$NGINX_LOG")
	ends_before=$(server)
	left_before=$(server 'error_type="client_closed"')
}
expect_left() {
	local logged left
	expect_eventually "$1: in flight" 0 slid_metric http_requests_in_flight
	sleep 0.3
	logged=$(($(wc -l <"$NGINX_LOG") - logged_before))
	left=$(($(server 'error_type="client_closed"') - left_before))
	expect_within "$1: slid's ends less the $logged in nginx's log" \
		$(($(server) - ends_before - logged)) 0 "$left"
}

mark
load -c50 -d2 -s tests/e2e_pipeline.lua "$url/ok"
expect_left 'wrk, 16 at once'
mark
for path in ok small big; do
	wrk -t1 -c50 -d5 "$url/$path" >/dev/null 2>&1 &
	client=$!
	sleep 0.6
	stop_pid "$client" KILL
done
expect_left 'clients killed'
expect_clean 'clients killed'

# 10,000 at once: begun, none answered; then all are.
if [ "$(ulimit -Hn)" -ge 10100 ]; then
	ulimit -n "$(ulimit -Hn)"
	before=$(server 'code="200"')
	mkfifo "$E2E_DIR/go"
	"$PYTHON" tests/e2e_load.py hold "$NGINX_PORT" 10000 "$E2E_DIR/held" <"$E2E_DIR/go" >"$E2E_DIR/hold.log" 2>&1 &
	client=$!
	E2E_PIDS+=("$client")
	exec 3>"$E2E_DIR/go"
	for _ in $(seq 150); do
		[ -e "$E2E_DIR/held" ] && break
		sleep 0.1
	done
	expect_equal '10,000 connections: in flight' "$(slid_metric http_requests_in_flight)" 10000
	echo >&3
	exec 3>&-
	wait "$client"
	expect_equal '10,000 connections: answered' "$(cat "$E2E_DIR/hold.log")" 'sent 10000'
	expect_equal '10,000 connections: counted' "$(($(server 'code="200"') - before))" 10000
	expect_equal '10,000 connections: in flight then' "$(slid_metric http_requests_in_flight)" 0
else
	echo "not run: 10,000 connections (ulimit -n is $(ulimit -Hn))"
fi
expect_equal 'connections: accepted and closed' "$(slid_metric tcp_accepts_total)" \
	"$(slid_metric tcp_connections_closed_total 'role="server"')"
expect_clean 'at the end'
e2e_end
