// Loads a module built by add_gpu_kernels(): the images made for each kind of GPU are embedded in
// the program, and the driver at hand takes the one it can run, as it picks from a fat binary.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <span>

namespace gpu_image {

struct Image {
  const void* data;
  std::size_t size;
  const char* kind;  // "sm_90 fatbin", "simulated GPU"
};

// Tries each image in turn; CUDA_SUCCESS, or what the last one was refused with.
inline CUresult load(std::span<const Image> images, CUmodule* module) {
  CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const Image& image : images) {
    result = cuModuleLoadData(module, image.data);
    if (result != CUDA_ERROR_INVALID_IMAGE && result != CUDA_ERROR_NO_BINARY_FOR_GPU) break;
  }
  return result;
}

}  // namespace gpu_image
