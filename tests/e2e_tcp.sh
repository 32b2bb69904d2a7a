#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is below HTTP and beside it: connects and accepts, connections by protocol; and in a network namespace lost
# segments, a silent peer, TCP Fast Open.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'TCP' "$PYTHON" nginx ab openssl
slid_start
peer() { "$PYTHON" tests/e2e_tcp.py "$@"; }
client() { run_in client "${E2E_NS[@]}" "$PYTHON" tests/e2e_tcp.py "$@"; }
get() { "${E2E_NS[@]}" curl -s --max-time 10 "$@" >/dev/null; }

# ---- protocols
tls_port=$(free_port)
h2_port=$(free_port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-keyout "$E2E_DIR/key" -out "$E2E_DIR/cert" 2>/dev/null
nginx_start web "server { listen 127.0.0.1:$tls_port ssl; ssl_certificate $E2E_DIR/cert; ssl_certificate_key $E2E_DIR/key; }
	server { listen 127.0.0.1:$h2_port http2; location / { return 200 ok; } }"
redis_port=$(free_port)
start_in redis "$PYTHON" tests/e2e_tcp.py serve "$redis_port" ''
smtp_port=$(free_port)
start_in smtp "$PYTHON" tests/e2e_tcp.py serve "$smtp_port" '220 mail ESMTP\r\n'
wait_port "$redis_port"
wait_port "$smtp_port"
for _ in 1 2 3 4; do
	get -k --http1.1 "https://127.0.0.1:$tls_port/small?[1-5]"
done
if grep -q HTTP2 <<<"$(curl --version)"; then
	get --http2-prior-knowledge "http://127.0.0.1:$h2_port/?[1-5]"
	get --http2-prior-knowledge "http://127.0.0.1:$h2_port/?[1-5]"
	expect_equal 'h2c' "$(slid_metric slid_connections_total "port=\"$h2_port\"" 'protocol="h2"' 'role="server"')" 2
fi
client talk "$redis_port" 5 '*1\r\n$4\r\nPING\r\n'
client talk "$redis_port" 3 'PING\r\n'
client talk "$smtp_port" 4 'EHLO x\r\n'
get "http://127.0.0.1:$NGINX_PORT/ok?[1-9]"
for role in server client; do
	expect_equal "Redis, $role: other" "$(slid_metric slid_connections_total "port=\"$redis_port\"" "role=\"$role\"" 'protocol="other"')" 8
	expect_equal "SMTP, $role: other" "$(slid_metric slid_connections_total "port=\"$smtp_port\"" "role=\"$role\"" 'protocol="other"')" 4
done
expect_equal 'TLS' "$(slid_metric slid_connections_total "port=\"$tls_port\"" 'protocol="tls"')" 4
expect_equal 'HTTP/1' "$(slid_metric slid_connections_total "port=\"$NGINX_PORT\"" 'protocol="http1"')" 1
for port in "$tls_port" "$h2_port" "$redis_port" "$smtp_port"; do
	expect_equal 'of which no HTTP' \
		"$(slid_metric http_requests_total "port=\"$port\"") $(slid_metric http_client_requests_total "port=\"$port\"")" '0 0'
done
expect_clean 'protocols'

# ---- connects and accepts
before=$(slid_metric tcp_accepts_total "port=\"$NGINX_PORT\"")
connects() { slid_metric tcp_connects_total "job=\"$(job client)\"" "$@"; }
at="port=\"$NGINX_PORT\""
expect_equal 'a client' "$(client connect "$NGINX_PORT" 300)" 'established 300'
expect_equal 'accepts' "$(($(slid_metric tcp_accepts_total "port=\"$NGINX_PORT\"") - before))" 300
nobody=$(free_port)
expect_equal 'a client of nobody' "$(client connect "$nobody" 20)" 'ConnectionRefusedError 20'
expect_equal 'connects established' "$(connects "$at" 'result="established"')" 300
expect_equal 'their latency: observations' "$(slid_metric tcp_connect_duration_seconds_count "job=\"$(job client)\"" "$at")" 300
expect_equal 'connects refused' "$(connects "port=\"$nobody\"" 'result="refused"')" 20
expect_equal 'no other result' "$(connects "port=\"$nobody\"") $(connects "$at")" '20 300'
expect_equal 'no latency of a refused one' "$(slid_metric tcp_connect_duration_seconds_count "port=\"$nobody\"")" 0
expect_eventually 'closed as often as opened' "$(slid_metric tcp_accepts_total)" slid_metric tcp_connections_closed_total 'role="server"'

# ---- a network that loses segments
lossy() { "${E2E_NS[@]}" nft "$@"; }
retransmits() { "${E2E_NS[@]}" awk '/^Tcp:/ && $13 ~ /^[0-9]/ { print $13 }' /proc/net/snmp; }
if command -v nft >/dev/null && netns_begin lossy && lossy add table inet t 2>/dev/null; then
	nginx_start lossy
	url=http://127.0.0.1:$NGINX_PORT
	# No handshake is lost: a SYN-ACK sent again belongs to no socket yet, so slid cannot count it.
	lossy add chain inet t c '{ type filter hook input priority 0; }'
	lossy add rule inet t c meta length '>' 90 tcp dport "$NGINX_PORT" numgen random mod 12 0 drop
	lossy add rule inet t c meta length '>' 90 tcp sport "$NGINX_PORT" numgen random mod 12 0 drop
	head -c 1000000 /dev/urandom >"$E2E_DIR/mega"
	run_in client "${E2E_NS[@]}" ab -q -n 300 -c 30 "$url/ok" >/dev/null 2>&1
	run_in client "${E2E_NS[@]}" ab -q -n 300 -c 30 -k "$url/small" >/dev/null 2>&1
	run_in client "${E2E_NS[@]}" curl -s "$url/big?[1-3]" >/dev/null
	run_in client "${E2E_NS[@]}" curl -s -H Expect: -T "$E2E_DIR/mega" "$url/put/x[1-3]" >/dev/null
	expect_log 'a lossy network' lossy "$NGINX_LOG"
	expect_equal 'its client' "$(slid_counts http_client_requests_total client | grep "^$NGINX_PORT ")" "$(log_counts "$NGINX_LOG")"
	expect_within 'segments sent again' "$(retransmits)" 50 100000
	expect_equal 'as the kernel counts them' "$(slid_metric tcp_retransmitted_segments_total "port=\"$NGINX_PORT\"")" "$(retransmits)"
	expect_clean 'a lossy network'

	expect_equal 'a server gone silent' "$(client silent "$NGINX_PORT" /ok \
		"nft flush chain inet t c && nft add rule inet t c tcp dport $NGINX_PORT drop")" 'TimeoutError'
	expect_equal 'a server gone silent: no_response' \
		"$(slid_metric http_client_requests_total "port=\"$NGINX_PORT\"" 'error_type="no_response"')" 1
	expect_equal 'connects nobody hears' "$(client connect "$NGINX_PORT" 2 1300)" 'TimeoutError 2'
	expect_equal 'timed out' "$(connects "port=\"$NGINX_PORT\"" 'result="timed_out"')" 2
else
	echo 'not run: a lossy network (needs ip, nft and a network namespace)'
fi

# ---- TCP Fast Open: the request comes with the SYN
E2E_NS=()
if netns_begin tfo && "${E2E_NS[@]}" sysctl -qw net.ipv4.tcp_fastopen=3 2>/dev/null; then
	tfo_port=$(free_port)
	nginx_start tfo "server { listen 127.0.0.1:$tfo_port fastopen=64; location / { return 200 ok; } }"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		run_in client "${E2E_NS[@]}" curl -s --tcp-fastopen "http://127.0.0.1:$tfo_port/?[1-3]" >/dev/null
	done
	opened=$("${E2E_NS[@]}" awk '$1 == "TcpExt:" && !n { n = split($0, names) } { for (i = 1; i <= NF; i++)
		if (names[i] == "TCPFastOpenPassive") value = $i } $1 == "IpExt:" { exit } END { print value }' /proc/net/netstat)
	expect_within 'connections opened fast' "$opened" 5 30
	expect_log 'TCP Fast Open' tfo "$NGINX_LOG"
	expect_equal 'its client' "$(slid_counts http_client_requests_total client | grep "^$tfo_port ")" "$(log_counts "$NGINX_LOG")"
	expect_clean 'TCP Fast Open'
else
	echo 'not run: TCP Fast Open (needs a network namespace)'
fi
e2e_end
