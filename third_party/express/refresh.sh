#!/usr/bin/env bash
# Makes express.cjs and LICENSES from npm's packages, exactly those that package-lock.json names.
#
#   third_party/express/refresh.sh              again from the versions that are locked; the result is the same
#   third_party/express/refresh.sh EXPRESS      from this version of Express and what npm then chooses with it
#
# Needs Node.js 18 or later with npm, and the npm registry.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here"/{package.json,package-lock.json,entry.cjs,unused.cjs} "$work"
cd "$work"
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
if (($#)); then
  npm install --ignore-scripts --save-exact "express@$1"
  cp package.json package-lock.json "$here"
else
  npm ci --ignore-scripts
fi

# body-parser and serve-static are half of Express's weight. The host reads bodies itself and serves no files.
node_modules/.bin/esbuild entry.cjs --bundle --platform=node --target=node18 --format=cjs --charset=utf8 \
  --alias:body-parser=./unused.cjs --alias:serve-static=./unused.cjs --legal-comments=inline \
  --metafile=meta.json --log-level=warning --outfile=express.cjs

# Every package that something in the bundle comes from, with its licence.
node - <<'JS' >LICENSES
const fs = require('node:fs')
const inputs = Object.keys(JSON.parse(fs.readFileSync('meta.json', 'utf8')).inputs)
const packages = inputs.map((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter(Boolean)
for (const folder of [...new Set(packages)].sort()) {
  const { name, version, license } = JSON.parse(fs.readFileSync(`${folder}/package.json`, 'utf8'))
  const file = fs.readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
  const text = file ? fs.readFileSync(`${folder}/${file}`, 'utf8').replaceAll('\r', '').trim() : `Licence: ${license}`
  console.log(`${'='.repeat(80)}\n${name} ${version} (${license})\n${'='.repeat(80)}\n\n${text}\n`)
}
JS

cp express.cjs LICENSES "$here"
cd "$here"
sha256sum express.cjs
