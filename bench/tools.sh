#!/usr/bin/env bash
# Installs what the comparisons need besides Go, where it is missing:
# PostgreSQL, from Debian's package. The benchmark starts one of its own.
set -euo pipefail

if command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "the comparisons need postgresql; install it and run again" >&2
  exit 1
fi
echo "installing postgresql"
root=()
if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
"${root[@]}" apt-get update -q
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
