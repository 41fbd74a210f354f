#!/bin/sh
# run.sh: runs every program of test/bench, which `make bench` built into BUILD, on the disk of BENCH_DIR (a
# folder of its own inside BUILD unless given) for BENCH_SECONDS each step. Figures go to stdout as the program
# prints them; docs/benchmarks.md says what they mean and which goals they have. Nothing is installed.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
seconds=${BENCH_SECONDS:-3}
dir=${BENCH_DIR:-$build/bench}
status=0
mkdir -p "$dir" || exit 1

echo "machine: $(nproc) cores, $(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB, Linux $(uname -r)"
echo "disk: $(df --output=source,fstype "$dir" | tail -n 1 | tr -s ' ') at $dir"

for src in test/bench/*_bench.c; do
    name=$(basename "$src" .c)
    echo "--- $name"
    [ -x "$build/test/bench/$name" ] || { echo "$name is not built: make bench builds it"; status=1; continue; }
    case $name in
    etcd_bench) sh test/bench/with_etcd.sh "$dir" "$build/test/bench/$name" "$seconds" ;;
    *) "$build/test/bench/$name" "$dir" "$seconds" ;;
    esac || { echo "$name failed"; status=1; }
done

echo "--- figures of a server and an agent"
if [ "$(id -u)" = 0 ]; then
    bash test/bench/figures.sh "$build" "${IDLE_SECONDS:-25}" || status=1
else
    echo "root is needed: network namespaces and pods are made"
fi

echo "--- ratios against nginx and HAProxy, through a server and an agent"
if [ "$(id -u)" = 0 ]; then
    bash test/bench/peers.sh "$build" "$seconds" || status=1
else
    echo "root is needed: network namespaces are made"
fi

echo "--- the API with many objects"
if [ "$(id -u)" = 0 ]; then
    bash test/bench/api.sh "$build" "$seconds" "$dir" || status=1
else
    echo "root is needed: network namespaces are made"
fi

agents=${HOLLOW_AGENTS:-2000}
echo "--- a server with $agents agents (HOLLOW_AGENTS=0 leaves this out)"
if [ "$agents" -gt 0 ] && [ "$(id -u)" = 0 ]; then
    bash test/bench/hollow.sh "$build" "$agents" || status=1
fi

# Peers that nothing is compared with yet.
echo "--- other peers"
peer() { # peer PROGRAM WHAT IT IS COMPARED IN
    if command -v "$1" >/dev/null 2>&1; then
        echo "$1: installed, but no program in test/bench measures $2 yet"
    else
        echo "$1: missing, so $2 cannot be measured"
    fi
}
peer ctr "the start of a container against the start of a pod"
echo "haproxy and nginx come with: make deps-bench"
exit $status
