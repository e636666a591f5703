// A library that stands between the preloaded one and the driver, as another interposer would.
#include <cuda.h>
#include <dlfcn.h>

extern "C" {

static int calls;

int object_between_calls() {
  return calls;
}
// Both keep the answer before they return: a tail call would make their caller the one that asks.
void* object_between_next(const char* name) {
  void* volatile answer = dlsym(RTLD_NEXT, name);
  return answer;
}
void* object_between_default(const char* name) {
  void* volatile answer = dlsym(RTLD_DEFAULT, name);
  return answer;
}

CUresult cuDeviceGetCount(int* count) {
  ++calls;
  return reinterpret_cast<CUresult (*)(int*)>(dlsym(RTLD_NEXT, "cuDeviceGetCount"))(count);
}

#undef cuMemGetInfo
CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  ++calls;
  void* libcuda = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
  // By handle, it gets the preloaded library's hook, which must not lead back here.
  using Function = CUresult (*)(size_t*, size_t*);
  return reinterpret_cast<Function>(dlsym(libcuda, "cuMemGetInfo_v2"))(free, total);
}

}  // extern "C"
