// Loaded code: the ELF shared object of a module image, and what the API makes of it.
#pragma once

#include <cuda.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "simgpu/module_abi.h"

namespace simgpu {

class Context;

struct ModuleImage {
  // Copies and loads the image. CUDA_ERROR_INVALID_IMAGE for what is no image at all,
  // CUDA_ERROR_NO_BINARY_FOR_GPU for one made for another kind of GPU.
  static CUresult load(const void* image, std::shared_ptr<ModuleImage>* out);
  static CUresult load_file(const char* path, std::shared_ptr<ModuleImage>* out);
  ~ModuleImage();

  const SimgpuKernel* find_kernel(const char* name) const;
  const SimgpuGlobal* find_global(const char* name) const;

  void* handle = nullptr;
  const SimgpuModule* table = nullptr;
  const SimgpuGlobals* globals = nullptr;
};

struct Module;
struct Library;

struct Function {
  std::shared_ptr<ModuleImage> image;
  const SimgpuKernel* kernel;
  CUmodule module;  // null for a library's kernel
  int max_dynamic_shared = 48 << 10;
};

struct Module {
  std::shared_ptr<ModuleImage> image;
  Context* context;
  std::unordered_map<std::string, CUfunction> functions;
};

struct Kernel {
  std::shared_ptr<Function> function;
  CUlibrary library;
};

struct Library {
  std::shared_ptr<ModuleImage> image;
  std::unordered_map<std::string, CUkernel> kernels;
  CUmodule module = nullptr;  // made when first asked for
};

}  // namespace simgpu
