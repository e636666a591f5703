// A primary context on the simulated GPU, for tests of what the simulator adds to the driver API.
#pragma once

#include <cuda.h>
#include <gtest/gtest.h>

#include "simgpu/control.h"

class Device : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  }
  void TearDown() override {
    simgpu_set_faults("");
    cuDevicePrimaryCtxRelease(0);
  }

  CUresult create(CUmemGenericAllocationHandle* handle, CUmemLocationType type, std::size_t size) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {type, 0};
    return cuMemCreate(handle, size, &properties, 0);
  }

  static constexpr std::size_t kPage = std::size_t{2} << 20;
  CUcontext context_ = nullptr;
};
