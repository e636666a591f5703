// Finds the Gpu over the runtime API beside the other libraries, through the loader's search path.
#include <dlfcn.h>

#include "gpu.h"

namespace sample_server {

// The library stays loaded: the Gpu's code is in it.
std::unique_ptr<Gpu> load_runtime_gpu() {
  void* library = dlopen("libsample_server_cudart.so", RTLD_NOW);
  void* maker = library ? dlsym(library, "sample_server_runtime_gpu") : nullptr;
  if (!maker) {
    throw GpuError(GpuErrorKind::other,
                   std::string("--api runtime cannot be used: ") + dlerror() +
                       " (is its folder, and libcudart's, in LD_LIBRARY_PATH?)");
  }
  return std::unique_ptr<Gpu>(reinterpret_cast<Gpu* (*)()>(maker)());
}

}  // namespace sample_server
