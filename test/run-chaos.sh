#!/bin/sh
# run-chaos.sh BUILD TEST...: the tests of tunnel and store under faults in their long form; figures on
# stdout, what they logged in BUILD/chaos.log. FAULT_SEED=, CUTS=, CUT_LINES=, CUT_MAX_MS=, CYCLES=,
# STORE_CRASHES=, STORE_DAYS= as wanted.
set -u
build=$1
shift
export CUTS="${CUTS:-1000}" CUT_LINES="${CUT_LINES:-50}" CUT_MAX_MS="${CUT_MAX_MS:-13000}" CYCLES="${CYCLES:-1000000}"
export STORE_CRASHES="${STORE_CRASHES:-200}" STORE_DAYS="${STORE_DAYS:-30}"
passed=0 failed=0
: >"$build/chaos.log"
for t in "$@"; do
    echo "--- $t"
    if "$t" 2>>"$build/chaos.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "chaos: $passed passed, $failed failed"
[ "$failed" = 0 ]
