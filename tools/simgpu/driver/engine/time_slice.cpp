#include "engine/time_slice.h"

#include <thread>

#include "machine.h"

namespace simgpu {
namespace {

// Less is not slept but owed, since a sleep is longer than what it is asked for.
constexpr std::chrono::nanoseconds least_sleep = std::chrono::microseconds(500);

bool has_kernels(const Work& work) {
  return std::holds_alternative<KernelWork>(work) || std::holds_alternative<GraphWork>(work);
}

}  // namespace

TimeSlice::TimeSlice(const Device& device, const Work& work)
    : device_(device), counts_(device.shared != nullptr && has_kernels(work)) {
  if (counts_) device_.shared->begin_kernels(device_.place);
}

TimeSlice::~TimeSlice() {
  if (!counts_) return;
  using Clock = std::chrono::steady_clock;
  static thread_local std::chrono::nanoseconds owed{0};
  const auto now = Clock::now();
  owed += (now - begin_) * device_.shared->others_with_kernels(device_.place);
  if (owed >= least_sleep) {
    std::this_thread::sleep_for(owed);
    owed -= Clock::now() - now;
  }
  device_.shared->end_kernels(device_.place);
}

}  // namespace simgpu
