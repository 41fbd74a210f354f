#!/bin/sh
# with_etcd.sh DIR PROGRAM [ARG...]: runs "PROGRAM URL ARG..." with an etcd of its own, whose data lies in
# a new folder of DIR, on loopback ports made from our pid.
set -u
dir=$1 program=$2
shift 2
command -v etcd >/dev/null || { echo "etcd is not installed: left out"; exit 0; }
data=$(mktemp -d "$dir/etcd.XXXXXX") || exit 1
port=$((20000 + $$ % 20000 * 2))
etcd --data-dir "$data" --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
    --listen-peer-urls "http://127.0.0.1:$((port + 1))" --logger zap --log-level error >"$data.log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid; rm -rf "$data" "$data.log"' EXIT
"$program" "http://127.0.0.1:$port" "$@"
