// Page-locked host memory of the application's own: the driver's affair, and counted, since
// host_limit bounds what the process page-locks altogether. It is never refused.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

// `address` is what the driver gave out, known once it did.
template <typename Address, typename... P>
CUresult locked(Bytes size, CUresult (CUDAAPI* Functions::*function)(P...), Address&& address,
                std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  const CUresult result = scope.call(function, arguments...);
  if (runtime == nullptr || result != CUDA_SUCCESS) return result;
  runtime->host_locked(size);
  Session::get().native_allocated(scope.linkage(), NativeKind::host,
                                  reinterpret_cast<std::uint64_t>(address()), size);
  return result;
}

CUresult unlocked(CUresult (CUDAAPI* Functions::*function)(void*), void* address) {
  const HookScope scope;
  const CUresult result = scope.call(function, address);
  if (result == CUDA_SUCCESS && scope.outermost()) {
    Session::get().native_freed(NativeKind::host, reinterpret_cast<std::uint64_t>(address));
  }
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemAllocHost_v2(void** out, std::size_t size) {
  return locked(
      {size}, &Functions::cuMemAllocHost_v2, [&] { return *out; }, out, size);
}
CUresult CUDAAPI cuMemHostAlloc(void** out, std::size_t size, unsigned flags) {
  return locked(
      {size}, &Functions::cuMemHostAlloc, [&] { return *out; }, out, size, flags);
}
CUresult CUDAAPI cuMemHostRegister(void* address, std::size_t size, unsigned flags) {
  return locked(
      {size}, &Functions::cuMemHostRegister, [&] { return address; }, address, size, flags);
}
CUresult CUDAAPI cuMemHostRegister_v2(void* address, std::size_t size, unsigned flags) {
  return locked(
      {size}, &Functions::cuMemHostRegister_v2, [&] { return address; }, address, size, flags);
}
CUresult CUDAAPI cuMemFreeHost(void* address) {
  return unlocked(&Functions::cuMemFreeHost, address);
}
CUresult CUDAAPI cuMemHostUnregister(void* address) {
  return unlocked(&Functions::cuMemHostUnregister, address);
}

}  // extern "C"
