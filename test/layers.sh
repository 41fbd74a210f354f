#!/bin/sh
# layers.sh: fails on an include against the arrows of mk/layers.mk, on a foreign library that is
# named outside its adapter, and on a wall clock that is read past base/core/clock. Prints every
# offence.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# "folder allowed..." lines, variables expanded by make itself
cat >"$tmp/p.mk" <<'EOF'
include mk/layers.mk
$(foreach d,$(folders),$(info $(d) $(uses_$(d))))
p: ; @:
EOF
make -s -f "$tmp/p.mk" p >"$tmp/arrows"

# header of a foreign library -> the only files that may include it
cat >"$tmp/adapters" <<'EOF'
nghttp2/ base/http/h2.c
llhttp.h base/http/h1.c
openssl/ base/io/tls base/io/digest.c base/pki/
sqlite3.h base/data/db.c base/data/db_io
yaml.h base/data/yaml.c
zlib.h base/data/zip.c base/data/gzip.c
protobuf-c/ base/data/protobuf agent/cri/ server/store/etcd_msg.c
EOF

git ls-files --cached --others --exclude-standard '*.c' '*.h' | grep -E '^(base|tunnel|lb|server|agent|cni|tools)/' |
grep -v '^base/core/clock.c$' | xargs grep -nE '\<time\((NULL|0|&)|CLOCK_REALTIME|gettimeofday|X509_cmp_current_time' >"$tmp/clocks" && {
    cat "$tmp/clocks"
    echo 'the wall clock is read in base/core/clock.c only'
    exit 1
}

git ls-files --cached --others --exclude-standard '*.c' '*.h' | grep -E '^(base|tunnel|lb|server|agent|cni)/' |
while read -r f; do [ -f "$f" ] && awk -v f="$f" '/^#include/ {print f, $2}' "$f"; done >"$tmp/includes"

awk -v arrows="$tmp/arrows" -v adapters="$tmp/adapters" '
BEGIN {
    while ((getline line < arrows) > 0) { n = split(line, a, " "); known[a[1]] = 1; for (i = 1; i <= n; i++) ok[a[1], a[i]] = 1 }
    while ((getline line < adapters) > 0) { n = split(line, a, " "); lib[++n_lib] = a[1]; where[n_lib] = line }
}
{
    dir = $1; sub(/\/[^\/]*$/, "", dir)
    inc = $2; gsub(/["<>]/, "", inc)
    if (!(dir in known)) { print $1 ": folder " dir " is not in mk/layers.mk"; bad = 1; next }
    if ($2 ~ /^"/) {
        to = inc; if (!sub(/\/[^\/]*$/, "", to)) { print $1 ": include \"" inc "\" is not written from the root"; bad = 1; next }
        if (!((dir, to) in ok) && to !~ /^(gen|cri|schema)/) { print $1 ": " dir " may not use " to " (" inc ")"; bad = 1 }
        n_arrows++
    } else for (i = 1; i <= n_lib; i++) if (index(inc, lib[i]) == 1) {
        m = split(where[i], w, " "); fine = 0
        for (j = 2; j <= m; j++) if (index($1, w[j]) == 1) fine = 1
        if (!fine) { print $1 ": <" inc "> belongs to" substr(where[i], length(lib[i]) + 1); bad = 1 }
    }
}
END { if (!bad) print "layers: " NR " includes checked, all along the arrows"; exit bad }' "$tmp/includes"
