#include "gpu.h"

#include <cstdio>

#include "race_kernels.h"

namespace races {
namespace {

constexpr unsigned kThreads = 8;  // of a block
constexpr unsigned kBlocks = Gpu::words / kThreads;

CUmemAllocationProp frame_properties(CUdevice device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device}};
  return properties;
}

}  // namespace

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS) name = "an unknown error";
  const std::string text = std::string(name) + " from " + call;
  if (result == CUDA_ERROR_ILLEGAL_ADDRESS) throw Detected(text);
  throw Unusable(text);
}

Gpu::Gpu() {
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  RACES_CHECK(cuInit(0));
  RACES_CHECK(cuDeviceGet(&device_, 0));
  RACES_CHECK(cuDevicePrimaryCtxRetain(&context, device_));
  RACES_CHECK(cuCtxSetCurrent(context));
  RACES_CHECK(gpu_image::load(race_kernels_images(), &module));
  RACES_CHECK(cuModuleGetFunction(&read_, module, "read_words"));
  RACES_CHECK(cuModuleGetFunction(&write_, module, "write_words"));
  RACES_CHECK(cuStreamCreate(&first_, CU_STREAM_NON_BLOCKING));
  RACES_CHECK(cuStreamCreate(&second_, CU_STREAM_NON_BLOCKING));
  const CUmemAllocationProp properties = frame_properties(device_);
  RACES_CHECK(cuMemGetAllocationGranularity(&page_, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  void* memory = nullptr;
  RACES_CHECK(cuMemHostAlloc(&memory, words * sizeof(unsigned), CU_MEMHOSTALLOC_DEVICEMAP));
  host_words_ = static_cast<unsigned*>(memory);
}

CUdeviceptr Gpu::reserve(CUdeviceptr wanted) const {
  CUdeviceptr range = 0;
  RACES_CHECK(cuMemAddressReserve(&range, page_, 0, wanted, 0));
  return range;
}

CUmemGenericAllocationHandle Gpu::create_frame() const {
  const CUmemAllocationProp properties = frame_properties(device_);
  CUmemGenericAllocationHandle frame = 0;
  RACES_CHECK(cuMemCreate(&frame, page_, &properties, 0));
  return frame;
}

CUmemGenericAllocationHandle Gpu::create_frame(unsigned value) const {
  const CUmemGenericAllocationHandle frame = create_frame();
  const CUdeviceptr range = reserve();
  map_and_allow(range, frame);
  fill(first_, range, value);
  wait(first_);
  unmap(range);
  free_range(range);
  return frame;
}

void Gpu::allow(CUdeviceptr range) const {
  CUmemAccessDesc access{};
  access.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device_}};
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  RACES_CHECK(cuMemSetAccess(range, page_, &access, 1));
}

void Gpu::launch(CUstream stream, CUfunction kernel, void** parameters) const {
  RACES_CHECK(
      cuLaunchKernel(kernel, kBlocks, 1, 1, kThreads, 1, 1, 0, stream, parameters, nullptr));
}

void Gpu::read(CUstream stream, CUdeviceptr range) const {
  CUdeviceptr out = 0;
  RACES_CHECK(cuMemHostGetDevicePointer(&out, host_words_, 0));
  unsigned stride = static_cast<unsigned>(page_ / sizeof(unsigned) / words);
  void* parameters[] = {&out, &range, &stride};
  launch(stream, read_, parameters);
}

void Gpu::write(CUstream stream, CUdeviceptr range, unsigned value) const {
  unsigned stride = static_cast<unsigned>(page_ / sizeof(unsigned) / words);
  void* parameters[] = {&range, &value, &stride};
  launch(stream, write_, parameters);
}

void Gpu::expect(unsigned value) const {
  for (unsigned i = 0; i < words; ++i) {
    if (host_words_[i] == value) continue;
    char text[96];
    std::snprintf(text, sizeof text, "word %u of %u is 0x%08x, expected 0x%08x", i, words,
                  host_words_[i], value);
    throw Detected(text);
  }
}

}  // namespace races
