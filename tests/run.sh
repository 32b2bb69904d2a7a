#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run test programs and scripts in turn: one line each, the output of those that failed, and the totals.
#   tests/run.sh [-v] TEST...      -v: all output as it comes
# A test's exit status: 0 passed, 77 skipped (its last line says why), all else failed. SLID_TEST_TIMEOUT:
# seconds that one may take (300). Ends with "N passed, N failed, N skipped"; exits 1 when one failed.
set -uo pipefail

verbose=''
[ "${1:-}" != -v ] || { verbose=1; shift; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/slid-run.XXXXXX") || exit 1
pid='' passed=0 failed=0 skipped=0

# The test's own traps clean up: pass the signal on, wait for its end.
interrupted() {
	[ -z "$pid" ] || { kill -TERM "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; }
	rm -rf "$dir"
	exit 130
}
trap interrupted INT TERM HUP

run_one() {
	local test=$1 name=${1##*/} status begin_ms seconds limit=${SLID_TEST_TIMEOUT:-300}
	begin_ms=$(date +%s%3N)
	timeout --kill-after=20 "$limit" "$test" </dev/null >"$dir/output" 2>&1 &
	pid=$!
	wait "$pid"
	status=$?
	pid=''
	seconds=$(awk -v ms=$(($(date +%s%3N) - begin_ms)) 'BEGIN { printf "%.1f s", ms / 1000 }')
	[ -z "$verbose" ] || cat "$dir/output"
	case $status in
	0)
		passed=$((passed + 1))
		printf '%-7s %-32s %8s\n' ok "$name" "$seconds"
		;;
	77)
		skipped=$((skipped + 1))
		printf '%-7s %-32s %8s  %s\n' skipped "$name" "$seconds" "$(tail -n 1 "$dir/output")"
		;;
	*)
		failed=$((failed + 1))
		[ "$status" != 124 ] || echo "it took longer than $limit s" >>"$dir/output"
		printf '%-7s %-32s %8s  status %d\n' FAIL "$name" "$seconds" "$status"
		{ echo "--- $name"; cat "$dir/output"; } >>"$dir/failures"
		[ -n "$verbose" ] || sed 's/^/    /' "$dir/output"
		;;
	esac
}

for test in "$@"; do
	case $test in */*) ;; *) test=./$test ;; esac
	run_one "$test"
done
[ "$failed" = 0 ] || [ -z "${SLID_TEST_FAILURES:-}" ] || cp "$dir/failures" "$SLID_TEST_FAILURES"
rm -rf "$dir"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
