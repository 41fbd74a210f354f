#!/bin/bash
# hollow.sh BUILD [AGENTS] [RATE]: what a server costs with many agents (tools/hollow.c), in a network
# namespace of its own: joins, memory and CPU per agent, heartbeats, and how long all take to come back
# after a restart of the server. Prints a table; leaves nothing behind. Needs memory for the agents' end
# too: about 75 kB each. Bounded: HOLLOW_JOIN_S for the joins (1200), else some minutes.
set -u
. "$(dirname "$0")/net.sh"
build=$1 n=${2:-2000} rate=${3:-20} join_s=${HOLLOW_JOIN_S:-1200} offline_s=${HOLLOW_OFFLINE_S:-300}
for p in "$build/coracle" "$build/hollow"; do
    [ -x "$p" ] || { echo "hollow: $p is missing: make all build/hollow"; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "hollow: root is needed"; exit 1; }
if [ -w /dev/shm ]; then base=/dev/shm; else base=/tmp; fi # the agents' files are not what is measured
t=$(mktemp -d "$base/hollow.XXXXXX")
ns=hollow$$
server="" agents="" prober=""

cleanup() {
    [ -z "$prober" ] || kill "$prober" 2>/dev/null
    [ -z "$agents" ] || { kill -TERM "$agents"; wait "$agents"; } 2>/dev/null
    [ -z "$server" ] || { kill -TERM "$server"; wait "$server"; } 2>/dev/null
    net_gone
    rm -rf "$t"
}
trap cleanup EXIT
net_make

row() { printf '%-66s %s\n' "$1" "$2"; }
memory() { awk -v k="^$1:" '$0 ~ k { print $2 }' "/proc/$server/smaps_rollup"; } # memory Private_Dirty, in kB
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
cpu() { # cpu PID SECONDS: hundredths of a per cent of a core
    local before
    before=$(ticks "$1")
    sleep "$2"
    echo $((($(ticks "$1") - before) * 10000 / $2 / $(getconf CLK_TCK)))
}
percent() { printf '%d.%02d %%' $(($1 / 100)) $(($1 % 100)); }
admin() { # admin PATH CURL-ARGS...
    local path=$1 tls=$t/data/server/tls
    shift
    in_ns curl -s --max-time 30 --cacert "$tls/server-ca.crt" --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" "$@" \
        "https://127.0.0.1:6443$path"
}
start_server() {
    (exec nsenter --net=/run/netns/$ns "$build/coracle" server --disable-agent --cluster-cidr 10.64.0.0/12 --data-dir "$t/data" --node-dir "$t/node" \
        --run-dir "$t/run" --config "$t/none" --write-kubeconfig "$t/kubeconfig") >>"$t/server.log" 2>&1 &
    server=$!
}
answers() { [ -s "$t/data/server/tls/client-admin.crt" ] && [ "$(admin /readyz)" = ok ]; }
wait_until() { # wait_until SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
line() { grep -E '^[0-9.]+ started=' "$t/agents.log" | tail -n 1; }
says() { line | grep -q "$1="; }
said() { line | grep -oE "$1=[0-9.]+" | cut -d= -f2; }
per_agent() { echo $((($1 - $2) * 1024 / n / 100)); } # tenths of kB (1000 bytes)
tenths() { printf '%d.%d' $(($1 / 10)) $(($1 % 10)); }

row "date" "$(date -u +%F)"
row "machine" "$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg), kernel $(uname -r)"
start_server
wait_until 20 answers || { echo "hollow: no server"; tail -n 5 "$t/server.log"; exit 1; }
sleep 25 # what only the start needed is given back
rss0=$(memory Rss) dirty0=$(memory Private_Dirty)
row "RSS and private memory, idle server" "$rss0 kB, $dirty0 kB"

mkfifo "$t/in"
(exec nsenter --net=/run/netns/$ns "$build/hollow" --server https://127.0.0.1:6443 --token-file "$t/data/server/agent-token" \
    --dir "$t/agents" --agents "$n" --rate "$rate" <>"$t/in") >"$t/agents.log" 2>&1 &
agents=$!
server_ticks=$(ticks $server)
wait_until "$join_s" says up_s || { echo "hollow: gave up waiting for the joins"; line; }
row "agents joined, Ready, tunnels, of $n" "$(said joined), $(said ready), $(said tunnels)"
row "all up after; CPU of the server for it, most of it scrypt" \
    "$(said up_s) s; $((($(ticks $server) - server_ticks) * 1000 / $(getconf CLK_TCK) / n)) ms per agent"
sleep 100 # second tunnels go after 30 s, holes of the heap within 60 s
dirty1=$(memory Private_Dirty)
row "private memory of the server with them" "$dirty1 kB: $(tenths "$(per_agent "$dirty1" "$dirty0")") kB per agent"
row "resident memory of the server with them" "$(memory Rss) kB: $(tenths "$(per_agent "$(memory Rss)" "$rss0")") kB per agent"
row "connections per agent" "$(said connections) / $n"
row "CPU of the server, leases every 10 s, status every 5 min" "$(percent "$(cpu $server 60)") of a core"

(while sleep 0.1; do admin '/api/v1/nodes?limit=1' -o /dev/null -w '%{http_code} %{time_total}\n'; done >"$t/times") &
prober=$!
server_ticks=$(ticks $server)
joins=$(grep -c '\[join' "$t/agents.log")
kill -TERM $server
wait $server
echo mark >"$t/in"
start_server
wait_until 300 says back_s || { echo "hollow: not all came back"; echo laggards >"$t/in"; sleep 2; tail -n 20 "$t/agents.log"; }
kill $prober
row "after a restart of the server: all back, Lease renewed" "$(said back_s) s"
row "seconds in which one of them had to join again (that takes scrypt)" "$(($(grep -c '\[join' "$t/agents.log") - joins))"
row "API meanwhile, once it answers: calls, p50, p99, longest" "$(awk '$1 == 200 { print $2 }' "$t/times" | sort -n |
    awk '{ v[NR] = $1 } END { printf "%d, %.0f ms, %.0f ms, %.0f ms", NR, v[int(NR / 2) + 1] * 1000, v[int(NR * 0.99) + 1] * 1000, v[NR] * 1000 }')"
row "CPU of the server for it" "$(($(ticks $server) * 1000 / $(getconf CLK_TCK) / n)) ms per agent"
sleep 100
dirty1=$(memory Private_Dirty)
row "private memory of the server after it" "$dirty1 kB: $(tenths "$(per_agent "$dirty1" "$dirty0")") kB per agent"

server_ticks=$(ticks $server)
for _ in 1 2 3; do
    echo cut >"$t/in"
    sleep 2
done
echo mark >"$t/in"
sleep 2
wait_until 300 says back_s || { echo "hollow: not all came back"; line; }
row "three cuts of all connections, 2 s apart: all back after the last" "$(said back_s) s, CPU $((($(ticks $server) - server_ticks) * 1000 / $(getconf CLK_TCK) / n)) ms per agent"
# Many agents for minutes do what one does in days: is there anything that grows while no server is there?
kill -TERM $server
wait $server
sleep 60 # backoffs are long by now
agents_kb() { awk '/^Private_Dirty:/ { print $2 }' "/proc/$agents/smaps_rollup"; }
before=$(agents_kb) agents_cpu=$(cpu "$agents" "$offline_s")
after=$(agents_kb)
row "no server for $offline_s s: memory of all agents together ($((n * offline_s / 3600)) hours of one)" \
    "$before kB, then $after kB: $((after - before)) kB"
row "their CPU meanwhile" "$(percent $((agents_cpu * 1000 / n))) of a core for 1000 agents"
start_server
echo mark >"$t/in"
wait_until 300 says back_s || { echo "hollow: not all came back"; line; }
row "then a server: all back" "$(said back_s) s"

kill -TERM "$agents"
wait "$agents"
agents=""
row "descriptors of the server when they are gone" "$(sleep 15; find /proc/$server/fd -mindepth 1 | wc -l)"
