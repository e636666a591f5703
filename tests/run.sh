#!/usr/bin/env bash
# Builds everything and runs all tests, on the simulated GPU: plain, under AddressSanitizer with UBSan,
# and under ThreadSanitizer. Ends with `N passed, N failed, N skipped`; exit code 0 when none failed.
#
#   bash tests/run.sh                         all three
#   bash tests/run.sh --preset release        one of release, debug, asan, tsan (may be repeated)
#   bash tests/run.sh --tests REGEX           only tests whose name matches
set -u
cd "$(dirname "$0")/.." || exit 2
. tools/build/packages.sh

usage() { sed -n '2,8s/^# \{0,1\}//p' tests/run.sh; }
presets=()
tests=.
while [ $# -gt 0 ]; do
  case "$1" in
    --preset) presets+=("${2:?--preset needs release, debug, asan or tsan}"); shift 2 ;;
    --tests) tests=${2:?--tests needs a regular expression}; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "tests/run.sh: '$1' is not an option" >&2; usage >&2; exit 64 ;;
  esac
done
[ ${#presets[@]} -eq 0 ] && presets=(release asan tsan)

need_packages || exit 2
find_cuda || exit 2

# Sanitizers want a predictable address layout; containers may forbid asking for one.
fixed_layout=()
setarch -R true 2>/dev/null && fixed_layout=(setarch -R)

# Threads of a driver, simulated or not, end with their process: that nobody joins them is no leak. Each
# process that still has threads would sleep for a second at its end, to see them race with it.
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}report_thread_leaks=0:atexit_sleep_ms=50:suppressions=$PWD/tests/tsan.supp"

jobs=$(nproc)
passed=0 failed=0 skipped=0
started=$SECONDS
summary=()
for preset in "${presets[@]}"; do
  begin=$SECONDS
  build=build/$preset
  log=$build/log
  mkdir -p "$log"
  echo "== $preset: configure and build"
  if ! cmake -S tools/build --preset "$preset" >"$log/configure.txt" 2>&1; then
    tail -n 20 "$log/configure.txt"
    echo "== $preset: configuring failed (whole log: $log/configure.txt)"
    failed=$((failed + 1))
    continue
  fi
  if ! cmake --build "$build" -j "$jobs" >"$log/build.txt" 2>&1; then
    grep -E -A5 'error|FAILED' "$log/build.txt" | head -n 60
    echo "== $preset: the build failed (whole log: $log/build.txt)"
    failed=$((failed + 1))
    continue
  fi
  built=$((SECONDS - begin))
  echo "== $preset: built in $built s; tests"
  # The programs find the simulated driver as they would find any: through the loader's search path.
  LD_LIBRARY_PATH="$PWD/$build/lib" "${fixed_layout[@]}" ctest --test-dir "$build" -R "$tests" \
    -j "$jobs" --output-on-failure --no-tests=error --timeout 600 2>&1 | tee "$log/ctest.txt"
  # A test that cannot run here says so by its exit code, and ctest counts it as passed.
  p=0 f=1 s=0
  if grep -q 'tests passed' "$log/ctest.txt"; then
    total=$(grep -oE 'out of [0-9]+' "$log/ctest.txt" | grep -oE '[0-9]+')
    f=$(grep -oE '[0-9]+ tests? failed' "$log/ctest.txt" | grep -oE '^[0-9]+')
    s=$(grep -c '[*]Skipped' "$log/ctest.txt")
    p=$((total - f - s))
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-8s built in %4d s, %4d passed, %d failed, %d skipped, whole %4d s' \
    "$preset" "$built" "$p" "$f" "$s" $((SECONDS - begin)))")
done

echo
printf '%s\n' "${summary[@]}"
echo "All in $((SECONDS - started)) s."
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
