#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench_nginx.sh [--json] - nginx at saturation with and without slid, in turn (A B A B ...), on one
# core each for server and load; and what slid itself costs meanwhile. nginx serves a small file and
# writes its log, so that its core is the busy one: how busy is said. PAIRS=9 SECONDS_EACH=3.
# Judge the ratio, not the rates: machines differ and are shared.
set -euo pipefail

O=${O:-build} pairs=${PAIRS:-9} each=${SECONDS_EACH:-3}
json=''
[ "${1:-}" != --json ] || json=1
[ "$(id -u)" = 0 ] || { echo "bench_nginx: needs root" >&2; exit 1; }
mount=$(awk '$0 ~ / - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
scope=$mount/slid-bench-$$
dir=$(mktemp -d)
chmod 755 "$dir"
nginx='' slid=''
cleanup() {
	trap - EXIT INT TERM
	[ -z "$slid" ] || { kill "$slid" 2>/dev/null; wait "$slid" 2>/dev/null; } || true
	[ -z "$nginx" ] || { kill "$nginx" 2>/dev/null; wait "$nginx" 2>/dev/null; } || true
	for _ in 1 2 3 4 5; do rmdir "$scope" 2>/dev/null && break; sleep 0.3; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT TERM

port=$((10000 + RANDOM % 10000)) api=$((20000 + RANDOM % 10000)) # below the range of outgoing connections
mkdir "$scope" "$dir/www"
head -c 600 /dev/zero | tr '\0' x >"$dir/www/index.html"
cat >"$dir/nginx.conf" <<EOF
worker_processes 1; worker_cpu_affinity 01; daemon off; pid $dir/pid; error_log $dir/error.log;
events { worker_connections 1024; }
http {
	access_log $dir/access.log combined buffer=64k; keepalive_requests 100000000;
	client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
	uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
	server { listen 127.0.0.1:$port; root $dir/www; }
}
EOF
(echo "$BASHPID" >"$scope/cgroup.procs" && exec nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null) &
nginx=$!
sleep 0.5

rate() { # requests per second of one run, and with slid its CPU share in per cent of a core
	taskset -c 1 wrk -t1 -c32 -d"${each}s" "http://127.0.0.1:$port/" | awk '/Requests\/sec/ { print $2 }'
}
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
worker=$(cat "/proc/$nginx/task/$nginx/children")
worker=${worker%% *}

rate >/dev/null # warm up
for _ in $(seq "$pairs"); do
	: >"$dir/access.log"
	busy=$(ticks "$worker")
	without=$(rate)
	busy=$(($(ticks "$worker") - busy))
	"$O/slid" --scope "$scope" --listen "127.0.0.1:$api" >"$dir/log" 2>&1 &
	slid=$!
	for _ in $(seq 50); do curl -sf -o /dev/null "http://127.0.0.1:$api/readyz" && break; sleep 0.1; done
	before=$(ticks "$slid")
	with=$(rate)
	cpu=$(($(ticks "$slid") - before))
	rss=$(awk '/VmRSS/ { print $2 }' "/proc/$slid/status")
	kill "$slid"; wait "$slid" || true
	slid=''
	echo "$without $with $cpu $rss $busy" >>"$dir/pairs"
	[ -n "$json" ] || awk -v a="$without" -v b="$with" 'BEGIN { printf "  without %9.0f/s   with %9.0f/s   ratio %.3f\n", a, b, b / a }'
done

awk -v each="$each" -v hz="$(getconf CLK_TCK)" -v json="$json" '
	function median(a, n,    i, j, t) {
		for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
		return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	}
	{ a[NR] = $1; b[NR] = $2; r[NR] = $2 / $1; c[NR] = 100 * $3 / hz / each; m[NR] = $4 / 1024; w[NR] = 100 * $5 / hz / each }
	END {
		ma = median(a, NR); mb = median(b, NR); mr = median(r, NR); mc = median(c, NR); mm = median(m, NR); mw = median(w, NR)
		if (json) {
			printf "{\"pairs\": %d, \"without_rps\": %.0f, \"with_rps\": %.0f, \"ratio\": %.4f, \"ratio_min\": %.4f, \"ratio_max\": %.4f, \"nginx_cpu_percent\": %.0f, \"slid_cpu_percent\": %.2f, \"slid_rss_mib\": %.1f}\n", NR, ma, mb, mr, r[1], r[NR], mw, mc, mm
			exit
		}
		printf "\nnginx at saturation, %d pairs      median\n", NR
		printf "  without slid                %9.0f requests/s\n", ma
		printf "  with slid                   %9.0f requests/s\n", mb
		printf "  nginx core busy, without    %9.0f %%\n", mw
		printf "  kept                        %9.3f (%.3f to %.3f)\n", mr, r[1], r[NR]
		printf "  slid itself: CPU            %9.2f %% of a core\n", mc
		printf "  slid itself: RSS            %9.1f MiB\n", mm
	}' "$dir/pairs"
