#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel_fetch.sh SUITE DIR - put the cloud kernel of a Debian suite at DIR/vmlinuz-SUITE, with a
# private apt state that leaves the system's own alone. Prints the path. Keeps what is there.
set -euo pipefail

suite=$1 dir=$2
mkdir -p "$dir"
if [ -s "$dir/vmlinuz-$suite" ]; then
	echo "$dir/vmlinuz-$suite"
	exit 0
fi
work=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The mirror is the one this system uses.
mirror=$(sed -n 's/^URIs: *\(http[^ ]*\/debian\)\/\{0,1\} *$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*\/debian\)\/\{0,1\} .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -n 1)
[ -n "$mirror" ] || { echo "kernel_fetch: no Debian mirror in /etc/apt" >&2; exit 1; }

mkdir -p "$work"/{lists/partial,cache/archives/partial}
cat >"$work/sources.list" <<EOF
deb $mirror $suite main
deb $mirror-security $suite-security main
EOF
apt_private() {
	"$1" -qq -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
		-o APT::Sandbox::User=root "${@:2}"
}
apt_private apt-get update >"$work/log" 2>&1 || sed -i "/-security/d" "$work/sources.list"
[ -n "$(find "$work/lists" -name "*Packages*" -print -quit)" ] || apt_private apt-get update >>"$work/log" 2>&1
package=$(apt_private apt-cache depends linux-image-cloud-amd64 |
	sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
[ -n "$package" ] || { echo "kernel_fetch: $suite has no cloud kernel" >&2; exit 1; }
(cd "$work" && apt_private apt-get download "$package" >>"$work/log" 2>&1)
dpkg -x "$work"/linux-image-*.deb "$work/root"
cp "$work"/root/boot/vmlinuz-* "$dir/vmlinuz-$suite"
echo "$dir/vmlinuz-$suite"
