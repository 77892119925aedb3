#!/usr/bin/env bash
# The Node.js host beside Node.js with Express, which serves the same functions as Kubeless' runtime does, one core each:
# start, memory, throughput.
# Usage: hello.sh BINARIES, the folder with funchost-nodejs.

cd "$(dirname "$0")"
source ../../../shared/testkit/bench/lib.sh
need wrk
need node
binaries=$(realpath "${1:?the folder with funchost-nodejs}")
packages=${FUNCHOST_CACHE:-$HOME/.cache/funchost}/bench-nodejs/node_modules
[[ -d $packages/express ]] || { echo "Express is missing: run make setup-bench" >&2; exit 1; }

express="Node.js $(node --version | cut -d. -f1), Express"
export MOD_ROOT_PATH=$PWD MOD_NAME=app FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0 NODE_PATH=$packages
printf '%-22s' "node -e 0"
node bench.js end node -e 0
printf '%-22s' "$express"
node bench.js start 18391 node bench.js serve 18391 hello
printf '%-22s' 'funchost-nodejs'
FUNC_PORT=18392 FUNC_HANDLER=hello node bench.js start 18392 "$binaries/funchost-nodejs"

serve 18391 node bench.js serve 18391 hello
FUNC_PORT=18392 FUNC_HANDLER=hello FUNC_ACCESS_LOG=off serve 18392 "$binaries/funchost-nodejs"
FUNC_PORT=18393 FUNC_HANDLER=hello serve 18393 "$binaries/funchost-nodejs"
compare 'funchost-nodejs' 18392 "$express" 18391
compare 'with access log' 18393 "$express" 18391

serve 18394 node bench.js serve 18394 echo
FUNC_PORT=18395 FUNC_HANDLER=echo FUNC_ACCESS_LOG=off serve 18395 "$binaries/funchost-nodejs"
# shellcheck disable=SC2034 # For lib.sh.
wrk_options=(-s "$PWD/echo.lua")
compare 'funchost-nodejs, JSON' 18395 "$express, JSON" 18394
