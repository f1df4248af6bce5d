#!/bin/sh
# Runs a program (the arguments after the first) with mounts of its own, which end with it: what it finds and changes in
# /proc that it should not. $1: a directory for what this needs.
set -eu
directory=$1
shift

# Once set, it cannot be put back before the machine starts anew: a file takes the change.
: >"$directory/no-setting"
mount --bind "$directory/no-setting" /proc/sys/kernel/unprivileged_bpf_disabled

# A kernel without modules has no list of them. The agent does not start without the list, and looks in it for what it
# needs of iptables, by which it tells the node's own connections (a kubelet's probes) from others.
if ! [ -e /proc/modules ]; then
  mkdir -p "$directory/proc"
  mount --rbind /proc "$directory/proc"
  mount -t tmpfs tmpfs /proc
  for entry in "$directory"/proc/*; do
    case ${entry##*/} in
      [0-9]*) ;;
      *) ln -s "$entry" /proc/ ;;
    esac
  done
  # The program's own number stays this one.
  ln -s "$directory/proc/$$" "/proc/$$"
  printf '%s 0 0 - Live 0x0\n' ip_tables iptable_filter iptable_mangle iptable_nat iptable_raw xt_socket >/proc/modules
fi
exec "$@"
