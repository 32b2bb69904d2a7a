#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every end a request can have, between a scripted server and a scripted client in a cgroup each, so that slid
# sees both roles: the same counts on both sides, those of the script. Then servers and clients are killed.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'ends of requests' "$PYTHON" nginx wrk
slid_start
port=$(free_port)
log=$E2E_DIR/peer.access.log
start_in peer "$PYTHON" tests/e2e_peer.py serve "$port" "$log"
wait_port "$port"

times=10
run_in client "$PYTHON" tests/e2e_peer.py play "$port" $times
expect_log 'the script, server role' peer "$log"
expect_log 'the script, client role' client "$log" http_client_requests_total
for role in http_requests_total http_client_requests_total; do
	expect_equal "$role: truncated (4 kinds)" "$(slid_metric $role 'error_type="truncated"')" $((4 * times))
	expect_equal "$role: no_response (3 kinds)" "$(slid_metric $role 'error_type="no_response"')" $((3 * times))
	expect_equal "$role: client_closed (3 kinds)" "$(slid_metric $role 'error_type="client_closed"')" $((3 * times))
	expect_equal "$role: a real 599 is none of them" \
		"$(slid_metric $role 'code="599"')" "$((4 * times))"
done
expect_equal 'in flight' "$(slid_metric http_requests_in_flight) $(slid_metric http_client_requests_in_flight)" '0 0'
expect_clean 'the script'

# Killed under load: each request that was sent has its end, and the answered ones are those of the client.
for conns in 1 20; do
	victim_port=$(free_port)
	start_in victim "$PYTHON" tests/e2e_peer.py serve "$victim_port" "$E2E_DIR/victim.access.log"
	victim=$STARTED_PID
	wait_port "$victim_port"
	start_in worker "$PYTHON" tests/e2e_peer.py work "$victim_port" $conns
	worker=$STARTED_PID
	sleep 0.7
	stop_pid "$victim" KILL
	wait "$worker"
	read -r _ sent _ answered <<<"$(tail -n 1 "$E2E_DIR/worker.log")"
	at="port=\"$victim_port\""
	what="server killed, $conns connections"
	expect_equal "$what: client role, answered of $sent" "$(slid_metric http_client_requests_total "$at" 'code="200"')" "$answered"
	expect_equal "$what: client role, not answered" \
		"$(slid_metric http_client_requests_total "$at" 'code="599"' 'error_type="no_response"')" $((sent - answered))
	expect_equal "$what: server role, answered" "$(slid_metric http_requests_total "$at" 'code="200"')" "$answered"
	# A request that was on its way when the socket died never reached it.
	expect_within "$what: server role, all ends of $sent" "$(slid_metric http_requests_total "$at")" $((sent - conns)) "$sent"
	expect_equal "$what: no other end" "$(slid_metric http_requests_total "$at" 'error_type="')" \
		"$(slid_metric http_requests_total "$at" 'error_type="no_response"')"
done

# The client killed.
before=$(slid_metric http_requests_total 'error_type="client_closed"')
start_in worker "$PYTHON" tests/e2e_peer.py work "$port" 20
sleep 0.5
stop_pid "$STARTED_PID" KILL
expect_eventually 'client killed: in flight' '0' slid_metric http_requests_in_flight
expect_within 'client killed: requests whose client left' \
	$(($(slid_metric http_requests_total 'error_type="client_closed"') - before)) 0 20

# nginx and its workers killed under wrk.
nginx_start web
wrk -t1 -c50 -d3 "http://127.0.0.1:$NGINX_PORT/slow" >/dev/null 2>&1 &
client=$!
E2E_PIDS+=("$client")
sleep 0.6
expect_within 'nginx under wrk: in flight' "$(slid_metric http_requests_in_flight)" 40 50
{
	for pid in $(cat "$E2E_SCOPE/web/cgroup.procs"); do
		kill -KILL "$pid"
	done
	wait "$NGINX_PID"
} 2>/dev/null
expect_eventually 'nginx killed: in flight' 0 slid_metric http_requests_in_flight
expect_within 'nginx killed: truncated' "$(slid_metric http_requests_total "port=\"$NGINX_PORT\"" 'error_type="truncated"')" 40 50
stop_pid "$client" TERM
expect_equal 'in flight at the end' "$(slid_metric http_requests_in_flight) $(slid_metric http_client_requests_in_flight)" '0 0'
expect_clean 'killed'
e2e_end
