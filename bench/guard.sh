#!/usr/bin/env bash
# Compares the micro-benchmarks of this tree (encode, decode, queue, verify,
# filter, token) with those of another revision, and fails where one has become
# clearly slower or allocates more.
#
#   bench/guard.sh [revision]      HEAD by default: what is not committed
#
# Both sides take turns, and benchstat judges: a difference counts where it is
# significant (p < 0.05) and above LIMIT per cent, 25 by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
revision=${1:-HEAD}
limit=${LIMIT:-25}
rounds=${ROUNDS:-8}
packages=(handler service emulator internal/wire internal/emulator/filter internal/role)
benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

tmp=$(mktemp -d)
trap 'git worktree remove --force "$tmp/old" 2>/dev/null; rm -rf "$tmp"' EXIT
git worktree add --quiet --detach "$tmp/old" "$revision"
build() { # tree side
  for p in "${packages[@]}"; do
    (cd "$1/$p" 2>/dev/null && go test -c -o "$tmp/$2-${p//\//-}.test" .) || echo "no benchmarks of $p in $2" >&2
  done
}
build "$tmp/old" old
build . new
for _ in $(seq "$rounds"); do
  for p in "${packages[@]}"; do
    for side in old new; do
      bin=$tmp/$side-${p//\//-}.test
      [ ! -x "$bin" ] || (cd "$p" && "$bin" -test.run '^$' -test.bench . -test.benchmem -test.benchtime 100ms >>"$tmp/$side.txt")
    done
  done
done
go run "$benchstat" "$tmp/old.txt" "$tmp/new.txt"
# In the CSV form a row is: name, old, ±, new, ±, change, p.
go run "$benchstat" -format csv "$tmp/old.txt" "$tmp/new.txt" 2>/dev/null | awk -F, -v limit="$limit" '
  $2 ~ /^(sec|B|allocs)\/op$/ { unit = $2 }
  $6 ~ /^\+[0-9.]+%$/ && $1 != "geomean" && unit != "B/op" {
    change = substr($6, 2) + 0
    if (change > limit) { printf "slower: %s, %s by %s (%s)\n", $1, unit, $6, $7; bad = 1 }
  }
  END { exit bad }'
