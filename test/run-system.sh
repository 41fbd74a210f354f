#!/bin/sh
# run-system.sh [FILE...]: the system tests: bats files over network namespaces and real programs. FILE@etcd:
# with an etcd as the datastore of its servers. Without FILE: all, and those of the API once more @etcd.
# CORACLE is the binary under test. A test that the host cannot run skips itself with the reason.
# SYSTEM_JOBS files run at a time (2): their hosts have names of their own, and most of them wait. What a
# file prints is shown when it has ended.
set -u
cd "$(dirname "$0")/system"
if [ "$#" = 0 ]; then
    set -- *.bats
    for f in apply.bats crd.bats delete.bats kubectl*.bats; do
        if [ -e "$f" ] && command -v etcd >/dev/null; then set -- "$@" "$f@etcd"; fi
    done
fi
[ -e "${1%@*}" ] || { echo "system: 0 passed, 0 failed"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "system tests need root"; echo "system: 0 passed, 1 failed"; exit 1; }
command -v bats >/dev/null || { echo "bats is missing: make deps-test"; exit 1; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# sh -c gets the folder as $0: a variable in the environment would be one in the tests, too
printf '%s\n' "$@" | xargs -P "${SYSTEM_JOBS:-2}" -I{} sh -c '
    began=$(date +%s)
    case {} in *@*) export TEST_DATASTORE={}; TEST_DATASTORE=${TEST_DATASTORE#*@} ;; esac
    file={}
    timeout "${SYSTEM_TIMEOUT_S:-1500}" bats --tap "${file%@*}" >"$0/{}" 2>&1
    { echo "--- {}: $(($(date +%s) - began)) s"; cat "$0/{}"; } >"$0/{}.shown"
    flock "$0" cat "$0/{}.shown"' "$out"
passed=0 failed=0
for f in "$@"; do
    ok=$(grep -cE '^ok ' "$out/$f") bad=$(grep -cE '^not ok ' "$out/$f")
    planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out/$f" | head -n 1)
    missing=$((${planned:-1} - ok - bad))
    [ "$missing" -le 0 ] || { echo "$f: $missing tests did not run"; bad=$((bad + missing)); }
    passed=$((passed + ok)) failed=$((failed + bad))
done
echo "system: $passed passed, $failed failed"
[ "$failed" = 0 ]
