#!/usr/bin/env bash
# Holds a server that nobody here wrote to the contract.
#
#   adapters/run.sh NAME [ARGUMENT...]     the arguments go to `funchost-conformance run`, such as --html report.html
#   adapters/run.sh                        lists the names
#
# Installs the server's packages, in the versions that its folder names, into FUNCHOST_CACHE (~/.cache/funchost when it is
# not set), and runs the suite on it as a process. FUNCHOST_CONFORMANCE is the suite's program, if it is not on PATH.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FUNCHOST_CACHE:-$HOME/.cache/funchost}/adapters
suite=${FUNCHOST_CONFORMANCE:-funchost-conformance}

fail() {
  printf 'adapters: %s\n' "$1" >&2
  exit 2
}

names() { for claims in "$here"/*/claims.json; do basename "$(dirname "$claims")"; done; }

# installed FILE COMMAND...: runs COMMAND, which installs what FILE names, unless that has been done.
installed() {
  local file=$1
  shift
  if cmp --quiet "$file" "$folder/installed"; then return 0; fi
  printf 'adapters: installing %s\n' "$(basename "$file") of $name" >&2
  rm -rf "$folder"
  mkdir -p "$folder"
  "$@" >"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; fail "what $file names could not be installed"; }
  cp "$file" "$folder/installed"
}

packages_of_python() { python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install --no-input --requirement "$source/requirements.txt"; }

packages_of_node() { cp "$source/package.json" "$folder" && npm install --prefix "$folder" --omit=dev --no-audit --no-fund --no-package-lock; }

if (($# == 0)); then names; exit; fi
name=$1
shift
source=$here/$name
[[ -f $source/claims.json ]] || fail "there is no adapter \"$name\"; these are: $(names | paste -sd' ')"
command -v "$suite" >/dev/null || fail "$suite is not on PATH; FUNCHOST_CONFORMANCE can name it"

folder=$cache/$name
if [[ -f $source/requirements.txt ]]; then
  installed "$source/requirements.txt" packages_of_python
  language=python
  export PATH="$folder/venv/bin:$PATH" PYTHONUNBUFFERED=1
else
  installed "$source/package.json" packages_of_node
  language=nodejs
  export PATH="$folder/node_modules/.bin:$PATH"
fi
# A server finds its packages beside itself, and leaves nothing beside its sources.
cp "$source"/* "$folder"
exec "$suite" run --process "$folder/serve" --language "$language" --claims "$source/claims.json" "$@"
