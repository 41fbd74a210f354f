#!/bin/bash
# api.sh BUILD [SECONDS] [DIR]: what the API costs with 10 000 Pods of 4 kB: creates against etcd writing the same bytes,
# the whole list against nginx sending a file of that size, a label-selected list against the whole one, one write to 2000
# watchers, memory, cold start. Server, etcd and nginx run in a network namespace of their own, on the disk of DIR. Prints
# a table; installs nothing and leaves nothing behind.
set -u
. "$(dirname "$0")/net.sh"
build=$1 seconds=${2:-3} place=${3:-$1}
pods=${API_PODS:-10000} watchers=${API_WATCHERS:-2000} rounds=3
bin=$build/coracle load=$build/test/bench/api_load get=$build/test/bench/http_load
for p in "$bin" "$load" "$get"; do [ -x "$p" ] || { echo "api: $p is missing: make bench builds it"; exit 1; }; done
[ "$(id -u)" = 0 ] || { echo "api: root is needed"; exit 1; }
t=$(realpath "$(mktemp -d "$place/api.XXXXXX")")
ns=api$$
server='' etcd='' nginx=''

cleanup() {
    for p in $server $etcd $nginx; do { kill -TERM "$p" && wait "$p"; } 2>/dev/null; done
    net_gone
    rm -rf "$t"
}
trap cleanup EXIT
net_make

tls=$t/data/server/tls
pem=("$tls/server-ca.crt" "$tls/client-admin.crt" "$tls/client-admin.key")
admin() { in_ns curl -sA bench --max-time 30 --cacert "${pem[0]}" --cert "${pem[1]}" --key "${pem[2]}" "https://127.0.0.1:6443$1" "${@:2}"; }
answers() { [ -s "${pem[1]}" ] && [ "$(admin /readyz)" = ok ]; }
start_server() {
    (exec nsenter --net=/run/netns/$ns "$bin" server --disable-agent --data-dir "$t/data" --node-dir "$t/node" --run-dir "$t/run" \
        --config "$t/none" --write-kubeconfig "$t/kubeconfig") >>"$t/server.log" 2>&1 &
    server=$!
    for _ in $(seq 1500); do answers && return 0; sleep 0.02; done
    echo "api: the server did not answer within 30 s"; tail -n 3 "$t/server.log"; exit 1
}
memory() { awk -v k="^$1:" '$0 ~ k { print $2 }' "/proc/$server/status"; } # memory VmRSS, in kB
forget_peak() { echo 5 >"/proc/$server/clear_refs"; }
row() { printf '%-58s %s\n' "$1" "$2"; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
us_of() { in_ns timeout 60 "$get" -c 1 -t "$seconds" -E "${pem[1]}" -K "${pem[2]}" "$@" | awk '{ print $2 }'; }

row machine "$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg), kernel $(uname -r), $(date +%F)"
start_server

# creates: in turns, the first one alternates
if command -v etcd >/dev/null 2>&1; then
    (exec nsenter --net=/run/netns/$ns etcd --data-dir "$t/etcd" --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
        --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 --initial-cluster default=http://127.0.0.1:12380 \
        --logger zap --log-level error) >"$t/etcd.log" 2>&1 &
    etcd=$!
    for _ in $(seq 100); do in_ns curl -s --max-time 1 http://127.0.0.1:12379/health | grep -q true && break; sleep 0.1; done
else
    echo "etcd is missing, so creates have no peer: make deps-bench installs it"
fi
ours() { in_ns "$load" 127.0.0.1:6443 "${pem[@]}" create "$1" "$seconds" >>"$t/ours.$1"; }
theirs() { [ -z "$etcd" ] || in_ns "$load" etcd 127.0.0.1:12379 create "$1" "$seconds" >>"$t/etcd.$1"; }
for n in 1 16 64; do
    for i in $(seq $rounds); do
        if [ $((i % 2)) = 1 ]; then ours $n; theirs $n; else theirs $n; ours $n; fi
    done
    a=$(median <"$t/ours.$n")
    if [ -n "$etcd" ]; then b=$(median <"$t/etcd.$n"); peer=", etcd $b/s: $(ratio "$a" "$b")x (goal >= 1.0)"; else peer=; fi
    row "creates, $n clients" "$a/s$peer; errors $(awk '{ n += $2 } END { print n + 0 }' "$t/ours.$n")"
done
[ -z "$etcd" ] || { kill -TERM "$etcd"; wait "$etcd"; } 2>/dev/null
etcd=

# one write to many watchers, then all else on a fresh database
row "one write to $watchers watchers, ms: tenth, last delivery" \
    "$(in_ns "$load" 127.0.0.1:6443 "${pem[@]}" fan "$watchers" 9 | sort -n | awk '{ a[NR] = $1; b[NR] = $2; r[NR] = $2 / $1 }
        END { m = int((NR + 1) / 2); printf "%s, %s: %.1fx (goal <= 5)", a[m], b[m], r[m] }')"
kill -TERM "$server"; wait "$server" 2>/dev/null
rm -rf "$t/data"
start_server
in_ns "$load" 127.0.0.1:6443 "${pem[@]}" fill "$pods" || { echo "api: the pods could not be made"; exit 1; }
row "RSS with $pods pods of 4 kB, just made" "$(memory VmRSS) kB (goal <= 60 MB)"
kill -TERM "$server"; wait "$server" 2>/dev/null
began=$(date +%s%N)
start_server
row "cold start with them to the first answer" "$((($(date +%s%N) - began) / 1000000)) ms (goal <= 1 s)"
row "RSS then" "$(memory VmRSS) kB"

path=/api/v1/namespaces/default/pods
mkdir -p "$t/www"
admin $path >"$t/www/pods"
bytes=$(stat -c %s "$t/www/pods")
forget_peak
before=$(memory VmRSS)
whole=$(us_of 127.0.0.1:6443 $path)
row "peak RSS while the list of $bytes bytes is sent" "$(memory VmHWM) kB: $(ratio "$(memory VmHWM) * 1024" "$bytes")x (goal <= 1.5); before $before kB"
picked=$(us_of 127.0.0.1:6443 "$path?labelSelector=pick%3Dyes")
row "list of 100 by label of $pods, beside the whole" "$picked us, $whole us: $(ratio "$picked" "$whole")x (goal <= 0.1)"
if command -v nginx >/dev/null 2>&1; then
    cat >"$t/nginx.conf" <<END
worker_processes 1;
daemon off;
pid $t/nginx.pid;
error_log $t/nginx.log;
events { worker_connections 64; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/json;
    client_body_temp_path $t; proxy_temp_path $t; fastcgi_temp_path $t; uwsgi_temp_path $t; scgi_temp_path $t;
    root $t/www;
    server { listen 127.0.0.1:8443 ssl; ssl_certificate $t/nginx.crt; ssl_certificate_key $t/nginx.key; }
}
END
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=nginx -days 2 -keyout "$t/nginx.key" -out "$t/nginx.crt" 2>/dev/null
    chmod 755 "$t" "$t/www"
    (exec nsenter --net=/run/netns/$ns nginx -c "$t/nginx.conf") >>"$t/nginx.log" 2>&1 &
    nginx=$!
    for _ in $(seq 100); do in_ns curl -sk -o /dev/null --max-time 1 https://127.0.0.1:8443/ && break; sleep 0.1; done
    [ -d "/proc/$nginx" ] || { echo "api: nginx did not start:"; cat "$t/nginx.log"; exit 1; }
    for i in $(seq $rounds); do
        us_of 127.0.0.1:8443 /pods >>"$t/file"
        us_of 127.0.0.1:6443 $path >>"$t/list"
    done
    row "list of $pods pods, nginx with a file of that size" \
        "$(median <"$t/list") us, $(median <"$t/file") us: $(ratio "$(median <"$t/list")" "$(median <"$t/file")")x (goal <= 2)"
else
    echo "nginx is missing, so the list has no peer: make deps-bench installs it"
fi
