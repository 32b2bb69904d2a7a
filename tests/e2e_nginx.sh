#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real nginx, one kind of traffic after the other: after each, slid's counts per port, method and code are
# those of nginx's own log.
cd "$(dirname "$0")/.." || exit 1
. tests/e2e_lib.sh

e2e_begin 'nginx' nginx ab
nginx_start web
slid_start
url=http://127.0.0.1:$NGINX_PORT
get() { curl -s --max-time 10 "$@" >/dev/null; }

# curl keeps one connection over the URLs of one call.
get "$url/ok?[1-50]"
get "$url/small?[1-20]" && get "$url/moved?[1-3]" "$url/nope" "$url/e500" -o /dev/null
expect_log 'keep-alive: 200, 301, 404, 500' web "$NGINX_LOG"
expect_equal 'connections accepted' "$(slid_metric tcp_accepts_total "job=\"$(job web)\"")" 3

get -H 'Connection: close' "$url/ok?[1-30]"
get --http1.0 "$url/ok" "$url/small" "$url/nope"
expect_log 'Connection: close and HTTP/1.0' web "$NGINX_LOG"

get -I "$url/ok?[1-10]"
get -I "$url/big" "$url/nope"
get "$url/empty?[1-10]" "$url/ok"
expect_log 'HEAD and 204' web "$NGINX_LOG"

get -z 'Fri, 01 Jan 2038 00:00:00 GMT' "$url/small?[1-10]" "$url/ok"
expect_equal '304 among them' "$(slid_counts http_requests_total web | grep -c ' GET 304 10$')" 1
expect_log 'If-Modified-Since: 304' web "$NGINX_LOG"

get -H 'Accept-Encoding: gzip' "$url/chunked?[1-30]"
curl -s -D "$E2E_DIR/head" -o /dev/null -H 'Accept-Encoding: gzip' "$url/chunked"
grep -qi '^transfer-encoding: chunked' "$E2E_DIR/head" ||
	fail 'nginx does not answer in chunks'
expect_log 'chunked responses' web "$NGINX_LOG"

head -c 1000000 /dev/urandom >"$E2E_DIR/mega"
get -T "$E2E_DIR/mega" "$url/put/mega[1-5]" # with Expect: 100-continue
get -T "$E2E_DIR/mega" -H 'Expect:' "$url/put/mega[1-5]"
get -T - "$url/put/chunked" <"$E2E_DIR/mega" # in chunks, 100-continue
get -T - -H 'Expect:' "$url/put/chunked" <"$E2E_DIR/mega"
get --data-binary @"$E2E_DIR/mega" "$url/upload?[1-3]"
get -H 'Transfer-Encoding: chunked' --data-binary @"$E2E_DIR/mega" "$url/stream?[1-3]"
expect_equal 'uploads arrived' "$(cat "$E2E_DIR"/nginx-web/www/put/* | wc -c)" $((7 * 1000000))
expect_log '1 MB uploads, by length and by chunk, 100-continue' web "$NGINX_LOG"
# What nginx asked of its sink, seen from the client's side, is what the sink's log says.
expect_equal 'nginx as a client' "$(slid_counts http_client_requests_total web)" \
	"$(log_counts "$NGINX_LOG" | grep "^$NGINX_SINK_PORT ")"

get --data-binary @"$E2E_DIR/mega" "$url/discard?[1-3]" "$url/e500" # answered before the body is read
get -X DELETE "$url/ok" && get -X OPTIONS "$url/ok" && get -X PATCH -d x=1 "$url/ok" && get -X PURGE "$url/ok"
expect_log 'bodies nobody reads, other methods' web "$NGINX_LOG"

get "$url/big?[1-20]"
get "$url/slow?[1-2]"
expect_log '1 MB downloads, a slow one' web "$NGINX_LOG"

get -r 0-99 "$url/big" && get -r 0-1,50-60 "$url/big"
get -H "X-Long: $(head -c 7000 /dev/zero | tr '\0' x)" "$url/ok?[1-5]"
get --request-target "http://example.com/ok" "$url/"
expect_log 'ranges, header lines longer than the window, absolute-form' web "$NGINX_LOG"

if grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null; then
	get -g "http://[::1]:$NGINX_PORT/ok" "http://[::1]:$NGINX_PORT/big"
	ab -q -n 500 -c 5 -k "http://[::1]:$NGINX_PORT/small" >/dev/null 2>&1
	expect_log 'IPv6' web "$NGINX_LOG"
fi

# The first segment completes the handshake: it is seen on the listening socket.
ab -q -n 500 -c 10 "http://127.0.0.1:$NGINX_DEFERRED/ok" >/dev/null 2>&1
get "http://127.0.0.1:$NGINX_DEFERRED/ok?[1-20]" && get -T "$E2E_DIR/mega" "http://127.0.0.1:$NGINX_DEFERRED/put/x"
expect_log 'deferred accept' web "$NGINX_LOG"

ab -q -n 3000 -c 20 "$url/ok" >"$E2E_DIR/ab" 2>&1
ab -q -n 3000 -c 20 -k "$url/small" >>"$E2E_DIR/ab" 2>&1
ab -q -n 500 -c 4 -k -p "$E2E_DIR/nginx-web/www/small" "$url/upload" >>"$E2E_DIR/ab" 2>&1
expect_log 'ab, with and without keep-alive, POST' web "$NGINX_LOG"

expect_equal 'ends in error' "$(slid_metric http_requests_total 'error_type="')" 0
expect_equal 'in flight' "$(slid_metric http_requests_in_flight)" 0
expect_clean 'nginx'
e2e_end
