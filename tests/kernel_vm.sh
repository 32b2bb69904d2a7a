#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel_vm.sh SUITE - boot the cloud kernel of a Debian suite in QEMU (software emulation), load
# slid's programs there, run nginx and wrk against each other and compare slid's counts with
# nginx's log, per status, over IPv4, IPv6, keep-alive and close. Exit 0 equal, 1 not, 77 no QEMU.
set -euo pipefail

suite=${1:-bullseye}
O=${O:-build}
cache=${SLID_CACHE:-/var/cache/slid-tests}
here=$(cd "$(dirname "$0")" && pwd)

for tool in qemu-system-x86_64 busybox cpio nginx wrk curl; do
	command -v "$tool" >/dev/null || { echo "kernel_vm: no $tool here"; exit 77; }
done
kernel=$("$here/kernel_fetch.sh" "$suite" "$cache") || { echo "kernel_vm: cannot fetch the kernel of $suite"; exit 77; }

work=$(mktemp -d)
qemu=
trap 'if [ -n "$qemu" ]; then kill "$qemu" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,etc,run,var/log/nginx,var/lib/nginx,cg,usr/share}

# A program and the libraries it needs, at the paths where it looks for them.
add() {
	local bin lib
	bin=$(command -v "$1")
	cp -L "$bin" "$root/bin/"
	for lib in $(ldd "$bin" 2>/dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$lib")"
		cp -Ln "$lib" "$root$lib" 2>/dev/null || true
	done
}
cp "$(command -v busybox)" "$root/bin/busybox"
add "$O/slid"; add nginx; add wrk; add curl
mkdir -p "$root/lib/x86_64-linux-gnu"
cp -L /lib/x86_64-linux-gnu/libnss_files.so.2 "$root/lib/x86_64-linux-gnu/" 2>/dev/null || true
printf 'root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nwww-data:x:33:\n' >"$root/etc/group"
cat >"$root/etc/nginx.conf" <<'EOF'
user root; worker_processes 1; pid /tmp/pid; error_log /tmp/err.log; daemon off;
events { worker_connections 1024; }
http {
	log_format m '$status $request_method'; access_log /tmp/acc.log m;
	keepalive_requests 1000000; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;
	fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
	server {
		listen 127.0.0.1:8080; listen [::1]:8080; root /tmp/www;
		location /ok { return 200 "ok\n"; }
		location /fail { return 500; }
	}
}
EOF
cat >"$root/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mount -t cgroup2 none /cg
ip link set lo up
echo "VM kernel $(uname -r)"
mkdir -p /cg/app /tmp/www; head -c 200000 /dev/zero >/tmp/www/big
( echo 0 >/cg/app/cgroup.procs; exec nginx -c /etc/nginx.conf -p /tmp ) &
sleep 1
slid --scope /cg/app --listen 127.0.0.1:9465 --log-level ${SLID_VM_LOG:-info} &
slid=$!
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; curl -sf -o /dev/null http://127.0.0.1:9465/readyz && break; done
for i in 1 2 3 4 5; do
	curl -s -o /dev/null http://127.0.0.1:8080/fail; curl -s -o /dev/null -g 'http://[::1]:8080/missing'
	curl -sI -o /dev/null http://127.0.0.1:8080/big; curl -s -o /dev/null -d x=1 -g 'http://[::1]:8080/ok'
	curl -s -o /dev/null http://127.0.0.1:8080/big
done
wrk -t1 -c8 -d3 http://127.0.0.1:8080/ok | grep 'requests in'
wrk -t1 -c4 -d2 -H 'Connection: close' 'http://[::1]:8080/ok' | grep 'requests in'
sleep 1
curl -s http://127.0.0.1:9465/metrics >/tmp/metrics
sort /tmp/acc.log | uniq -c | awk '{print "VM nginx " $2 " " $3 " " $1}'
sed -n 's/^http_requests_total{\(.*\)} \([0-9]*\)$/\1 \2/p' /tmp/metrics |
	sed 's/.*code="\([0-9]*\)".*method="\([A-Z_]*\)".* \([0-9]*\)$/VM slid \1 \2 \3/'
grep -E '^slid_(dropped_total|streams_desynchronized_total)' /tmp/metrics | grep -v ' 0$' | sed 's/^/VM loss /'
kill $slid; wait $slid; echo "VM exit $?"
poweroff -f
EOF
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout 240 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -nographic -no-reboot \
	-kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=1 rdinit=/init" \
	</dev/null >"$work/console" 2>&1 &
qemu=$!
wait "$qemu" || true
qemu=
tr -d '\r' <"$work/console" >"$work/out"
release=$(sed -n 's/.*VM kernel //p' "$work/out")
sed -n 's/^VM nginx //p' "$work/out" | sort >"$work/nginx"
# Requests that the client did not wait for: nginx writes 200 or 499 as it noticed, slid what was sent.
sed -n 's/^VM slid //p' "$work/out" | sort >"$work/slid"
if [ -s "$work/nginx" ] && cmp -s "$work/nginx" "$work/slid" && ! grep -q '^VM loss' "$work/out" &&
	grep -q '^VM exit 0' "$work/out"; then
	total=$(awk '{ n += $3 } END { print n }' "$work/slid")
	echo "kernel $release: $total requests served, $total counted, equal by method and status"
	exit 0
fi
echo "kernel ${release:-of $suite}: slid and nginx differ (or slid did not start)"
diff "$work/nginx" "$work/slid" || true
tail -n 30 "$work/out"
exit 1
