#!/bin/bash
# peers.sh BUILD [SECONDS]: the figures of docs/benchmarks.md that are ratios against a peer: requests and bytes
# through our server, agent and tunnel, and through nginx and HAProxy in the same run, from the same client
# (test/bench/http_load.c), with the same bytes, in turns. Everything runs in a network namespace of its own.
# Prints a table; installs nothing and leaves nothing behind.
set -u
. "$(dirname "$0")/net.sh"
build=$1 seconds=${2:-2}
seconds=$(awk -v s="$seconds" 'BEGIN { print (s > 5) ? 5 : s }')
bin=$build/coracle load=$build/test/bench/http_load
rounds=3
for p in "$bin" "$load"; do [ -x "$p" ] || { echo "peers: $p is missing: make bench builds it"; exit 1; }; done
[ "$(id -u)" = 0 ] || { echo "peers: root is needed"; exit 1; }
t=$(mktemp -d /tmp/peers.XXXXXX)
ns=peers$$
status=0 server='' agent='' nginx='' haproxy=''

cleanup() {
    [ -z "$agent" ] || { kill -USR1 "$agent"; wait "$agent"; } 2>/dev/null
    [ -z "$server" ] || { kill -TERM "$server"; wait "$server"; } 2>/dev/null
    for p in $nginx $haproxy; do { kill -TERM "$p" && wait "$p"; } 2>/dev/null; done
    net_gone
    awk -v d="$t/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do umount -l "$m"; done
    rm -rf "$t"
}
trap cleanup EXIT
net_make

tls=$t/data/server/tls
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / hz }' "/proc/$1/stat"; }
admin() { in_ns curl -s --max-time 5 --cacert "$tls/server-ca.crt" --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" "https://127.0.0.1:6443$1"; }
wait_for() { # wait_for WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 300); do "$@" && return 0; sleep 0.05; done
    echo "peers: $what did not come within 15 s"
    tail -n 3 "$t"/*.log
    exit 1
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# measure NAME PIDS LOAD-ARGS...: one round. PIDS (comma separated): whose CPU time counts. Appends
# "requests/s  p50 us  MB/s  CPU us per s" to $t/NAME.
measure() {
    local name=$1 before=0 after=0 p line
    local -a pids
    IFS=, read -ra pids <<<"$2"
    shift 2
    for p in "${pids[@]}"; do before=$(awk "BEGIN { print $before + $(cpu_ms "$p") }"); done
    line=$(in_ns timeout 15 "$load" -t "$seconds" "$@") || { echo "peers: $name failed: $load $*"; return 1; }
    for p in "${pids[@]}"; do after=$(awk "BEGIN { print $after + $(cpu_ms "$p") }"); done
    [ "${line##* }" = 0 ] || { echo "peers: $name: ${line##* } answers were not 200"; return 1; }
    echo "$line $before $after" | awk -v s="$seconds" '{ print $1, $2, $3, ($6 - $5) * 1000 / s }' >>"$t/$name"
}
column() { awk -v c="$2" '{ print $c }' "$t/$1" | median; }
compare() { # compare TITLE COLUMN UNIT OURS PEER GOAL
    if [ "$(cat "$t/$4" "$t/$5" 2>/dev/null | wc -l)" != $((2 * rounds)) ]; then
        echo "$1: a round failed, so there is no ratio"
        status=1
        return
    fi
    awk -v title="$1" -v unit="$3" -v a="$(column "$4" "$2")" -v b="$(column "$5" "$2")" -v peer="$5" -v goal="$6" \
        -v ca="$(column "$4" 4)" -v cb="$(column "$5" 4)" \
        'BEGIN { printf "%-50s %9.1f %s, %s %.1f: %.2fx (goal %s)", title, a, unit, peer, b, a / b, goal
                 if (sub("/s", "", unit)) printf "; CPU us per %s: %.1f, peer %.1f", unit, ca / a, cb / b
                 print "" }'
}

(exec nsenter --net=/run/netns/$ns "$bin" server --disable-agent --data-dir "$t/data" --node-dir "$t/node" --run-dir "$t/run" \
    --config "$t/none" --write-kubeconfig "$t/kubeconfig") >>"$t/server.log" 2>&1 &
server=$!
answers() { [ -s "$tls/client-admin.crt" ] && [ "$(admin /readyz)" = ok ]; }
wait_for "the server's first answer" answers
(exec nsenter --net=/run/netns/$ns "$bin" agent --server https://127.0.0.1:6443 --token-file "$t/data/server/agent-token" --data-dir "$t/data" \
    --node-dir "$t/node" --run-dir "$t/run" --config "$t/none" --node-name n1) >>"$t/agent.log" 2>&1 &
agent=$!
node_ready() { admin /api/v1/nodes/n1 | grep -qE '"reason":"KubeletReady"'; }
wait_for "a Ready node" node_ready
client=(-E "$tls/client-admin.crt" -K "$tls/client-admin.key")
kubelet_client=(-E "$tls/client-kube-apiserver.crt" -K "$tls/client-kube-apiserver.key")
serving=$(find "$t/data/agent" -name 'serving-kubelet.crt' | head -n 1)

mkdir -p "$t/www"
admin /api/v1/nodes/n1 >"$t/www/node"
head -c $((64 * 1024 * 1024)) /dev/zero >"$t/www/bulk"
echo "a Node has $(stat -c %s "$t/www/node") bytes; $seconds s each, medians of $rounds rounds; load before: $(cut -d' ' -f1-3 /proc/loadavg)"

# nginx: one worker. 8443 shows the certificate of our server's kind (EC P-256 of the same CA) and asks for one of the
# client; 10010 stands for a bulk source beside the kubelet, the only other port the tunnel may reach.
if command -v nginx >/dev/null 2>&1; then
    cat >"$t/nginx.conf" <<END
worker_processes 1;
daemon off;
pid $t/nginx.pid;
error_log $t/nginx.log;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    open_file_cache max=16 inactive=300s;
    open_file_cache_valid 300s;
    default_type application/json;
    client_body_temp_path $t; proxy_temp_path $t; fastcgi_temp_path $t; uwsgi_temp_path $t; scgi_temp_path $t;
    root $t/www;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_certificate $tls/client-ca.crt;
    ssl_verify_client optional;
    ssl_certificate $serving;
    ssl_certificate_key ${serving%.crt}.key;
    server { listen 127.0.0.1:8443 ssl http2; }
    server { listen 127.0.0.1:10010 ssl; }
    server { listen 127.0.0.1:8080; }
}
END
    chmod 755 "$t" "$t/www"
    (exec nsenter --net=/run/netns/$ns nginx -c "$t/nginx.conf") >>"$t/nginx.log" 2>&1 &
    nginx=$!
    nginx_answers() { in_ns curl -sk -o /dev/null --max-time 1 https://127.0.0.1:8443/node; }
    wait_for "nginx" nginx_answers
    worker=$(pgrep -P "$nginx")
fi
if [ -n "$nginx" ] && command -v haproxy >/dev/null 2>&1; then
    cat "$serving" "${serving%.crt}.key" >"$t/haproxy.pem"
    cat >"$t/haproxy.cfg" <<END
global
  nbthread 1
  maxconn 512
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen tls
  bind 127.0.0.1:9443 ssl crt $t/haproxy.pem ca-file $tls/client-ca.crt verify optional
  server s 127.0.0.1:8080
END
    (exec nsenter --net=/run/netns/$ns haproxy -db -f "$t/haproxy.cfg") >>"$t/haproxy.log" 2>&1 &
    haproxy=$!
    haproxy_answers() { in_ns curl -sk -o /dev/null --max-time 1 https://127.0.0.1:9443/node; }
    wait_for "HAProxy" haproxy_answers
fi

cipher() { in_ns "$load" -v -c 1 -t 0 "${client[@]}" "127.0.0.1:$1" /readyz 2>"$t/cipher" >/dev/null; cat "$t/cipher"; }
echo "TLS: server $(cipher 6443); nginx $([ -z "$nginx" ] || cipher 8443); haproxy $([ -z "$haproxy" ] || cipher 9443)"

if [ -n "$nginx" ]; then
    for proto in h1 h2; do
        flags=(-c 8)
        [ $proto = h1 ] || flags=(-2 -c 4 -m 16)
        for _ in $(seq $rounds); do
            measure node_$proto "$server" "${flags[@]}" "${client[@]}" 127.0.0.1:6443 /api/v1/nodes/n1 || break
            measure nginx_$proto "$worker" "${flags[@]}" "${client[@]}" 127.0.0.1:8443 /node || break
        done
        compare "small GET of a Node over TLS, $proto" 1 "request/s" node_$proto nginx_$proto ">= 0.6"
    done
else
    echo "small GET of a Node: nginx is missing, so there is no ratio (make deps-bench)"
fi

for _ in $(seq $rounds); do
    measure proxied "$server,$agent" -c 1 "${client[@]}" 127.0.0.1:6443 /api/v1/nodes/n1/proxy/healthz || break
    measure direct "$agent" -c 1 "${kubelet_client[@]}" 127.0.0.1:10250 /healthz || break
done
compare "node-proxy request through the tunnel, p50" 2 us proxied direct "<= 3"

if [ -n "$haproxy" ]; then
    for _ in $(seq $rounds); do
        measure bulk "$server,$agent" -c 1 "${client[@]}" 127.0.0.1:6443 /api/v1/nodes/n1:10010/proxy/bulk || break
        measure haproxy_hop "$haproxy" -c 1 "${client[@]}" 127.0.0.1:9443 /bulk || break
    done
    compare "node-proxy bulk, three TLS layers, source nginx" 3 "MB/s" bulk haproxy_hop ">= 0.2"
else
    echo "node-proxy bulk: nginx (the source) and haproxy (the hop) are needed (make deps-bench)"
fi
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
exit "$status"
