#!/bin/sh
# run-unit.sh TEST...: runs each cmocka program with a deadline (UNIT_SECONDS), prints what failed, and sums up.
# UNIT_JOBS of them run at a time (2): the long ones wait for most of their time. TEST_AGAIN: so many that failed
# (0) are run once more, alone, at the end; what passes then is counted as passed and named on a line "flaky: ".
# The deadline is for what hangs, not for a busy machine.
set -u
if [ "${1-}" = --one ]; then # run-unit.sh --one DIR TEST: "passed failed" go into a file of DIR
    dir=$2 t=$3 failed=0
    out=$(mktemp "$dir/XXXXXX.out")
    timeout "${UNIT_SECONDS:-600}" "$t" >"$out" 2>&1
    code=$?
    passed=$(grep -c '^\[       OK \]' "$out")
    if [ "$code" != 0 ]; then
        failed=$(sed -n 's/^ *\([0-9]*\) FAILED TEST(S).*/\1/p' "$out" | tail -n 1)
        [ "${failed:-0}" -gt 0 ] || failed=1 # it crashed or leaked
        # of a sanitizer's report the beginning counts, of all else the end
        { echo "--- $t (exit $code)"; grep -m 1 -A 45 -E 'ERROR: .*Sanitizer|runtime error:' "$out" || tail -n 60 "$out"; } >"$out.shown"
        flock "$dir" cat "$out.shown"
        { sed -n 's/^\[  FAILED  \] \([a-z0-9_]*\)$/\1/p' "$out" | sort -u; sed -n 's/^\[ RUN      \] //p' "$out" | tail -n 1; } | tr '\n' ' ' |
            sed "s|^|failed: $t: |; s|\$|(exit $code; the last name is where it ended)|" >"${out%.out}.failed"
    fi
    echo "$passed $failed" >"${out%.out}.sum"
    exit 0
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2046
printf '%s\n' "$@" | $(sh "$(dirname "$0")/fixed-addresses.sh" "$1") xargs -P "${UNIT_JOBS:-2}" -I{} sh "$0" --one "$dir" {}
again() { # FAILED_FILE: whether its program passes now, with nothing beside it
    t=$(sed 's/^failed: \([^:]*\): .*/\1/' "$1")
    mkdir "$dir/again"
    # shellcheck disable=SC2046
    $(sh "$(dirname "$0")/fixed-addresses.sh" "$t") sh "$0" --one "$dir/again" "$t"
    [ ! -e "$dir"/again/*.failed ] && cat "$dir"/again/*.sum >"${1%.failed}.sum"
    passes=$?
    rm -rf "$dir/again"
    return "$passes"
}
few=$(find "$dir" -name '*.failed' | wc -l)
[ "$few" -le "${TEST_AGAIN:-0}" ] || few=0
for f in "$dir"/*.failed; do # once more at the end, where one looks first
    [ -e "$f" ] || continue
    if [ "$few" -gt 0 ] && again "$f"; then sed -i 's/^failed: /flaky: /' "$f"; fi
    cat "$f"
    echo
done
cat "$dir"/*.sum | awk -v n=$# '
    { passed += $1; failed += $2 }
    END {
        if (NR < n) failed += n - NR
        printf "unit: %d passed, %d failed\n", passed, failed
        exit failed > 0
    }'
