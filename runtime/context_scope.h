// Puts a thread into the state that driver calls need, and back. Locking: none; one thread's own.
#pragma once

#include <cuda.h>

#include "runtime/driver.h"

namespace vhbm {

// `context` is current while this lives.
class ContextScope {
 public:
  ContextScope(const Driver& driver, CUcontext context)
      : driver_(driver), result_(driver.cuCtxPushCurrent_v2(context)) {}
  ~ContextScope() {
    CUcontext popped = nullptr;
    if (result_ != CUDA_SUCCESS || driver_.cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS) return;
    // A call that failed did nothing, and the thread may be the application's.
    driver_.cuCtxPopCurrent_v2(&popped);
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

  [[nodiscard]] CUresult result() const { return result_; }

 private:
  const Driver& driver_;
  const CUresult result_;
};

// Calls of this thread neither break nor are refused because of another thread's stream capture.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const Driver& driver) : driver_(driver) { exchanged_ = exchange(); }
  ~RelaxedCapture() {
    if (exchanged_) (void)exchange();
  }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  // A second time where the first one failed: what follows would break the application's captures.
  bool exchange() {
    return driver_.cuThreadExchangeStreamCaptureMode(&mode_) == CUDA_SUCCESS ||
           driver_.cuThreadExchangeStreamCaptureMode(&mode_) == CUDA_SUCCESS;
  }

  const Driver& driver_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
  bool exchanged_ = false;
};

}  // namespace vhbm
