# Sourced by tests/run.sh and tools/demo.sh: sees that what the build needs is there, and installs what
# is missing where that can be done. Defines `need_packages` and `find_cuda`.

VHBM_PACKAGES=(g++ cmake ninja-build libspdlog-dev libfmt-dev libtomlplusplus-dev libcli11-dev
  nlohmann-json3-dev libxxhash-dev liburing-dev libhiredis-dev liblz4-dev libzstd-dev pkg-config
  libgtest-dev libbenchmark-dev libncurses-dev prometheus-cpp-dev python3-yaml redis-server tmux)

need_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian system: assuming the counterparts of these packages are installed:" >&2
    echo "  ${VHBM_PACKAGES[*]}" >&2
    return 0
  fi
  for package in "${VHBM_PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing packages: ${missing[*]}" >&2
    echo "Install them (sudo apt-get install ${missing[*]}) and run this again." >&2
    return 1
  fi
  echo "Installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
         "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${missing[*]} (the whole log: $log)" >&2
    return 1
  fi
  rm -f "$log"
}

# Puts nvcc on PATH; says what is looked for where there is none.
find_cuda() {
  command -v nvcc >/dev/null && return 0
  local folder
  for folder in "${CUDA_PATH:-}" "${CUDA_HOME:-}" /usr/local/cuda /usr/local/cuda-*; do
    if [ -n "$folder" ] && [ -x "$folder/bin/nvcc" ]; then
      export PATH="$folder/bin:$PATH"
      return 0
    fi
  done
  echo "No CUDA Toolkit was found: nvcc is neither on PATH nor under CUDA_PATH or /usr/local/cuda." >&2
  echo "vHBM needs a CUDA Toolkit of version 12.4 or newer to build; a GPU or a driver is not needed." >&2
  return 1
}
