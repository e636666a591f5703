// The streams live in one of the application's contexts: a context of our own would cost it memory.
#include "runtime/copier.h"

#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"

namespace vhbm {
namespace {

// Between two looks of a thread that runs.
constexpr std::chrono::milliseconds longest_gap{200};

}  // namespace

Copier::~Copier() {
  if (context_ != nullptr) destroy_streams();
}

CUresult Copier::prepare(CUcontext context) {
  if (context_ != nullptr) return CUDA_SUCCESS;
  ContextScope scope(driver_, context);
  if (scope.result() != CUDA_SUCCESS) return scope.result();
  context_ = context;
  for (unsigned lane = 0; lane < lanes_; ++lane) {
    // Non-blocking: it must not order itself behind the application's null stream.
    const CUresult result = driver_.cuStreamCreate(&streams_[lane], CU_STREAM_NON_BLOCKING);
    if (result == CUDA_SUCCESS) continue;
    streams_[lane] = nullptr;
    context_destroyed(context);
    return result;
  }
  return CUDA_SUCCESS;
}

void Copier::context_destroyed(CUcontext context) {
  if (context_ != context) return;
  destroy_streams();
  context_ = nullptr;
}

void Copier::destroy_streams() {
  ContextScope scope(driver_, context_);
  for (CUstream& stream : streams_) {
    if (stream != nullptr && scope.result() == CUDA_SUCCESS) driver_.cuStreamDestroy_v2(stream);
    stream = nullptr;
  }
}

CUresult Copier::copy(DeviceAddress to, DeviceAddress from, Bytes size, unsigned lane) {
  return driver_.cuMemcpyAsync(to.value, from.value, size.value, streams_[lane]);
}

CUresult Copier::poll(std::optional<unsigned> lane) {
  ContextScope scope(driver_, context_);
  CUresult result = scope.result();
  for (unsigned one = 0; one < lanes_ && result == CUDA_SUCCESS; ++one) {
    if (!lane || *lane == one) result = driver_.cuStreamQuery(streams_[one]);
  }
  return result;
}

CUresult Copier::wait(std::chrono::nanoseconds patience, const Meanwhile& meanwhile,
                      std::optional<unsigned> lane) {
  auto last = std::chrono::steady_clock::now();
  auto deadline = last + patience;
  auto pause = std::chrono::microseconds(5);
  CUresult landed = poll(lane);
  while (landed == CUDA_ERROR_NOT_READY) {
    const auto now = std::chrono::steady_clock::now();
    // While the process was stopped, nothing of the copies' time passed.
    if (now - last > longest_gap) deadline += now - last;
    last = now;
    if (now >= deadline) break;
    if (!meanwhile || !meanwhile()) {
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::microseconds(100));
    }
    landed = poll(lane);
  }
  return landed;
}

}  // namespace vhbm
