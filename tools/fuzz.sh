#!/usr/bin/env bash
# fuzz.sh [SECONDS [NAME…]]: runs each fuzzer of build/fuzz that long, two at a time, from its corpus in
# tests/fuzz/corpus/NAME. New inputs go to build/fuzz/corpus/NAME; an input that crashes is kept and named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-30}
shift || true

fuzz_one() {
  local program=$1 name found
  name=$(basename "$program" _fuzz)
  found=build/fuzz/corpus/$name
  mkdir -p "$found" tests/fuzz/corpus/"$name"
  if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="build/fuzz/$name-" "$found" tests/fuzz/corpus/"$name" >"build/fuzz/$name.log" 2>&1; then
    printf '%s: %s runs in %s s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: //p' "build/fuzz/$name.log")" "$seconds"
  else
    cat "build/fuzz/$name.log"
    echo "$name: FAILED; run the input again with: $program build/fuzz/$name-…"
    return 1
  fi
}
export -f fuzz_one
export seconds

programs=()
if [ $# -gt 0 ]; then programs=("${@/#/build/fuzz/}"); programs=("${programs[@]/%/_fuzz}")
else mapfile -t programs < <(find build/fuzz -maxdepth 1 -name '*_fuzz' -type f | sort)
fi
[ ${#programs[@]} -gt 0 ] || { echo "fuzz: no fuzzer has been built" >&2; exit 1; }
printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz_one "$1"' fuzz {}
echo "result: ${#programs[@]} fuzzers, $seconds s each"
