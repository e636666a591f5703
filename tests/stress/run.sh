#!/usr/bin/env bash
# Presses a paged process for long, on the simulated GPU, and compares all bytes: seeds 1 to 4 and a
# random one, one after the other. Exit code 0 when no harm was done and pages moved.
#
#   bash tests/stress/run.sh                      60 s each, the release build
#   bash tests/stress/run.sh --seconds 600        longer
#   bash tests/stress/run.sh --preset asan        one of release, debug, asan, tsan
#   bash tests/stress/run.sh --seed 123           only this seed
#
# A build of another folder: --build FOLDER.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tools/build/packages.sh

seconds=60 preset=release build= seeds=(1 2 3 4 $((RANDOM * 32768 + RANDOM)))
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --preset) preset=${2:?--preset needs release, debug, asan or tsan}; shift 2 ;;
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    --seed) seeds=("${2:?--seed needs a number}"); shift 2 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "tests/stress/run.sh: '$1' is not an option" >&2; exit 64 ;;
  esac
done

if [ -z "$build" ]; then
  need_packages || exit 2
  find_cuda || exit 2
  build=build/$preset
  mkdir -p "$build/log"
  if ! { cmake -S tools/build --preset "$preset" && cmake --build "$build" --target stress; } \
       >"$build/log/stress.txt" 2>&1; then
    tail -n 20 "$build/log/stress.txt"
    echo "tests/stress/run.sh: the build failed (whole log: $build/log/stress.txt)"
    exit 2
  fi
fi

# A sanitizer insists on being first in the process.
preload=$PWD/$build/lib/libvhbm.so
for sanitizer in libasan libtsan; do
  linked=$(ldd "$build/bin/stress" | awk -v name="$sanitizer" 'index($1, name) == 1 { print $3 }')
  [ -n "$linked" ] && preload=$linked:$preload
done
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

failed=0
for seed in "${seeds[@]}"; do
  LD_PRELOAD=$preload LD_LIBRARY_PATH=$PWD/$build/lib VHBM_STATE_DIR=$state \
    VHBM_HBM_LIMIT=16MiB VHBM_HOST_LIMIT=256MiB VHBM_PAGER_INTERVAL=1ms VHBM_STALL_SHARE=60% \
    VHBM_QUIESCE_DEADLINE=20ms SIMGPU_HBM=256MiB \
    "$build/bin/stress" --seed "$seed" --seconds "$seconds" || failed=$((failed + 1))
done
echo "${#seeds[@]} runs of $seconds s, $failed failed"
[ "$failed" -eq 0 ]
