# What the throughput comparisons share. Sourced by bash scripts.
#
# A comparison starts two servers on one core and the load generator on another, lets them take turns, A B A B ...,
# and prints the ratio of each round and their median: the machine's speed may drift, a ratio within a round hardly
# does. Loopback only, bounded in time.

set -euo pipefail

ROUNDS=${ROUNDS:-5}
SECONDS_PER_ROUND=${SECONDS_PER_ROUND:-3}
CONNECTIONS=${CONNECTIONS:-64}
SERVER_CPU=${SERVER_CPU:-0}
CLIENT_CPU=${CLIENT_CPU:-1}

declare -a servers=()
# What a comparison may add, such as a script that sends something.
declare -a wrk_options=()
trap '((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null; wait' EXIT

need() {
  command -v "$1" >/dev/null || { echo "$1 is missing: run make setup" >&2; exit 1; }
}

# serve PORT COMMAND...: starts a server on the server's core and waits until its port answers.
serve() {
  local port=$1 patience=200
  shift
  taskset -c "$SERVER_CPU" "$@" >/dev/null 2>&1 &
  servers+=($!)
  until curl -s -o /dev/null "http://127.0.0.1:$port/"; do
    kill -0 "${servers[-1]}" 2>/dev/null && ((patience-- > 0)) || { echo "no answer from: $*" >&2; exit 1; }
    sleep 0.05
  done
}

# rate PORT SECONDS: requests per second; a server that fails requests has no rate.
rate() {
  taskset -c "$CLIENT_CPU" wrk -t1 -c"$CONNECTIONS" -d"$2" "${wrk_options[@]}" "http://127.0.0.1:$1/" | awk '
    /Non-2xx|Socket errors/ { bad = $0 }
    /Requests\/sec/ { rate = $2 }
    END { if (bad != "") { print bad > "/dev/stderr"; exit 1 } print rate }'
}

# compare NAME_A PORT_A NAME_B PORT_B
compare() {
  local round a b ratios=()
  rate "$2" 1 >/dev/null
  rate "$4" 1 >/dev/null
  for ((round = 1; round <= ROUNDS; round++)); do
    a=$(rate "$2" "$SECONDS_PER_ROUND")
    b=$(rate "$4" "$SECONDS_PER_ROUND")
    ratios+=("$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')")
    printf '%-24s %9.0f/s   %-24s %9.0f/s   ratio %s\n' "$1" "$a" "$3" "$b" "${ratios[-1]}"
  done
  printf '%s\n' "${ratios[@]}" | sort -n | awk -v a="$1" -v b="$3" '
    { ratio[NR] = $1 }
    END { printf "median ratio %s : %s = %.2f (%.2f to %.2f in %d rounds)\n",
          a, b, (ratio[int((NR + 1) / 2)] + ratio[int(NR / 2) + 1]) / 2, ratio[1], ratio[NR], NR }'
}
