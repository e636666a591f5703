// An ordinary CUDA program that launches one kernel after another, eager and in a graph, until a
// file exists: kernel_program FILE. As `kernel_program FILE profile` it asks CUPTI for its kernels'
// times meanwhile, as a server that profiles itself does. Says how many it launched, and of how
// many it was told.
#include <cuda.h>
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "interpose_kernels.h"
#include "simgpu/cupti.h"

namespace {

#define CHECK(call)                                               \
  do {                                                            \
    if (const int result = (call); result != 0) {                 \
      std::fprintf(stderr, "%s gives error %d\n", #call, result); \
      std::exit(1);                                               \
    }                                                             \
  } while (false)

template <typename Function>
Function* cupti(const char* name) {
  static void* const library = dlopen(CUPTI_NAME, RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<Function*>(library == nullptr ? nullptr : dlsym(library, name));
}
#define CUPTI(function) cupti<decltype(function)>(#function)

std::atomic<unsigned long> told{0};

void requested(uint8_t** buffer, size_t* size, size_t* most) {
  *size = 1 << 16;
  *buffer = static_cast<uint8_t*>(std::malloc(*size));
  *most = 0;
}

void completed(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  CUpti_Activity* record = nullptr;
  while (CUPTI(cuptiActivityGetNextRecord)(buffer, valid, &record) == CUPTI_SUCCESS) {
    // Whatever else runs in this process, a pager's kernels too, is told as well.
    const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
    if (std::strcmp(kernel->name, "fill_words") == 0) ++told;
  }
  std::free(buffer);
}

void begin_to_profile() {
  static CUpti_SubscriberHandle subscriber = nullptr;
  const auto ignore = [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {};
  CHECK(CUPTI(cuptiSubscribe)(&subscriber, ignore, nullptr));
  CHECK(CUPTI(cuptiActivityRegisterCallbacks)(&requested, &completed));
  CHECK(CUPTI(cuptiActivityEnable)(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t bytes = 4 << 20;
  const bool profiles = argc > 2 && std::strcmp(argv[2], "profile") == 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction fill = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr words = 0;
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  CHECK(cuInit(0));
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  CHECK(gpu_image::load(interpose_kernels_images(), &module));
  CHECK(cuModuleGetFunction(&fill, module, "fill_words"));
  CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CHECK(cuMemAlloc(&words, bytes));
  std::uint64_t count = bytes / 64;
  unsigned seed = 7;
  void* parameters[] = {&words, &count, &seed};
  const auto launch = [&] {
    CHECK(cuLaunchKernel(fill, 4, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr));
  };
  CHECK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  launch();
  launch();
  CHECK(cuStreamEndCapture(stream, &graph));
  CHECK(cuGraphInstantiateWithFlags(&executable, graph, 0));
  if (profiles) begin_to_profile();
  std::printf("runs\n");
  std::fflush(stdout);
  unsigned long launched = 0;
  for (int i = 0; i < 60'000 && access(argv[1], F_OK) != 0; ++i) {
    launch();
    CHECK(cuGraphLaunch(executable, stream));
    launched += 3;
    CHECK(cuStreamSynchronize(stream));
    usleep(1000);
  }
  if (profiles) CHECK(CUPTI(cuptiActivityFlushAll)(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
  std::printf("launched %lu, told %lu\n", launched, told.load());
  return 0;
}
