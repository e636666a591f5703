// Device memory that only the driver can give out: arrays, managed memory. It is the driver's, and
// counted, so that a user sees why it is not paged and hbm_limit holds with it. What graphs
// allocate is asked of the driver, with its pools.
#include "interpose/array_size.h"
#include "interpose/natively.h"

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

std::uint64_t handle_of(CUdeviceptr address) {
  return address;
}
template <typename T>
std::uint64_t handle_of(T* object) {
  return reinterpret_cast<std::uint64_t>(object);
}

// As above, of a size that `size_of` tells, which is asked only where it counts.
template <typename SizeOf, typename Out, typename... P>
CUresult counted(NativeKind kind, SizeOf&& size_of,
                 CUresult (CUDAAPI* Functions::*function)(Out*, P...), Out* out,
                 std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.start_here();
  const Bytes size = runtime == nullptr ? Bytes{} : size_of();
  const CUresult result = natively(
      scope, runtime, kind, size, [&] { return scope.call(function, out, arguments...); },
      [&] { return handle_of(*out); });
  if (runtime != nullptr && result == CUDA_SUCCESS) runtime->passed_through();
  return result;
}

template <typename Array>
CUresult destroy(CUresult (CUDAAPI* Functions::*function)(Array), Array array) {
  const HookScope scope;
  const CUresult result = scope.call(function, array);
  if (result == CUDA_SUCCESS && scope.outermost()) {
    Session::get().native_freed(NativeKind::array, handle_of(array));
  }
  return result;
}

Bytes size_of(const CUDA_ARRAY_DESCRIPTOR* shape) {
  if (shape == nullptr) return {};
  return array_size({shape->Width, shape->Height, 0, shape->Format, shape->NumChannels, 0});
}
Bytes size_of(const CUDA_ARRAY3D_DESCRIPTOR* shape, unsigned levels = 1) {
  return shape == nullptr ? Bytes{} : array_size(*shape, levels);
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuArrayCreate_v2(CUarray* out, const CUDA_ARRAY_DESCRIPTOR* shape) {
  return counted(
      NativeKind::array, [&] { return size_of(shape); }, &Functions::cuArrayCreate_v2, out, shape);
}

CUresult CUDAAPI cuArray3DCreate_v2(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR* shape) {
  return counted(
      NativeKind::array, [&] { return size_of(shape); }, &Functions::cuArray3DCreate_v2, out,
      shape);
}

CUresult CUDAAPI cuArrayDestroy(CUarray array) {
  return destroy(&Functions::cuArrayDestroy, array);
}

CUresult CUDAAPI cuMipmappedArrayCreate(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* shape,
                                        unsigned levels) {
  return counted(
      NativeKind::array, [&] { return size_of(shape, levels); }, &Functions::cuMipmappedArrayCreate,
      out, shape, levels);
}

CUresult CUDAAPI cuMipmappedArrayDestroy(CUmipmappedArray array) {
  return destroy(&Functions::cuMipmappedArrayDestroy, array);
}

CUresult CUDAAPI cuMemAllocManaged(CUdeviceptr* out, std::size_t size, unsigned flags) {
  return counted(
      NativeKind::device, [&] { return vhbm::Bytes{size}; }, &Functions::cuMemAllocManaged, out,
      size, flags);
}

CUresult CUDAAPI cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph,
                                        const CUgraphNode* dependencies, std::size_t count,
                                        CUDA_MEM_ALLOC_NODE_PARAMS* parameters) {
  return counted(&Functions::cuGraphAddMemAllocNode, out, graph, dependencies, count, parameters);
}

}  // extern "C"
