// The stream lives in one of the application's contexts: a context of our own would cost it memory.
#include "runtime/copier.h"

#include "runtime/context_scope.h"

namespace vhbm {

Copier::~Copier() {
  if (context_ == nullptr) return;
  ContextScope scope(driver_, context_);
  if (scope.result() == CUDA_SUCCESS) driver_.cuStreamDestroy_v2(stream_);
}

CUresult Copier::prepare(CUcontext context) {
  if (context_ != nullptr) return CUDA_SUCCESS;
  ContextScope scope(driver_, context);
  if (scope.result() != CUDA_SUCCESS) return scope.result();
  // Non-blocking: it must not order itself behind the application's null stream.
  const CUresult result = driver_.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING);
  if (result == CUDA_SUCCESS) context_ = context;
  return result;
}

void Copier::context_destroyed(CUcontext context) {
  if (context_ != context) return;
  ContextScope scope(driver_, context);
  if (scope.result() == CUDA_SUCCESS) driver_.cuStreamDestroy_v2(stream_);
  context_ = nullptr;
  stream_ = nullptr;
}

CUresult Copier::copy(DeviceAddress to, DeviceAddress from, Bytes size) {
  return driver_.cuMemcpyAsync(to.value, from.value, size.value, stream_);
}

CUresult Copier::poll() {
  ContextScope scope(driver_, context_);
  if (scope.result() != CUDA_SUCCESS) return scope.result();
  return driver_.cuStreamQuery(stream_);
}

}  // namespace vhbm
