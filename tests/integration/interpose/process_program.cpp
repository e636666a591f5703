// A program that does with its process what servers do, by name: see `ways` below. Started natively
// and under vHBM, it must print the same.
#include <cuda.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "interpose_kernels.h"
#include "simgpu/gpu_image.h"

namespace {

constexpr std::size_t piece = 8 << 20;
constexpr int pieces = 8;
constexpr int exit_code = 7;

void check(const char* what, CUresult result) {
  if (result == CUDA_SUCCESS) return;
  std::printf("%s gives %d\n", what, static_cast<int>(result));
  std::fflush(stdout);
  _exit(3);
}

struct Gpu {
  Gpu() {
    check("cuInit", cuInit(0));
    check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, 0));
    check("cuCtxSetCurrent", cuCtxSetCurrent(context));
    check("cuStreamCreate", cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    check("load", gpu_image::load(interpose_kernels_images(), &module));
    check("cuModuleGetFunction", cuModuleGetFunction(&fill, module, "fill_words"));
    for (int i = 0; i < pieces; ++i) {
      CUdeviceptr one = 0;
      check("cuMemAlloc", cuMemAlloc(&one, piece));
      memory.push_back(one);
    }
  }
  CUresult launch(CUdeviceptr words, CUstream on) const {
    std::uint64_t count = piece / 4;
    std::uint32_t seed = 7;
    void* parameters[] = {&words, &count, &seed};
    return cuLaunchKernel(fill, 2, 1, 1, 32, 1, 1, 0, on, parameters, nullptr);
  }

  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  CUfunction fill = nullptr;
  std::vector<CUdeviceptr> memory;
};

// One call of every kind that vHBM stands in front of and asks the driver about; those that take
// something away come last.
std::vector<std::pair<const char*, CUresult>> every_kind(const Gpu& gpu) {
  std::vector<std::pair<const char*, CUresult>> answers;
  const CUdeviceptr region = gpu.memory.front();
  CUdeviceptr address = 0;
  CUstream stream = nullptr;
  CUgraph graph = nullptr;
  CUevent event = nullptr;
  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  std::size_t size = 0, total = 0;
  std::uint32_t word = 0;
  CUipcMemHandle ipc{};
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READ};
  void* host = nullptr;
  void* found = nullptr;
  const auto nothing = [](void*) {};
#define ANSWER(call) answers.emplace_back(#call, call)
  ANSWER(cuMemGetInfo(&size, &total));
  ANSWER(cuDeviceTotalMem(&total, 0));
  ANSWER(cuMemGetAddressRange(&address, &size, region));
  ANSWER(cuMemUnmap(region, piece));
  ANSWER(cuMemSetAccess(region, piece, &access, 1));
  ANSWER(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(region)));
  ANSWER(cuIpcGetMemHandle(&ipc, region));
  ANSWER(cuIpcCloseMemHandle(region));
  ANSWER(cuMemAlloc(&address, piece));
  ANSWER(cuMemAlloc(&address, 4096));
  ANSWER(cuMemAllocPitch(&address, &size, 4096, 4096, 4));
  ANSWER(cuMemAllocAsync(&address, piece, gpu.stream));
  ANSWER(cuMemAllocHost(&host, 4096));
  ANSWER(cuMemcpyHtoD(region, &word, 4));
  ANSWER(cuMemcpyDtoH(&word, region, 4));
  ANSWER(cuMemcpyDtoD(region, region + 4096, 4));
  ANSWER(cuMemcpyDtoHAsync(&word, region, 4, gpu.stream));
  ANSWER(cuMemsetD32(region, 7, 1));
  ANSWER(cuMemsetD32Async(region, 7, 1, gpu.stream));
  ANSWER(gpu.launch(region, gpu.stream));
  ANSWER(gpu.launch(region, nullptr));
  ANSWER(cuLaunchHostFunc(gpu.stream, nothing, nullptr));
  ANSWER(cuStreamWriteValue32(gpu.stream, region, 7, 0));
  ANSWER(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  ANSWER(cuEventRecord(event, gpu.stream));
  ANSWER(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  ANSWER(cuStreamBeginCapture(gpu.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  ANSWER(cuStreamEndCapture(gpu.stream, &graph));
  ANSWER(cuMemCreate(&handle, piece, &properties, 0));
  ANSWER(cuGetProcAddress("cuMemAlloc", &found, 12000, 0, nullptr));
  ANSWER(cuCtxSynchronize());
  ANSWER(cuStreamSynchronize(nullptr));
  ANSWER(cuModuleUnload(nullptr));
  ANSWER(cuStreamDestroy(nullptr));
  ANSWER(cuMemFreeAsync(region, gpu.stream));
  ANSWER(cuMemFree(region));
  ANSWER(cuMemFree(region));
#undef ANSWER
  return answers;
}

// The same functions asked for nothing, or to write their answer nowhere.
std::vector<std::pair<const char*, CUresult>> null_answers(const Gpu& gpu) {
  std::vector<std::pair<const char*, CUresult>> answers;
  const CUdeviceptr region = gpu.memory.front();
  CUdeviceptr address = 0;
  std::size_t size = 0;
#define ANSWER(call) answers.emplace_back(#call, call)
  ANSWER(cuMemGetInfo(nullptr, &size));
  ANSWER(cuMemGetInfo(&size, nullptr));
  ANSWER(cuMemGetInfo(nullptr, nullptr));
  ANSWER(cuDeviceTotalMem(nullptr, 0));
  ANSWER(cuMemAlloc(nullptr, piece));
  ANSWER(cuMemAlloc(nullptr, 16));
  ANSWER(cuMemAlloc(&address, 0));
  ANSWER(cuMemAllocPitch(nullptr, &size, 4096, 4096, 4));
  ANSWER(cuMemAllocPitch(&address, nullptr, 4096, 4096, 4));
  ANSWER(cuMemAllocPitch(&address, &size, 4096, 4096, 3));
  ANSWER(cuMemAllocPitch(&address, &size, 4096, 0, 4));
  ANSWER(cuMemAllocAsync(nullptr, piece, gpu.stream));
  ANSWER(cuMemGetAddressRange(nullptr, nullptr, region));
  ANSWER(cuPointerGetAttribute(nullptr, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, region));
  ANSWER(cuPointerGetAttributes(1, nullptr, nullptr, region));
  ANSWER(cuStreamCreate(nullptr, 0));
  ANSWER(cuDevicePrimaryCtxRetain(nullptr, 0));
  ANSWER(cuStreamEndCapture(gpu.stream, nullptr));
  ANSWER(cuGraphInstantiate(nullptr, nullptr, 0));
  ANSWER(cuGraphLaunch(nullptr, gpu.stream));
  ANSWER(cuGetProcAddress("cuMemAlloc", nullptr, 12000, 0, nullptr));
  ANSWER(cuLaunchKernel(nullptr, 1, 1, 1, 1, 1, 1, 0, gpu.stream, nullptr, nullptr));
  ANSWER(cuLaunchKernelEx(nullptr, gpu.fill, nullptr, nullptr));
  ANSWER(cuMemcpy2D(nullptr));
  ANSWER(cuMemFree(0));
#undef ANSWER
  return answers;
}

void print(const std::vector<std::pair<const char*, CUresult>>& answers) {
  for (const auto& [call, result] : answers)
    std::printf("%d  %s\n", static_cast<int>(result), call);
}

int without_context() {
  const Gpu gpu;
  std::vector<std::pair<const char*, CUresult>> answers;
  std::thread([&] { answers = every_kind(gpu); }).join();
  print(answers);
  return 0;
}

int asks_for_nothing() {
  const Gpu gpu;
  print(null_answers(gpu));
  return 0;
}

// In a host function and in a callback, while other threads keep pages moving.
int in_callbacks() {
  const Gpu gpu;
  struct Asked {
    const Gpu* gpu;
    std::vector<std::pair<const char*, CUresult>> answers;
  };
  std::atomic<bool> enough{false};
  std::thread busy([&] {
    check("cuCtxSetCurrent", cuCtxSetCurrent(gpu.context));
    CUstream own = nullptr;
    check("cuStreamCreate", cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
    for (int i = 0; !enough; ++i) {
      check("launch", gpu.launch(gpu.memory[1 + i / 8 % (pieces - 1)], own));
      check("cuStreamSynchronize", cuStreamSynchronize(own));
    }
  });
  Asked asked{&gpu, {}}, asked_by_callback{&gpu, {}};
  for (int i = 0; i < 50; ++i) {
    check("cuLaunchHostFunc", cuLaunchHostFunc(
                                  gpu.stream,
                                  [](void* data) {
                                    auto* one = static_cast<Asked*>(data);
                                    one->answers = every_kind(*one->gpu);
                                  },
                                  &asked));
    check("cuStreamAddCallback", cuStreamAddCallback(
                                     gpu.stream,
                                     [](CUstream, CUresult, void* data) {
                                       auto* one = static_cast<Asked*>(data);
                                       one->answers = every_kind(*one->gpu);
                                     },
                                     &asked_by_callback, 0));
    check("cuStreamSynchronize", cuStreamSynchronize(gpu.stream));
  }
  enough = true;
  busy.join();
  print(asked.answers);
  print(asked_by_callback.answers);
  // What was asked there has changed nothing.
  unsigned word = 0;
  check("launch", gpu.launch(gpu.memory.front(), gpu.stream));
  check("cuStreamSynchronize", cuStreamSynchronize(gpu.stream));
  check("cuMemcpyDtoH", cuMemcpyDtoH(&word, gpu.memory.front(), 4));
  std::printf("then %u\n", word);
  return 0;
}

// Several threads launch without end, and never wait for their work; pages move.
const Gpu& busy_gpu() {
  static const Gpu* const gpu = new Gpu;
  for (int t = 0; t < 3; ++t) {
    std::thread([t] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      cuCtxSetCurrent(gpu->context);
      CUstream own = nullptr;
      cuStreamCreate(&own, CU_STREAM_NON_BLOCKING);
      // At the process's end the driver may answer anything, and so may we.
      for (int i = 0;; ++i) {
        gpu->launch(gpu->memory[(t * 3 + i / 16) % pieces], own);
        if (i % 16 == 0) cuStreamSynchronize(own);
      }
    }).detach();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  return *gpu;
}

int ends_by_return() {
  busy_gpu();
  return exit_code;
}
int ends_by_exit_elsewhere() {
  const Gpu& gpu = busy_gpu();
  std::thread([] { std::exit(exit_code); }).detach();
  for (int i = 0;; ++i) gpu.launch(gpu.memory[i % pieces], gpu.stream);
}
int ends_by_signal() {
  std::signal(SIGTERM, [](int) { std::exit(exit_code); });
  busy_gpu();
  std::thread([] { kill(getpid(), SIGTERM); }).detach();
  for (;;) pause();
}
int ends_at_once() {
  busy_gpu();
  _exit(exit_code);
}
int ends_quickly() {
  busy_gpu();
  std::quick_exit(exit_code);
}

// This process becomes another program that uses the GPU: the same process id, the same state.
int becomes_another() {
  busy_gpu();
  execl("/proc/self/exe", "process_program", "waits", nullptr);
  return 3;
}
// Until standard input ends.
int waits() {
  const Gpu gpu;
  std::printf("pid %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

// On the second of the devices that this process sees.
int uses_device_one() {
  CUcontext context = nullptr;
  CUuuid uuid{};
  std::size_t free = 0, total = 0;
  check("cuInit", cuInit(0));
  check("cuDeviceGetUuid", cuDeviceGetUuid(&uuid, 1));
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, 1));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
  for (int i = 0; i < pieces; ++i) {
    CUdeviceptr one = 0;
    unsigned back = 0;
    check("cuMemAlloc", cuMemAlloc(&one, piece));
    check("cuMemsetD32", cuMemsetD32(one, 5 + i, piece / 4));
    check("cuMemcpyDtoH", cuMemcpyDtoH(&back, one + piece - 4, 4));
    if (back != 5u + i) return 4;
  }
  check("cuMemGetInfo", cuMemGetInfo(&free, &total));
  std::printf("device ...%c, %zu MiB in all\n", uuid.bytes[15], total >> 20);
  return 0;
}

constexpr struct {
  const char* name;
  int (*go)();
} ways[] = {{"without_context", without_context},
            {"asks_for_nothing", asks_for_nothing},
            {"in_callbacks", in_callbacks},
            {"ends_by_return", ends_by_return},
            {"ends_by_exit_elsewhere", ends_by_exit_elsewhere},
            {"ends_by_signal", ends_by_signal},
            {"ends_at_once", ends_at_once},
            {"ends_quickly", ends_quickly},
            {"becomes_another", becomes_another},
            {"waits", waits},
            {"uses_device_one", uses_device_one}};

}  // namespace

int main(int argc, char** argv) {
  for (const auto& way : ways) {
    if (argc == 2 && std::strcmp(argv[1], way.name) == 0) return way.go();
  }
  return 64;
}
