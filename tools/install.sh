#!/usr/bin/env bash
# Installs the packages named, as root: quietly, without recommendations, without starting a service.
# The whole of apt's output is shown when it fails.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# Debian asks this file before a package starts its service; 101 says no. What was there comes back afterwards.
policy=/usr/sbin/policy-rc.d
saved=
if [ -e "$policy" ]; then saved=$(mktemp "$policy.XXXXXX"); cp -a "$policy" "$saved"; fi
log=$(mktemp)
restore() {
  if [ -n "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
  rm -f "$log"
}
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

apt() { apt-get -q -y -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
install() { apt install --no-install-recommends "$@"; }
if ! { apt update && install "$@"; }; then
  cat "$log" >&2
  echo "install: apt-get could not install: $*" >&2
  exit 1
fi
