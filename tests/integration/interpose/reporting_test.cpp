// One story of memory: NVML, cuDeviceTotalMem and cuMemGetInfo say the same of the GPUs that this
// process sees, before CUDA is there and after; of the others, and where no limit is set, NVML says
// what is so. Built twice: linked with libnvidia-ml, and finding it as Python does. The tests are phases
// of one process, in this order. Each run has an environment of its own (CMakeLists.txt), with two
// GPUs of 256 MiB and these words on what to expect:
//
// TOLD_TOTAL: MiB that are told of the GPU in use; 0 for the device as it is, unset for whatever is
// told at first.
//
// TOLD_GPU: its number in NVML, by default 1.
//
// TOLD_OF_BOTH: set where the process sees both GPUs.
//
// OLD_NVML: set where libnvidia-ml is of a time before the functions' later versions.
#include <cuda.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "simgpu/nvml.h"

#define ASSERT_CUDA(call) ASSERT_EQ(call, CUDA_SUCCESS) << #call

namespace {

constexpr std::size_t mebibyte = 1 << 20;
constexpr std::size_t device_total = 256 * mebibyte;
constexpr std::size_t piece = 72 * mebibyte;  // more than any of the limits leaves in HBM

struct Nvml {
#define EACH_FUNCTION(X)                     \
  X(nvmlInit_v2)                             \
  X(nvmlShutdown)                            \
  X(nvmlDeviceGetHandleByIndex_v2)           \
  X(nvmlDeviceGetMemoryInfo)                 \
  X(nvmlDeviceGetMemoryInfo_v2)              \
  X(nvmlDeviceGetComputeRunningProcesses)    \
  X(nvmlDeviceGetComputeRunningProcesses_v2) \
  X(nvmlDeviceGetComputeRunningProcesses_v3)
#define POINTER(function) decltype(&::function) function;
  EACH_FUNCTION(POINTER)
#undef POINTER
};

const Nvml& nvml() {
#if defined(LINKED)
#define VALUE(function) &::function,
#else
  static void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
#define VALUE(function) reinterpret_cast<decltype(&::function)>(dlsym(library, #function)),
#endif
  static const Nvml functions{EACH_FUNCTION(VALUE)};
#undef VALUE
  return functions;
}

std::size_t number(const char* variable, std::size_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

const unsigned gpu = static_cast<unsigned>(number("TOLD_GPU", 1));
// What is told of the GPU in use; known at once, or from the first answer.
std::optional<std::size_t> told_total;
bool told_as_it_is() {
  return *told_total == device_total && number("TOLD_TOTAL", 1) == 0;
}

bool is_old() {
  return std::getenv("OLD_NVML") != nullptr;
}

nvmlDevice_t handle(unsigned index) {
  nvmlDevice_t device = nullptr;
  EXPECT_EQ(nvml().nvmlDeviceGetHandleByIndex_v2(index, &device), NVML_SUCCESS);
  return device;
}

// By both forms, which have to agree and to add up.
nvmlMemory_t memory_of(unsigned index) {
  nvmlMemory_t first{};
  nvmlMemory_v2_t second{};
  second.version = nvmlMemory_v2;
  EXPECT_EQ(nvml().nvmlDeviceGetMemoryInfo(handle(index), &first), NVML_SUCCESS);
  EXPECT_EQ(first.free + first.used, first.total);
  if (is_old()) return first;
  EXPECT_EQ(nvml().nvmlDeviceGetMemoryInfo_v2(handle(index), &second), NVML_SUCCESS);
  EXPECT_EQ(second.version, nvmlMemory_v2);
  EXPECT_EQ(first.total, second.total);
  EXPECT_EQ(first.free, second.free);
  EXPECT_EQ(first.used, second.used);
  EXPECT_EQ(second.reserved, 0u);
  return first;
}

// It is in nobody's use.
void expect_other_gpu() {
  const bool told = std::getenv("TOLD_OF_BOTH") != nullptr;
  EXPECT_EQ(memory_of(1 - gpu).total, told ? *told_total : device_total);
}

std::size_t threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

// 0 when `work` says so in a forked child, which ends without exit handlers.
template <typename Work>
int in_child(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(work());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

class Reporting : public ::testing::Test {
 protected:
  Reporting() { EXPECT_EQ(nvml().nvmlInit_v2(), NVML_SUCCESS); }
  ~Reporting() override { EXPECT_EQ(nvml().nvmlShutdown(), NVML_SUCCESS); }
};

#if !defined(LINKED)
TEST(ReportingWithoutNvml, ThereIsNoneToAsk) {
  EXPECT_EQ(dlopen("libnvidia-ml.so.1", RTLD_NOLOAD | RTLD_LAZY), nullptr) << "run this test first";
  const auto ours = reinterpret_cast<decltype(&nvmlDeviceGetMemoryInfo)>(
      dlsym(RTLD_DEFAULT, "nvmlDeviceGetMemoryInfo"));
  nvmlMemory_t memory{};
  ASSERT_NE(ours, nullptr);
  EXPECT_EQ(static_cast<int>(ours(nullptr, &memory)), 12);  // NVML_ERROR_LIBRARY_NOT_FOUND
}
#endif

TEST_F(Reporting, GoesThroughTheHooksAndThroughNoOthers) {
  const auto is_ours = [](auto function) {
    Dl_info info{};
    EXPECT_NE(dladdr(reinterpret_cast<void*>(function), &info), 0);
    return std::string(info.dli_fname).ends_with("libvhbm.so");
  };
#if !defined(LINKED)
  // No answer of dlsym is replaced then.
  if (std::getenv("VHBM_DISABLE") != nullptr) {
    EXPECT_FALSE(is_ours(nvml().nvmlDeviceGetMemoryInfo));
    return;
  }
#endif
  EXPECT_TRUE(is_ours(nvml().nvmlDeviceGetMemoryInfo));
  EXPECT_TRUE(is_ours(nvml().nvmlDeviceGetComputeRunningProcesses));
  if (is_old()) {
    // What the library does not have is not there.
    EXPECT_EQ(nvml().nvmlDeviceGetMemoryInfo_v2, nullptr);
    EXPECT_EQ(nvml().nvmlDeviceGetComputeRunningProcesses_v3, nullptr);
    // Found in us by who asks for any, it answers as the library's own stub for a missing one.
    const auto missing = reinterpret_cast<decltype(&nvmlDeviceGetMemoryInfo_v2)>(
        dlsym(RTLD_DEFAULT, "nvmlDeviceGetMemoryInfo_v2"));
    ASSERT_NE(missing, nullptr);
    nvmlMemory_v2_t memory{};
    EXPECT_EQ(static_cast<int>(missing(handle(gpu), &memory)),
              13);  // NVML_ERROR_FUNCTION_NOT_FOUND
    return;
  }
  EXPECT_TRUE(is_ours(nvml().nvmlDeviceGetMemoryInfo_v2));
  EXPECT_TRUE(is_ours(nvml().nvmlDeviceGetComputeRunningProcesses_v2));
  EXPECT_TRUE(is_ours(nvml().nvmlDeviceGetComputeRunningProcesses_v3));
  EXPECT_FALSE(is_ours(nvml().nvmlInit_v2));
  EXPECT_FALSE(is_ours(nvml().nvmlDeviceGetHandleByIndex_v2));
}

TEST_F(Reporting, BeforeCudaIsOfWhatCudaWillTell) {
  const nvmlMemory_t memory = memory_of(gpu);
  told_total = memory.total;
  if (std::getenv("TOLD_TOTAL") != nullptr) {
    const std::size_t told = number("TOLD_TOTAL", 0) * mebibyte;
    told_total = told == 0 ? device_total : told;
  }
  EXPECT_EQ(memory.total, *told_total);
  EXPECT_GE(memory.total, 32 * mebibyte);
  // Virtual reporting of a whole device keeps back what is native.
  if (told_as_it_is() || std::getenv("VHBM_HBM_LIMIT") != nullptr) {
    EXPECT_EQ(memory.used, 0u);
  }
  expect_other_gpu();
}

TEST_F(Reporting, BeforeCudaLeavesTheProcessAsItIs) {
  int count = 0;
  const std::size_t before = threads();
  (void)memory_of(gpu);
  EXPECT_EQ(threads(), before);
  EXPECT_EQ(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_FALSE(std::filesystem::exists(std::getenv("VHBM_STATE_DIR")));
  // What is wrong with a call, the library itself knows.
  EXPECT_EQ(nvml().nvmlDeviceGetMemoryInfo(nullptr, nullptr), NVML_ERROR_INVALID_ARGUMENT);
  if (is_old()) return;
  nvmlMemory_v2_t unversioned{};
  EXPECT_EQ(nvml().nvmlDeviceGetMemoryInfo_v2(handle(gpu), &unversioned),
            NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
}

TEST_F(Reporting, BeforeCudaLetsAForkedChildUseCuda) {
  (void)memory_of(gpu);
  EXPECT_EQ(in_child([] {
              CUcontext context = nullptr;
              CUdeviceptr memory = 0;
              std::size_t free = 0, total = 0;
              // A process of its own: what its host can spare may have changed.
              const std::size_t told = memory_of(gpu).total;
              if (std::getenv("TOLD_TOTAL") != nullptr && told != *told_total) return 8;
              if (cuInit(0) != CUDA_SUCCESS) return 1;
              if (cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS) return 2;
              if (cuCtxSetCurrent(context) != CUDA_SUCCESS) return 3;
              if (cuMemGetInfo(&free, &total) != CUDA_SUCCESS || total != told) return 4;
              if (memory_of(gpu).total != told) return 5;
              if (cuMemAlloc(&memory, piece) != CUDA_SUCCESS) return 6;
              return cuMemsetD8(memory, 1, piece) == CUDA_SUCCESS ? 0 : 7;
            }),
            0);
}

TEST_F(Reporting, KeepsToWhatWasSetWhenItWasAskedFirst) {
  const auto total_with_another_limit = [] {
    setenv("VHBM_HBM_LIMIT", "48MiB", 1);
    return memory_of(gpu).total;
  };
  const char* const before = std::getenv("VHBM_HBM_LIMIT");
  if (before == nullptr || told_as_it_is()) GTEST_SKIP() << "there is no limit to change";
  const std::string limit = before;
  // A process of its own has its own.
  EXPECT_EQ(in_child([&] { return total_with_another_limit() == *told_total ? 1 : 0; }), 0);
  EXPECT_EQ(total_with_another_limit(), *told_total);
  setenv("VHBM_HBM_LIMIT", limit.c_str(), 1);
}

TEST_F(Reporting, BeforeAContextIsOfWhatCudaWillTell) {
  std::size_t total = 0;
  ASSERT_CUDA(cuInit(0));
  ASSERT_CUDA(cuDeviceTotalMem(&total, 0));
  EXPECT_EQ(total, *told_total);
  EXPECT_EQ(memory_of(gpu).total, *told_total);
  EXPECT_EQ(cuDeviceTotalMem(nullptr, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuDeviceTotalMem(&total, 7), CUDA_ERROR_INVALID_DEVICE);
}

template <typename Process>
void expect_this_process(nvmlReturn_t (*ask)(nvmlDevice_t, unsigned*, Process*),
                         unsigned long long used) {
  unsigned count = 0;
  EXPECT_EQ(ask(handle(gpu), &count, nullptr), NVML_ERROR_INSUFFICIENT_SIZE);
  ASSERT_EQ(count, 1u);
  Process process{};
  ASSERT_EQ(ask(handle(gpu), &count, &process), NVML_SUCCESS);
  EXPECT_EQ(process.pid, static_cast<unsigned>(getpid()));
  if (used != 0) {
    EXPECT_EQ(process.usedGpuMemory, used);
  }
  if constexpr (sizeof(Process) == sizeof(nvmlProcessInfo_v2_t)) {
    EXPECT_EQ(process.gpuInstanceId, ~0u);
    EXPECT_EQ(process.computeInstanceId, ~0u);
  }
}

TEST_F(Reporting, OfAGpuInUseIsTheSameFromAllOfThem) {
  CUcontext context = nullptr;
  CUdeviceptr memory = 0;
  std::size_t free = 0, free_before = 0, total = 0;
  ASSERT_CUDA(cuDevicePrimaryCtxRetain(&context, 0));
  ASSERT_CUDA(cuCtxSetCurrent(context));
  ASSERT_CUDA(cuMemGetInfo(&free_before, &total));
  EXPECT_EQ(total, *told_total);
  ASSERT_CUDA(cuMemAlloc(&memory, piece));
  ASSERT_CUDA(cuMemGetInfo(&free, &total));
  EXPECT_EQ(total, *told_total);
  EXPECT_EQ(free, free_before > piece ? free_before - piece : 0);
  ASSERT_CUDA(cuDeviceTotalMem(&total, 0));
  EXPECT_EQ(total, *told_total);

  const nvmlMemory_t told = memory_of(gpu);
  EXPECT_EQ(told.total, *told_total);
  // Without a limit NVML says what is held, cuMemGetInfo what may still be had.
  if (told_as_it_is()) {
    EXPECT_GE(told.used, piece);
  } else {
    EXPECT_EQ(told.free, free);
  }
  const std::size_t own = told_as_it_is() ? 0 : piece;
  expect_this_process(nvml().nvmlDeviceGetComputeRunningProcesses, own);
  if (!is_old()) {
    expect_this_process(nvml().nvmlDeviceGetComputeRunningProcesses_v2, own);
    expect_this_process(nvml().nvmlDeviceGetComputeRunningProcesses_v3, own);
  }
  ASSERT_CUDA(cuMemFree(memory));
}

TEST_F(Reporting, OfAnotherGpuIsTheSameIfItIsVisibleAndElseAsItIs) {
  expect_other_gpu();
  int count = 0;
  std::size_t total = 0;
  ASSERT_CUDA(cuDeviceGetCount(&count));
  for (CUdevice other = 1; other < count; ++other) {
    ASSERT_CUDA(cuDeviceTotalMem(&total, other));
    EXPECT_EQ(total, *told_total);
  }
}

TEST_F(Reporting, InAChildThatHasNoCudaIsAsItIs) {
  EXPECT_EQ(in_child([] { return memory_of(gpu).total == device_total ? 0 : 1; }), 0);
}

}  // namespace
