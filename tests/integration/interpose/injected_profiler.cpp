// A profiler as a driver loads it from within cuInit (CUDA_INJECTION64_PATH): it looks functions up
// by dlsym, private tables too, and from a thread of its own takes the program's context, device
// memory and a stream, again and again until the program ends.
#include <cuda.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#undef cuMemAlloc
#undef cuMemFree
#undef cuStreamDestroy
#undef cuMemsetD8Async

namespace {

std::atomic<bool> enough{false};
std::atomic<int> rounds{0}, wrong{0};
std::thread worker;

template <typename Function>
Function* find(const char* name) {
  static void* const libcuda = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
  return reinterpret_cast<Function*>(dlsym(libcuda, name));
}

void check(CUresult result) {
  if (result != CUDA_SUCCESS) ++wrong;
}

void work() {
  const auto allocate = find<decltype(cuMemAlloc_v2)>("cuMemAlloc_v2");
  const auto release = find<decltype(cuMemFree_v2)>("cuMemFree_v2");
  const auto set = find<decltype(cuMemsetD8Async)>("cuMemsetD8Async");
  const auto make_stream = find<decltype(cuStreamCreate)>("cuStreamCreate");
  const auto end_stream = find<decltype(cuStreamDestroy_v2)>("cuStreamDestroy_v2");
  const auto synchronize = find<decltype(cuStreamSynchronize)>("cuStreamSynchronize");
  const auto is_active = find<decltype(cuDevicePrimaryCtxGetState)>("cuDevicePrimaryCtxGetState");
  CUcontext context = nullptr;
  // The program makes the context; a profiler only looks.
  for (int active = 0; active == 0 && !enough;) {
    unsigned flags = 0;
    check(is_active(0, &flags, &active));
    std::this_thread::yield();
  }
  check(find<decltype(cuDevicePrimaryCtxRetain)>("cuDevicePrimaryCtxRetain")(&context, 0));
  check(find<decltype(cuCtxSetCurrent)>("cuCtxSetCurrent")(context));
  do {
    CUdeviceptr buffer = 0;
    CUstream stream = nullptr;
    check(make_stream(&stream, CU_STREAM_NON_BLOCKING));
    check(allocate(&buffer, 128 << 10));
    check(set(buffer, 1, 128 << 10, stream));
    check(synchronize(stream));
    check(release(buffer));
    check(end_stream(stream));
    ++rounds;
  } while (!enough);
}

void finish() {
  enough = true;
  worker.join();
  std::printf("profiler: %s, %d wrong answers\n", rounds > 0 ? "worked" : "idle", wrong.load());
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int InitializeInjection() {
  const void* table = nullptr;
  constexpr CUuuid nobodys{};
  const auto tables = find<decltype(cuGetExportTable)>("cuGetExportTable");
  if (tables != nullptr) (void)tables(&table, &nobodys);
  worker = std::thread(work);
  std::atexit(finish);
  return 1;
}
