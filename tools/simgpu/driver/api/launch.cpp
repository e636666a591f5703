// Modules, libraries, functions and launches.
#include <cstring>
#include <utility>

#include "api/launch.h"
#include "engine/submit.h"

namespace simgpu {

std::shared_ptr<Function> find_function(Machine& m, CUfunction handle) {
  if (auto function = m.functions.find(handle)) return function;
  // A CUkernel may stand where a CUfunction is asked for (cuda.h: cuLaunchKernel).
  const auto kernel = m.kernels.find(reinterpret_cast<CUkernel>(handle));
  return kernel == nullptr ? nullptr : kernel->function;
}

CUresult describe_launch(Machine& m, const LaunchShape& shape, void** parameters, void** extra,
                         KernelWork* work) {
  const auto function = find_function(m, shape.function);
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const auto& [grid, block] = std::pair(shape.grid, shape.block);
  const bool any_zero =
      grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0;
  if (any_zero || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535 || block.x > 1024 ||
      block.y > 1024 || block.z > 64 || std::uint64_t{block.x} * block.y * block.z > 1024 ||
      shape.shared_bytes > static_cast<unsigned>(function->max_dynamic_shared)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const SimgpuKernel& kernel = *function->kernel;
  const SimgpuParam* last =
      kernel.parameter_count == 0 ? nullptr : &kernel.parameters[kernel.parameter_count - 1];
  const std::size_t bytes = last == nullptr ? 0 : last->offset + last->size;
  if ((parameters != nullptr && extra != nullptr) ||
      (bytes > 0 && parameters == nullptr && extra == nullptr)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work->image = function->image;
  work->kernel = &kernel;
  work->function = shape.function;
  work->grid = grid;
  work->block = block;
  work->shared_bytes = shape.shared_bytes;
  work->parameters.assign(bytes, 0);
  if (extra != nullptr) {
    const void* buffer = nullptr;
    std::size_t size = 0;
    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
      if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[1];
      if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<std::size_t*>(extra[1]);
    }
    if (bytes > 0 && (buffer == nullptr || size < bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > 0) std::memcpy(work->parameters.data(), buffer, bytes);
    return CUDA_SUCCESS;
  }
  for (std::uint32_t i = 0; i < kernel.parameter_count; ++i) {
    std::memcpy(work->parameters.data() + kernel.parameters[i].offset, parameters[i],
                kernel.parameters[i].size);
  }
  return CUDA_SUCCESS;
}

namespace {

CUresult launch(const LaunchShape& shape, void** parameters, void** extra, CUstream handle,
                Call& call, Machine& m) {
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  KernelWork work;
  if (CUresult result = describe_launch(m, shape, parameters, extra, &work);
      result != CUDA_SUCCESS) {
    return result;
  }
  if (m.costs != nullptr) call.spend(m.costs->launch());
  OperationPtr operation;
  return submit(call.context(), *stream, std::move(work), CU_GRAPH_NODE_TYPE_KERNEL, &operation);
}

CUresult load_module(CUmodule* out, const void* image, const char* path, Call& call, Machine& m) {
  if (out == nullptr || (image == nullptr && path == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  auto module = std::make_shared<Module>();
  const CUresult result = path != nullptr ? ModuleImage::load_file(path, &module->image)
                                          : ModuleImage::load(image, &module->image);
  if (result != CUDA_SUCCESS) return result;
  module->context = call.context().home;
  *out = m.modules.add(std::move(module));
  return CUDA_SUCCESS;
}

CUresult parameter_info(const std::shared_ptr<Function>& function, std::size_t index,
                        std::size_t* offset, std::size_t* size) {
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (offset == nullptr || index >= function->kernel->parameter_count)
    return CUDA_ERROR_INVALID_VALUE;
  *offset = function->kernel->parameters[index].offset;
  if (size != nullptr) *size = function->kernel->parameters[index].size;
  return CUDA_SUCCESS;
}

CUresult function_attribute(const std::shared_ptr<Function>& function, int* value,
                            CUfunction_attribute attribute) {
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (value == nullptr || attribute < 0 || attribute >= CU_FUNC_ATTRIBUTE_MAX)
    return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = 1024;
      break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = 32;
      break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      *value = 90;
      break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = function->max_dynamic_shared;
      break;
    default:
      *value = 0;
  }
  return CUDA_SUCCESS;
}

CUresult set_function_attribute(const std::shared_ptr<Function>& function,
                                CUfunction_attribute attribute, int value) {
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    if (value < 0 || value > 232448) return CUDA_ERROR_INVALID_VALUE;
    function->max_dynamic_shared = value;
  }
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuModuleLoadData(CUmodule* out, const void* image) {
  SIMGPU_CALL(context);
  return load_module(out, image, nullptr, call, m);
}

CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned, CUjit_option*, void**) {
  SIMGPU_CALL(context);
  return load_module(out, image, nullptr, call, m);
}

CUresult cuModuleLoadFatBinary(CUmodule* out, const void* image) {
  SIMGPU_CALL(context);
  return load_module(out, image, nullptr, call, m);
}

CUresult cuModuleLoad(CUmodule* out, const char* path) {
  SIMGPU_CALL(context);
  return load_module(out, nullptr, path, call, m);
}

CUresult cuModuleUnload(CUmodule handle) {
  SIMGPU_CALL(context);
  const auto module = m.modules.take(handle);
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  for (const auto& [name, function] : module->functions) m.functions.take(function);
  const SimgpuGlobals* globals = module->image->globals;
  for (std::uint32_t i = 0; globals != nullptr && i < globals->count; ++i) {
    m.host_memory.remove_registered(globals->globals[i].address);
  }
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
  SIMGPU_CALL(context);
  const auto module = m.modules.find(handle);
  if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  CUfunction& function = module->functions[name];
  if (function == nullptr) {
    const SimgpuKernel* kernel = module->image->find_kernel(name);
    if (kernel == nullptr) {
      module->functions.erase(name);
      return CUDA_ERROR_NOT_FOUND;
    }
    function = m.functions.add(std::make_shared<Function>(Function{module->image, kernel, handle}));
  }
  *out = function;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, std::size_t* size, CUmodule handle,
                              const char* name) {
  SIMGPU_CALL(context);
  const auto module = m.modules.find(handle);
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const SimgpuGlobal* global = module->image->find_global(name);
  if (global == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (address != nullptr) *address = reinterpret_cast<CUdeviceptr>(global->address);
  if (size != nullptr) *size = global->size;
  m.host_memory.add_registered(global->address, global->size, kModuleVariable, call.context().home);
  return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary* out, const void* image, CUjit_option*, void**, unsigned,
                           CUlibraryOption*, void**, unsigned) {
  SIMGPU_CALL(driver);
  if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto library = std::make_shared<Library>();
  if (CUresult result = ModuleImage::load(image, &library->image); result != CUDA_SUCCESS)
    return result;
  *out = m.libraries.add(std::move(library));
  return CUDA_SUCCESS;
}

CUresult cuLibraryUnload(CUlibrary handle) {
  SIMGPU_CALL(driver);
  const auto library = m.libraries.take(handle);
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  for (const auto& [name, kernel] : library->kernels) {
    m.functions.take(reinterpret_cast<CUfunction>(m.kernels.take(kernel)->function.get()));
  }
  if (library->module != nullptr) m.modules.take(library->module);
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel* out, CUlibrary handle, const char* name) {
  SIMGPU_CALL(driver);
  const auto library = m.libraries.find(handle);
  if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  CUkernel& kernel = library->kernels[name];
  if (kernel == nullptr) {
    const SimgpuKernel* code = library->image->find_kernel(name);
    if (code == nullptr) {
      library->kernels.erase(name);
      return CUDA_ERROR_NOT_FOUND;
    }
    auto function = std::make_shared<Function>(Function{library->image, code, nullptr});
    kernel = m.kernels.add(std::make_shared<Kernel>(Kernel{std::move(function), handle}));
  }
  *out = kernel;
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule* out, CUlibrary handle) {
  SIMGPU_CALL(context);
  const auto library = m.libraries.find(handle);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (library->module == nullptr) {
    auto module = std::make_shared<Module>();
    module->image = library->image;
    module->context = call.context().home;
    library->module = m.modules.add(std::move(module));
  }
  *out = library->module;
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetGlobal(CUdeviceptr* address, std::size_t* size, CUlibrary handle,
                            const char* name) {
  CUmodule module = nullptr;
  if (CUresult result = cuLibraryGetModule(&module, handle); result != CUDA_SUCCESS) return result;
  return cuModuleGetGlobal_v2(address, size, module, name);
}

CUresult cuKernelGetFunction(CUfunction* out, CUkernel handle) {
  SIMGPU_CALL(context);
  const auto kernel = m.kernels.find(handle);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (kernel == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  *out = m.functions.add(kernel->function);
  return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute, CUkernel handle,
                              CUdevice) {
  SIMGPU_CALL(driver);
  return function_attribute(find_function(m, reinterpret_cast<CUfunction>(handle)), value,
                            attribute);
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel handle,
                              CUdevice) {
  SIMGPU_CALL(driver);
  return set_function_attribute(find_function(m, reinterpret_cast<CUfunction>(handle)), attribute,
                                value);
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
  SIMGPU_CALL(context);
  return function_attribute(find_function(m, handle), value, attribute);
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  SIMGPU_CALL(context);
  return set_function_attribute(find_function(m, handle), attribute, value);
}

CUresult cuFuncGetModule(CUmodule* out, CUfunction handle) {
  SIMGPU_CALL(context);
  const auto function = m.functions.find(handle);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  *out = function->module;
  return CUDA_SUCCESS;
}

CUresult cuFuncGetName(const char** name, CUfunction handle) {
  SIMGPU_CALL(driver);
  const auto function = find_function(m, handle);
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  *name = function->kernel->name;
  return CUDA_SUCCESS;
}

CUresult cuKernelGetName(const char** name, CUkernel handle) {
  return cuFuncGetName(name, reinterpret_cast<CUfunction>(handle));
}

CUresult cuFuncGetParamInfo(CUfunction handle, std::size_t index, std::size_t* offset,
                            std::size_t* size) {
  SIMGPU_CALL(driver);
  return parameter_info(find_function(m, handle), index, offset, size);
}

CUresult cuKernelGetParamInfo(CUkernel handle, std::size_t index, std::size_t* offset,
                              std::size_t* size) {
  SIMGPU_CALL(driver);
  return parameter_info(find_function(m, reinterpret_cast<CUfunction>(handle)), index, offset,
                        size);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int block_size,
                                                     std::size_t) {
  SIMGPU_CALL(context);
  if (find_function(m, handle) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (blocks == nullptr || block_size <= 0) return CUDA_ERROR_INVALID_VALUE;
  *blocks = 2048 / block_size;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void** parameters, void** extra) {
  SIMGPU_CALL(context);
  const LaunchShape shape{
      function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
  return launch(shape, parameters, extra, stream, call, m);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra) {
  SIMGPU_CALL(context);
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const LaunchShape shape{function,
                          {config->gridDimX, config->gridDimY, config->gridDimZ},
                          {config->blockDimX, config->blockDimY, config->blockDimZ},
                          config->sharedMemBytes};
  return launch(shape, parameters, extra, config->hStream, call, m);
}

// Blocks run one after another, so a cooperative kernel that synchronises its grid would not end:
// only a grid of one block is accepted.
CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                   unsigned grid_z, unsigned block_x, unsigned block_y,
                                   unsigned block_z, unsigned shared_bytes, CUstream stream,
                                   void** parameters) {
  SIMGPU_CALL(context);
  if (std::uint64_t{grid_x} * grid_y * grid_z != 1) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  const LaunchShape shape{
      function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
  return launch(shape, parameters, nullptr, stream, call, m);
}
}
