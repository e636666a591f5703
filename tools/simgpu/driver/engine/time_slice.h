// Kernels of several processes do not run on one GPU at the same time, but in slices of time, in
// turn. On the real clock, where processes share a machine, kernels take as much longer as there
// are processes that have some. Locking: none; used by the thread that executes.
#pragma once

#include <chrono>

#include "engine/work.h"

namespace simgpu {

struct Device;

class TimeSlice {
 public:
  // For the execution of `work`, whatever it is.
  TimeSlice(const Device& device, const Work& work);
  // Waits for the slices that others have had meanwhile.
  ~TimeSlice();
  TimeSlice(const TimeSlice&) = delete;
  TimeSlice& operator=(const TimeSlice&) = delete;

 private:
  const Device& device_;
  const bool counts_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace simgpu
