#!/bin/sh
# run-fuzz.sh BUILD SECONDS: every harness for an equal share of the time, starting from its corpus.
# A crash leaves its input in BUILD/fuzz and fails the run.
set -u
build=$1 seconds=$2
cd "$(dirname "$0")/.."
n=$(ls test/fuzz/*_fuzz.c 2>/dev/null | wc -l)
[ "$n" -gt 0 ] || { echo "fuzz: 0 passed, 0 failed"; exit 0; }
share=$((seconds / n)); [ "$share" -gt 0 ] || share=1
passed=0 failed=0
for src in test/fuzz/*_fuzz.c; do
    name=$(basename "$src" .c)
    work=$build/fuzz/$name
    mkdir -p "$work"
    corpus=test/fuzz/corpus/${name%_fuzz}
    [ -d "$corpus" ] || corpus=
    if "$build/test/fuzz/$name" -max_total_time="$share" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="$work/crash-" -print_final_stats=1 "$work" $corpus >"$work.log" 2>&1; then
        passed=$((passed + 1))
        echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log") inputs"
    else
        failed=$((failed + 1))
        echo "--- $name"
        tail -n 40 "$work.log"
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" = 0 ]
