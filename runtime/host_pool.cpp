// Nothing is page-locked ahead before HBM begins to fill: a process that fits costs no host memory.
#include "runtime/host_pool.h"

#include "runtime/context_scope.h"
#include "runtime/host_memory.h"

namespace vhbm {
namespace {

// After the driver or the machine had no more.
constexpr std::chrono::seconds after_refusal{1};
// Between two looks at what the machine and the cgroup have left.
constexpr std::chrono::milliseconds between_looks{200};
// Left to everything else on the machine or in the cgroup.
constexpr Bytes headroom = mib(256);

}  // namespace

Status HostPool::start() {
  return worker_.start("vhbm-host", device_.options.pager_interval, [this] { round(); });
}

std::size_t HostPool::wanted() const {
  // Nothing comes to the host until it wakes.
  if (device_.process.sleep.load() == SleepState::asleep) return 0;
  const Frames& frames = *device_.frames;
  const Bytes pool = device_.options.host_pool.resolve(frames.limits().host, gib(1));
  const bool filling =
      frames.available(Tier::hbm) * 4 < frames.limits().hbm.value / frames.frame_size().value;
  const bool paging = device_.stats.get(Stat::host_mapped_bytes) != 0;
  return filling || paging ? pool.value / frames.frame_size().value : 0;
}

bool HostPool::room_for_more() {
  if (Clock::now() - looked_at_ >= between_looks) {
    looked_at_ = Clock::now();
    room_ = available_host_memory() > headroom + mib(64);
  }
  return room_;
}

void HostPool::round() {
  RelaxedCapture relaxed(device_.driver);
  Frames& frames = *device_.frames;
  while (!worker_.stopping()) {
    std::size_t wanted_now = 0;
    {
      std::lock_guard lock(device_.lock);
      frames.trim_host();
      wanted_now = wanted();
      if (wanted_now != 0) needed_at_ = Clock::now();
      if (Clock::now() - needed_at_ > device_.options.host_idle) {
        if (!frames.shrink(Tier::host, 1)) return;
        continue;
      }
      if (Clock::now() - refused_at_ < after_refusal || !frames.begin_growth(wanted_now)) return;
    }
    CUmemGenericAllocationHandle handle = 0;
    const CUresult made =
        room_for_more() ? frames.create(Tier::host, &handle) : CUDA_ERROR_OUT_OF_MEMORY;
    std::lock_guard lock(device_.lock);
    frames.end_growth(made, handle);
    if (made != CUDA_SUCCESS) refused_at_ = Clock::now();
  }
}

}  // namespace vhbm
