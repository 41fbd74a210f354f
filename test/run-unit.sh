#!/bin/sh
# run-unit.sh TEST...: runs each cmocka program with a deadline (UNIT_SECONDS), prints what failed, and sums up.
set -u
passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for t in "$@"; do
    if timeout "${UNIT_SECONDS:-120}" "$t" >"$out" 2>&1; then
        n=$(grep -c '^\[       OK \]' "$out") || true
        passed=$((passed + n))
    else
        code=$?
        n=$(grep -c '^\[       OK \]' "$out") || true
        passed=$((passed + n))
        f=$(sed -n 's/^ *\([0-9]*\) FAILED TEST(S).*/\1/p' "$out" | tail -n 1)
        [ "${f:-0}" -gt 0 ] || f=1 # it crashed or leaked
        failed=$((failed + f))
        echo "--- $t (exit $code)"
        tail -n 60 "$out"
    fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" = 0 ]
