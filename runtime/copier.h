// The pager's own copy streams, its lanes. Copies are queued and polled for, never waited for by a
// blocking call. Locking: the pager's lock.
#pragma once

#include <cuda.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>

#include "runtime/driver.h"
#include "runtime/units.h"

namespace vhbm {

class Copier {
 public:
  static constexpr unsigned most_lanes = 2;

  explicit Copier(const Driver& driver, unsigned lanes = 1) : driver_(driver), lanes_(lanes) {}
  ~Copier();
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  // Makes the streams in `context` unless they are there already.
  [[nodiscard]] CUresult prepare(CUcontext context);
  // The streams' context; nullptr before prepare().
  [[nodiscard]] CUcontext context() const { return context_; }
  [[nodiscard]] CUstream stream(unsigned lane = 0) const { return streams_[lane]; }
  [[nodiscard]] const Driver& driver() const { return driver_; }
  // The streams die with their context.
  void context_destroyed(CUcontext context);

  // In order within a lane, between device addresses, whatever backs them. Needs context() to be
  // current.
  [[nodiscard]] CUresult copy(DeviceAddress to, DeviceAddress from, Bytes size, unsigned lane = 0);
  // CUDA_SUCCESS once all copies landed, or those of one lane; CUDA_ERROR_NOT_READY before. From
  // any thread.
  [[nodiscard]] CUresult poll(std::optional<unsigned> lane = std::nullopt);
  // poll() until it answers something else than CUDA_ERROR_NOT_READY, or `patience` ends, in which
  // time that the process was stopped does not count. Calls `meanwhile`, which says whether it found
  // something to do, in between.
  using Meanwhile = std::function<bool()>;
  [[nodiscard]] CUresult wait(std::chrono::nanoseconds patience, const Meanwhile& meanwhile = {},
                              std::optional<unsigned> lane = std::nullopt);

 private:
  void destroy_streams();

  const Driver& driver_;
  const unsigned lanes_;
  CUcontext context_ = nullptr;
  std::array<CUstream, most_lanes> streams_{};
};

}  // namespace vhbm
