// The stream lives in one of the application's contexts: a context of our own would cost it memory.
#include "runtime/copier.h"

#include <algorithm>
#include <thread>

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

CUresult Copier::wait(std::chrono::nanoseconds patience, const Meanwhile& meanwhile) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto pause = std::chrono::microseconds(5);
  CUresult landed = poll();
  while (landed == CUDA_ERROR_NOT_READY && std::chrono::steady_clock::now() < deadline) {
    if (!meanwhile || !meanwhile()) {
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::microseconds(100));
    }
    landed = poll();
  }
  return landed;
}

}  // namespace vhbm
