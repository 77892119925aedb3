#!/usr/bin/env bash
# The core's own cost: a host with an engine that does nothing, beside axum alone with the same routes.
# Usage: core.sh BINARIES, the folder with fake-host and bare-axum.

cd "$(dirname "$0")"
source ./lib.sh
need wrk
binaries=${1:?the folder with fake-host and bare-axum}
export MOD_NAME=fake FUNC_HANDLER=handler FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0

serve 18081 "$binaries/bare-axum" 18081
FUNC_PORT=18082 FUNC_ACCESS_LOG=off serve 18082 "$binaries/fake-host"
FUNC_PORT=18083 serve 18083 "$binaries/fake-host"

compare 'null engine' 18082 'bare axum' 18081
compare 'null engine, access log' 18083 'bare axum' 18081
