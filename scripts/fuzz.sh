#!/usr/bin/env bash
# Runs each fuzz target of the module for the given time, one after the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$(mktemp)
trap 'rm -f "$out"' EXIT

# fuzz DIRECTORY TARGET TIME
fuzz() {
  echo "== $1 $2"
  if go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" "./$1" </dev/null 2>&1 | tee "$out"; then return; fi
  # The fuzzing engine sometimes reports the end of its own time as a failure
  # (golang.org/issue/75804). A real one names the input that it wrote.
  if grep -q '^    context deadline exceeded$' "$out" && ! grep -q 'Failing input' "$out"; then
    echo "   (the time was over; nothing was found)"
    return
  fi
  exit 1
}

while IFS=: read -r file target; do
  fuzz "$(dirname "$file")" "$target" "$1"
done < <(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' ':!bench' | sed 's/func //' | sort)
