#!/usr/bin/env bash
# Measures what vHBM's hooks add to calls of the driver API: the same program, timed in turn without
# and with the library preloaded, on a driver that does nothing (where the hook's own cost shows) and
# on the simulated GPU. Prints nanoseconds: of the least disturbed round, and what the medians
# add, which is what the limit is held against.
#
#   bash tools/bench/run.sh                    the table
#   bash tools/bench/run.sh --json FILE        and the figures as JSON
#   bash tools/bench/run.sh --rounds N --min-time SECONDS --most-added NANOSECONDS
#   bash tools/bench/run.sh --driver gpu=DIR   also on the driver whose libcuda.so.1 is in DIR
set -u
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; }
fail() { echo "bench: $*" >&2; exit 1; }

options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --json) [ $# -ge 2 ] || fail "--json needs a file"; options+=(--json "$(realpath -m -- "$2")"); shift 2 ;;
    --rounds | --min-time | --most-added | --driver)
      [ $# -ge 2 ] || fail "$1 needs a value"; options+=("$1" "$2"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "bench: '$1' is not an option" >&2; usage >&2; exit 64 ;;
  esac
done

cd "$(dirname "$0")/../.." || exit 2
. tools/build/packages.sh
need_packages || exit 2
find_cuda || exit 2

build=build/release log=build/bench.txt
mkdir -p build
echo "Building (log: $log) ..."
cmake -S tools/build --preset release >"$log" 2>&1 &&
  cmake --build "$build" -j "$(nproc)" --target simgpu vhbm_library hook_cost >>"$log" 2>&1 || {
  tail -n 30 "$log" >&2
  fail "the build failed"
}
echo "Measuring ..."
"$build/bin/hook_cost" --program "$build/bin/driver_calls" --library "$PWD/$build/lib/libvhbm.so" \
  --driver "fake=$PWD/$build/lib/fake_driver" --driver "simgpu=$PWD/$build/lib" "${options[@]}"
