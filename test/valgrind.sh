#!/bin/bash
# valgrind.sh BUILD: one join and a stop under valgrind's memcheck: a server, an agent without a container
# runtime, a hollow agent; each is then asked for lost memory, invalid accesses and descriptors that were
# left open. Slow, so not part of the tests: make valgrind.
set -u
. "$(dirname "$0")/bench/net.sh"
build=$1
command -v valgrind >/dev/null || { echo "valgrind is not installed: make deps-valgrind"; exit 1; }
[ "$(id -u)" = 0 ] || { echo "valgrind: root is needed: a network namespace is made"; exit 1; }
t=$(mktemp -d /tmp/valgrind.XXXXXX)
ns=valgrind$$
server="" agent="" hollow=""

cleanup() {
    for p in $agent $hollow $server; do kill -KILL "$p" 2>/dev/null; done
    net_gone
    rm -rf "$t"
}
trap cleanup EXIT
net_make

# Still reachable is not lost: OpenSSL and libuv keep tables for the life of the process.
check() { # check NAME COMMAND...: runs it in the background; its pid is in $!
    local name=$1
    shift
    (exec nsenter --net=/run/netns/$ns valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,possible --track-fds=yes --error-exitcode=99 --num-callers=30 \
 --log-file="$t/$name.valgrind" "$@") >"$t/$name.log" 2>&1 </dev/null &
}
wait_until() { # wait_until SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "gave up waiting for: $*"; tail -n 5 "$t"/*.log; exit 1; }
        sleep 0.5
    done
}
folders() { echo --data-dir "$t/$1/data" --node-dir "$t/$1/node" --run-dir "$t/$1/run" --config "$t/none"; }
admin() { # admin CURL-ARGS... PATH
    local tls=$t/server/data/server/tls
    in_ns curl -s --max-time 20 --cacert "$tls/server-ca.crt" --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" \
        "https://127.0.0.1:6443$1"
}
ready() { [ "$(admin /readyz)" = ok ]; }
registered() { admin "/api/v1/nodes/$1" | grep -q '"machineID"'; }
has_tunnel() { grep -q "tunnel connected.*node=$1 " "$t/server.log"; }

# shellcheck disable=SC2046
check server "$build/coracle" server --disable-agent $(folders server) --write-kubeconfig "$t/kubeconfig"
server=$!
wait_until 300 ready
token=$t/server/data/server/agent-token
# shellcheck disable=SC2046
check agent "$build/coracle" agent --server https://127.0.0.1:6443 --token-file "$token" $(folders agent) \
    --container-runtime-endpoint /dev/null --node-name real
agent=$!
check hollow "$build/hollow" --server https://127.0.0.1:6443 --token-file "$token" --dir "$t/hollow" --agents 1
hollow=$!
wait_until 180 registered real
wait_until 180 registered hollow-0
wait_until 60 has_tunnel real
wait_until 60 has_tunnel hollow-0
sleep 15 # a lease, a ping

status=0
result() { # result NAME PID
    wait "$2"
    local code=$? left
    # what it inherited is the caller's; valgrind's own log is among that
    left=$(awk '/Open .*descriptor/ { getline how; if (how !~ /inherited/) n++ } END { print n + 0 }' "$t/$1.valgrind")
    if [ $code = 0 ] && [ "$left" = 0 ]; then
        echo "valgrind: $1: nothing lost, no invalid access, no descriptor left open"
    else
        echo "valgrind: $1: exit status $code, $left descriptors left open"
        cat "$t/$1.valgrind"
        status=1
    fi
}
kill -TERM $agent
result agent $agent
kill -TERM $hollow
result hollow $hollow
kill -TERM $server
result server $server
agent="" hollow="" server=""
exit $status
