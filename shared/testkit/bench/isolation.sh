#!/usr/bin/env bash
# What worker processes cost, and what they save: for each host calls per second and the time of a single call, with
# FUNC_ISOLATION=process beside FUNC_ISOLATION=thread; then what healthy calls notice of others that spin.
# Usage: isolation.sh BINARIES [HOST...], the folder with fake-host, spinners and the hosts; all of them by default.

cd "$(dirname "$0")"
binaries=$(realpath "${1:?the folder with the hosts}")
shift
source ./lib.sh
need wrk
(($# > 0)) || set -- fake python go
runtimes=../../../runtimes
folder=$(mktemp -d)
trap '((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
export FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0 FUNC_ACCESS_LOG=off
port=18480

# A function that answers at once, and the faults of the tests, for a host.
prepare() {
  mkdir -p "$folder/$1" "$folder/$1-faults"
  case $1 in
    python)
      cp $runtimes/python/bench/app.py "$folder/python/function.py"
      cp $runtimes/python/tests/faults/function.py "$folder/python-faults" ;;
    go)
      cp ../../../examples/go/hello/*.go "$folder/go"
      cp $runtimes/go/tests/faults/function.go "$folder/go-faults"
      KUBELESS_INSTALL_VOLUME=$folder/go KUBELESS_FUNC_NAME=Hello "$binaries/funchost-go" build
      KUBELESS_INSTALL_VOLUME=$folder/go-faults KUBELESS_FUNC_NAME=Handler "$binaries/funchost-go" build ;;
  esac
}

# host NAME MOUNT HANDLER: exports what the host needs to serve a function.
host() {
  export MOD_NAME=function MOD_ROOT_PATH=$folder/$2 FUNC_HANDLER=$3
  program=$binaries/funchost-$1
  [[ $1 != fake ]] || program=$binaries/fake-host
}

handler_of() {
  case $1 in go) echo Hello ;; *) echo handler ;; esac
}

# latency PORT: the median time of a call when there is one at a time, in microseconds.
latency() {
  taskset -c "$CLIENT_CPU" wrk -t1 -c1 -d"$SECONDS_PER_ROUND" --latency "http://127.0.0.1:$1/" | awk '
    $1 == "50%" { n = $2 + 0; print $2 ~ /us$/ ? n : $2 ~ /ms$/ ? n * 1000 : n * 1e6 }'
}

for name; do
  echo "== $name"
  prepare "$name"
  host "$name" "$name" "$(handler_of "$name")"
  thread=$((port += 1)) process=$((port += 1))
  FUNC_PORT=$thread FUNC_ISOLATION=thread serve $thread "$program"
  FUNC_PORT=$process FUNC_ISOLATION=process FUNC_WORKERS=1 serve $process "$program"
  compare 'process' $process 'thread' $thread
  for ((round = 1; round <= ROUNDS; round++)); do
    a=$(latency $thread) b=$(latency $process)
    awk -v a="$a" -v b="$b" 'BEGIN { printf "one call at a time: thread %.0f us, process %.0f us, %+.0f us\n", a, b, b - a }'
  done
  # On all processors from here on, with a worker for each.
  [[ $name != fake ]] || continue
  host "$name" "$name-faults" "$([[ $name == go ]] && echo Handler || echo handler)"
  for mode in process thread; do
    spinning=$((port += 1))
    SERVER_CPU=$(taskset -cp $$ | sed 's/.*: //') FUNC_PORT=$spinning FUNC_ISOLATION=$mode FUNC_TIMEOUT=0.5 \
      serve $spinning "$program"
    echo "$mode, every tenth call spins:"
    "$binaries/spinners" 127.0.0.1:$spinning /ok /spin 10 || true
  done
done
