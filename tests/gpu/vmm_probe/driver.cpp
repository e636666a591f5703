// Finds the driver's functions by dlsym, each by the name the library exports.
#include "driver.h"

#include <dlfcn.h>

#include <cstring>

namespace vmm_probe {

std::string load_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!library) return std::string("no CUDA driver: ") + dlerror();
  cu.simulated = dlsym(library, "simgpu_version") != nullptr;
#define DRIVER(need, symbol) DRIVER_NAMED(need, symbol, symbol)
#define DRIVER_NAMED(need, member, symbol)                                    \
  cu.member = reinterpret_cast<decltype(cu.member)>(dlsym(library, #symbol)); \
  if (!cu.member && std::strcmp(#need, "required") == 0)                      \
    return "libcuda.so.1 lacks " #symbol ": a driver for CUDA 12.4 or newer is needed";
#include "driver.def"
#undef DRIVER
#undef DRIVER_NAMED
  return {};
}

std::string name_of(CUresult result) {
  const char* name = nullptr;
  if (cu.cuGetErrorName && cu.cuGetErrorName(result, &name) == CUDA_SUCCESS && name) return name;
  return "CUDA error " + std::to_string(static_cast<int>(result));
}

void must(CUresult result, const std::string& what) {
  if (result != CUDA_SUCCESS) throw Failure(what + ": " + name_of(result));
}

}  // namespace vmm_probe
