# What ./dev test checks, in order: the cheap first, then what runs against the release, then the sanitizers.
# Sourced by ./dev. Environment: see CONTRIBUTING.md.
source tools/steps.sh

# Presets, and what is built of each: release for what talks to real processes, asan for unit and simulation,
# tsan where threads meet (THREADS in src/CMakeLists.txt), fuzz with clang.
long_forms() {
  export TIDEMARK_LONG=1
  export TM_SIM_SEEDS=${TM_SIM_SEEDS:-200000} TM_SIM_CLUSTER_SEEDS=${TM_SIM_CLUSTER_SEEDS:-100000} TM_SIM_FLUSH_SEEDS=${TM_SIM_FLUSH_SEEDS:-1000000}
  export TM_KILL_ROUNDS=${TM_KILL_ROUNDS:-200} TM_FUZZ_SECONDS=${TM_FUZZ_SECONDS:-600}
  export TM_TIDY_FILES=${TM_TIDY_FILES:-1000} TM_LIMIT_FACTOR=${TM_LIMIT_FACTOR:-60}
}

# The newest changed sources, at most TM_TIDY_FILES: what is not committed, what the branch has beyond main, or, where
# nothing is beyond it, what the last commits touched.
changed_sources() {
  command -v git >/dev/null && git rev-parse HEAD >/dev/null 2>&1 || return 0
  local base
  base=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || true)
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=$(git rev-list -n 21 HEAD | tail -n 1); fi
  {
    git diff --name-only HEAD
    git log --name-only --format= "$base..HEAD"
    [ "$(git rev-list --count HEAD)" -gt 1 ] || git ls-files
  } | grep -E '^src/.*\.cc$' | grep -v '_test\.cc$' | awk '!seen[$0]++' | while read -r file; do [ ! -f "$file" ] || echo "$file"; done |
    head -n "${TM_TIDY_FILES:-16}"
}

tidy_changed() {
  local files
  mapfile -t files < <(changed_sources)
  # Outside a clone nobody can tell what has changed.
  if [ ${#files[@]} -eq 0 ]; then echo "result: no changed files known"; return; fi
  cmake --preset lint
  tidy "${files[@]}"
  echo "result: ${#files[@]} changed files"
}

run_labelled() {
  local preset=$1 label=$2; shift 2
  ctest --test-dir "build/$preset" -L "$label" -j "$(jobs_max)" --output-on-failure --no-tests=error "$@"
  echo "result: $(ctest --test-dir "build/$preset" -L "$label" "$@" -N | sed -n 's/^Total Tests: //p') programs"
}

run_threaded() {
  export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 suppressions=$TM_ROOT/tests/tsan.supp ${TSAN_OPTIONS:-}"
  run_labelled tsan threads
}

# Everything in the folder is a program of its own that starts what it needs; $TIDEMARK_SERVER and $TIDEMARK_CLI name
# ours. Exit code 77 says that it cannot run here, its last line why.
run_folder() {
  local file count=0 failed=() skipped=() code output
  for file in "$1"/*_test.py "$1"/*_test.sh; do
    [ -f "$file" ] || continue
    count=$((count + 1)) code=0
    echo "=== $file"
    output=$(mktemp)
    case $file in
      *.py) /usr/bin/python3 "$file" >"$output" 2>&1 || code=$? ;;
      *.sh) bash "$file" >"$output" 2>&1 || code=$? ;;
    esac
    cat "$output"
    case $code in
      0) ;;
      77) skipped+=("$(tail -n 1 "$output")") ;;
      *) failed+=("$file") ;;
    esac
    rm -f "$output"
  done
  [ ${#failed[@]} -eq 0 ] || { printf 'FAILED: %s\n' "${failed[@]}"; return 1; }
  echo "result: $count programs${skipped[*]:+, of which ${#skipped[@]} skipped: ${skipped[*]}}"
}

client_libraries() {
  install_node
  run_folder tests/compat
}

have() { compgen -G "$1" >/dev/null; }

run_tests() {
  case ${1:-} in
    --long) long_forms ;;
    '') ;;
    *) die "test: $1 is not --long" ;;
  esac
  local factor=${TM_LIMIT_FACTOR:-1}
  export TIDEMARK_SERVER=$TM_ROOT/build/release/tidemark-server TIDEMARK_CLI=$TM_ROOT/build/release/tidemark
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  rm -rf build/logs
  mkdir -p build/logs
  step $((900 * factor)) "packages" install_test_packages
  if ! $step_ok; then summary; return; fi

  step 60 "floors" check_floors
  step 60 "format" cmd_format --check
  step $((120 * factor)) "models (spin)" bash models/check

  step $((1500 * factor)) "build: release" build release programs process_shims worlds
  if $step_ok; then
    step $((600 * factor)) "simulation of a cluster" run_labelled release world
    if have 'tests/process/test_*.py'; then step $((900 * factor)) "process tests" /usr/bin/python3 tests/process/run.py; fi
    step $((600 * factor)) "client libraries" client_libraries
    if have 'tests/conformance/run.sh'; then step $((900 * factor)) "conformance (Redis's own suite)" bash tests/conformance/run.sh; fi
    step $((60 * factor)) "differential (Debian's redis-server)" /usr/bin/python3 tests/differential/run.py --seconds $((20 * factor))
  fi
  step $((1500 * factor)) "build: address, undefined sanitizers" build asan unit_tests simulations
  if $step_ok; then
    step $((300 * factor)) "unit tests (asan, ubsan)" run_labelled asan unit
    if have 'tests/sim/*.cc'; then step $((300 * factor)) "simulation (asan, ubsan)" run_labelled asan sim
    else skip simulation "there is none"
    fi
  fi
  step $((1500 * factor)) "build: thread sanitizer" build tsan threaded_tests
  if $step_ok; then step $((300 * factor)) "unit tests (tsan)" run_threaded; fi
  if have 'tests/fuzz/*_fuzz.cc'; then
    step $((900 * factor)) "build: fuzzers" build fuzz fuzzers
    if $step_ok; then step $((300 * factor)) "fuzz" bash tools/fuzz.sh "${TM_FUZZ_SECONDS:-30}"; fi
  else skip fuzz "there is no fuzzer"
  fi
  step $((600 * factor)) "clang-tidy of changed files" tidy_changed
  summary
}

install_test_packages() {
  install_packages "${build_packages[@]}" "${test_packages[@]}"
}

check_floors() {
  /usr/bin/python3 tests/layers_test.py
  /usr/bin/python3 tests/deploy_test.py
  /usr/bin/python3 tests/pains_test.py
  /usr/bin/python3 tests/layers.py
}
