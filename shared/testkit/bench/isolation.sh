#!/usr/bin/env bash
# What process isolation costs: a host whose function runs in workers beside one whose function runs in its own threads.
# Usage: isolation.sh COMMAND..., a host; its function comes from the environment.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need wrk
(($# > 0)) || { echo "the command of a host is missing" >&2; exit 64; }
export FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0 FUNC_ACCESS_LOG=off FUNC_WORKERS=${FUNC_WORKERS:-1}

# latency PORT: the median time of a call when there is one at a time, in microseconds.
latency() {
  taskset -c "$CLIENT_CPU" wrk -t1 -c1 -d"$SECONDS_PER_ROUND" --latency "http://127.0.0.1:$1/" | awk '
    $1 == "50%" { t = $2; u = t; sub(/[0-9.]+/, "", u); sub(/[a-z]+/, "", t); print t * (u == "ms" ? 1000 : u == "s" ? 1e6 : 1) }'
}

FUNC_PORT=18481 FUNC_ISOLATION=thread serve 18481 "$@"
FUNC_PORT=18482 FUNC_ISOLATION=process serve 18482 "$@"

compare 'process' 18482 'thread' 18481
for ((round = 1; round <= ROUNDS; round++)); do
  thread=$(latency 18481)
  process=$(latency 18482)
  awk -v t="$thread" -v p="$process" 'BEGIN { printf "median of one call at a time: thread %.0f us, process %.0f us, %+.0f us\n", t, p, p - t }'
done
