// The simulated management library tells of the machine that the simulated driver runs. Started
// with two GPUs of 65 MiB, the second of which CUDA sees.
#include "simgpu/nvml.h"

#include <cuda.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "identity.h"

namespace {

constexpr unsigned long long kMebibyte = 1 << 20;
constexpr unsigned long long kBudget = 64 * kMebibyte;  // whole pages of 2 MiB

using Places = std::vector<std::size_t>;

TEST(VisibleDevices, AreAllWhereNothingIsSaid) {
  EXPECT_EQ(simgpu::visible_devices(nullptr, 3), (Places{0, 1, 2}));
}

TEST(VisibleDevices, AreTheListsInItsOrderUpToWhatIsNoGpu) {
  EXPECT_EQ(simgpu::visible_devices("2, 0", 3), (Places{2, 0}));
  EXPECT_EQ(simgpu::visible_devices("1,3,0", 3), (Places{1}));
  EXPECT_EQ(simgpu::visible_devices("-1", 3), Places{});
  EXPECT_EQ(simgpu::visible_devices("", 3), Places{});
  EXPECT_EQ(simgpu::visible_devices("0,0,1", 3), (Places{0, 1}));
}

TEST(VisibleDevices, CanBeNamedByUuidInPart) {
  const std::string second = simgpu::Identity(1).uuid_text;
  EXPECT_EQ(simgpu::visible_devices((second + ",0").c_str(), 3), (Places{1, 0}));
  EXPECT_EQ(simgpu::visible_devices(second.substr(0, 12).c_str(), 3), (Places{0}));
  EXPECT_EQ(simgpu::visible_devices("GPU-00000000", 3), Places{});
  EXPECT_EQ(simgpu::visible_devices("GPU-", 3), Places{});
}

class Management : public ::testing::Test {
 protected:
  Management() {
    EXPECT_EQ(nvmlInit_v2(), NVML_SUCCESS);
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_EQ(nvmlDeviceGetHandleByIndex_v2(i, &gpus_[i]), NVML_SUCCESS);
    }
  }
  ~Management() override { EXPECT_EQ(nvmlShutdown(), NVML_SUCCESS); }

  nvmlDevice_t gpus_[2] = {};
};

// First: afterwards the driver is in use.
TEST_F(Management, TellsOfUnusedGpusBeforeCudaIsInitialised) {
  nvmlMemory_t memory{};
  unsigned count = 4;
  nvmlProcessInfo_v1_t infos[4];
  for (nvmlDevice_t gpu : gpus_) {
    ASSERT_EQ(nvmlDeviceGetMemoryInfo(gpu, &memory), NVML_SUCCESS);
    EXPECT_EQ(memory.total, kBudget);
    EXPECT_EQ(memory.free, kBudget);
    EXPECT_EQ(memory.used, 0u);
    ASSERT_EQ(nvmlDeviceGetComputeRunningProcesses(gpu, &count, infos), NVML_SUCCESS);
    EXPECT_EQ(count, 0u);
    count = 4;
  }
  int devices = 0;
  EXPECT_EQ(cuDeviceGetCount(&devices), CUDA_ERROR_NOT_INITIALIZED);
}

TEST_F(Management, TellsOfTheGpuThatCudaUses) {
  int devices = 0;
  CUcontext context = nullptr;
  CUdeviceptr memory = 0;
  std::size_t total = 0;
  ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  ASSERT_EQ(cuDeviceGetCount(&devices), CUDA_SUCCESS);
  EXPECT_EQ(devices, 1);
  ASSERT_EQ(cuDeviceTotalMem(&total, 0), CUDA_SUCCESS);
  EXPECT_EQ(total, kBudget);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSetCurrent(context), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc(&memory, 16 * kMebibyte), CUDA_SUCCESS);

  nvmlMemory_t first{};
  nvmlMemory_v2_t second{};
  second.version = nvmlMemory_v2;
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(gpus_[0], &first), NVML_SUCCESS);
  EXPECT_EQ(first.used, 0u);
  EXPECT_EQ(nvmlDeviceGetMemoryInfo_v2(gpus_[1], &second), NVML_SUCCESS);
  EXPECT_EQ(second.used, 16 * kMebibyte);
  EXPECT_EQ(second.free, kBudget - 16 * kMebibyte);
  EXPECT_EQ(second.reserved, 0u);
  second.version = 0;
  EXPECT_EQ(nvmlDeviceGetMemoryInfo_v2(gpus_[1], &second), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);

  unsigned count = 0;
  nvmlProcessInfo_v2_t process{};
  EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(gpus_[1], &count, nullptr),
            NVML_ERROR_INSUFFICIENT_SIZE);
  ASSERT_EQ(count, 1u);
  EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(gpus_[1], &count, &process), NVML_SUCCESS);
  EXPECT_EQ(process.pid, static_cast<unsigned>(getpid()));
  EXPECT_EQ(process.usedGpuMemory, 16 * kMebibyte);
  EXPECT_EQ(process.gpuInstanceId, ~0u);
  EXPECT_EQ(cuMemFree(memory), CUDA_SUCCESS);
  EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
}

TEST_F(Management, NamesItsGpusAsTheDriverDoes) {
  ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  char text[96], bus[32];
  CUuuid uuid{};
  ASSERT_EQ(nvmlDeviceGetUUID(gpus_[1], text, sizeof text), NVML_SUCCESS);
  ASSERT_EQ(cuDeviceGetUuid(&uuid, 0), CUDA_SUCCESS);
  EXPECT_EQ(std::string(text), "GPU-73696d75-6c61-7465-642d-6770752d3031");
  EXPECT_EQ(std::memcmp(uuid.bytes, "simulated-gpu-01", 16), 0);
  nvmlDevice_t found = nullptr;
  EXPECT_EQ(nvmlDeviceGetHandleByUUID(text, &found), NVML_SUCCESS);
  EXPECT_EQ(found, gpus_[1]);
  EXPECT_EQ(nvmlDeviceGetHandleByUUID("GPU-0", &found), NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(nvmlDeviceGetUUID(gpus_[1], text, 8), NVML_ERROR_INSUFFICIENT_SIZE);

  nvmlPciInfo_t pci{};
  ASSERT_EQ(cuDeviceGetPCIBusId(bus, sizeof bus, 0), CUDA_SUCCESS);
  ASSERT_EQ(nvmlDeviceGetPciInfo_v3(gpus_[1], &pci), NVML_SUCCESS);
  EXPECT_EQ(std::string(pci.busId), "0000" + std::string(bus));
  EXPECT_EQ(std::string(pci.busIdLegacy), bus);
  found = nullptr;
  EXPECT_EQ(nvmlDeviceGetHandleByPciBusId_v2(bus, &found), NVML_SUCCESS);
  EXPECT_EQ(found, gpus_[1]);
  EXPECT_EQ(nvmlDeviceGetHandleByPciBusId_v2("0000:07:00.0", &found), NVML_ERROR_NOT_FOUND);

  unsigned index = 0, count = 0;
  EXPECT_EQ(nvmlDeviceGetIndex(gpus_[1], &index), NVML_SUCCESS);
  EXPECT_EQ(index, 1u);
  EXPECT_EQ(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
  EXPECT_EQ(count, 2u);
  char nvml_name[96], cuda_name[96];
  ASSERT_EQ(nvmlDeviceGetName(gpus_[0], nvml_name, sizeof nvml_name), NVML_SUCCESS);
  ASSERT_EQ(cuDeviceGetName(cuda_name, sizeof cuda_name, 0), CUDA_SUCCESS);
  EXPECT_STREQ(nvml_name, cuda_name);
  EXPECT_EQ(nvmlSystemGetDriverVersion(text, sizeof text), NVML_SUCCESS);
  EXPECT_STREQ(nvmlErrorString(NVML_ERROR_NOT_FOUND), "Not Found");
}

TEST(ManagementUninitialised, RefusesEveryCall) {
  nvmlDevice_t gpu = nullptr;
  ASSERT_EQ(nvmlInitWithFlags(0), NVML_SUCCESS);
  ASSERT_EQ(nvmlDeviceGetHandleByIndex_v2(0, &gpu), NVML_SUCCESS);
  EXPECT_EQ(nvmlDeviceGetHandleByIndex_v2(2, &gpu), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(gpu, nullptr), NVML_ERROR_INVALID_ARGUMENT);
  ASSERT_EQ(nvmlShutdown(), NVML_SUCCESS);
  nvmlMemory_t memory{};
  EXPECT_EQ(nvmlShutdown(), NVML_ERROR_UNINITIALIZED);
  EXPECT_EQ(nvmlDeviceGetHandleByIndex_v2(0, &gpu), NVML_ERROR_UNINITIALIZED);
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(gpu, &memory), NVML_ERROR_UNINITIALIZED);
}

}  // namespace
