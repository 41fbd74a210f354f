#!/bin/sh
# up.sh BUILD: a one-node cluster on this machine, in the background. State lies under K3s's paths, or
# all under DIR where that is set. Refuses, naming it, when somebody else owns the ports or the paths.
set -eu
cd "$(dirname "$0")/.."
build=$1
. tools/paths.sh

fail() {
    echo "up: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || fail "root is needed: pods, networks and mounts are made"

if pid=$(running_pid); then
    echo "up: already running (pid $pid)"
else
    # ---- is the place free? ----
    for port in 6443 6444 10250; do
        owner=$(ss -Hltnp "sport = :$port" | sed -n 's/.*users:((\(.*\)))$/\1/p' | head -n 1)
        [ -z "$owner" ] || fail "port $port is in use by $owner: stop it first, or use another machine"
    done
    for p in k3s-server k3s-agent k3s; do
        other=$(pgrep -x "$p" | head -n 1)
        [ -z "$other" ] || fail "a K3s is running here ($p, pid $other): stop it first"
    done
    for f in server/db/state.db server/db/etcd; do
        [ ! -e "$DATA_DIR/$f" ] ||
            fail "$DATA_DIR holds the data of a K3s ($f): its datastore cannot be taken over; use DIR=/some/folder"
    done
    if [ -e "$DATA_DIR/agent/containerd" ] && [ ! -e "$DATA_DIR/server/db/coracle.db" ]; then
        fail "$DATA_DIR/agent/containerd is not ours: use DIR=/some/folder"
    fi

    mkdir -p "$DATA_DIR/agent/images" "$RUN_DIR" "$(dirname "$LOG")"
    make --no-print-directory BUILD="$build" "$build/images/busybox.tar" >/dev/null
    cp "$build/images/busybox.tar" "$DATA_DIR/agent/images/"
    : >"$LOG"
    # shellcheck disable=SC2086
    setsid "$build/coracle" server $FLAGS >>"$LOG" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$PID_FILE"
fi

# ---- wait until the node is Ready ----
k() { KUBECONFIG=$KUBECONFIG_FILE "$build/coracle" kubectl "$@"; }
ready() {
    [ -s "$KUBECONFIG_FILE" ] && k get nodes --no-headers 2>/dev/null | grep -q ' Ready '
}
i=0
until ready; do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$LOG" >&2; fail "coracle has ended; its log is $LOG"; }
    i=$((i + 1))
    [ $i -lt 600 ] || { tail -n 20 "$LOG" >&2; fail "no Ready node after 60 s; the log is $LOG"; }
    sleep 0.1
done
echo
k get nodes -o wide

# ---- the example pod ----
echo
k apply -f docs/examples/hello.yaml >/dev/null
i=0
until k logs hello 2>/dev/null | grep -q hello; do
    i=$((i + 1))
    [ $i -lt 300 ] || { k describe pod hello >&2; fail "the example pod did not start; the log is $LOG"; }
    sleep 0.1
done
echo "kubectl logs hello:"
k logs hello
cat <<EOF

The cluster is up. Log: $LOG
  export KUBECONFIG=$KUBECONFIG_FILE    then kubectl works (or: $build/coracle kubectl ...)
  make down                             stops it and removes its pods${DIR:+ (with the same DIR=)}
EOF
