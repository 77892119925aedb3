#!/usr/bin/env bash
# The Python host beside granian's WSGI server with an equal handler, one core each.
# Usage: hello.sh BINARIES, the folder with funchost-python. granian has to be on PATH.

cd "$(dirname "$0")"
source ../../../shared/testkit/bench/lib.sh
need wrk
need granian
binaries=${1:?the folder with funchost-python}
# The same Python for both: the one that granian is installed for.
python=${FUNC_PYTHON:-$(head -n 1 "$(command -v granian)" | sed -n 's/^#!//p')}
export MOD_ROOT_PATH=$PWD MOD_NAME=app FUNC_HANDLER=handler FUNC_ADDRESS=127.0.0.1 DRAIN_DELAY=0 FUNC_PYTHON=$python

# One process each, no access log, and room for all connections' calls at once.
serve 18091 granian --interface wsgi --host 127.0.0.1 --port 18091 --workers 1 --runtime-threads 1 \
  --blocking-threads 1 --backpressure 1000 --no-access-log --log-level error app:app
FUNC_PORT=18092 FUNC_ACCESS_LOG=off FUNC_THREADS=$CONNECTIONS serve 18092 "$binaries/funchost-python"

compare 'funchost-python' 18092 'granian, WSGI' 18091
