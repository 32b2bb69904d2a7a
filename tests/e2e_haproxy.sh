#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# HAProxy in front of nginx, each in its cgroup. HAProxy as a server equals HAProxy's log; nginx as a server, and
# HAProxy as its client, equal nginx's log.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'HAProxy in front of nginx' haproxy nginx wrk ab
nginx_start web
slid_start
port=$(free_port)
dead_port=$(free_port)
cat >"$E2E_DIR/haproxy.cfg" <<CFG
global
	# of two threads that log at once, one may drop its line
	nbthread 1
	maxconn 2000
	log stdout len 512 format raw daemon
defaults
	mode http
	timeout connect 2s
	timeout client 10s
	timeout server 10s
	http-reuse always
	# else a connection that asks nothing is answered, 400, and logged
	option dontlognull
	option http-ignore-probes
	log global
	log-format "%fp %HM %ST"
frontend in
	bind 127.0.0.1:$port
	http-request deny deny_status 403 if { path /denied }
	http-request return status 202 if { path /local }
	use_backend dead if { path /dead }
	default_backend web
backend web
	server web 127.0.0.1:$NGINX_PORT
backend dead
	retries 0
	server dead 127.0.0.1:$dead_port
CFG
start_in proxy haproxy -db -f "$E2E_DIR/haproxy.cfg"
wait_port "$port"
url=http://127.0.0.1:$port
log=$E2E_DIR/proxy.log
get() { curl -s --max-time 10 "$@" >/dev/null; }

expect_all() {
	expect_log "$1: HAProxy as a server" proxy "$log"
	expect_log "$1: nginx" web "$NGINX_LOG"
	expect_eventually "$1: HAProxy as a client" "$(log_counts "$NGINX_LOG")" slid_counts http_client_requests_total proxy
}

head -c 1000000 /dev/urandom >"$E2E_DIR/mega"
get "$url/ok?[1-50]" "$url/small" "$url/nope" "$url/e500" "$url/empty" "$url/moved" "$url/slow"
get -I "$url/ok?[1-5]" "$url/big"
get -H 'Connection: close' "$url/ok?[1-10]"
get --http1.0 "$url/small?[1-5]"
get -z 'Fri, 01 Jan 2038 00:00:00 GMT' "$url/small?[1-5]"
get -H 'Accept-Encoding: gzip' "$url/chunked?[1-10]"
expect_all 'small ones'
get "$url/big?[1-10]"
get -T "$E2E_DIR/mega" "$url/put/mega[1-3]"
get -T - "$url/put/mega" <"$E2E_DIR/mega"
get --data-binary @"$E2E_DIR/mega" "$url/discard?[1-3]"
expect_all '1 MB, both ways'
get "$url/denied?[1-3]" "$url/local?[1-4]" "$url/dead?[1-2]"
expect_log 'answered by HAProxy itself: 403, 202, 503' proxy "$log"
expect_equal 'its connects refused' "$(slid_metric tcp_connects_total "job=\"$(job proxy)\"" "port=\"$dead_port\"" 'result="refused"')" 2
ab -q -n 2000 -c 10 "$url/ok" >/dev/null 2>&1
ab -q -n 2000 -c 10 -k "$url/small" >/dev/null 2>&1
expect_all 'ab'
wrk -t1 -c50 -d3 "$url/ok" | awk '/requests in|Socket errors/ { print "   wrk:" $0 }'
expect_all 'saturation'
expect_equal 'ends in error' "$(slid_metric http_requests_total 'error_type="')" 0
expect_equal 'ends in error, client role' "$(slid_metric http_client_requests_total 'error_type="')" 0
expect_equal 'in flight' "$(slid_metric http_requests_in_flight) $(slid_metric http_client_requests_in_flight)" '0 0'
expect_equal 'connections of HAProxy accepted by nginx' \
	"$(slid_metric tcp_connects_total "job=\"$(job proxy)\"" 'result="established"')" "$(slid_metric tcp_accepts_total "job=\"$(job web)\"" "port=\"$NGINX_PORT\"")"
expect_clean 'HAProxy'
e2e_end
