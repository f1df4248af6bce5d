#!/bin/sh
# The image's entry: the first word says which phase this container is.
set -eu
# A core file would hold the secrets of the phase, and lie wherever the node collects such files.
ulimit -c 0

here=${0%/*}
# The image's own programs come last, so that the tools of the image that this one is laid over win for the agent.
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:${here%/*}/bin"
node=${here%/*}/bin/node
[ -x "$node" ] || node=node

case "${1-}" in
  checkout | agent | publish)
    exec "$node" "$here/phases/$1.ts"
    ;;
  *)
    echo "usage: entrypoint.sh checkout|agent|publish (was: ${1:-nothing})" >&2
    exit 2
    ;;
esac
