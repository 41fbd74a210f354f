#!/bin/sh
# run-system.sh [FILE...]: the system tests: bats files over network namespaces and real programs. FILE@etcd:
# with an etcd as the datastore of its servers. Without FILE: all, and those of the API once more @etcd.
# CORACLE is the binary under test. A test that the host cannot run skips itself with the reason.
# SYSTEM_JOBS files run at a time (2): their hosts have names of their own, and most of them wait. What a
# file prints is shown when it has ended. TEST_AGAIN: so many files that failed (0) are run once more, alone, at the end;
# what passes then is counted as passed, and the tests that failed at first are named on lines "flaky: ".
set -u
cd "$(dirname "$0")/system"
if [ "$#" = 0 ]; then
    set -- *.bats
    for f in apply.bats crd*.bats delete.bats dual.bats quota.bats kubectl*.bats; do
        if [ -e "$f" ] && command -v etcd >/dev/null; then set -- "$@" "$f@etcd"; fi
    done
fi
[ -e "${1%@*}" ] || { echo "system: 0 passed, 0 failed"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "system tests need root"; echo "system: 0 passed, 1 failed"; exit 1; }
command -v bats >/dev/null || { echo "bats is missing: make deps-test"; exit 1; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# sh -c gets the folder as $0: a variable in the environment would be one in the tests, too
run() { # JOBS FILE...
    jobs=$1
    shift
    # shellcheck disable=SC2046
    printf '%s\n' "$@" | $(sh ../fixed-addresses.sh "${BUILD:-}") xargs -P "$jobs" -I{} sh -c '
        began=$(date +%s)
        case {} in *@*) export TEST_DATASTORE={}; TEST_DATASTORE=${TEST_DATASTORE#*@} ;; esac
        file={}
        timeout "${SYSTEM_TIMEOUT_S:-2400}" bats --tap "${file%@*}" >"$0/{}" 2>&1
        { echo "--- {}: $(($(date +%s) - began)) s"; cat "$0/{}"; } >"$0/{}.shown"
        flock "$0" cat "$0/{}.shown"' "$out"
}
n_ok() { grep -cE '^ok ' "$out/$1"; }
n_bad() { # tests that failed, and those that did not run
    planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out/$1" | head -n 1)
    bad=$((${planned:-1} - $(n_ok "$1")))
    [ "$bad" -ge 0 ] || bad=0
    echo "$bad"
}

run "${SYSTEM_JOBS:-2}" "$@"
for f in "$@"; do [ "$(n_bad "$f")" = 0 ] || echo "$f"; done >"$out/bad"
if [ "$(wc -l <"$out/bad")" -le "${TEST_AGAIN:-0}" ]; then
    while read -r f; do
        mv "$out/$f" "$out/$f.first"
        run 1 "$f" </dev/null
        [ "$(n_bad "$f")" != 0 ] || sed -n "s/^not ok [0-9]*/flaky: $f:/p" "$out/$f.first"
    done <"$out/bad"
fi
passed=0 failed=0
for f in "$@"; do
    passed=$((passed + $(n_ok "$f"))) failed=$((failed + $(n_bad "$f")))
    grep -q '^1\.\.' "$out/$f" || echo "$f: its tests did not run"
done
echo "system: $passed passed, $failed failed"
[ "$failed" = 0 ]
