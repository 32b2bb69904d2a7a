#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Prometheus takes what the real encoder and sender push. Every series, label and value must come
# back from PromQL as the text format has it, histogram_quantile as its definition says, and a series that
# ended must be gone at once. Then Prometheus scrapes the same snapshot (in OpenMetrics) and must agree.
# Loopback only. Exit: 0 passed, 77 skipped, else failed.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${O:-build}/tests/tool_rw_push

for need in prometheus promtool curl; do
	command -v "$need" >/dev/null || { echo "skip: $need is not installed"; exit 77; }
done
[ -x "$tool" ] || { echo "skip: $tool is not built (make tools)"; exit 77; }

dir=$(mktemp -d)
prometheus_pid='' tool_pid=''
cleanup() {
	local status=$?
	for pid in $prometheus_pid $tool_pid; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ $status = 0 ] || tail -n 20 "$dir"/*.log 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	echo "FAIL: $*"
	exit 1
}

# A port that nobody listens on, of those the kernel does not hand out by itself.
free_port() {
	local port
	for _ in $(seq 50); do
		port=$((20000 + RANDOM % 10000))
		(: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo $port; return; }
	done
	return 1
}

wait_url() {
	for _ in $(seq 150); do
		curl -sf -o /dev/null "$1" && return
		sleep 0.2
	done
	fail "no answer from $1"
}

port=$(free_port)
scrape_port=$(free_port)
url=http://127.0.0.1:$port
cat >"$dir/prometheus.yml" <<YML
scrape_configs:
  - job_name: scraped
    honor_labels: true
    scrape_interval: 1s
    static_configs: [{targets: ['127.0.0.1:$scrape_port'], labels: {via: scrape}}]
YML
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data" \
	--web.listen-address="127.0.0.1:$port" --web.enable-remote-write-receiver >"$dir/prometheus.log" 2>&1 &
prometheus_pid=$!
wait_url "$url/-/ready"

mkfifo "$dir/stdin"
"$tool" "$url/api/v1/write" "$dir" "127.0.0.1:$scrape_port" <"$dir/stdin" 2>"$dir/tool.log" &
tool_pid=$!
exec 3>"$dir/stdin"
wait_url "http://127.0.0.1:$scrape_port/healthz"
at=$(cat "$dir/time")

promtool check metrics <"$dir/text" || fail "promtool finds fault with the text"

query() {
	promtool query instant --time="$at" "$url" "$1"
}

# "name{labels} value" lines, labels in order with le among them, numbers as awk prints them.
from_text() {
	grep -v '^#' "$dir/text" | sed -E 's/^([^{]*)\{(.*),le="([^"]*)"\}/\1{le="\3",\2}/; s/,/, /g'
}
from_prometheus() {
	query '{__name__=~".+", via=""}' | sed -E 's/ => ([^ ]+) @\[.*$/ \1/'
}
# Labels of one line in one order, whichever that was.
canonical() {
	awk '{
		value = $NF; sub(/ [^ ]*$/, "")
		name = $0; sub(/\{.*/, "", name)
		labels = substr($0, length(name) + 2); sub(/\}$/, "", labels)
		n = split(labels, part, ", ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && part[j - 1] > part[j]; j--) {
				t = part[j]; part[j] = part[j - 1]; part[j - 1] = t
			}
		line = name "{"
		for (i = 1; i <= n; i++)
			line = line (i > 1 ? "," : "") part[i]
		printf "%s} %.15g\n", line, value
	}' | sort
}

from_text | canonical >"$dir/expected"
from_prometheus | canonical >"$dir/stored"
[ "$(wc -l <"$dir/expected")" -gt 100 ] || fail "the text has too few series"
diff "$dir/expected" "$dir/stored" >"$dir/diff" || { head -n 20 "$dir/diff"; fail "text (<) and Prometheus (>) differ"; }
echo "ok: $(wc -l <"$dir/stored") series, labels and values as in the text"

while read -r q expected; do
	got=$(query "histogram_quantile($q, http_request_duration_seconds_bucket{code=\"200\"})" |
		sed -E 's/.* => ([^ ]+) @.*/\1/')
	awk -v a="$got" -v b="$expected" 'BEGIN { d = a - b; exit !(d * d <= 1e-24 * b * b) }' ||
		fail "histogram_quantile($q) is $got, not $expected"
done <"$dir/quantiles"
echo "ok: histogram_quantile at $(wc -l <"$dir/quantiles") quantiles"

[ -z "$(query 'tcp_rtt_seconds_count{role="server"}')" ] || fail "a series that ended is not stale"
query 'tcp_rtt_seconds_count{role="server"} offset 15s' | grep -q '=> 24 ' || fail "it was not there before"
echo "ok: stale markers end a series at once"

for _ in $(seq 50); do
	at=$(date +%s)
	[ -z "$(query 'up{via="scrape"} == 1')" ] || break
	sleep 0.3
done
[ -n "$(query 'up{via="scrape"} == 1')" ] || fail "Prometheus cannot scrape /metrics"
query '{__name__=~"(http|tcp)_.*", __name__!~".*_created", via="scrape"}' |
	sed -E 's/ => ([^ ]+) @\[.*$/ \1/; s/, via="scrape"//; s/instance="[^"]*", //' | canonical >"$dir/scraped"
grep -E '^(http|tcp)_' "$dir/expected" | diff - "$dir/scraped" >"$dir/diff" ||
	{ head -n 20 "$dir/diff"; fail "pushed (<) and scraped (>) differ"; }
echo "ok: $(wc -l <"$dir/scraped") scraped series agree with the pushed ones"
exec 3>&-
