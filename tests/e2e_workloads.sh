#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Workloads: two at once, one that vanishes, connections that are older than slid; and the clock, which runs while a
# request waits for its server.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'workloads' "$PYTHON" nginx wrk ab

# ---- connections that began before slid
nginx_start one
one_port=$NGINX_PORT one_log=$NGINX_LOG
mkfifo "$E2E_DIR/go"
"$PYTHON" tests/e2e_load.py again "$one_port" 20 5 "$E2E_DIR/held" <"$E2E_DIR/go" >"$E2E_DIR/again.log" 2>&1 &
client=$!
E2E_PIDS+=("$client")
exec 3>"$E2E_DIR/go"
for _ in $(seq 100); do
	[ -e "$E2E_DIR/held" ] && break
	sleep 0.05
done
slid_start
echo >&3
exec 3>&-
wait "$client"
expect_equal 'a client older than slid' "$(cat "$E2E_DIR/again.log")" 'sent 120'
expect_equal 'its requests since then' "$(slid_metric http_requests_total)" 100
expect_equal 'its connections' "$(slid_metric slid_connections_joined_total)" 20
expect_equal 'in flight' "$(slid_metric http_requests_in_flight)" 0
expect_clean 'joined'
slid_stop
expect_equal 'slid ends with' "$SLID_STATUS" 0

# ---- two at once
slid_start
: >"$one_log"
nginx_start two/inner
two_port=$NGINX_PORT two_log=$NGINX_LOG
wrk -t1 -c20 -d2 "http://127.0.0.1:$one_port/ok" >/dev/null 2>&1 &
first=$!
E2E_PIDS+=("$first")
wrk -t1 -c5 -d2 "http://127.0.0.1:$two_port/e500" >/dev/null 2>&1
wait "$first"
ab -q -n 300 -c 3 "http://127.0.0.1:$two_port/small" >/dev/null 2>&1
expect_log 'two at once: one' one "$one_log"
expect_log 'two at once: the other' two/inner "$two_log"
expect_equal 'nothing mixed' "$(slid_counts http_requests_total one | awk '{ print $1, $3 }' | sort -u)" "$one_port 200"
expect_equal 'nothing unresolved' "$(slid_metric http_requests_total 'job="unresolved"')" 0
expect_clean 'two at once'

# ---- one that vanishes
port=$(free_port)
start_in gone "$PYTHON" tests/e2e_httpd.py "$port" "$E2E_DIR/gone.access.log"
wait_port "$port"
curl -s "http://127.0.0.1:$port/ok?[1-7]" >/dev/null
stop_pid "$STARTED_PID" KILL
for _ in $(seq 50); do
	rmdir "$E2E_SCOPE/gone" 2>/dev/null && break
	sleep 0.05
done
[ ! -d "$E2E_SCOPE/gone" ] || fail 'the cgroup stays'
expect_equal 'vanished: its counts stay' "$(slid_counts http_requests_total gone)" "$port GET 200 7"
# Its name serves another one then.
start_in gone "$PYTHON" tests/e2e_httpd.py "$port" "$E2E_DIR/gone.access.log"
wait_port "$port"
curl -s "http://127.0.0.1:$port/ok?[1-3]" >/dev/null
expect_equal 'come again: both' "$(slid_counts http_requests_total gone)" "$port GET 200 10"

# ---- the clock
# One thread, 40 ms a request, 8 clients: each waits for the 7 before it, most of the time in the accept queue.
port=$(free_port)
start_in queue "$PYTHON" tests/e2e_load.py single "$port" 0.04
wait_port "$port"
ab -n 64 -c 8 "http://127.0.0.1:$port/" >"$E2E_DIR/ab" 2>&1
at="port=\"$port\""
observed() { slid_metric "http_request_duration_seconds_$1" "$at" "${@:2}"; }
mean=$(awk '/^Time per request:.*\(mean\)/ { print $4 / 1000 }' "$E2E_DIR/ab")
expect_equal 'a queue: requests' "$(observed count)" 64
expect_within "a queue: mean of slid beside the client's ($mean s)" \
	"$(awk -v sum="$(observed sum)" -v mean="$mean" 'BEGIN { print sum / 64 / mean }')" 0.85 1.02
expect_within 'a queue: under 100 ms' "$(observed bucket 'le="0.1"')" 1 4
expect_within 'a queue: p50 is over 250 ms' "$(observed bucket 'le="0.25"')" 0 31
e2e_end
