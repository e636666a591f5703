// Device memory that only the driver can give out: pools, arrays, managed memory. It is the
// driver's, and counted, so that a user sees why it is not paged.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

template <typename... P>
CUresult counted(CUresult (CUDAAPI* Functions::*function)(P...),
                 std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.start_here();
  const CUresult result = scope.call(function, arguments...);
  if (runtime != nullptr && result == CUDA_SUCCESS) runtime->passed_through();
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuArrayCreate_v2(CUarray* out, const CUDA_ARRAY_DESCRIPTOR* shape) {
  return counted(&Functions::cuArrayCreate_v2, out, shape);
}

CUresult CUDAAPI cuArray3DCreate_v2(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR* shape) {
  return counted(&Functions::cuArray3DCreate_v2, out, shape);
}

CUresult CUDAAPI cuMipmappedArrayCreate(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* shape,
                                        unsigned levels) {
  return counted(&Functions::cuMipmappedArrayCreate, out, shape, levels);
}

CUresult CUDAAPI cuMemAllocManaged(CUdeviceptr* out, std::size_t size, unsigned flags) {
  return counted(&Functions::cuMemAllocManaged, out, size, flags);
}

CUresult CUDAAPI cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph,
                                        const CUgraphNode* dependencies, std::size_t count,
                                        CUDA_MEM_ALLOC_NODE_PARAMS* parameters) {
  return counted(&Functions::cuGraphAddMemAllocNode, out, graph, dependencies, count, parameters);
}

}  // extern "C"
