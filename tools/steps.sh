# Runs the steps of ./dev test: one line each with its duration, its whole output in build/logs/, the cause where
# it failed, one summary line at the end. Sourced, not run.
#
#   step LIMIT_SECONDS NAME COMMAND…   runs COMMAND (a function or a program), says in $step_ok whether it succeeded
#   skip NAME REASON                   says that a step did not run, and why
#   summary                            prints the last line; false when anything failed

steps_passed=()
steps_failed=()
steps_skipped=()
steps_started=$SECONDS
step_pid=
step_number=0
step_ok=true

step_interrupted() {
  [ -z "$step_pid" ] || kill -TERM -- "-$step_pid" 2>/dev/null || true
  printf '\ninterrupted\n' >&2
  exit 130
}
trap step_interrupted INT TERM

# While a step runs: on a terminal its last line of output, elsewhere a sign of life every half minute.
step_progress() {
  local name=$1 log=$2 elapsed=$3 last
  last=$(tail -c 400 "$log" 2>/dev/null | tr '\r' '\n' | tail -n 1 | tr -cd '[:print:]' | cut -c1-70 || true)
  if [ -t 1 ]; then printf '\r\033[K%-44s %4d s  %s' "$name" "$elapsed" "$last"
  elif [ "$elapsed" -gt 0 ] && [ $((elapsed % 30)) -eq 0 ]; then printf '    … %s, %d s: %s\n' "$name" "$elapsed" "$last"
  fi
}

# Prints what a reader needs of a failed step's log: the lines that name errors, then its end.
step_cause() {
  local log=$1
  grep -nE '(error|ERROR|FAILED|Failure|\[err\]|\[exception\]|Sanitizer|Assertion|Traceback)' "$log" | head -n 15 | cut -c1-300 | sed 's/^/    | /' || true
  echo '    | ---'
  tail -n 25 "$log" | cut -c1-300 | sed 's/^/    | /' || true
  echo "    whole log: ${log#"$TM_ROOT"/}"
}

# Not to be called where bash ignores `set -e` (in a condition, before && or ||), since COMMAND would inherit that.
step() {
  local limit=$1 name=$2; shift 2
  local log started=$SECONDS code=0 late=
  step_number=$((step_number + 1))
  log=$TM_ROOT/build/logs/$(printf '%02d' $step_number)-${name//[^a-zA-Z0-9]/-}.log
  set -m   # a process group of its own, so that a step that hangs can be ended with its children
  ("$@") >"$log" 2>&1 </dev/null &
  step_pid=$!
  set +m
  while kill -0 "$step_pid" 2>/dev/null; do
    step_progress "$name" "$log" $((SECONDS - started))
    if [ $((SECONDS - started)) -ge "$limit" ]; then
      late=1
      kill -TERM -- "-$step_pid" 2>/dev/null || true
      sleep 2
      kill -KILL -- "-$step_pid" 2>/dev/null || true
    fi
    sleep 1
  done
  wait "$step_pid" || code=$?
  step_pid=
  [ ! -t 1 ] || printf '\r\033[K'
  if [ $code -eq 0 ] && [ -z "$late" ]; then
    step_ok=true
    steps_passed+=("$name")
    printf '%-44s %4d s  ok%s\n' "$name" $((SECONDS - started)) "$(step_result "$log")"
  else
    step_ok=false
    steps_failed+=("$name")
    printf '%-44s %4d s  FAILED%s\n' "$name" $((SECONDS - started)) "${late:+ (ended after its limit of $limit s)}"
    step_cause "$log"
  fi
}

# A step may end its log with "result: …", which is shown beside its ok.
step_result() { tail -n 3 "$1" | sed -n 's/^result: /  /p' | tail -n 1; }

skip() {
  steps_skipped+=("$1")
  printf '%-44s    –    skipped: %s\n' "$1" "$2"
}

summary() {
  local duration=$((SECONDS - steps_started)) verdict=passed failed=
  if [ ${#steps_failed[@]} -gt 0 ]; then
    verdict=FAILED
    printf -v failed ' (%s)' "$(IFS=,; echo "${steps_failed[*]}")"
  fi
  printf '%s: %d steps ok, %d failed%s, %d skipped, in %d min %d s\n' "$verdict" ${#steps_passed[@]} ${#steps_failed[@]} "$failed" \
    ${#steps_skipped[@]} $((duration / 60)) $((duration % 60))
  [ ${#steps_failed[@]} -eq 0 ]
}
