#!/bin/bash
# figures.sh BUILD [IDLE_SECONDS]: the figures of docs/benchmarks.md that need no peer: memory, sizes and
# times of a server and an agent with a pod, in a network namespace of their own. Prints a table; leaves
# nothing behind.
set -u
. "$(dirname "$0")/net.sh"
build=$1 idle_s=${2:-30}
bin=$build/coracle
[ -x "$bin" ] || { echo "figures: $bin is missing: make"; exit 1; }
[ "$(id -u)" = 0 ] || { echo "figures: root is needed"; exit 1; }
t=$(mktemp -d /tmp/figures.XXXXXX)
ns=figures$$
server= agent=

cleanup() {
    [ -z "$agent" ] || { kill -USR1 "$agent"; wait "$agent"; } 2>/dev/null
    [ -z "$server" ] || { kill -TERM "$server"; wait "$server"; } 2>/dev/null
    net_gone
    awk -v d="$t/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do umount -l "$m"; done
    rm -rf "$t"
}
trap cleanup EXIT
net_make

now_ms() { echo $(($(date +%s%N) / 1000000)); }
rss_kb() { awk '/VmRSS/ { print $2 }' "/proc/$1/status"; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
written() { awk '/^write_bytes/ { print $2 }' "/proc/$1/io"; }
row() { printf '%-58s %s\n' "$1" "$2"; }
admin() { # admin PATH CURL-ARGS...
    local path=$1
    shift
    in_ns curl -s --max-time 5 --cacert "$t/data/server/tls/server-ca.crt" --cert "$t/data/server/tls/client-admin.crt" \
        --key "$t/data/server/tls/client-admin.key" "$@" "https://127.0.0.1:6443$path"
}
until_true() { # until_true LIMIT_MS COMMAND...: prints the milliseconds since $began
    local end=$((began + $1))
    shift
    until "$@"; do
        [ "$(now_ms)" -lt $end ] || { echo "(gave up)"; return 1; }
        sleep 0.01
    done
    echo "$(($(now_ms) - began)) ms"
}
answers() { [ -s "$t/data/server/tls/client-admin.crt" ] && [ "$(admin /readyz)" = ok ]; }
node_ready() { admin /api/v1/nodes/n1 | grep -qE '"reason":"KubeletReady"'; }
pod_runs() { admin /api/v1/namespaces/default/pods/hello | grep -q '"phase":"Running"'; }
writers() { admin /metrics | sed -n 's/^coracle_store_written_bytes_total{writer="\(.*\)"} /\1 /p'; }
start_server() {
    began=$(now_ms)
    (exec nsenter --net=/run/netns/$ns "$bin" server --disable-agent --data-dir "$t/data" --node-dir "$t/node" --run-dir "$t/run" \
        --config "$t/none" --write-kubeconfig "$t/kubeconfig") >>"$t/server.log" 2>&1 &
    server=$!
}

row "date" "$(date -u +%F)"
row "machine" "$(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), kernel $(uname -r)"
strip -o "$t/stripped" "$bin"
row "binary, stripped" "$(($(stat -c %s "$t/stripped") / 1024)) KiB"

start_server
row "fresh server (all CAs made) to first answer" "$(until_true 10000 answers)"
kill -TERM $server
wait $server
start_server
row "server with existing data to first answer" "$(until_true 10000 answers)"

mkdir -p "$t/data/agent/images"
cp "$build/images/busybox.tar" "$t/data/agent/images/" 2>/dev/null || { echo "figures: make images"; exit 1; }
sleep "$idle_s"
row "RSS, idle server ($idle_s s)" "$(rss_kb $server) kB"
ticks=$(cpu_ticks $server) bytes=$(written $server)
sleep "$idle_s"
row "CPU, idle server, no node" "$(((($(cpu_ticks $server) - ticks)) * 1000 / idle_s / $(getconf CLK_TCK))) thousandths of a core"
row "written, idle server, no node" "$((($(written $server) - bytes) / idle_s)) B/s"

began=$(now_ms)
(exec nsenter --net=/run/netns/$ns "$bin" agent --server https://127.0.0.1:6443 --token-file "$t/data/server/agent-token" --data-dir "$t/data" \
    --node-dir "$t/node" --run-dir "$t/run" --config "$t/none" --node-name n1) >>"$t/agent.log" 2>&1 &
agent=$!
row "agent start to node Ready, containerd started by it" "$(until_true 20000 node_ready)"
sleep 2
began=$(now_ms)
in_ns env KUBECONFIG="$t/kubeconfig" kubectl create -f "$(dirname "$0")/../../docs/examples/hello.yaml" >/dev/null
row "kubectl create of a pod to Running (kubectl's own start in it)" "$(until_true 20000 pod_runs)"
urls=()
for _ in $(seq 100); do urls+=(-o /dev/null "https://127.0.0.1:6443/api/v1/nodes/n1/proxy/healthz"); done
in_ns curl -s --cacert "$t/data/server/tls/server-ca.crt" --cert "$t/data/server/tls/client-admin.crt" --key "$t/data/server/tls/client-admin.key" \
    -w '%{time_total}\n' "${urls[@]}" | sort -n >"$t/times"
row "node proxy call through the tunnel, keep-alive, median of 100" "$(awk 'NR == 50 { printf "%.2f ms", $1 * 1000 }' "$t/times")"

sleep "$idle_s"
row "RSS, server with one node" "$(rss_kb $server) kB"
row "RSS, agent with a pod" "$(rss_kb $agent) kB"
containerd=$(pgrep -P "$agent" -x containerd)
row "RSS, containerd" "$(rss_kb "$containerd") kB"
row "RSS, shim of the pod" "$(rss_kb "$(pgrep -f -- "-address $t/run/containerd/containerd.sock" | head -n 1)") kB"
ticks=$(cpu_ticks $server) bytes=$(written $server) agent_ticks=$(cpu_ticks $agent) agent_bytes=$(written $agent)
writers >"$t/writers"
sleep "$idle_s"
row "CPU, server with one node" "$(((($(cpu_ticks $server) - ticks)) * 1000 / idle_s / $(getconf CLK_TCK))) thousandths of a core"
row "CPU, agent with a pod" "$(((($(cpu_ticks $agent) - agent_ticks)) * 1000 / idle_s / $(getconf CLK_TCK))) thousandths of a core"
row "written, server with one node" "$((($(written $server) - bytes) / idle_s)) B/s"
row "written, agent with a pod" "$((($(written $agent) - agent_bytes) / idle_s)) B/s"
# What the store gave to the disk meanwhile, by what caused it; the line above counts whole pages of the file system.
writers | awk -v s="$idle_s" 'NR == FNR { was[$1] = $2; next } $2 > was[$1] { printf "%-58s %.0f B/s\n", "  of it, by " $1, ($2 - was[$1]) / s }' \
    "$t/writers" -
