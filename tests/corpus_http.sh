#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# corpus_http.sh - write seeds for fuzz_http into a directory: each is 12 bytes of decisions and a
# stream. The first byte's low bit tells requests (0) from responses (1).
# shellcheck disable=SC2059,SC2016 # formats are what this writes
set -eu
dir=${1:?usage: corpus_http.sh DIRECTORY}
mkdir -p "$dir"
n=0

# seed FIRST_BYTES(octal escapes, 4 bytes) FORMAT - printf's escapes make the stream
seed()
{
	n=$((n + 1))
	printf "$1"'\021\047\063\101\125\151\173\007'"$2" > "$dir/$n"
}
# Requests.
q() { seed '\0\0\0\0' "$1"; seed '\062\0\0\02' "$1"; }
# Responses to 16 requests: GETs; HEADs and GETs in turn; two, the second a CONNECT.
a() { seed '\01\0\0\360' "$1"; seed '\065\125\125\366' "$1"; seed '\03\0\0\021' "$1"; }

long=$(printf '%080d' 0)
q 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
q 'GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.0\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\nTRACE / HTTP/1.1\r\n\r\n'
q 'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloDELETE / HTTP/1.1\r\n\r\n'
q 'PUT / HTTP/1.1\r\ncontent-length:  00018 \r\n\r\nGET / HTTP/1.1\r\n\r\nPATCH / HTTP/1.1\r\n\r\n'
q 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;b=c\r\n0123456789\r\n0\r\nD: e\r\n\r\nGET / HTTP/1.1\r\n\r\n'
q 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 9\r\n\r\n00\r\n\r\nGET / HTTP/1.1\r\n\r\n'
q "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=$long\r\nhello\r\n0;$long\r\nB: $long\r\n\r\nGET /$long HTTP/1.1\r\nC: $long\r\n\r\nGET / HTTP/1.1\r\n\r\n"
q 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\026\003\001'
q 'GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n'
q '\r\n\r\nGET / HTTP/1.1\n\n\nM-SEARCH * HTTP/1.1\n\nPROPFIND / HTTP/1.1\r\nContent-Length: 0\r\n\r\n'
q 'GET / HTTP/1.1\r\n\r\nGET nonsense\r\n'
q 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
q '\026\003\001\002\000\001'
q '*1\r\n$4\r\nPING\r\n'
a 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
a 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nuntil the end'
a 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\nHTTP/1.1 204 -\r\nContent-Length: 3\r\n\r\nHTTP/1.1 304 -\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.0 500 -\r\n\r\n'
a 'HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
a 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'
a "HTTP/1.1 200 $long\r\nA: $long\r\nTransfer-Encoding: gzip,chunked\r\n\r\n2;$long\r\nok\r\n0\r\n\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\nall"
a 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok\nHTTP/1.1 200 OK\nContent-Length: x\n\n'
a '220 mx ESMTP\r\n'
