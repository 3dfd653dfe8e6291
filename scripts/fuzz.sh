#!/usr/bin/env bash
# Runs each fuzz target of the module for the given time, one after the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
git grep -lE '^func Fuzz[A-Za-z0-9_]+\(' -- '*_test.go' ':!bench' | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | while read -r _ target; do
    echo "== $(dirname "$file") $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "./$(dirname "$file")" </dev/null
  done
done
