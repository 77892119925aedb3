#!/usr/bin/env bash
# The Go host beside a plain net/http server that the same toolchain builds: throughput, start, memory.
# Usage: hello.sh BINARIES, the folder with funchost-go.

cd "$(dirname "$0")"
binaries=$(realpath "${1:?the folder with funchost-go}")
source ../../../shared/testkit/bench/lib.sh
need wrk
need go

folder=$(mktemp -d)
trap '((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
go build -o "$folder/bench" .
mkdir "$folder/mount"
cp ../../../examples/go/hello/*.go "$folder/mount"
KUBELESS_INSTALL_VOLUME=$folder/mount KUBELESS_FUNC_NAME=Hello "$binaries/funchost-go" build

export MOD_ROOT_PATH=$folder/mount MOD_NAME=hello FUNC_HANDLER=Hello FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0
printf 'net/http     '
"$folder/bench" start 18291 "$folder/bench" serve 18291
printf 'funchost-go  '
FUNC_PORT=18292 "$folder/bench" start 18292 "$binaries/funchost-go" 2>/dev/null

serve 18291 "$folder/bench" serve 18291
FUNC_PORT=18292 FUNC_ACCESS_LOG=off serve 18292 "$binaries/funchost-go"
FUNC_PORT=18293 serve 18293 "$binaries/funchost-go"
compare 'funchost-go' 18292 'net/http' 18291
compare 'funchost-go, access log' 18293 'net/http' 18291
