#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command itself: the table in a pipe, --once, what it says when it cannot start, and that it goes without a trace.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

bpftool=$(command -v bpftool /usr/sbin/bpftool | head -n 1)
e2e_begin 'the command' nginx wrk "${bpftool:-bpftool}"
nginx_start web
url=http://127.0.0.1:$NGINX_PORT
attached() { "$bpftool" cgroup show "$E2E_SCOPE" 2>/dev/null | grep -c slid_; }

# Run slid to its end: STATUS, and what it said in $E2E_DIR/said.
slid() {
	timeout 20 "$SLID" "$@" >"$E2E_DIR/said" 2>&1
	STATUS=$?
}
expect_said() {
	if grep -qE -- "$2" "$E2E_DIR/said"; then
		e2e_ok "$1: says $2"
	else
		e2e_not_ok "$1: does not say $2, but: $(cat "$E2E_DIR/said")"
	fi
}

# ---- the table
wrk -t1 -c10 -d60 "$url/ok" >/dev/null 2>&1 &
load=$!
E2E_PIDS+=("$load")
slid --scope "$E2E_SCOPE" --listen off --once
expect_equal '--once: status' "$STATUS" 0
expect_said '--once' 'slid-test-[0-9]+/web'
expect_equal '--once: the workload is there once' "$(grep -c 'slid-test-[0-9]*/web' "$E2E_DIR/said")" 1
timeout 20 "$SLID" --scope "$E2E_SCOPE" --listen off --print 300ms 2>"$E2E_DIR/said" |
	grep -m 4 'slid-test-[0-9]*/web' >"$E2E_DIR/table"
expect_equal '--print in a pipe: ends with its reader' "${PIPESTATUS[0]}" 0
expect_equal '--print in a pipe: rows' "$(wc -l <"$E2E_DIR/table")" 4
expect_equal '--print in a pipe: no control codes' "$(grep -c $'\e' "$E2E_DIR/table")" 0
expect_equal 'nothing attached' "$(attached)" 0
stop_pid "$load" TERM

# ---- /metrics
slid_start
curl -s "$url/ok" >/dev/null
expect_equal 'attached' "$(attached)" 3
curl -s -H 'Accept: application/openmetrics-text; version=1.0.0' "http://127.0.0.1:$SLID_PORT/metrics" >"$E2E_DIR/said"
expect_equal 'OpenMetrics ends with' "$(tail -n 1 "$E2E_DIR/said")" '# EOF'
expect_equal 'healthz' "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$SLID_PORT/healthz")" 200
expect_equal 'another path' "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$SLID_PORT/nope")" 404
if command -v promtool >/dev/null; then
	expect_equal 'promtool finds nothing' "$(slid_scrape | promtool check metrics 2>&1)" ''
fi
slid --scope "$E2E_SCOPE" --listen "127.0.0.1:$SLID_PORT"
expect_equal 'port in use: status' "$STATUS" 1
expect_said 'port in use' "cannot listen on 127.0.0.1:$SLID_PORT: EADDRINUSE"
slid_stop TERM
expect_equal 'SIGTERM: status' "$SLID_STATUS" 0
expect_equal 'SIGTERM: attached' "$(attached)" 0
slid_start
slid_stop INT
expect_equal 'SIGINT: status' "$SLID_STATUS" 0
expect_equal 'SIGINT: attached' "$(attached)" 0

# ---- what it cannot do
if [ -z "$(find "$CGROUP_ROOT" -maxdepth 3 -type d -name '*kubepods*' -print -quit)" ]; then
	slid --listen off
	expect_equal 'no scope: status' "$STATUS" 1
	expect_said 'no scope' 'nothing to watch: no --scope was given'
	expect_said 'no scope' "^  --scope $CGROUP_ROOT/"
fi
slid --listen off --scope "$E2E_SCOPE" --scope "$E2E_SCOPE/web"
expect_equal 'nested scopes: status' "$STATUS" 1
expect_said 'nested scopes' "cannot watch both $E2E_SCOPE and $E2E_SCOPE/web: one is inside the other"
slid --listen off --scope "$E2E_SCOPE/none"
expect_equal 'no such scope: status' "$STATUS" 1
expect_said 'no such scope' "cannot watch $E2E_SCOPE/none: ENOENT; a scope is an existing directory in the cgroup v2 tree"
slid --listen off --scope "$E2E_DIR"
expect_equal 'not a cgroup: status' "$STATUS" 1
expect_said 'not a cgroup' "cannot watch $E2E_DIR: EXDEV"
slid --nonsense
expect_equal 'unknown option: status' "$STATUS" 2
expect_said 'unknown option' "unknown option '--nonsense'"
slid --scope "$E2E_SCOPE" --interval soon
expect_equal 'bad value: status' "$STATUS" 2
expect_said 'bad value' '--interval must be'
printf 'scope: [%s]\nlisten: "off"\nnonsense: 1\n' "$E2E_SCOPE" >"$E2E_DIR/slid.yaml"
slid --config "$E2E_DIR/slid.yaml" --check-config
expect_equal 'unknown key: status' "$STATUS" 1
expect_said 'unknown key' 'slid.yaml:3'
sed -i 3d "$E2E_DIR/slid.yaml"
slid --config "$E2E_DIR/slid.yaml" --check-config
expect_equal 'good configuration: status' "$STATUS" 0
slid --version
expect_equal '--version: status' "$STATUS" 0
expect_said '--version' '^slid '
slid --help
expect_equal '--help: status' "$STATUS" 0
expect_said '--help' '--remote-write'
expect_equal 'nothing attached at the end' "$(attached)" 0
e2e_end
