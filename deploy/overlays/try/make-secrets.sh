#!/bin/sh
# Makes what the Secrets of this overlay hold, in secrets/ (which git ignores): passwords, the engines' key, and your
# Claude token, which it asks for (`claude setup-token` makes one). What is there already is kept.
set -eu
umask 077
directory=${1:-$(dirname "$0")}/secrets
mkdir -p "$directory"

hex() { od -A n -t x1 -N "$1" /dev/urandom | tr -d ' \n'; }

if [ ! -s "$directory/database.env" ]; then
  owner=$(hex 16) engine=$(hex 16) pod=$(hex 16) operator=$(hex 16)
  cat >"$directory/database.env" <<END
POSTGRES_PASSWORD=$owner
ENGINE_PASSWORD=$engine
POD_PASSWORD=$pod
OPERATOR_PASSWORD=$operator
owner-url=postgresql://postgres:$owner@postgres/myzel
engine-url=postgresql://engine:$engine@postgres/myzel
pod-url=postgresql://pod:$pod@postgres/myzel
END
fi
[ -s "$directory/run-key" ] || head -c 32 /dev/urandom >"$directory/run-key"

if [ ! -s "$directory/claude-token" ]; then
  if [ -t 0 ]; then
    printf 'Claude token (from claude setup-token; it is not shown): ' >&2
    trap 'stty echo; echo >&2' EXIT
    stty -echo
  fi
  IFS= read -r token || true
  [ -n "$token" ] || { echo "make-secrets.sh: no token was given" >&2; exit 2; }
  printf %s "$token" >"$directory/claude-token"
fi
