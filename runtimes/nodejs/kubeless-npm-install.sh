#!/bin/sh
# Installs what the package.json of a Node.js function asks for: the install step of Kubeless, called by the name that
# Kubeless calls.
#
#   KUBELESS_INSTALL_VOLUME   the folder with package.json; node_modules goes beside it
#   NPM_REGISTRY              the registry to install from; npm's own default when not set
#   NPM_SCOPE                 as in @acme: only packages of this scope come from NPM_REGISTRY
#   NPM_CONFIG_EXTRA          more settings, as `npm config set` takes them: KEY=VALUE ..., or KEY VALUE
set -eu

fail() {
  printf 'kubeless-npm-install: %s\n' "$1" >&2
  exit 1
}

volume=${KUBELESS_INSTALL_VOLUME:-}
[ "$volume" ] || fail "KUBELESS_INSTALL_VOLUME is not set; it names the folder with package.json"
cd "$volume" 2>/dev/null || fail "KUBELESS_INSTALL_VOLUME=$volume is no folder that can be entered"
# Kubeless puts a package.json beside every function, with nothing in it when there is nothing to install.
if ! grep -q '[^[:space:]]' package.json 2>/dev/null; then
  echo "kubeless-npm-install: nothing to install: $volume/package.json is empty or not there"
  exit 0
fi
command -v npm >/dev/null || fail "npm is not on PATH"

# The user that functions run as may have no home, and a registry may want to be remembered by nobody else.
export HOME=/tmp npm_config_update_notifier=false
npm_config_userconfig=$(mktemp)
export npm_config_userconfig
trap 'rm -f "$npm_config_userconfig"' EXIT

if [ "${NPM_REGISTRY:-}" ]; then
  npm config set "${NPM_SCOPE:+$NPM_SCOPE:}registry=$NPM_REGISTRY" ||
    fail "npm refuses NPM_REGISTRY=$NPM_REGISTRY${NPM_SCOPE:+ for NPM_SCOPE=$NPM_SCOPE}"
fi
extra=${NPM_CONFIG_EXTRA:-}
# To npm itself, a variable of this name sets "extra", which it does not know.
unset NPM_CONFIG_EXTRA
if [ "$extra" ]; then
  # shellcheck disable=SC2086 # Several settings are several words.
  npm config set $extra || fail "npm refuses NPM_CONFIG_EXTRA=$extra"
fi

npm install --omit=dev --no-audit --no-fund --prefix="$PWD" || fail "npm could not install what $volume/package.json asks for"
