# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# What the e2e_*.sh tests (and the demo) share; to be sourced from the repository's root. Each test gets a
# directory and a cgroup of its own, attaches slid to that cgroup alone, uses loopback alone, and leaves
# nothing behind, whatever ends it.
#
#   e2e_begin TITLE [COMMAND...]   directory $E2E_DIR, cgroup $E2E_SCOPE; skips when a command is missing
#   e2e_end                        the last line; exits 1 when an expectation failed
#   skip REASON                    exits 77
#   fail WHAT                      exits 1 at once; expectations only count and go on
#   free_port, wait_port PORT      a port for a server; wait until it listens (nothing connects to it)
#   start_in CGROUP CMD...         in the background, below $E2E_SCOPE; sets STARTED_PID; output in CGROUP.log
#   run_in CGROUP CMD...           in the foreground
#   netns_begin NAME               a network namespace; see there
#   stop_pid PID [SIGNAL]          and wait for its end
#   slid_start [OPTIONS], slid_stop [SIGNAL]   SLID_PID, SLID_PORT; slid_stop sets SLID_STATUS
#   slid_metric NAME [LABEL="x"]...            the sum of the matching series
#   slid_counts NAME CGROUP        "port method code count" lines of a counter of requests
#   log_counts FILE                the same of a log with lines "port method code"
#   job CGROUP                     the label that slid gives it
#   expect_equal WHAT SLID OTHER, expect_within WHAT GOT FROM TO, expect_eventually WHAT WANTED CMD...
#   expect_log WHAT CGROUP LOG [NAME]          slid counted what the log has, per port, method and code
#   expect_clean WHAT              nothing dropped, no stream lost
#   nginx_start CGROUP [DIRECTIVES]            see there; NGINX_PID, NGINX_PORT, NGINX_DEFERRED, NGINX_LOG

set -uo pipefail
export LC_ALL=C
SLID=${SLID:-${O:-build}/slid}
E2E_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=$(command -v /usr/bin/python3 python3 | head -n 1)
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# ---- the frame -----------------------------------------------------------------------------------

e2e_begin() {
	local need
	E2E_TITLE=$1
	shift
	E2E_OK=0 E2E_FAILED=0 E2E_DIR='' E2E_SCOPE='' E2E_ENDED='' SLID_PID='' SLID_PORT=''
	E2E_PIDS=() E2E_NETNS=() E2E_NS=()
	declare -gA E2E_SEEN=()
	trap e2e_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	[ "$(id -u)" = 0 ] || skip 'not root'
	for need in curl ss awk "$@"; do
		command -v "$need" >/dev/null || skip "$need is not installed"
	done
	[ -x "$SLID" ] || skip "$SLID is not built"
	CGROUP_ROOT=$(cgroup_root) || skip 'no cgroup v2 file system is mounted'
	E2E_DIR=$(mktemp -d "${TMPDIR:-/tmp}/slid-test.XXXXXX") || fail 'no directory to work in'
	chmod 755 "$E2E_DIR"
	E2E_SCOPE=$CGROUP_ROOT/slid-test-$$
	mkdir "$E2E_SCOPE" 2>/dev/null || { E2E_SCOPE=''; skip "cannot make a cgroup in $CGROUP_ROOT"; }
}

e2e_end() {
	E2E_ENDED=1
	if [ "$E2E_FAILED" != 0 ]; then
		echo "FAIL: $E2E_TITLE: $E2E_FAILED of $((E2E_OK + E2E_FAILED)) expectations failed"
		exit 1
	fi
	echo "ok: $E2E_TITLE: $E2E_OK expectations"
	exit 0
}

skip() {
	E2E_ENDED=1
	echo "skip: $*"
	exit 77
}

fail() {
	echo "FAIL: ${E2E_TITLE:-}: $*" >&2
	E2E_FAILED=$((E2E_FAILED + 1)) E2E_ENDED=1
	exit 1
}

# The cgroup v2 mount that shows most of the tree.
cgroup_root() {
	awk '{
		for (i = 7; $i != "-"; i++)
			;
		if ($(i + 1) != "cgroup2")
			next
		rank = $4 ~ /^\/\.\./ ? 3 : $4 == "/" ? 2 : 1
		if (rank > best) {
			best = rank
			path = $5
		}
	} END { print path; exit !best }' /proc/self/mountinfo
}

# By pid: only what the test started, or what runs in the cgroups that it made.
e2e_kill_all() {
	local pid pids turn
	for pid in "${E2E_PIDS[@]}" $SLID_PID; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	[ -n "$E2E_SCOPE" ] || return
	for turn in $(seq 50); do
		pids=$(find "$E2E_SCOPE" -name cgroup.procs -exec cat {} + 2>/dev/null)
		[ -n "$pids" ] || break
		for pid in $pids; do
			kill -KILL "$pid" 2>/dev/null
		done
		sleep 0.05
	done
}

e2e_cleanup() {
	local status=$? turn ns file
	trap '' INT TERM HUP
	e2e_kill_all 2>/dev/null
	for ns in "${E2E_NETNS[@]}"; do
		ip netns del "$ns"
	done
	for turn in $(seq 50); do
		[ -n "$E2E_SCOPE" ] && [ -d "$E2E_SCOPE" ] || break
		find "$E2E_SCOPE" -depth -type d -exec rmdir {} + 2>/dev/null
		sleep 0.05
	done
	if [ -n "$E2E_DIR" ] && [ "$status" != 0 ] && [ "$status" != 77 ]; then
		for file in "$E2E_DIR"/*.log; do
			[ -s "$file" ] && [ "${file%access.log}" = "$file" ] || continue
			echo "--- the end of ${file##*/}"
			tail -n 8 "$file"
		done
		[ -n "${E2E_KEEP:-}" ] && cp -r "$E2E_DIR" "$E2E_KEEP"
	fi
	[ -z "$E2E_DIR" ] || rm -rf "$E2E_DIR"
	[ -n "$E2E_ENDED" ] || echo "FAIL: ${E2E_TITLE:-}: ended early, status $status"
	[ -n "$E2E_ENDED" ] || [ "$status" != 0 ] || status=1
	exit "$status"
}

# ---- processes, ports ----------------------------------------------------------------------------

# Of those that the kernel does not hand out by itself, and that nobody listens on.
free_port() {
	local port
	for _ in $(seq 100); do
		port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
		[ -n "$(ss -Htanu "sport = :$port" 2>/dev/null)" ] || { echo $port; return; }
	done
	return 1
}

wait_port() {
	local turn
	for turn in $(seq 200); do
		[ -z "$("${E2E_NS[@]}" ss -Hltn "sport = :$1")" ] || return 0
		sleep 0.05
	done
	fail "nobody listens on port $1"
}

# Servers and wait_port work in a network namespace of the test's own from here on, with "${E2E_NS[@]}" CMD;
# back with E2E_NS=(). Return: whether there may be one.
netns_begin() {
	command -v ip >/dev/null && ip netns add "slid-test-$$-$1" 2>/dev/null || return
	E2E_NETNS+=("slid-test-$$-$1")
	E2E_NS=(ip netns exec "slid-test-$$-$1")
	"${E2E_NS[@]}" ip link set lo up
}

start_in() {
	local cgroup=$1
	shift
	mkdir -p "$E2E_SCOPE/$cgroup" || fail "cannot make cgroup $cgroup"
	(
		echo "$BASHPID" >"$E2E_SCOPE/$cgroup/cgroup.procs"
		exec "$@"
	) </dev/null >>"$E2E_DIR/${cgroup//\//-}.log" 2>&1 &
	STARTED_PID=$!
	E2E_PIDS+=("$STARTED_PID")
}

run_in() {
	local cgroup=$1
	shift
	mkdir -p "$E2E_SCOPE/$cgroup" || fail "cannot make cgroup $cgroup"
	(
		echo "$BASHPID" >"$E2E_SCOPE/$cgroup/cgroup.procs"
		exec "$@"
	) <&0 &
	wait $! # a signal ends this wait, and not only what runs
}

stop_pid() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# ---- slid ----------------------------------------------------------------------------------------

slid_start() {
	local turn scope=(--scope "$E2E_SCOPE")
	case " $* " in *' --scope '*) scope=() ;; esac
	SLID_PORT=$(free_port)
	"$SLID" "${scope[@]}" --listen "127.0.0.1:$SLID_PORT" "$@" >>"$E2E_DIR/slid.out" 2>>"$E2E_DIR/slid.log" &
	SLID_PID=$!
	for turn in $(seq 400); do
		curl -sf -o /dev/null "http://127.0.0.1:$SLID_PORT/readyz" && return 0
		kill -0 "$SLID_PID" 2>/dev/null || break
		sleep 0.05
	done
	fail 'slid does not start'
}

slid_stop() {
	kill "-${1:-TERM}" "$SLID_PID" 2>/dev/null
	wait "$SLID_PID" 2>/dev/null
	SLID_STATUS=$?
	SLID_PID=''
}

slid_scrape() {
	curl -sf --max-time 10 "http://127.0.0.1:$SLID_PORT/metrics" || fail '/metrics does not answer'
}

slid_metric() {
	local name=$1
	shift
	slid_scrape | awk -v name="$name" -v labels="$(printf '%s\n' "$@")" '
		BEGIN { n = split(labels, want, "\n") }
		index($0, name "{") == 1 || index($0, name " ") == 1 {
			text = $0
			sub(/^[^{ ]*\{/, ",", text)
			for (i = 1; i <= n; i++)
				if (want[i] != "" && !index(text, "," want[i]))
					next
			sum += $NF
		}
		END { printf sum == int(sum) ? "%d\n" : "%.9g\n", sum }'
}

job() {
	echo "${E2E_SCOPE#"$CGROUP_ROOT"}/$1"
}

slid_counts() {
	slid_scrape | awk -v name="$1" -v job="job=\"$(job "$2")\"" '
		function label(key,  at, text) {
			at = match($0, "[{,]" key "=\"[^\"]*\"")
			text = substr($0, at, RLENGTH)
			gsub(/^[^"]*"|"$/, "", text)
			return at ? text : "-"
		}
		index($0, name "{") == 1 && index($0, job) && $NF > 0 {
			cnt[label("port") " " label("method") " " label("code")] += $NF
		}
		END {
			for (i in cnt)
				printf "%s %d\n", i, cnt[i]
		}' | sort
}

log_counts() {
	awk 'BEGIN {
		n = split("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH", names, " ")
		for (i = 1; i <= n; i++)
			known[names[i]] = 1
	} /^[0-9]+ [^ ]+ [0-9]+$/ {
		cnt[$1 " " ($2 in known ? $2 : "_OTHER") " " $3]++
	} END {
		for (i in cnt)
			print i, cnt[i]
	}' "$1" | sort
}

# ---- expectations --------------------------------------------------------------------------------

e2e_ok() {
	E2E_OK=$((E2E_OK + 1))
	echo "ok: $*"
}

e2e_not_ok() {
	E2E_FAILED=$((E2E_FAILED + 1))
	echo "FAIL: $*"
}

expect_equal() {
	if [ "$2" = "$3" ]; then
		e2e_ok "$1: ${2//$'\n'/, }"
	else
		e2e_not_ok "$1: $2, not $3"
	fi
}

expect_within() {
	if awk -v v="$2" -v from="$3" -v to="$4" 'BEGIN { exit !(v != "" && v >= from && v <= to) }'; then
		e2e_ok "$1: $2 is from $3 to $4"
	else
		e2e_not_ok "$1: $2 is not from $3 to $4"
	fi
}

# For what takes a moment to settle, such as a log that is written behind the answer.
expect_eventually() {
	local what=$1 wanted=$2 got='' turn
	shift 2
	for turn in $(seq "${E2E_TURNS:-50}"); do
		got=$("$@")
		[ "$got" = "$wanted" ] && break
		sleep 0.1
	done
	expect_equal "$what" "$got" "$wanted"
}

expect_log() {
	local what=$1 cgroup=$2 log=$3 name=${4:-http_requests_total} slid logged total turn
	local seen=${E2E_SEEN[$cgroup $name $log]:-0}
	for turn in $(seq 50); do
		logged=$(log_counts "$log")
		slid=$(slid_counts "$name" "$cgroup")
		[ "$slid" != "$logged" ] || break
		sleep 0.1
	done
	total=$(awk '{ sum += $4 } END { print sum + 0 }' <<<"$logged")
	E2E_SEEN[$cgroup $name $log]=$total
	if [ "$slid" = "$logged" ] && [ "$total" -gt "$seen" ]; then
		e2e_ok "$what: $((total - seen)) requests counted as logged"
		return 0
	fi
	e2e_not_ok "$what: slid's counts (<) and the log's (>) of $total requests, $((total - seen)) new:"
	diff <(echo "$slid") <(echo "$logged")
	return 0
}

expect_clean() {
	expect_equal "$1: dropped" "$(slid_metric slid_dropped_total)" 0
	expect_equal "$1: streams desynchronized" "$(slid_metric slid_streams_desynchronized_total)" 0
}

# ---- nginx ---------------------------------------------------------------------------------------

# Its locations: /ok /e500 /empty (204) /moved /small /big (1 MB) /chunked (with Accept-Encoding: gzip),
# /slow (about 0.4 s), /discard (answers before a body is read), /put/NAME (PUT, body read to a file),
# /upload (POST, proxied to /put of the sink port), all else 404. DIRECTIVES go into the http block.
nginx_start() {
	local name=${1//\//-} dir=$E2E_DIR/nginx-${1//\//-} ipv6='' sink
	NGINX_PORT=$(free_port)
	NGINX_DEFERRED=$(free_port)
	sink=$(free_port)
	NGINX_LOG=$E2E_DIR/$name.access.log
	NGINX_SINK_PORT=$sink
	mkdir -p "$dir/www/put" "$dir/tmp"
	head -c 1000000 /dev/urandom >"$dir/www/big"
	head -c 4000 /dev/urandom >"$dir/www/small"
	head -c 40000 /dev/urandom >"$dir/www/slow"
	seq 5000 >"$dir/www/chunked"
	: >"$NGINX_LOG"
	grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null && ipv6="listen [::1]:$NGINX_PORT;"
	cat >"$dir/nginx.conf" <<NGINX
daemon off;
user root;
worker_processes ${NGINX_WORKERS:-2};
worker_rlimit_nofile 20000;
pid $dir/nginx.pid;
error_log $E2E_DIR/$name.error.log warn;
events { worker_connections ${NGINX_CONNECTIONS:-4096}; }
http {
	log_format slid '\$server_port \$request_method \$status';
	access_log $NGINX_LOG slid;
	keepalive_requests ${NGINX_KEEPALIVE:-100000000};
	client_max_body_size 16m;
	client_body_temp_path $dir/tmp/body;
	proxy_temp_path $dir/tmp/proxy;
	fastcgi_temp_path $dir/tmp/fastcgi;
	uwsgi_temp_path $dir/tmp/uwsgi;
	scgi_temp_path $dir/tmp/scgi;
	root $dir/www;
	if_modified_since before;
	upstream sink { server 127.0.0.1:$sink; keepalive 8; }
	${2:-}
	server {
		listen 127.0.0.1:$NGINX_PORT backlog=4096;
		listen 127.0.0.1:$NGINX_DEFERRED deferred;
		$ipv6
		location = /ok { return 200 "ok\n"; }
		location = /e500 { return 500 "no\n"; }
		location = /empty { return 204; }
		location = /moved { return 301 /ok; }
		location = /discard { return 200 "thanks\n"; }
		location = /chunked { gzip on; gzip_types *; }
		location = /slow { limit_rate 100k; limit_rate_after 1; }
		location /put/ { dav_methods PUT; create_full_put_path on; }
		location = /upload { proxy_pass http://sink/put/upload; proxy_method PUT; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location = /stream { proxy_pass http://sink/put/upload; proxy_method PUT; proxy_request_buffering off; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
	server {
		listen 127.0.0.1:$sink;
		location /put/ { dav_methods PUT; create_full_put_path on; }
	}
}
NGINX
	start_in "$1" "${E2E_NS[@]}" nginx -c "$dir/nginx.conf" -p "$dir"
	NGINX_PID=$STARTED_PID
	wait_port "$NGINX_PORT"
}
