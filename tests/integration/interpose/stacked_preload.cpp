// Another preloaded interposer, as a profiler or a memory limiter is: it stands in the process for
// the same names and counts, and takes its real functions the way its kind does, by RTLD_NEXT, by a
// handle of libcuda, or by asking whoever answers cuGetProcAddress.
#include <cuda.h>
#include <dlfcn.h>

#include <atomic>
#include <cstring>

#undef cuMemAlloc
#undef cuGetProcAddress

namespace {

std::atomic<int> allocations, launches, questions, look_ups;
// Calls of the same hook below itself on one thread; a circle would end the stack.
thread_local int depth;
std::atomic<int> deepest;

class Count {
 public:
  explicit Count(std::atomic<int>& counter) {
    ++counter;
    if (++depth > deepest) deepest = depth;
  }
  ~Count() { --depth; }
};

using Dlsym = void* (*)(void*, const char*);

// As such libraries do: the C library's own, by its version.
Dlsym c_library_dlsym() {
  static const auto found = reinterpret_cast<Dlsym>(dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34"));
  return found;
}

// What follows in the search order, else libcuda's.
template <typename Function>
Function* next(const char* name) {
  void* found = c_library_dlsym()(RTLD_NEXT, name);
  if (found == nullptr) {
    found = c_library_dlsym()(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY), name);
  }
  return reinterpret_cast<Function*>(found);
}

void* own(const char* name);

}  // namespace

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t size) {
  const Count count(allocations);
  return next<decltype(cuMemAlloc_v2)>("cuMemAlloc_v2")(out, size);
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void** parameters, void** extra) {
  const Count count(launches);
  return next<decltype(cuLaunchKernel)>("cuLaunchKernel")(function, grid_x, grid_y, grid_z, block_x,
                                                          block_y, block_z, shared, stream,
                                                          parameters, extra);
}

CUresult cuGetProcAddress_v2(const char* name, void** out, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  const Count count(questions);
  const CUresult result =
      next<decltype(cuGetProcAddress_v2)>("cuGetProcAddress_v2")(name, out, version, flags, status);
  if (result != CUDA_SUCCESS) return result;
  const bool is_versioned = std::strcmp(name, "cuMemAlloc") == 0;
  if (is_versioned || std::strcmp(name, "cuLaunchKernel") == 0) {
    *out = own(is_versioned ? "cuMemAlloc_v2" : name);
  }
  return result;
}

// Answers for libcuda's names whoever asks, whatever the handle, as its kind does.
void* dlsym(void* handle, const char* name) {
  ++look_ups;
  if (handle != RTLD_NEXT && own(name) != nullptr) return own(name);
  return c_library_dlsym()(handle, name);
}

int stacked_allocations() {
  return allocations;
}
int stacked_launches() {
  return launches;
}
int stacked_questions() {
  return questions;
}
int stacked_look_ups() {
  return look_ups;
}
int stacked_deepest() {
  return deepest;
}

}  // extern "C"

namespace {

void* own(const char* name) {
  if (std::strcmp(name, "cuMemAlloc_v2") == 0) return reinterpret_cast<void*>(&cuMemAlloc_v2);
  if (std::strcmp(name, "cuLaunchKernel") == 0) return reinterpret_cast<void*>(&cuLaunchKernel);
  return std::strcmp(name, "cuGetProcAddress_v2") == 0
             ? reinterpret_cast<void*>(&cuGetProcAddress_v2)
             : nullptr;
}

}  // namespace
