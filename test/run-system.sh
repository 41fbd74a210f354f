#!/bin/sh
# run-system.sh [FILE...]: the system tests: bats files over network namespaces and real programs.
# CORACLE is the binary under test. A test that the host cannot run skips itself with the reason.
set -u
cd "$(dirname "$0")/system"
[ "$#" -gt 0 ] || set -- *.bats
[ -e "$1" ] || { echo "system: 0 passed, 0 failed"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "system tests need root"; echo "system: 0 passed, 1 failed"; exit 1; }
command -v bats >/dev/null || { echo "bats is missing: make deps-test"; exit 1; }

out=$(mktemp)
trap 'rm -f "$out"' EXIT
timeout "${SYSTEM_TIMEOUT_S:-1500}" bats --tap "$@" 2>&1 | tee "$out"
passed=$(grep -cE '^ok ' "$out")
failed=$(grep -cE '^not ok ' "$out")
planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out" | head -n 1)
missing=$((${planned:-1} - passed - failed))
[ "$missing" -le 0 ] || { echo "$missing tests did not run"; failed=$((failed + missing)); }
echo "system: $passed passed, $failed failed"
[ "$failed" = 0 ]
