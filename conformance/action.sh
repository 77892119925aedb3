#!/usr/bin/env bash
# What action.yml does: runs the suite as the INPUT_ variables say, leaves its reports in a folder, shows the summary, and
# ends with the suite's exit status. Outside of GitHub it does the same without the parts that are GitHub's.
set -euo pipefail

fail() {
  printf '%s%s\n' "${GITHUB_ACTIONS:+::error::}" "$1" >&2
  exit 2
}

# A program that manages containers.
containers() {
  local name
  for name in docker podman; do
    if command -v "$name" >/dev/null; then
      printf '%s\n' "$name"
      return
    fi
  done
  fail "runner: \"$runner\" is no program on PATH, and neither docker nor podman is there to take it out of an image"
}

runner=${INPUT_RUNNER:-funchost-conformance}
reports=${INPUT_REPORTS:-conformance-report}
arguments=()

# The suite looks at containers from outside, so it runs here and not in a container of its own.
if ! command -v "$runner" >/dev/null; then
  program=$(containers)
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  container=$("$program" create "$runner") || fail "runner: there is neither a program nor an image \"$runner\""
  entrypoint=$("$program" inspect --format '{{index .Config.Entrypoint 0}}' "$container")
  "$program" cp "$container:$entrypoint" "$folder/suite"
  "$program" rm "$container" >/dev/null
  runner=$folder/suite
fi

read -ra command <<<"${INPUT_COMMAND-}"
targets=("${INPUT_IMAGE:+image}" "${INPUT_COMMAND:+command}" "${INPUT_URL:+url}")
case ${targets[*]} in
  *image*command* | *image*url* | *command*url*) fail "only one of image, command and url can be looked at" ;;
  *image*) arguments+=(--container "$INPUT_IMAGE") ;;
  *command*) arguments+=(--process "${command[0]}") ;;
  *url*) arguments+=(--url "$INPUT_URL") ;;
  *) fail "one of image, command and url is needed" ;;
esac

for option in fixture language fixtures prepare claims floor; do
  input=INPUT_${option^^}
  [[ -z ${!input-} ]] || arguments+=("--$option" "${!input}")
done
for id in ${INPUT_SELECT-}; do arguments+=(--only "$id"); done
for id in ${INPUT_SKIP-}; do arguments+=(--skip "$id"); done
while IFS= read -r variable; do
  [[ -z $variable ]] || arguments+=(--env "$variable")
done <<<"${INPUT_ENVIRONMENT-}"
case ${INPUT_STRICT:-false} in
  true) arguments+=(--strict) ;;
  false) ;;
  *) fail "strict is \"$INPUT_STRICT\"; allowed: true, false" ;;
esac

mkdir -p "$reports"
rm -f "$reports"/{report.json,report.html,junit.xml,summary.md,badge.svg}
arguments+=(--json "$reports/report.json" --html "$reports/report.html" --junit "$reports/junit.xml")
arguments+=(--markdown "$reports/summary.md" --badge "$reports/badge.svg")
((${#command[@]} < 2)) || arguments+=(-- "${command[@]:1}")

status=0
"$runner" run "${arguments[@]}" || status=$?

verdict=
if [[ -e $reports/report.json ]]; then
  verdict=$(sed -n '/^  "verdict": /{s/.*: "\(.*\)",$/\1/p;q}' "$reports/report.json")
fi
if [[ ${GITHUB_OUTPUT-} ]]; then
  printf '%s=%s\n' verdict "$verdict" status "$status" reports "$reports" >>"$GITHUB_OUTPUT"
fi
if [[ ${GITHUB_STEP_SUMMARY-} && -e $reports/summary.md ]]; then
  cat "$reports/summary.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$status"
