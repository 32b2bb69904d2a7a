#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deps.sh build|demo|test - install from Debian what is missing for building, the demo or all tests.
# Services of the packages it installs are not started.
set -euo pipefail

build=(gcc libc6-dev make pkg-config git clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev
	linux-libc-dev libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler libsnappy-dev
	libmicrohttpd-dev libcyaml-dev libyaml-dev)
demo=(nginx-light wrk curl)
test=(libcmocka-dev libhttp-parser-dev libclang-rt-14-dev apache2-bin apache2-utils haproxy nodejs
	python3 prometheus openssl iproute2 nftables procps qemu-system-x86 cpio busybox-static)

packages=("${build[@]}")
case ${1:-build} in
build) ;;
demo) packages+=("${demo[@]}") ;;
test) packages+=("${demo[@]}" "${test[@]}") ;;
*) echo "usage: deps.sh build|demo|test" >&2; exit 2 ;;
esac

# From elsewhere than Debian is as good.
has() {
	case $1 in
	nodejs) command -v node >/dev/null ;;
	python3) command -v python3 >/dev/null ;;
	*) [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ] ;;
	esac
}
missing=()
for package in "${packages[@]}"; do
	has "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing: ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "deps: needs root to install them; run it with sudo" >&2; exit 1; }

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
