// Copies between contexts. Addresses tell where memory is, so the contexts named only have to be
// ones.
#include "api/copy.h"

using namespace simgpu;

namespace {

bool are_contexts(Machine& m, CUcontext one, CUcontext other) {
  return m.find_context(one) != nullptr && m.find_context(other) != nullptr;
}

CUresult linear_copy(Call& call, Machine& m, CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                     CUcontext from_context, std::size_t size, CUstream stream, Timing timing) {
  if (!are_contexts(m, to_context, from_context)) return CUDA_ERROR_INVALID_CONTEXT;
  return copy(call, linear(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size),
              stream, timing);
}

CUresult described_copy(Call& call, Machine& m, const CUDA_MEMCPY3D_PEER* peer, CUstream stream,
                        Timing timing) {
  if (peer == nullptr) return CUDA_ERROR_INVALID_VALUE;
  // A context matters to device memory alone; unified addresses have their own.
  if ((peer->srcMemoryType == CU_MEMORYTYPE_DEVICE &&
       m.find_context(peer->srcContext) == nullptr) ||
      (peer->dstMemoryType == CU_MEMORYTYPE_DEVICE &&
       m.find_context(peer->dstContext) == nullptr)) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  CUDA_MEMCPY3D described{};
  described.srcXInBytes = peer->srcXInBytes;
  described.srcY = peer->srcY;
  described.srcZ = peer->srcZ;
  described.srcMemoryType = peer->srcMemoryType;
  described.srcHost = peer->srcHost;
  described.srcDevice = peer->srcDevice;
  described.srcPitch = peer->srcPitch;
  described.srcHeight = peer->srcHeight;
  described.dstXInBytes = peer->dstXInBytes;
  described.dstY = peer->dstY;
  described.dstZ = peer->dstZ;
  described.dstMemoryType = peer->dstMemoryType;
  described.dstHost = peer->dstHost;
  described.dstDevice = peer->dstDevice;
  described.dstPitch = peer->dstPitch;
  described.dstHeight = peer->dstHeight;
  described.WidthInBytes = peer->WidthInBytes;
  described.Height = peer->Height;
  described.Depth = peer->Depth;
  return copy(call, described, stream, timing);
}

}  // namespace

extern "C" {

CUresult cuMemcpyPeer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                      CUcontext from_context, std::size_t size) {
  SIMGPU_CALL(context);
  return linear_copy(call, m, to, to_context, from, from_context, size, nullptr,
                     Timing::synchronous);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                           CUcontext from_context, std::size_t size, CUstream stream) {
  SIMGPU_CALL(context);
  return linear_copy(call, m, to, to_context, from, from_context, size, stream,
                     Timing::asynchronous);
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER* parameters) {
  SIMGPU_CALL(context);
  return described_copy(call, m, parameters, nullptr, Timing::synchronous);
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER* parameters, CUstream stream) {
  SIMGPU_CALL(context);
  return described_copy(call, m, parameters, stream, Timing::asynchronous);
}
}
