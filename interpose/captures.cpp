// A stream holds one capture at most, so stream and, for per-thread streams, thread identify it.
#include "interpose/captures.h"

#include <new>

namespace vhbm::interpose {
namespace {

// An address that no other thread has.
thread_local char this_thread;

}  // namespace

Captures::Capture Captures::capture_on(CUstream stream, DefaultStream null_means) noexcept {
  if (!is_per_thread(stream, null_means)) return {stream, nullptr};
  return {CU_STREAM_PER_THREAD, &this_thread};
}

bool Captures::forbid_allocation(const Linkage& linkage) noexcept {
  const auto exchange = linkage.ask.cuThreadExchangeStreamCaptureMode;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  if (!any() || exchange == nullptr || exchange(&mode) != CUDA_SUCCESS) return false;
  CUstreamCaptureMode relaxed = mode;
  (void)exchange(&relaxed);
  std::lock_guard lock(mutex_);
  for (const Capture& one : under_way_) {
    const bool own = one.began_by == &this_thread && one.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    const bool anyones = one.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL && (own || anyones)) return true;
    if (mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && own) return true;
  }
  return false;
}

bool Captures::began(CUstream stream, DefaultStream null_means, CUstreamCaptureMode mode,
                     const Linkage& linkage, Runtime& runtime) noexcept {
  Capture capture = capture_on(stream, null_means);
  capture.began_by = &this_thread;
  capture.mode = mode;
  (void)linkage.ask.cuCtxGetCurrent(&capture.context);
  try {
    std::lock_guard lock(mutex_);
    under_way_.push_back(capture);
  } catch (const std::bad_alloc&) {
    return false;
  }
  count_.fetch_add(1);
  runtime.capture_began();
  return true;
}

template <typename Matches>
void Captures::erase(Matches matches, Runtime& runtime) noexcept {
  std::size_t erased = 0;
  {
    std::lock_guard lock(mutex_);
    erased = std::erase_if(under_way_, matches);
  }
  for (std::size_t i = 0; i < erased; ++i) {
    count_.fetch_sub(1);
    runtime.capture_ended();
  }
}

void Captures::refused(CUstream stream, DefaultStream null_means, Runtime& runtime) noexcept {
  const Capture gone = capture_on(stream, null_means);
  bool first =
      true;  // an older capture on the same stream, which is why this one was refused, stays
  erase(
      [&](const Capture& one) {
        if (one.stream != gone.stream || one.thread != gone.thread || !first) return false;
        first = false;
        return true;
      },
      runtime);
}

void Captures::end_attempted(CUstream stream, DefaultStream null_means, const Linkage& linkage,
                             Runtime& runtime) noexcept {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const auto is_capturing = null_means == DefaultStream::per_thread
                                ? linkage.ask.cuStreamIsCapturing_ptsz
                                : linkage.ask.cuStreamIsCapturing;
  if (is_capturing != nullptr && is_capturing(stream, &status) == CUDA_SUCCESS &&
      status != CU_STREAM_CAPTURE_STATUS_NONE) {
    return;
  }
  const Capture gone = capture_on(stream, null_means);
  erase([&](const Capture& one) { return one.stream == gone.stream && one.thread == gone.thread; },
        runtime);
}

void Captures::stream_destroyed(CUstream stream, Runtime& runtime) noexcept {
  if (!any()) return;
  erase([&](const Capture& one) { return one.stream == stream; }, runtime);
}

void Captures::context_destroyed(CUcontext context, Runtime& runtime) noexcept {
  if (!any()) return;
  erase([&](const Capture& one) { return one.context == context; }, runtime);
}

}  // namespace vhbm::interpose
