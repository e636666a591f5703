// Reservations, physical allocations and mappings for the tests of virtual memory management.
#pragma once

#include "on_device.h"

namespace conformance {

class VirtualMemory : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    const CUmemAllocationProp properties = on_device();
    OK(cuMemGetAllocationGranularity(&unit_, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  }
  void TearDown() override {
    cuCtxSynchronize();
    for (const Range& range : mapped_) cuMemUnmap(range.address, range.size);
    for (const Range& range : reserved_) cuMemAddressFree(range.address, range.size);
    for (CUmemGenericAllocationHandle handle : handles_) cuMemRelease(handle);
    OnDevice::TearDown();
  }

  CUmemAllocationProp on_device() const {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
    return properties;
  }
  CUmemAllocationProp on_host() const {
    CUmemAllocationProp properties = on_device();
    int node = 0;
    cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device_);
    properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, node < 0 ? 0 : node};
    return properties;
  }

  CUdeviceptr reserve(std::size_t units) {
    CUdeviceptr address = 0;
    EXPECT_EQ(cuMemAddressReserve(&address, units * unit_, 0, 0, 0), CUDA_SUCCESS);
    reserved_.push_back({address, units * unit_});
    return address;
  }
  CUmemGenericAllocationHandle create(std::size_t units, const CUmemAllocationProp& properties) {
    CUmemGenericAllocationHandle handle = 0;
    EXPECT_EQ(cuMemCreate(&handle, units * unit_, &properties, 0), CUDA_SUCCESS);
    handles_.push_back(handle);
    return handle;
  }
  CUmemGenericAllocationHandle create(std::size_t units) { return create(units, on_device()); }
  void map(CUdeviceptr address, CUmemGenericAllocationHandle handle, std::size_t units) {
    EXPECT_EQ(cuMemMap(address, units * unit_, 0, handle, 0), CUDA_SUCCESS);
    mapped_.push_back({address, units * unit_});
  }
  void unmap(CUdeviceptr address) {
    for (auto it = mapped_.begin(); it != mapped_.end(); ++it) {
      if (it->address != address) continue;
      EXPECT_EQ(cuMemUnmap(address, it->size), CUDA_SUCCESS);
      mapped_.erase(it);
      return;
    }
  }
  CUresult give_access(CUdeviceptr address, std::size_t units,
                       CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
    const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, device_}, flags};
    return cuMemSetAccess(address, units * unit_, &access, 1);
  }
  // Reserved, backed and accessible.
  CUdeviceptr ready(std::size_t units) {
    const CUdeviceptr address = reserve(units);
    map(address, create(units), units);
    EXPECT_EQ(give_access(address, units), CUDA_SUCCESS);
    return address;
  }
  unsigned words(std::size_t units) const {
    return static_cast<unsigned>(units * unit_ / sizeof(unsigned));
  }

  struct Range {
    CUdeviceptr address;
    std::size_t size;
  };
  std::size_t unit_ = 0;  // the smallest physical allocation
  std::vector<Range> reserved_, mapped_;
  std::vector<CUmemGenericAllocationHandle> handles_;
};

}  // namespace conformance
