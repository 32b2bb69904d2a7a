#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh - slid's main job on real traffic: a real nginx in a cgroup of its own, real load, slid
# watching that cgroup for about 20 s, then slid's counts beside nginx's own log. Exit 1 if they
# differ. Leaves nothing behind.
set -euo pipefail

O=${O:-build}
seconds=${DEMO_SECONDS:-20}
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root to make a cgroup and load the programs; run it with sudo"
mount=$(awk '$0 ~ / - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
[ -n "$mount" ] || die "no cgroup v2 file system is mounted (mount -t cgroup2 none /sys/fs/cgroup)"
scope=$mount/slid-demo-$$
dir=$(mktemp -d)
chmod 755 "$dir"
pids=()

cleanup() {
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -d "$scope" ] || break
		rmdir "$scope"/* "$scope" 2>/dev/null || true
		[ ! -d "$scope" ] || sleep 0.2
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT TERM

free_port() { # a port that nobody listens on
	local port
	for _ in $(seq 50); do
		port=$((10000 + RANDOM % 20000)) # below the range of outgoing connections
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
	done
	die "no free port"
}
web=$(free_port)
api=$(free_port)
while [ "$api" = "$web" ]; do api=$(free_port); done

mkdir -p "$scope/shop.service" "$dir/www"
head -c 1000000 /dev/zero >"$dir/www/large"
head -c 16384 /dev/zero >"$dir/www/slow"
cat >"$dir/nginx.conf" <<EOF
worker_processes 1; daemon off; pid $dir/pid; error_log $dir/error.log;
events { worker_connections 1024; }
http {
	log_format counted '\$status'; access_log $dir/access.log counted;
	client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
	uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5; keepalive_requests 100000000;
	server {
		listen 127.0.0.1:$web; root $dir/www;
		location /fast { return 200 "hello\n"; }
		location /slow { limit_rate 64k; }
		location /broken { return 500 "sorry\n"; }
	}
}
EOF
cat >"$dir/mix.lua" <<'EOF'
local n = 0
request = function()
	n = n + 1
	if n % 1000 == 0 then return wrk.format("GET", "/large") end
	if n % 500 == 0 then return wrk.format("GET", "/slow") end
	if n % 100 == 0 then return wrk.format("GET", "/broken") end
	if n % 50 == 0 then return wrk.format("GET", "/missing") end
	return wrk.format("GET", "/fast")
end
done = function(summary, latency)
	io.write(string.format("wrk %d %.1f %.1f %.1f\n", summary.requests,
		latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
EOF

say "nginx in the cgroup $scope/shop.service, slid watching $scope"
(echo "$BASHPID" >"$scope/shop.service/cgroup.procs" && exec nginx -c "$dir/nginx.conf" -p "$dir" 2>"$dir/nginx.err") &
pids+=($!)
for _ in $(seq 50); do
	(exec 3<>"/dev/tcp/127.0.0.1/$web") 2>/dev/null && break
	sleep 0.1
done

bounds=() # further buckets, so that percentiles below a millisecond can be told
for us in 10 20 30 40 50 60 70 80 90 100 120 150 200 250 300 400 500 700 1000 2000; do
	bounds+=(--bound "$(awk -v us="$us" 'BEGIN { printf "%.6f", us / 1e6 }')")
done
"$O/slid" --scope "$scope" --listen "127.0.0.1:$api" --print 1s "${bounds[@]}" 2>"$dir/slid.log" &
slid=$!
pids+=("$slid")
for _ in $(seq 50); do
	curl -sf -o /dev/null "http://127.0.0.1:$api/readyz" && break
	kill -0 "$slid" 2>/dev/null || die "slid did not start: $(cat "$dir/slid.log")"
	sleep 0.1
done
: >"$dir/access.log" # what came before slid
kill -USR1 "$(cat "$dir/pid")"
sleep 0.3

wrk -t1 -c20 -d"${seconds}s" -s "$dir/mix.lua" "http://127.0.0.1:$web" >"$dir/wrk.out" 2>&1 &
load=$!
pids+=("$load")
wait "$load" || die "the load generator failed: $(tail -n 1 "$dir/wrk.out")"
sleep 1.5 # nginx writes its last lines
curl -sf "http://127.0.0.1:$api/metrics" >"$dir/metrics"
kill "$slid"
wait "$slid" || die "slid did not stop cleanly"

counted() { # by status, from /metrics
	sed -n 's/^http_requests_total{.*code="\([0-9]*\)".*} \([0-9]*\)$/\1 \2/p' "$dir/metrics" |
		awk '{ n[$1] += $2 } END { for (s in n) print s, n[s] }' | sort
}
counted >"$dir/slid.txt"
sort "$dir/access.log" | uniq -c | awk '{ print $2, $1 }' | sort >"$dir/nginx.txt"

say "requests by status: slid's count beside nginx's own log"
printf '%-8s %12s %12s\n' status slid nginx
join -a1 -a2 -e 0 -o 0,1.2,2.2 "$dir/slid.txt" "$dir/nginx.txt" |
	awk '{ printf "%-8s %12d %12d   %s\n", $1, $2, $3, $2 == $3 ? "equal" : "DIFFERENT"; a += $2; b += $3 }
	     END { printf "%-8s %12d %12d\n", "all", a, b }'

say "latency: the client's view (wrk) and slid's, from arrival at the socket to the last byte sent"
read -r _ requests p50 p95 p99 < <(grep '^wrk ' "$dir/wrk.out")
printf '%-8s %12s %12s %12s\n' "" p50 p95 p99
printf '%-8s %10.0fus %10.0fus %10.0fus   (%d requests)\n' wrk "$p50" "$p95" "$p99" "$requests"
awk '# All series of the histogram together, cumulative counts by bound; linear inside a bucket.
	/^http_request_duration_seconds_bucket/ {
		match($0, /le="[^"]*"/); le = substr($0, RSTART + 4, RLENGTH - 5)
		if (!(le in n)) order[++cnt] = le
		n[le] += $NF
	}
	function quantile(q,    want, i, low, below) {
		want = q * n["+Inf"]
		for (i = 1; i <= cnt; i++) {
			if (n[order[i]] >= want)
				return order[i] == "+Inf" ? low : low + (order[i] - low) * (want - below) / (n[order[i]] - below)
			low = order[i]; below = n[order[i]]
		}
	}
	END {
		printf "%-8s %10.0fus %10.0fus %10.0fus   (%d requests)\n", "slid", quantile(.5) * 1e6,
			quantile(.95) * 1e6, quantile(.99) * 1e6, n["+Inf"]
		printf "exactly %d of them took at most 100 us\n", n["0.0001"]
	}' "$dir/metrics"
say "equal?"
if cmp -s "$dir/slid.txt" "$dir/nginx.txt" && [ -s "$dir/nginx.txt" ]; then
	lost=$(awk '/^slid_dropped_total/ || /^slid_streams_desynchronized_total/ { n += $NF } END { print n + 0 }' "$dir/metrics")
	echo "yes: every request that nginx logged was counted, with its status; lost: $lost"
	[ "$lost" = 0 ]
else
	echo "NO: slid and nginx differ"
	exit 1
fi
