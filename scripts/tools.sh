#!/usr/bin/env bash
# Installs what the tests need besides Go, where it is missing: a C compiler
# for the race detector, a browser for the console, and the packages of test
# suites written for Node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# need PACKAGE PROGRAM...: makes sure that one of the programs is there, by its
# Debian package.
need() {
  local package=$1 program
  shift
  for program in "$@"; do
    if command -v "$program" >/dev/null; then return; fi
  done
  echo "installing $package"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
  if ! command -v apt-get >/dev/null; then
    echo "the tests need $1; install it (Debian's package is $package) and run again" >&2
    exit 1
  fi
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package"
}

need gcc gcc
need curl curl
need chromium chromium chromium-browser google-chrome

for lock in $(git ls-files '*package-lock.json'); do
  need npm npm
  echo "installing packages of $(dirname "$lock")"
  npm ci --ignore-scripts --no-audit --no-fund --prefix "$(dirname "$lock")"
done
