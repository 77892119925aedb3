#!/bin/sh
# Takes the commands of podman and docker that the suite uses, and starts processes: an image is a program. So the suite's way
# with containers is tested where there are none.
set -eu
state=${0%/*}/state
command=$1
shift
case $command in
  image)
    # inspect --format FORMAT IMAGE
    case $3 in
      *dev.funchost.capabilities*) echo binary-body,streaming-reply ;;
      *image.version*) echo 1.2.3 ;;
      *.Id*) echo sha256:0123 ;;
      *) exit 1 ;;
    esac
    ;;
  run)
    id=c$$
    mkdir -p "$state/$id"
    while :; do
      case $1 in
        --detach) ;;
        --publish)
          port=${2#127.0.0.1:}
          export FUNC_PORT="${port%:8080}"
          shift
          ;;
        --volume)
          case $2 in
            *:/kubeless:ro) export MOD_ROOT_PATH="${2%:/kubeless:ro}" ;;
            *:/dev/termination-log) export FUNC_TERMINATION_LOG="${2%:/dev/termination-log}" ;;
          esac
          shift
          ;;
        --env)
          export "$2"
          shift
          ;;
        --memory=*) printf '%s' "$1" >"$state/option" ;;
        -*)
          echo "the option $1 is not known" >&2
          exit 125
          ;;
        *) break ;;
      esac
      shift
    done
    (
      set +e
      sh -c 'echo $$ >"$0"; exec "$@"' "$state/$id/pid" "$@" </dev/null >"$state/$id/stdout" 2>"$state/$id/stderr"
      echo $? >"$state/$id/status"
    ) </dev/null >/dev/null 2>&1 &
    while [ ! -s "$state/$id/pid" ]; do :; done
    echo "$id"
    ;;
  logs)
    cat "$state/$1/stdout"
    cat "$state/$1/stderr" >&2
    ;;
  kill)
    # --signal NAME ID
    kill -s "${2#SIG}" "$(cat "$state/$3/pid")"
    ;;
  inspect)
    # --format FORMAT ID
    if [ -s "$state/$3/status" ]; then echo "exited $(cat "$state/$3/status")"; else echo "running 0"; fi
    ;;
  rm)
    # --force ID
    kill -s KILL "$(cat "$state/$2/pid")" 2>/dev/null || true
    ;;
  *) exit 125 ;;
esac
