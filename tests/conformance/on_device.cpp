#include "on_device.h"

#include <unistd.h>

#include <cstdlib>

#include "conformance_kernels.h"

namespace conformance {

void OnDevice::SetUp() {
  // Tests launch kernels beside one that waits. Loaded on first use, such a kernel may wait for the
  // context (CUDA Programming Guide, "Lazy Loading", potential hazards); and with few hardware
  // queues two streams may share one.
  setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  OK(cuInit(0));
  OK(cuDeviceGet(&device_, 0));
  OK(cuDevicePrimaryCtxRetain(&context_, device_));
  OK(cuCtxSetCurrent(context_));
  OK(gpu_image::load(conformance_kernels_images(), &module_));
}

void OnDevice::TearDown() {
  if (context_ == nullptr) return;
  cuCtxSetCurrent(context_);
  for (CUstream stream : streams_) cuStreamDestroy(stream);
  for (CUdeviceptr address : allocations_) cuMemFree(address);
  if (module_ != nullptr) cuModuleUnload(module_);
  cuDevicePrimaryCtxRelease(device_);
}

CUfunction OnDevice::kernel(const char* name) {
  CUfunction function = nullptr;
  EXPECT_EQ(cuModuleGetFunction(&function, module_, name), CUDA_SUCCESS) << name;
  return function;
}

Words OnDevice::read(CUdeviceptr address, std::size_t count) {
  Words words(count);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyDtoH(words.data(), address, count * sizeof(unsigned)), CUDA_SUCCESS);
  return words;
}

CUdeviceptr OnDevice::allocate(std::size_t bytes) {
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, bytes), CUDA_SUCCESS);
  allocations_.push_back(address);
  return address;
}

CUstream OnDevice::make_stream(unsigned flags) {
  CUstream stream = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, flags), CUDA_SUCCESS);
  streams_.push_back(stream);
  return stream;
}

Blocker::Blocker(CUfunction wait_for_flag, CUstream stream) {
  void* memory = nullptr;
  launched_ = cuMemHostAlloc(&memory, 64, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  if (launched_ != CUDA_SUCCESS) return;
  flag_ = static_cast<volatile unsigned*>(memory);
  *flag_ = 0;
  CUdeviceptr address = 0;
  cuMemHostGetDevicePointer(&address, memory, 0);
  void* parameters[] = {&address};
  launched_ = cuLaunchKernel(wait_for_flag, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}

Blocker::~Blocker() {
  if (flag_ == nullptr) return;
  release();
  cuCtxSynchronize();
  cuMemFreeHost(const_cast<unsigned*>(flag_));
}

void Blocker::release() {
  __atomic_store_n(const_cast<unsigned*>(flag_), 1u, __ATOMIC_RELEASE);
}

bool passes_alone(const char* name) {
  const std::string command = "/proc/" + std::to_string(getpid()) +
                              "/exe --gtest_also_run_disabled_tests --gtest_brief=1 "
                              "--gtest_filter='*Alone*.DISABLED_" +
                              name + "' 1>&2";
  return std::system(command.c_str()) == 0;
}

}  // namespace conformance
