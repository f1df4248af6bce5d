#!/bin/sh
# The image's entry: the first word says which phase this container is.
set -eu

case "${1-}" in
  checkout | agent | publish)
    exec node "${0%/*}/phases/$1.ts"
    ;;
  *)
    echo "usage: entrypoint.sh checkout|agent|publish (was: ${1:-nothing})" >&2
    exit 2
    ;;
esac
