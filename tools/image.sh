#!/bin/sh
# image.sh NAME:TAG OUT.tar ROOT CONFIG: packs the folder ROOT as a one-layer container image in the
# archive format of `docker save`, which containerd imports. CONFIG is the JSON of the image's
# "config" object, e.g. {"Cmd":["/pause"]}. The result is the same for the same bytes.
set -eu
name=$1 out=$2 root=$3 config=$4
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

pack() { # pack OUT DIR
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$2" -cf "$1" .
}
mkdir "$tmp/image"
pack "$tmp/layer.tar" "$root"
layer=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
mv "$tmp/layer.tar" "$tmp/image/$layer.tar"
printf '{"architecture":"%s","os":"linux","config":%s,"created":"1970-01-01T00:00:00Z","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$arch" "$config" "$layer" >"$tmp/config.json"
id=$(sha256sum "$tmp/config.json" | cut -d' ' -f1)
mv "$tmp/config.json" "$tmp/image/$id.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s.tar"]}]' "$id" "$name" "$layer" >"$tmp/image/manifest.json"
mkdir -p "$(dirname "$out")"
pack "$out" "$tmp/image"
