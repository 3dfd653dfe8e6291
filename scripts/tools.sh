#!/usr/bin/env bash
# Installs what the tests need besides Go, where it is missing: a C compiler
# for the race detector, and the packages of test suites written for Node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# need PROGRAM PACKAGE: makes sure that a program is there, by its Debian package.
need() {
  if command -v "$1" >/dev/null; then return; fi
  echo "installing $2 (for $1)"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
  if ! command -v apt-get >/dev/null; then
    echo "the tests need $1; install it (Debian's package is $2) and run again" >&2
    exit 1
  fi
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$2"
}

need gcc gcc
need curl curl

for lock in $(git ls-files '*package-lock.json'); do
  need npm npm
  echo "installing packages of $(dirname "$lock")"
  npm ci --no-audit --no-fund --prefix "$(dirname "$lock")"
done
