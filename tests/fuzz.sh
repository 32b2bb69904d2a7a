#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh - every fuzzer for FUZZ_SECONDS (20) each, from its seeds.
cd "$(dirname "$0")/.." && exec make --no-print-directory O="${O:-build}" FUZZ_SECONDS="${FUZZ_SECONDS:-20}" fuzz
