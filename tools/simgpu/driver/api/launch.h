// From the arguments of a launch to work, shared by launches and kernel nodes.
#pragma once

#include <cuda.h>

#include "machine.h"

namespace simgpu {

struct LaunchShape {
  CUfunction function;
  SimgpuDim3 grid, block;
  unsigned shared_bytes;
};

// The function a handle means, a CUkernel too; null for neither.
std::shared_ptr<Function> find_function(Machine& m, CUfunction handle);

// Checks the launch as the driver does and packs its parameters.
CUresult describe_launch(Machine& m, const LaunchShape& shape, void** parameters, void** extra,
                         KernelWork* work);

// A 2D or 3D copy as the API describes it. CUDA_ERROR_NOT_SUPPORTED for arrays.
CUresult describe_copy(const CUDA_MEMCPY3D& copy, CopyWork* work);

}  // namespace simgpu
