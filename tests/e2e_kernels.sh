#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# e2e_kernels.sh - the oldest kernel that slid supports: load, count, compare. See kernel_vm.sh.
exec "$(dirname "$0")/kernel_vm.sh" bullseye
