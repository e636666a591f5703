// A libcuda.so.1 that does nothing: what a call costs on it is the call itself, so that what a hook
// adds shows. It answers just what the benchmark and vHBM's start need; no memory is behind its
// addresses, and all work has ended when it is asked. Locking: none; one thread makes and frees.
#include <cuda.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <vector>

#include "tools/bench/kernels.h"

namespace {

constexpr std::size_t page = std::size_t{2} << 20;
constexpr std::size_t hbm_bytes = std::size_t{80} << 30;
constexpr CUdeviceptr native_address = CUdeviceptr{1} << 40;  // all that cuMemAlloc gives
CUdeviceptr next_reservation = CUdeviceptr{1} << 44;
std::uint64_t next_handle = 1;

template <typename Handle>
Handle new_handle() {
  return reinterpret_cast<Handle>(next_handle++ << 8);
}

struct Kernel {
  const char* name;
  std::vector<std::size_t> sizes;  // of its parameters
};
const Kernel kernels[] = {
    {"few_parameters", {sizeof(void*), sizeof(void*), sizeof(void*), sizeof(unsigned)}},
    {"many_parameters", {sizeof(FourKibibytes)}},
};

// The nodes of the one graph that there is.
std::vector<CUDA_KERNEL_NODE_PARAMS> nodes;

}  // namespace

extern "C" {

CUresult cuInit(unsigned) {
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* out, int) {
  *out = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(std::size_t* out, CUdevice) {
  *out = hbm_bytes;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* out, CUdevice_attribute attribute, CUdevice) {
  *out = attribute == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED ? 1 : 0;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice) {
  *out = reinterpret_cast<CUcontext>(1);
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* out) {
  return cuDevicePrimaryCtxRetain(out, 0);
}
CUresult cuCtxSetCurrent(CUcontext) {
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* out) {
  return cuDeviceGet(out, 0);
}
CUresult cuCtxPushCurrent_v2(CUcontext) {
  return CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent_v2(CUcontext* out) {
  return out == nullptr ? CUDA_SUCCESS : cuCtxGetCurrent(out);
}
CUresult cuCtxSynchronize() {
  return CUDA_SUCCESS;
}
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode*) {
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* out, unsigned) {
  *out = new_handle<CUstream>();
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamGetId(CUstream stream, unsigned long long* out) {
  *out = reinterpret_cast<std::uintptr_t>(stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamQuery(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent* out, unsigned) {
  *out = new_handle<CUevent>();
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventQuery(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent, CUstream) {
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total) {
  *free_bytes = *total = hbm_bytes;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t) {
  *out = native_address;
  return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr) {
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* out, CUdevice) {
  *out = reinterpret_cast<CUmemoryPool>(1);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetMemPool(CUmemoryPool* out, CUdevice device) {
  return cuDeviceGetDefaultMemPool(out, device);
}
CUresult cuMemAllocAsync(CUdeviceptr* out, std::size_t size, CUstream) {
  return cuMemAlloc_v2(out, size);
}
CUresult cuMemFreeAsync(CUdeviceptr, CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuMemAllocHost_v2(void** out, std::size_t size) {
  *out = std::malloc(size);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyAsync(CUdeviceptr, CUdeviceptr, std::size_t, CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void*, std::size_t, CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuMemGetAllocationGranularity(std::size_t* out, const CUmemAllocationProp*,
                                       CUmemAllocationGranularity_flags) {
  *out = page;
  return CUDA_SUCCESS;
}
CUresult cuMemAddressReserve(CUdeviceptr* out, std::size_t size, std::size_t alignment, CUdeviceptr,
                             unsigned long long) {
  if (alignment == 0) alignment = page;
  *out = (next_reservation + alignment - 1) / alignment * alignment;
  next_reservation = *out + size;
  return CUDA_SUCCESS;
}
CUresult cuMemAddressFree(CUdeviceptr, std::size_t) {
  return CUDA_SUCCESS;
}
CUresult cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t, const CUmemAllocationProp*,
                     unsigned long long) {
  *out = next_handle++;
  return CUDA_SUCCESS;
}
CUresult cuMemRelease(CUmemGenericAllocationHandle) {
  return CUDA_SUCCESS;
}
CUresult cuMemMap(CUdeviceptr, std::size_t, std::size_t, CUmemGenericAllocationHandle,
                  unsigned long long) {
  return CUDA_SUCCESS;
}
CUresult cuMemUnmap(CUdeviceptr, std::size_t) {
  return CUDA_SUCCESS;
}
CUresult cuMemSetAccess(CUdeviceptr, std::size_t, const CUmemAccessDesc*, std::size_t) {
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* out, const void*) {
  *out = new_handle<CUmodule>();
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* out, CUmodule, const char* name) {
  for (const Kernel& kernel : kernels) {
    if (std::strcmp(kernel.name, name) != 0) continue;
    *out = reinterpret_cast<CUfunction>(const_cast<Kernel*>(&kernel));
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncGetParamInfo(CUfunction function, std::size_t index, std::size_t* offset,
                            std::size_t* size) {
  const auto& sizes = reinterpret_cast<const Kernel*>(function)->sizes;
  if (index >= sizes.size()) return CUDA_ERROR_INVALID_VALUE;
  *offset = 0;
  for (std::size_t i = 0; i < index; ++i) *offset += sizes[i];
  *size = sizes[index];
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        unsigned, CUstream, void**, void**) {
  return CUDA_SUCCESS;
}

CUresult cuGraphCreate(CUgraph* out, unsigned) {
  *out = new_handle<CUgraph>();
  return CUDA_SUCCESS;
}
CUresult cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph, const CUgraphNode*, std::size_t,
                                 const CUDA_KERNEL_NODE_PARAMS* parameters) {
  *out = reinterpret_cast<CUgraphNode>(nodes.size() + 1);
  nodes.push_back(*parameters);
  return CUDA_SUCCESS;
}
CUresult cuGraphGetNodes(CUgraph, CUgraphNode* out, std::size_t* count) {
  for (std::size_t i = 0; out != nullptr && i < *count && i < nodes.size(); ++i) {
    out[i] = reinterpret_cast<CUgraphNode>(i + 1);
  }
  *count = nodes.size();
  return CUDA_SUCCESS;
}
CUresult cuGraphNodeGetType(CUgraphNode, CUgraphNodeType* out) {
  *out = CU_GRAPH_NODE_TYPE_KERNEL;
  return CUDA_SUCCESS;
}
CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* out) {
  *out = nodes[reinterpret_cast<std::uintptr_t>(node) - 1];
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph, unsigned long long) {
  *out = new_handle<CUgraphExec>();
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec, CUstream) {
  return CUDA_SUCCESS;
}
}
