#!/bin/sh
# run-all.sh: unit and golden tests, then the system tests; the last line sums them up. BUILD names the
# build folder, SAN is handed to make. Used by `make test` and by CI for the sanitizer runs.
set -u
cd "$(dirname "$0")/.."
sums=$(mktemp) out=$(mktemp)
trap 'rm -f "$sums" "$out"' EXIT

stage() { # stage COMMAND...: shows the output and keeps its "name: N passed, M failed"
    "$@" 2>&1 | tee "$out"
    grep -E '^(unit|system): [0-9]+ passed, [0-9]+ failed' "$out" >>"$sums"
}

jobs=$(nproc)
stage make --no-print-directory -j"$jobs" -k check
n=$(wc -l <"$sums")
[ "$n" -eq 1 ] || { echo "unit: 0 passed, 1 failed" >>"$sums"; echo "the unit tests did not run to their end"; }
stage make --no-print-directory -j"$jobs" system
[ "$(wc -l <"$sums")" -eq 2 ] || { echo "system: 0 passed, 1 failed" >>"$sums"; echo "the system tests did not run to their end"; }

passed=$(awk '{n += $2} END {print n + 0}' "$sums")
failed=$(awk '{n += $4} END {print n + 0}' "$sums")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
