// The stream captures under way in this process, each known by the stream it began on. The runtime
// must know of every one, or a drain would break it. Locking: one mutex; any() is an atomic load.
#pragma once

#include <cuda.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "interpose/default_stream.h"
#include "interpose/linkage.h"
#include "runtime/runtime.h"

namespace vhbm::interpose {

class Captures {
 public:
  // Hot.
  [[nodiscard]] bool any() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }

  // Whether the driver forbids this thread to allocate, as calls that might break a capture are
  // (cuda.h: cuThreadExchangeStreamCaptureMode).
  [[nodiscard]] bool forbid_allocation(const Linkage& linkage) noexcept;

  // Before the driver begins one, inside the gate. False when it cannot be recorded.
  [[nodiscard]] bool began(CUstream stream, DefaultStream null_means, CUstreamCaptureMode mode,
                           const Linkage& linkage, Runtime& runtime) noexcept;
  // After the driver refused to begin it.
  void refused(CUstream stream, DefaultStream null_means, Runtime& runtime) noexcept;
  // After the driver was asked to end it; asks whether it did, since a wrong thread's wish is
  // refused.
  void end_attempted(CUstream stream, DefaultStream null_means, const Linkage& linkage,
                     Runtime& runtime) noexcept;
  void stream_destroyed(CUstream stream, Runtime& runtime) noexcept;
  void context_destroyed(CUcontext context, Runtime& runtime) noexcept;

 private:
  struct Capture {
    CUstream stream;
    const void* thread;  // of a per-thread stream, else nullptr
    const void* began_by = nullptr;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    CUcontext context = nullptr;
  };
  static Capture capture_on(CUstream stream, DefaultStream null_means) noexcept;
  template <typename Matches>
  void erase(Matches matches, Runtime& runtime) noexcept;

  std::mutex mutex_;
  std::vector<Capture> under_way_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace vhbm::interpose
