#!/usr/bin/env bash
# Builds vHBM and shows its main job: a CUDA server, unmodified, in a quarter of the GPU memory that it
# allocates, with the same output. Runs on a real GPU where there is one, else on the simulated GPU.
#
#   bash tools/demo.sh                              a made-up trace of 500 requests
#   bash tools/demo.sh --trace FILE --requests N    a real trace in Mooncake's JSON-lines format
#   bash tools/demo.sh --simulated                  the simulated GPU, also where there is a real one
#   bash tools/demo.sh -- --graphs step             what follows -- goes to the server
#
# Everything it writes is under build/demo.
set -u
usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
fail() { echo "demo: $*" >&2; exit 1; }

trace='' requests=500 simulated=no
server_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --trace) [ $# -ge 2 ] || fail "--trace needs a file"; trace=$(realpath -- "$2"); shift 2 ;;
    --requests) [ $# -ge 2 ] || fail "--requests needs a number"; requests=$2; shift 2 ;;
    --simulated) simulated=yes; shift ;;
    --) shift; server_options=("$@"); break ;;
    -h | --help) usage; exit 0 ;;
    *) echo "demo: '$1' is not an option" >&2; usage >&2; exit 64 ;;
  esac
done
[ -z "$trace" ] || [ -r "$trace" ] || fail "cannot read the trace '$trace'"

cd "$(dirname "$0")/.." || exit 2
. tools/build/packages.sh
need_packages || exit 2
find_cuda || exit 2

build=build/release out=build/demo
mkdir -p "$out"
echo "Building (log: $out/build.txt) ..."
cmake -S tools/build --preset release >"$out/build.txt" 2>&1 &&
  cmake --build "$build" -j "$(nproc)" --target simgpu simgpu_cudart vhbm vhbm_library sample_server \
    trace_generator demo_table >>"$out/build.txt" 2>&1 || {
  tail -n 30 "$out/build.txt" >&2
  fail "the build failed"
}

rm -f "$out"/*.json
driver=()
if [ "$simulated" = no ] && [ -e /dev/nvidiactl ] && ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
  echo "GPU: a real one ($(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1))"
else
  simulated=yes
  driver=(LD_LIBRARY_PATH="$PWD/$build/lib")
  echo "GPU: none found or asked for, so the simulated one"
fi

if [ -z "$trace" ]; then
  trace=$out/trace.jsonl
  "$build/bin/trace_generator" --requests "$requests" --out "$trace" || fail "no trace could be made"
fi
echo "Trace: $trace, the first $requests requests"

# One run of the server: NAME, the simulated GPU's memory, and what stands before the command.
run() {
  local name=$1 memory=$2
  shift 2
  env "${driver[@]}" SIMGPU_HBM="$memory" SIMGPU_SUMMARY="$out/$name-device.json" "$@" \
    "$build/bin/sample_server" --trace "$trace" --requests "$requests" --json "$out/$name.json" \
    "${server_options[@]}" >"$out/$name.txt" 2>&1
}
json_number() { grep -oE "\"$2\": *[0-9]+" "$1" | head -n 1 | grep -oE '[0-9]+$'; }

echo "1/3 native, with all the memory it wants ..."
run native 8GiB env
native_exit=$?
[ "$native_exit" -eq 0 ] || { cat "$out/native.txt" >&2; fail "the native run failed"; }
grep -E '^(GPU |token counts|allocated|requests|KV cache)' "$out/native.txt" | sed 's/^/    /'
allocated=$(json_number "$out/native.json" peak)
# A quarter, in whole pages of 2 MiB.
limit=$((allocated / 4 / 2097152 * 2097152))

quarter_exit=-1
if [ "$simulated" = yes ]; then
  echo "2/3 native, on a GPU with a quarter of that ..."
  run quarter "$limit" env
  quarter_exit=$?
  sed 's/^/    /' "$out/quarter.txt" | tail -n 3
else
  echo "2/3 native, with a quarter: not run, since a real GPU cannot be made smaller"
fi

echo "3/3 under vHBM, limited to a quarter ..."
run vhbm 8GiB "$build/bin/vhbm" run --hbm-limit "$limit" --summary "$out/vhbm-statistics.json" --
vhbm_exit=$?
[ "$vhbm_exit" -eq 0 ] || cat "$out/vhbm.txt" >&2

echo
"$build/bin/demo_table" --native "$out/native.json" --native-exit "$native_exit" \
  --native-device "$out/native-device.json" --quarter "$out/quarter.json" --quarter-exit "$quarter_exit" \
  --vhbm "$out/vhbm.json" --vhbm-exit "$vhbm_exit" --vhbm-statistics "$out/vhbm-statistics.json" \
  --vhbm-device "$out/vhbm-device.json" --limit "$limit"
