#!/usr/bin/env bash
# Runs everything that needs a real GPU and keeps what it printed and measured. Builds first, unless
# a build folder is given: from such a folder it needs no compiler, only the files under bin/. One
# step's failure does not stop the next.
# Exit: 0 all went well, 1 a step failed, 2 wrong use, 77 there is no NVIDIA GPU here, and why.
set -u

# Name | program under bin/ | arguments. @OUT@ is the output folder, @PROBE@ the probe's options.
steps=(
  "vmm_probe|vmm_probe|--json @OUT@/vmm_probe.json @PROBE@"
  "conformance|conformance|--gtest_output=json:@OUT@/conformance.json"
)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  local step names=
  for step in "${steps[@]}"; do names+=" ${step%%|*}"; done
  cat <<END
Usage: tests/gpu/run.sh [options]
Runs vmm_probe and the conformance suite on this machine's GPU.
  --build-dir DIR      use what is built there (or set BUILD_DIR); without it, build/gpu is built
  --out DIR            write results there (default: build/gpu-results)
  --only STEP,...      run only these steps:$names
  --step-seconds N     stop a step that takes longer (default: 3600)
  --probe-options 'O'  options for vmm_probe, such as '--seconds-per-test 20 --host-memory 8GiB'
  --help               print this
END
}

fail() { echo "tests/gpu/run.sh: $*" >&2; exit 2; }
no_gpu() { echo "tests/gpu/run.sh: no GPU to test on: $*" >&2; exit 77; }

build_dir=${BUILD_DIR:-}
out=$root/build/gpu-results
only=
step_seconds=3600
probe_options=
while (($#)); do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --build-dir | --out | --only | --step-seconds | --probe-options)
      (($# >= 2)) || fail "$1 needs a value; see --help"
      case $1 in
        --build-dir) build_dir=$2 ;;
        --out) out=$2 ;;
        --only) only=$2 ;;
        --step-seconds) step_seconds=$2 ;;
        --probe-options) probe_options=$2 ;;
      esac
      shift 2 ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done
[[ $step_seconds =~ ^[1-9][0-9]*$ ]] ||
  fail "--step-seconds wants a whole number, not '$step_seconds'"
for name in ${only//,/ }; do
  known=
  for step in "${steps[@]}"; do [[ ${step%%|*} == "$name" ]] && known=1; done
  [[ $known ]] || fail "no step is called '$name'; see --help"
done

# The library that a program started here would get: the loader's search path, then its cache.
find_driver() {
  local folder search=${LD_LIBRARY_PATH:-}
  for folder in ${search//:/ }; do
    [[ -e $folder/libcuda.so.1 ]] && { echo "$folder/libcuda.so.1"; return; }
  done
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null |
    awk '$1 == "libcuda.so.1" && /x86-64|aarch64|AArch64/ { print $NF; exit }'
}

driver=$(find_driver)
# No build for nothing: without a driver there is no GPU to use.
[[ $driver ]] || no_gpu "there is no CUDA driver (libcuda.so.1 is neither in LD_LIBRARY_PATH nor" \
  "known to ldconfig)"
if grep -aq simgpu_version "$driver"; then
  no_gpu "$driver is the simulated GPU's driver, which says nothing about hardware"
fi

if [[ ! $build_dir ]]; then
  build_dir=$root/build/gpu
  command -v cmake >/dev/null || fail "no build folder was given, and there is no cmake to make one"
  cmake -S "$root" -B "$build_dir" -DCMAKE_BUILD_TYPE=Release >/dev/null ||
    fail "configuring $build_dir failed"
  targets=$(cmake --build "$build_dir" --target help)
  for step in "${steps[@]}"; do
    IFS='|' read -r name program arguments <<<"$step"
    if grep -qw -- "$program" <<<"$targets"; then
      # One that does not build is a failed step, told apart below from one that does not exist.
      cmake --build "$build_dir" -j --target "$program" >&2 || unbuilt="${unbuilt:-} $name "
    fi
  done
fi

mkdir -p "$out" || fail "cannot make $out"
out=$(cd "$out" && pwd)

# The probe knows best whether a GPU can be used.
if [[ -x $build_dir/bin/vmm_probe ]]; then
  reason=$("$build_dir/bin/vmm_probe" --only device --json "$out/device.json" 2>&1)
  (($? == 77)) && no_gpu "${reason#vmm_probe: nothing to measure: }"
fi

failed=0
ran=0
rows=
table=
for step in "${steps[@]}"; do
  IFS='|' read -r name program arguments <<<"$step"
  [[ $only && ",$only," != *",$name,"* ]] && continue
  arguments=${arguments//@OUT@/$out}
  arguments=${arguments//@PROBE@/$probe_options}
  binary=$build_dir/bin/$program
  log=$out/$name.log
  code=-1 seconds=0
  if [[ " ${unbuilt:-} " == *" $name "* ]]; then
    result=failed why="it does not build"
  elif [[ ! -x $binary ]]; then
    result=absent why="$binary is not built"
  else
    echo "== $name" >&2
    : >"$log.err"
    start=$SECONDS
    # The options are words without spaces of their own, so splitting is what is meant.
    # shellcheck disable=SC2086
    timeout -k 30 "$step_seconds" "$binary" $arguments >"$log" 2> >(tee -a "$log.err" >&2)
    code=$? seconds=$((SECONDS - start)) ran=1
    case $code in
      0) result=passed why= ;;
      77) result=skipped why=$(tail -n 1 "$log.err" 2>/dev/null) ;;
      124 | 137) result=failed why="stopped after $step_seconds s" ;;
      *) result=failed why="exit code $code, see $log" ;;
    esac
  fi
  [[ $result == failed ]] && failed=1
  table+=$(printf '%-14s %-8s %6d s  %s' "$name" "$result" "$seconds" "$why")$'\n'
  why=${why//\\/\\\\} why=${why//\"/\\\"}
  row='{"name": "%s", "result": "%s", "exit_code": %d, "seconds": %d, "reason": "%s"}'
  # shellcheck disable=SC2059
  rows+=${rows:+,}$'\n    '$(printf "$row" "$name" "$result" "$code" "$seconds" "$why")
done

printf '{\n  "date": "%s",\n  "driver_library": "%s",\n  "steps": [%s\n  ]\n}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$driver" "$rows" >"$out/summary.json"
for log in "$out"/vmm_probe.log; do [[ -s $log ]] && cat "$log"; done
printf '\n%-14s %-8s %8s\n%s\nResults: %s\n' step result time "$table" "$out"
((ran || failed)) || fail "nothing was run: no step's program is under $build_dir/bin"
exit "$failed"
