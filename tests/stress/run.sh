#!/usr/bin/env bash
# Presses a paged process for long, on the simulated GPU, and compares all bytes: seeds 1 to 4 and a
# random one, one after the other. Exit code 0 when no harm was done and pages moved.
#
#   bash tests/stress/run.sh                      60 s each, the release build
#   bash tests/stress/run.sh --seconds 600        longer
#   bash tests/stress/run.sh --preset asan        one of release, debug, asan, tsan
#   bash tests/stress/run.sh --seed 123           only this seed
#   bash tests/stress/run.sh --chaos              20 processes, tormented for ten minutes: slept, woken,
#                                                 stopped, killed, short of disk, store and memory
#
# A build of another folder: --build FOLDER.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tools/build/packages.sh

seconds= preset=release build= seeds=() what=stress
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --preset) preset=${2:?--preset needs release, debug, asan or tsan}; shift 2 ;;
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    --chaos) what=chaos; shift ;;
    --seed) seeds=("${2:?--seed needs a number}"); shift 2 ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "tests/stress/run.sh: '$1' is not an option" >&2; exit 64 ;;
  esac
done

if [ -z "$build" ]; then
  need_packages || exit 2
  find_cuda || exit 2
  build=build/$preset
  mkdir -p "$build/log"
  if ! { cmake -S tools/build --preset "$preset" && cmake --build "$build" --target "$what"; } \
       >"$build/log/stress.txt" 2>&1; then
    tail -n 20 "$build/log/stress.txt"
    echo "tests/stress/run.sh: the build failed (whole log: $build/log/stress.txt)"
    exit 2
  fi
fi

random=$((RANDOM * 32768 + RANDOM))
if [ "$what" = chaos ]; then
  seconds=${seconds:-600} patience=5
  [ ${#seeds[@]} -eq 0 ] && seeds=("$random")
else
  seconds=${seconds:-60}
  [ ${#seeds[@]} -eq 0 ] && seeds=(1 2 3 4 "$random")
fi

# A sanitizer insists on being first in the process.
preload=$(realpath "$build")/lib/libvhbm.so
for sanitizer in libasan libtsan; do
  linked=$(ldd "$build/bin/$what" | awk -v name="$sanitizer" 'index($1, name) == 1 { print $3 }')
  [ -n "$linked" ] && preload=$linked:$preload patience=20
done
build=$(realpath "$build")
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

failed=0
for seed in "${seeds[@]}"; do
  if [ "$what" = chaos ]; then
    # Its own folder, in the build's, keeps the processes' logs where harm was done.
    (cd "$build" && LD_LIBRARY_PATH=$build/lib exec "$build/bin/chaos" --seed "$seed" --seconds "$seconds" \
      --patience "$patience" --worker "$build/bin/chaos_worker" --library "$preload") ||
      failed=$((failed + 1))
    continue
  fi
  LD_PRELOAD=$preload LD_LIBRARY_PATH=$build/lib VHBM_STATE_DIR=$state \
    VHBM_HBM_LIMIT=16MiB VHBM_HOST_LIMIT=256MiB VHBM_PAGER_INTERVAL=1ms VHBM_STALL_LIMIT=60% \
    VHBM_QUIESCE_DEADLINE=20ms VHBM_THRASH_GUARD=false SIMGPU_HBM=256MiB \
    "$build/bin/stress" --seed "$seed" --seconds "$seconds" || failed=$((failed + 1))
done
echo "${#seeds[@]} runs of $seconds s, $failed failed"
[ "$failed" -eq 0 ]
