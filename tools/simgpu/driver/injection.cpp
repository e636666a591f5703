#include "injection.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdio>

#include "machine.h"

namespace simgpu {

void inject() {
  static std::atomic<bool> done{false};
  const Machine* const instance = machine();
  if (instance == nullptr || instance->options.injection.empty() || done.exchange(true)) return;
  void* library = dlopen(instance->options.injection.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "simgpu: CUDA_INJECTION64_PATH: %s\n", dlerror());
    return;
  }
  const auto initialize = reinterpret_cast<int (*)()>(dlsym(library, "InitializeInjection"));
  if (initialize != nullptr) initialize();
}

}  // namespace simgpu
