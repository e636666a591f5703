// The pager's own copy stream. Copies are queued and polled for, never waited for by a blocking
// call. Locking: the pager's lock.
#pragma once

#include <cuda.h>

#include <chrono>
#include <functional>

#include "runtime/driver.h"
#include "runtime/units.h"

namespace vhbm {

class Copier {
 public:
  explicit Copier(const Driver& driver) : driver_(driver) {}
  ~Copier();
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  // Makes the stream in `context` unless there is one already.
  [[nodiscard]] CUresult prepare(CUcontext context);
  // The stream's context; nullptr before prepare().
  [[nodiscard]] CUcontext context() const { return context_; }
  [[nodiscard]] CUstream stream() const { return stream_; }
  [[nodiscard]] const Driver& driver() const { return driver_; }
  // The stream dies with its context.
  void context_destroyed(CUcontext context);

  // In order, between device addresses, whatever backs them. Needs context() to be current.
  [[nodiscard]] CUresult copy(DeviceAddress to, DeviceAddress from, Bytes size);
  // CUDA_SUCCESS once all copies landed, CUDA_ERROR_NOT_READY before. From any thread.
  [[nodiscard]] CUresult poll();
  // poll() until it answers something else than CUDA_ERROR_NOT_READY, or `patience` ends. Calls
  // `meanwhile`, which says whether it found something to do, in between.
  using Meanwhile = std::function<bool()>;
  [[nodiscard]] CUresult wait(std::chrono::nanoseconds patience, const Meanwhile& meanwhile = {});

 private:
  const Driver& driver_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
};

}  // namespace vhbm
