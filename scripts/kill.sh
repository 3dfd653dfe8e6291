#!/usr/bin/env bash
# Kills a node under load the given number of times and checks what it kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! [ -d cmd/atoll ]; then
  echo "no node to kill yet"
  exit 0
fi
ATOLL_KILLS=$1 go test -count=1 -timeout 55m -run '^TestKill' ./cmd/atoll
