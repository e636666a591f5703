// The two streams take turns: each piece of work waits for the one before it, as tensors' work does
// in a server, but nothing waits on the host.
#include "program.h"

#include <cstdio>
#include <cstdlib>

#include "simgpu/gpu_image.h"
#include "virtual_memory_kernels.h"

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  cuGetErrorName(result, &name);
  std::fprintf(stderr, "%s: %s\n", call, name == nullptr ? "unknown error" : name);
  std::exit(1);
}

Program::Program(unsigned seed) : generator_(seed) {
  CHECK(cuInit(0));
  CHECK(cuDeviceGet(&device_, 0));
  CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
  CHECK(cuCtxSetCurrent(context_));
  CHECK(gpu_image::load(virtual_memory_kernels_images(), &module_));
  CHECK(cuModuleGetFunction(&mix_, module_, "mix"));
  for (int i = 0; i < 2; ++i) {
    CHECK(cuStreamCreate(&streams_[i], CU_STREAM_NON_BLOCKING));
    CHECK(cuEventCreate(&done_[i], CU_EVENT_DISABLE_TIMING));
  }
}

CUmemAllocationProp Program::on_device(CUmemAllocationHandleType handles) const {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = handles;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  int rdma = 0;
  CHECK(cuDeviceGetAttribute(&rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
                             device_));
  properties.allocFlags.gpuDirectRDMACapable = rdma != 0 ? 1 : 0;
  return properties;
}

CUdeviceptr Program::reserve(std::size_t size) {
  CUdeviceptr address = 0;
  CHECK(cuMemAddressReserve(&address, size, 0, 0, 0));
  return address;
}

CUmemGenericAllocationHandle Program::create(std::size_t size,
                                             const CUmemAllocationProp& properties) {
  CUmemGenericAllocationHandle handle = 0;
  CHECK(cuMemCreate(&handle, size, &properties, 0));
  return handle;
}

void Program::map(CUdeviceptr address, std::size_t size, CUmemGenericAllocationHandle handle) {
  CHECK(cuMemMap(address, size, 0, handle, 0));
}

void Program::open(CUdeviceptr address, std::size_t size) {
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, device_},
                               CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CHECK(cuMemSetAccess(address, size, &access, 1));
}

void Program::back(CUdeviceptr address, std::size_t size) {
  const CUmemGenericAllocationHandle handle = create(size, on_device());
  map(address, size, handle);
  open(address, size);
  CHECK(cuMemRelease(handle));
}

CUstream Program::next_stream() {
  const unsigned last = next_;
  next_ ^= 1;
  CHECK(cuEventRecord(done_[last], streams_[last]));
  CHECK(cuStreamWaitEvent(streams_[next_], done_[last], 0));
  return streams_[next_];
}

void Program::fill(CUdeviceptr address, std::size_t size) {
  CHECK(cuMemsetD32Async(address, ++seed_ * 2654435761u, size / 4, next_stream()));
}

void Program::compute(CUdeviceptr address, std::size_t size) {
  unsigned long long count = size / 4;
  unsigned seed = ++seed_;
  void* parameters[] = {&address, &count, &seed};
  CHECK(cuLaunchKernel(mix_, 4, 1, 1, 64, 1, 1, 0, next_stream(), parameters, nullptr));
}

void Program::synchronize() {
  CHECK(cuStreamSynchronize(streams_[next_]));
}

void Program::digest(CUdeviceptr address, std::size_t size) {
  buffer_.resize(size);
  CHECK(cuMemcpyDtoHAsync(buffer_.data(), address, size, next_stream()));
  synchronize();
  for (std::size_t i = 0; i < size; i += sizeof(std::uint32_t)) {
    digest_ = (digest_ ^ *reinterpret_cast<const std::uint32_t*>(&buffer_[i])) * 0x100000001b3;
    digest_ ^= digest_ >> 29;
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(digest_));
}

void Program::holds(CUdeviceptr address, std::size_t size, unsigned char value) {
  buffer_.resize(size);
  CHECK(cuMemcpyDtoHAsync(buffer_.data(), address, size, next_stream()));
  synchronize();
  for (std::size_t i = 0; i < size; ++i) {
    if (buffer_[i] == value) continue;
    std::fprintf(stderr, "byte %zu of %zu is %d, expected %d\n", i, size, buffer_[i], value);
    std::exit(1);
  }
}

void Program::say(const std::string& what) {
  std::printf("%s\n", what.c_str());
}
